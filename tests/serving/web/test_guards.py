"""Who is let in, and what keeps strangers' pages and guessed passwords out. Against a real server."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from fastapi.routing import APIRoute

from trabecula.errors import WrongUsage
from trabecula.lock import locked
from trabecula.serving.web import cohort, corrections, entry, studies, study, tokens
from trabecula.serving.web.login import Failures, Users, hashed, matches
from trabecula.serving.web.server import require_protection
from trabecula.serving.web.settings import Settings
from trabecula.studies.tables import open_database

from .conftest import PATIENCE_SECONDS, PROGRAM, Server, Start, end, until

PASSWORD = "correct horse battery"
FORM = "application/x-www-form-urlencoded"
POSTS = [
    route.path.replace("{study_id}", "0" * 32).replace("{number}", "1")
    for module in (studies, study, corrections, cohort, entry, tokens)
    for route in module.router.routes
    if isinstance(route, APIRoute) and "POST" in route.methods
]


def add_user(data: Path, name: str = "ada", password: str = PASSWORD) -> "subprocess.CompletedProcess[str]":
    command = [*PROGRAM, "serve", "--data", str(data), "--add-user", name]
    return subprocess.run(command, input=password + "\n", capture_output=True, text=True)


@pytest.fixture(scope="module")
def refused_study(server: Server, not_hounsfield: Path) -> str:
    """A study that was refused, so that it has no version."""
    study = server.upload(not_hounsfield)
    assert server.wait(study) == "refused"
    return study


def test_headers_keep_other_sites_and_scripts_out(server: Server) -> None:
    answer = server.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    cookie = httpx.get(server.url).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_no_page_has_a_style_or_script_of_its_own(server: Server) -> None:
    for path in ("/", "/cohort", "/login", "/studies/" + "0" * 32):
        page = server.client.get(path, headers={"accept": "text/html"}).text
        assert " style=" not in page and "<style" not in page
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=", page)
        assert not re.search(r"(src|href)=\"(https?:)?//", page)


@pytest.mark.parametrize("path", POSTS)
def test_nothing_is_changed_without_the_token_of_a_page_of_ours(server: Server, path: str) -> None:
    empty = {"files": ("f", b"something")} if path == "/studies" else None
    for fields in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "é" * 10}):
        answer = server.client.post(path, data=fields, files=empty)
        assert (answer.status_code, answer.json()["code"]) == (403, "form-expired")
    stolen = {"csrf": server.csrf()}
    answer = server.client.post(path, data=stolen, files=empty, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    with httpx.Client(base_url=server.url) as somebody_else:
        assert somebody_else.post(path, data=stolen, files=empty).status_code == 403


def test_another_host_name_is_turned_away(server: Server) -> None:
    assert server.client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert server.client.get("/", headers={"host": f"localhost:{server.port}"}).status_code == 200


def test_a_server_at_another_local_address_answers_to_it(start: Start) -> None:
    server = start("--host", "127.0.0.7")
    assert server.url.startswith("http://127.0.0.7:") and server.client.get("/").status_code == 200
    assert server.client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_a_port_that_another_program_has_is_told(server: Server, tmp_path: Path) -> None:
    command = [*PROGRAM, "serve", "--data", str(tmp_path / "data"), "--port", str(server.port)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "[address-unusable]" in ran.stderr and ran.stderr.count("\n") == 1


HUGE = "9" * 25


@pytest.mark.parametrize(
    "path",
    [
        *(f"/?page={page}" for page in (HUGE, "-1", "0", "x", "%00", "1e9")),
        *(f"/studies/{{study}}/versions/{number}" for number in (HUGE, "-1", "0", "x", "2", "%00", "٣")),
        *(f"/studies/{{study}}/versions/{HUGE}/{rest}" for rest in ("labels.nii", "files/report.html")),
        *("/studies/{study}/versions/2/labels.nii", "/studies/{study}/versions/1/files/..%2f..%2fsecret"),
        *("/studies/{study}/view/labels.npz", "/studies/" + "%00" * 32, "/studies/" + "é" * 32, "/static/%00", "/%ff"),
    ],
)
def test_an_address_that_is_none_is_told_as_such(server: Server, refused_study: str, path: str) -> None:
    assert server.client.get(path.replace("{study}", refused_study)).status_code == 404


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"version": "²"}, 404),
        ({"version": HUGE}, 404),
        ({"version": "1", "name-\x00": "\x00", "by": "\x00"}, 404),
    ],
)
def test_a_correction_that_is_none_is_told_as_such(
    server: Server, refused_study: str, form: dict[str, str], code: int
) -> None:
    answer = server.client.post(f"/studies/{refused_study}/corrections", data={**form, "csrf": server.csrf()})
    assert answer.status_code == code


def test_words_that_no_label_can_hold_find_nothing(server: Server, refused_study: str) -> None:
    for words in ("\x00", "a\x00b", "\ud800".encode("utf-8", "surrogatepass"), "%" * 5000):
        for field in ("words", "state", "doubt", "scanner", "since", "offset", "sort"):
            assert server.client.get("/", params={field: words}).status_code == 200


def test_forms_are_bounded_before_they_are_read(server: Server) -> None:
    csrf = server.csrf()
    assert server.client.post("/language", data={"csrf": csrf, "words": "x" * 70_000}).status_code == 413
    many = {f"field-{i}": "x" for i in range(250)}
    assert server.client.post("/language", data={"csrf": csrf, **many}, files={}).status_code == 400
    stream = server.client.post("/language", content=iter([b"csrf=", csrf.encode()]), headers={"content-type": FORM})
    assert stream.status_code == 413  # of no length that is told
    file = server.client.post("/language", data={"csrf": csrf}, files={"words": ("x", b"x")})
    assert file.status_code == 400


def test_other_methods_are_turned_away(server: Server) -> None:
    assert server.client.request("DELETE", "/").status_code == 405
    assert server.client.request("TRACE", "/").status_code == 405


def test_what_is_not_there_is_told_as_a_page(server: Server) -> None:
    for path in ("/nothing", "/studies/" + "0" * 32, "/studies/../../etc/passwd", "/studies/%2e%2e", "/?page=x"):
        answer = server.client.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 404
        assert "That did not work" in answer.text and "Traceback" not in answer.text


def test_where_users_exist_everybody_logs_in(start: Start, tmp_path: Path) -> None:
    assert add_user(tmp_path / "data").returncode == 0
    server = start()
    for path in ("/", "/cohort", "/queue", "/studies/" + "0" * 32, "/studies/" + "0" * 32 + "/view/ct.nii"):
        page = server.client.get(path, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, f"/login?{urlencode({'to': path})}")
        assert server.client.get(path).status_code == 401
    assert server.client.post("/studies", files={"files": ("f", b"x")}).status_code == 401

    csrf = _csrf(server)
    before = server.client.cookies["trabecula"]
    wrong = server.client.post("/login", data={"csrf": csrf, "name": "ada", "password": "wrong wrong wrong"})
    assert wrong.status_code == 403 and "Name or password is wrong." in wrong.text
    right = server.client.post("/login", data={"csrf": csrf, "name": "ada", "password": PASSWORD})
    assert right.status_code == 303
    assert server.client.cookies["trabecula"] != before  # a token from before the login is worth nothing
    page = server.client.get("/")
    assert page.status_code == 200 and "Log out" in page.text

    kept = dict(server.client.cookies)
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found is not None
    assert server.client.post("/logout", data={"csrf": found[1]}).status_code == 303
    assert httpx.get(server.url, cookies=kept).status_code == 401
    assert PASSWORD not in server.log and "ada" not in server.log


def test_guessing_is_slowed_down(start: Start, tmp_path: Path) -> None:
    add_user(tmp_path / "data")
    server = start()
    csrf = _csrf(server)
    codes = [
        server.client.post("/login", data={"csrf": csrf, "name": "ada", "password": f"guess number {i}"}).status_code
        for i in range(6)
    ]
    assert codes == [403] * 5 + [429]
    locked_out = server.client.post("/login", data={"csrf": csrf, "name": "ada", "password": PASSWORD})
    assert locked_out.status_code == 429 and int(locked_out.headers["retry-after"]) > 600


def _csrf(server: Server) -> str:
    return _csrf_of(server.client)


def _csrf_of(client: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/login").text)
    assert found is not None
    return found[1]


def test_failures_are_counted_for_each_key_and_forgotten_after_a_while() -> None:
    failures = Failures(minutes=60)
    failures.count(["a", "b"])
    failures.count(["a"])
    assert failures.wait_seconds({"a": 2}) > 0
    assert failures.wait_seconds({"b": 2}) == 0 and failures.wait_seconds({"b": 2, "a": 2}) > 0
    assert failures.wait_seconds({"a": 3}) == 0
    failures.forget("a")
    assert failures.wait_seconds({"a": 2}) == 0
    at_once = Failures(minutes=0)
    at_once.count(["a"])
    until(lambda: at_once.wait_seconds({"a": 1}) == 0)


def test_whoever_has_logged_in_before_is_not_locked_out_by_others(start: Start, tmp_path: Path) -> None:
    add_user(tmp_path / "data")
    server = start()
    right = {"csrf": _csrf(server), "name": "ada", "password": PASSWORD}
    assert server.client.post("/login", data=right).status_code == 303
    with httpx.Client(base_url=server.url, timeout=PATIENCE_SECONDS) as stranger:
        csrf = _csrf_of(stranger)
        guesses = [{"csrf": csrf, "name": "ada", "password": f"guess number {i}"} for i in range(6)]
        assert [stranger.post("/login", data=guess).status_code for guess in guesses] == [403] * 5 + [429]
        assert stranger.post("/login", data={**right, "csrf": csrf}).status_code == 429
    again = {**right, "csrf": _csrf(server)}
    assert server.client.post("/login", data=again).status_code == 303
    guesses = [{**again, "csrf": _csrf(server), "password": f"guess number {i}"} for i in range(6)]
    assert [server.client.post("/login", data=guess).status_code for guess in guesses] == [403] * 5 + [429]


def test_who_asks_is_told_by_the_named_proxy_alone(start: Start, tmp_path: Path) -> None:
    add_user(tmp_path / "data")
    for proxy, codes in (("192.0.2.9", [403] * 5 + [429]), ("127.0.0.1", [403] * 6)):
        server = start("--behind-proxy", "--proxy", proxy)
        page = server.client.get("/login")
        found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
        assert found is not None
        cookie = page.headers["set-cookie"].partition(";")[0]  # for TLS, which the proxy has ended
        guesses = [
            server.client.post(
                "/login",
                data={"csrf": found[1], "name": "ada", "password": f"guess number {i}"},
                headers={"x-forwarded-for": f"198.51.100.{i}", "cookie": cookie},
            )
            for i in range(6)
        ]
        assert [guess.status_code for guess in guesses] == codes
        end(server)


def test_passwords_are_kept_as_salted_hashes(tmp_path: Path) -> None:
    first, second = hashed(PASSWORD), hashed(PASSWORD)
    assert first != second and PASSWORD not in first
    assert matches(PASSWORD, first) and not matches(PASSWORD + " ", first)
    users = Users(open_database(f"sqlite:///{tmp_path / 'users.sqlite'}"))
    with pytest.raises(WrongUsage, match="at least 12"):
        users.add("ada", "short")
    with pytest.raises(WrongUsage, match="DICOM senders"):
        users.add("node:CT1", PASSWORD)
    users.add("ada", PASSWORD)
    token = users.log_in("ada")
    assert users.who(token) == "ada" and users.who(token[:-1]) is None
    assert token.encode() not in (tmp_path / "users.sqlite").read_bytes()
    users.add("ada", PASSWORD + " new")  # a new password ends old logins
    assert users.who(token) is None


def test_others_are_served_only_with_logins_and_tls(tmp_path: Path) -> None:
    def code(has_users: bool, **settings: object) -> str:
        try:
            require_protection(Settings(tmp_path, **settings), has_users)  # type: ignore[arg-type]
        except WrongUsage as error:
            return error.code
        return "served"

    assert code(False, host="0.0.0.0", behind_proxy=True) == "login-missing"
    assert code(True, host="0.0.0.0") == "tls-missing"
    assert code(True, host="0.0.0.0", behind_proxy=True) == "served"
    assert code(True, host="192.0.2.1", certificate=tmp_path / "c", key=tmp_path / "k") == "served"


@pytest.mark.parametrize(
    ("host", "beyond"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("::", True), ("a.example", True)],
)
def test_which_addresses_reach_beyond_this_machine(tmp_path: Path, host: str, beyond: bool) -> None:
    assert Settings(tmp_path, host=host).beyond_this_machine is beyond


def test_the_program_refuses_to_be_open(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*PROGRAM, "serve", "--host", "0.0.0.0", "--data", str(tmp_path / "data")], capture_output=True, text=True
    )
    assert ran.returncode == 2 and "login-missing" in ran.stderr


def test_behind_a_proxy_cookies_are_for_tls_alone(start: Start, tmp_path: Path) -> None:
    add_user(tmp_path / "data")
    server = start("--behind-proxy")
    answer = server.client.get("/login")
    assert "Secure" in answer.headers["set-cookie"] and answer.headers["set-cookie"].startswith("__Host-")
    assert "max-age" in answer.headers["strict-transport-security"]


def test_tls_of_its_own(start: Start, tmp_path: Path) -> None:
    add_user(tmp_path / "data")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    subprocess.run([*made, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    server = start("--certificate", str(certificate), "--key", str(key))
    answer = httpx.get(f"{server.url}/login", verify=False)
    assert answer.url.scheme == "https" and "Secure" in answer.headers["set-cookie"]


def test_a_second_server_is_kept_out_of_the_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "data"):
        with pytest.raises(WrongUsage) as refused, locked(tmp_path / "data"):
            pass
        assert refused.value.code == "data-in-use"
    with locked(tmp_path / "data"):
        pass


def test_what_is_kept_is_for_its_owner_alone(server: Server) -> None:
    assert server.data.stat().st_mode & 0o077 == 0
    assert (server.data / "studies").stat().st_mode & 0o077 == 0
    assert (server.data / "secret").stat().st_mode & 0o077 == 0

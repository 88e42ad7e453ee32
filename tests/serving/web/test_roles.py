"""Who sees, corrects and removes which studies. The application itself, without its worker: nothing is screened."""

import asyncio
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.routing import APIRoute

from trabecula.errors import WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import Acquisition, Assessment, Basis, Calibration, Diagnosis, Readings, Scan, Spine
from trabecula.serving.web import api, cohort, corrections, entry, files, login, studies, tokens
from trabecula.serving.web import study as study_pages
from trabecula.serving.web.app import create_app
from trabecula.serving.web.login import Role, Tokens, Users
from trabecula.serving.web.settings import Settings
from trabecula.studies.result import first_result
from trabecula.studies.store import Store, Upload
from trabecula.studies.tables import open_database
from trabecula.studies.viewer import write_spine, write_whole
from trabecula.volume import Orientation, Volume

PASSWORD = "correct horse battery"
HTML = {"accept": "text/html"}
ROLES = {"ada": None, "bob": Role.OWN, "cyd": None}
"""The first user is an admin, a later one sees all, unless it is said."""


def form_secret(page: httpx.Response) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


class Browser:
    """Asks the application in this process."""

    def __init__(self, app: Any, token: str) -> None:
        self.app, self.cookies = app, {"trabecula": token}

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self._ask("GET", path, **how)

    def post(self, path: str, **how: Any) -> httpx.Response:
        return self._ask("POST", path, **how)

    def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1", cookies=self.cookies
            ) as client:
                return await client.request(method, path, **how)

        # On a thread of its own: a browser that other tests opened may hold this one's event loop.
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(asyncio.run, asked()).result()


class House:
    """An application with three users, each of whom has sent a study that was refused."""

    def __init__(self, data: Path) -> None:
        self.settings = Settings(data)
        self.app = create_app(self.settings)
        self.users, self.store = Users(open_database(self.settings.database)), self.app.state.parts.store
        self.roles = {name: self.users.add(name, PASSWORD, role) for name, role in ROLES.items()}
        self.sent = {name: f"{number:032d}" for number, name in enumerate(ROLES, start=1)}
        for name, study in self.sent.items():
            (data / "studies" / study).mkdir(parents=True)
            self.store.enqueue(Upload(study, "ct", f"of {name}", name, False, "en"))
            job = self.store.take_job()
            assert job is not None
            self.store.end_without_result(job.id, "refused", "too-slow", "")

    def screened(self, owner: str, label: str = "") -> str:
        """A study of somebody's with a result, a file of every kind and the pictures for the viewer."""
        study = uuid.uuid4().hex
        folder = self.settings.data / "studies" / study
        (folder / "version-1").mkdir(parents=True)
        (folder / "ct.nii").write_bytes(b"as it came")
        for name in FILES:
            (folder / "version-1" / name).write_bytes(b"{}")
        self.store.enqueue(Upload(study, "ct.nii", label, owner, False, "en"))
        job = self.store.take_job()
        assert job is not None
        volume = Volume(np.zeros((9, 9, 9), np.float32), np.eye(4))
        scan = Scan(volume, Orientation(), Acquisition("nifti"))
        write_whole(scan, folder / "view")
        write_spine(scan, Spine((), 1.0), np.zeros(volume.shape, np.uint8), folder / "view")
        calibration, readings = (
            Calibration(Phrase("rung-assumed"), 1.5, 0.0, 0.1),
            Readings((), Phrase("method-region")),
        )
        diagnosis = Diagnosis(Category.NORMAL, Basis.BANDS, Measurement(150.0, (140.0, 160.0)), {}, ())
        found = Assessment("house", scan, Spine((), 1.0), None, calibration, readings, diagnosis)
        self.store.keep_first(job.id, first_result(found))
        return study

    def browser(self, name: str) -> tuple[Browser, str]:
        """Where somebody is logged in, and the token for forms."""
        client = Browser(self.app, self.users.log_in(name))
        return client, form_secret(client.get("/", headers=HTML))


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are kept as ever, and a guess takes a millisecond."""
    monkeypatch.setattr(login, "SCRYPT_N", 2**8)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


def test_the_first_user_is_an_admin_and_others_see_all_unless_it_is_said(house: House) -> None:
    assert house.roles == {"ada": Role.ADMIN, "bob": Role.OWN, "cyd": Role.ALL}
    assert house.users.add("bob", PASSWORD) == Role.OWN  # a new password changes no role
    assert house.users.role_of(None) == Role.ADMIN and house.users.role_of("nobody") == Role.OWN


@pytest.mark.parametrize(("name", "sees"), [("ada", "ada bob cyd"), ("bob", "bob"), ("cyd", "ada bob cyd")])
def test_what_somebody_does_not_see_is_as_if_it_were_not_there(house: House, name: str, sees: str) -> None:
    client, csrf = house.browser(name)
    listed, nothing = client.get("/").text, client.get(f"/studies/{'0' * 32}", headers=HTML)
    for owner, study in house.sent.items():
        shown = client.get(f"/studies/{study}", headers=HTML)
        if owner in sees.split():
            assert shown.status_code == 200 and f"of {owner}" in listed
            continue
        assert (shown.status_code, shown.text.replace(study, "0" * 32)) == (404, nothing.text)
        assert f"of {owner}" not in listed and f"of {owner}" not in client.get("/cohort").text
        for path in ("state", "versions/1/files/report.html", "view/overview.nii"):
            assert client.get(f"/studies/{study}/{path}").status_code == 404
        for path in ("label", "removal", "corrections"):
            done = client.post(f"/studies/{study}/{path}", data={"csrf": csrf, "label": "x", "sure": "yes"})
            assert done.status_code == 404
    token = Tokens(house.users.engine).make(name, "script")
    answer = client.get("/api/v1/studies", headers={"authorization": f"Bearer {token}"})
    assert {one["label"] for one in answer.json()["studies"]} == {f"of {owner}" for owner in sees.split()}


FILES = ("report.html", "report.pdf", "assessment.json", "regions.nii.gz", "fhir.json", "dicom.zip")
VIEWS = ("spine.nii", "overview.nii", "ct.nii")


def addresses(study: str) -> list[tuple[str, str]]:
    """Every method and address at which something of a study is told or done, each of its files by name."""
    found = []
    for router in (studies, study_pages, corrections, files, cohort, entry, tokens, api):
        for route in router.router.routes:
            assert isinstance(route, APIRoute)
            if "{study_id}" not in route.path:
                continue
            names = VIEWS if "/view/" in route.path else FILES if "{name}" in route.path else ("",)
            for name in names:
                path = route.path.replace("{study_id}", study).replace("{number}", "1").replace("{name}", name)
                found += [(method, path) for method in route.methods]
    return found


def test_every_address_of_a_study_is_shut_to_whoever_does_not_see_it(house: House) -> None:
    made = house.screened("ada")
    owner, _ = house.browser("ada")
    other, csrf = house.browser("bob")
    token = {"authorization": f"Bearer {Tokens(house.users.engine).make('bob', 'script')}"}
    own = {"authorization": f"Bearer {Tokens(house.users.engine).make('ada', 'script')}"}
    tried = addresses(made)
    assert len(tried) > 30 and {method for method, _ in tried} == {"GET", "POST"}
    fields = {"csrf": csrf, "version": "1", "seen": "1", "confirm": "yes", "sure": "yes", "what": "signed", "by": "bob"}
    for method, path in tried:
        if method == "GET":
            shut = other.get(path, headers=token)
            assert owner.get(path, headers=own).status_code == 200, path  # there is something to be shut out of
        elif path.startswith("/api/"):
            shut = other.post(path, json={"version": 1, "confirm": True}, headers=token)
        else:
            shut = other.post(path, data=fields)
        assert shut.status_code == 404, (method, path)
    for what in ("cancel", "retry", "sent", "remove"):
        assert other.post("/bulk", data={**fields, "what": what, f"study-{made}": "on"}).status_code == 404
    mine = house.screened("bob")
    assert other.post(f"/studies/{mine}/priors", data={**fields, "prior": made}).status_code == 404
    assert other.post("/studies/" + mine + "/priors", data={**fields, "prior": "0" * 32}).status_code == 404
    kept = house.store.study(made)
    assert kept is not None and (kept.latest, kept.standing, len(house.store.acts(made))) == (1, "to-check", 0)


def test_no_page_of_many_studies_tells_of_one_that_somebody_does_not_see(house: House) -> None:
    client, _ = house.browser("bob")
    pages = ("/", "/cohort", "/queue", "/cohort/vertebrae.csv", f"/studies/{house.screened('bob')}")
    before = {path: client.get(path, headers=HTML if path.startswith("/studies") else {}).text for path in pages}
    made = house.screened("ada", "SECRET")
    for path in (*pages, "/?words=secret"):
        told = client.get(path, headers=HTML if path.startswith("/studies") else {}).text
        assert made not in told and "SECRET" not in told, path
        assert told == before.get(path, told), path  # also no count of it, and no sign that it came


def test_a_token_ends_with_whoever_it_stands_for(house: House) -> None:
    programs, client = Tokens(house.users.engine), Browser(house.app, "")

    def status(token: str) -> int:
        return client.get("/api/v1/studies", headers={"authorization": f"Bearer {token}"}).status_code

    made = {name: programs.make(name, "script") for name in ROLES}
    assert {status(token) for token in made.values()} == {200}
    house.users.remove("bob")
    assert house.users.add("bob", PASSWORD) == Role.ALL  # somebody else of the same name
    house.users.add("cyd", PASSWORD + "!")
    assert [status(made[name]) for name in ("ada", "bob", "cyd")] == [200, 401, 401]
    assert status(programs.make("nobody", "script")) == 401
    assert status(programs.make("", "made before anybody logged in")) == 401


def test_a_token_made_where_nobody_logs_in_ends_with_the_first_user(tmp_path: Path) -> None:
    app = create_app(Settings(tmp_path / "data"))
    users = Users(open_database(app.state.parts.settings.database))
    asked = {"authorization": f"Bearer {Tokens(users.engine).make('', 'script')}"}
    assert Browser(app, "").get("/api/v1/studies", headers=asked).status_code == 200
    users.add("ada", PASSWORD)
    assert Browser(app, "").get("/api/v1/studies", headers=asked).status_code == 401


def test_nobody_sees_studies_by_being_called_as_a_program_was(tmp_path: Path) -> None:
    app = create_app(Settings(tmp_path / "data"))
    users = Users(open_database(app.state.parts.settings.database))
    asked = {"authorization": f"Bearer {Tokens(users.engine).make('', 'bob')}"}
    sent = Browser(app, "").post("/api/v1/studies", headers=asked, files={"files": ("a.nii", b"x" * 9)})
    assert sent.status_code == 201
    users.add("ada", PASSWORD)
    users.add("bob", PASSWORD, Role.OWN)
    assert Browser(app, users.log_in("bob")).get(f"/studies/{sent.json()['id']}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        ("/studies/" + "0" * 32 + "/versions/2?state=to-check", "/studies/" + "0" * 32 + "/versions/2?state=to-check"),
        ("/?doubt=any&since=2026-01-01", "/?doubt=any&since=2026-01-01"),
        ("/login", "/"),
    ],
)
def test_a_login_leads_to_what_was_asked_for(house: House, asked: str, to: str) -> None:
    stranger = Browser(house.app, "")
    turned = stranger.get(asked, headers=HTML)
    form = turned if turned.status_code == 200 else stranger.get(turned.headers["location"], headers=HTML)
    to_shown = re.search(r'name="to" value="([^"]*)"', form.text)
    assert to_shown is not None
    stranger.cookies = {"trabecula": form.cookies["trabecula"]}
    fields = {"csrf": form_secret(form), "name": "ada", "password": PASSWORD, "to": unescape(to_shown[1])}
    assert stranger.post("/login", data=fields).headers["location"] == to


@pytest.mark.parametrize(
    "to",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nset-cookie: a=b", "evil", "/" + "a" * 3000],
)
def test_no_form_leads_elsewhere(house: House, to: str) -> None:
    client, csrf = house.browser("ada")
    fields = {"csrf": csrf, "name": "ada", "password": PASSWORD, "to": to, "back": to, "language": "en"}
    for path in ("/login", "/language"):
        assert client.post(path, data=fields).headers["location"] == "/"
    assert client.get("/studies/", headers={"host": "127.0.0.1"}).status_code == 404  # and no slash leads by its host


@pytest.mark.parametrize(
    ("name", "owner", "status"), [("bob", "bob", 303), ("cyd", "cyd", 303), ("cyd", "ada", 400), ("ada", "cyd", 303)]
)
def test_whoever_is_no_admin_removes_only_what_they_sent(house: House, name: str, owner: str, status: int) -> None:
    client, csrf = house.browser(name)
    form = {"csrf": csrf, "sure": "yes"}
    study = house.sent[owner]
    many = client.post("/bulk", data=form | {"what": "remove", f"study-{study}": "on"}) if status == 400 else None
    assert many is None or many.status_code == status
    assert client.post(f"/studies/{study}/removal", data=form).status_code == status
    assert (house.store.study(study) is None) == (status == 303)


def test_a_user_who_is_removed_is_out_at_once(house: House) -> None:
    client, _ = house.browser("bob")
    token = Tokens(house.users.engine).make("bob", "script")
    house.users.remove("bob")
    assert client.get("/").status_code == 401
    assert client.get("/api/v1/studies", headers={"authorization": f"Bearer {token}"}).status_code == 401
    assert house.store.study(house.sent["bob"]) is not None
    with pytest.raises(WrongUsage, match="no user"):
        house.users.remove("bob")


def test_the_store_of_one_user_counts_nothing_of_others(house: House) -> None:
    own: Store = house.store.seen_by("bob")
    assert own.studies()[1] == 1 and house.store.studies()[1] == 3
    assert own.ended_without_result() == [("too-slow", 1)] and own.choices()["codes"] == [("too-slow", 1)]

"""Programs at the same door: tokens, the same guards and sentences as the page, a description that is true."""

import re
from pathlib import Path

import httpx
import pytest

from .conftest import PATIENCE_SECONDS, Server, Start, until

API = "/api/v1/studies"


def token_of(server: Server, name: str = "a script") -> str:
    page = server.client.post("/tokens", data={"csrf": server.csrf(), "name": name}).text
    found = re.search(r'id="token">(trabecula_[\w-]+)<', page)
    assert found is not None
    return found[1]


def program(server: Server, token: str) -> httpx.Client:
    """A client that has a token and no cookie."""
    headers = {"authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return token_of(server)


@pytest.fixture(scope="module")
def study(server: Server, token: str, cylinder_nifti: Path) -> str:
    """Uploaded and screened by a program alone."""
    with program(server, token) as client:
        sent = {"files": (cylinder_nifti.name, cylinder_nifti.read_bytes())}
        made = client.post(API, data={"label": "by a program", "recipe": "stub"}, files=sent)
        assert made.status_code == 201 and made.json()["state"] == "queued"
        name = str(made.json()["id"])
        until(lambda: client.get(f"{API}/{name}").json()["state"] == "done")
    return name


def test_a_program_uploads_asks_and_reads(server: Server, token: str, study: str) -> None:
    with program(server, token) as client:
        told = client.get(f"{API}/{study}").json()
        assert (told["standing"], told["latest"], told["files"]) == ("to-check", 1, "ready")
        assert told["density"]["quantity"] == "vbmd-k2hpo4" and told["density"]["unit"] == "mg/cm3"
        result = client.get(f"{API}/{study}/versions/1").json()
        assert result["diagnosis"]["category"] == told["category"]
        listed = client.get(API, params={"words": "program", "state": "to-check"}).json()
        assert [one["id"] for one in listed["studies"]] == [study] and listed["total"] == 1
        report = client.get(f"{API}/{study}/versions/1/files/report.html")
        assert report.headers["content-disposition"].startswith("attachment") and "sandbox" in str(report.headers)


def test_a_correction_is_a_version_under_the_tokens_name(server: Server, token: str, study: str) -> None:
    with program(server, token) as client:
        asked = {"version": 1, "seen": 1, "names": {"L1": "T12"}}
        made = client.post(f"{API}/{study}/corrections", json=asked)
        assert made.status_code == 201
        result = client.get(made.json()["result"]).json()
        assert [one["level"] for one in result["vertebrae"]] == ["T11", "T12", "L1"]
        late = client.post(f"{API}/{study}/corrections", json={**asked, "names": {"L1": "L2"}})
        assert late.status_code == 409 and late.json()["code"] == "corrected-meanwhile"
        assert "a script" in late.json()["message"]


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 422, "request-invalid"),
        ({"version": 1, "nonsense": 1}, 422, "request-invalid"),
        ({"version": 1, "names": {"L1": "Q7"}}, 422, "request-invalid"),
        ({"version": 1, "excluded": {"L1": "whim"}}, 400, "cause-unknown"),
        ({"version": 1}, 400, "nothing-corrected"),
        ({"version": 1, "names": {"L1": "L5"}, "shift": False}, 400, "levels-out-of-order"),
        ({"version": 99, "confirm": True}, 404, ""),
    ],
)
def test_what_cannot_be_followed_is_told_with_a_code(
    server: Server, token: str, study: str, asked: dict[str, object], status: int, code: str
) -> None:
    with program(server, token) as client:
        answer = client.post(f"{API}/{study}/corrections", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code) and answer.json()["message"]


def test_a_wrong_upload_is_told_as_the_page_tells_it(server: Server, token: str) -> None:
    with program(server, token) as client:
        assert client.post(API, data={"recipe": "homoeopathy"}, files={"files": ("a.nii", b"x")}).status_code == 400
        empty = client.post(API, files={"files": ("a.nii", b"")})
        assert (empty.status_code, empty.json()["code"]) == (422, "upload-empty")


def test_neither_a_login_nor_a_page_opens_the_programs_door(start: Start, cylinder_nifti: Path) -> None:
    server = start()
    sent = {"files": (cylinder_nifti.name, cylinder_nifti.read_bytes())}
    for headers in ({}, {"authorization": "Bearer trabecula_" + "x" * 43}, {"authorization": "Basic eDp4"}):
        for answer in (
            server.client.get(API, headers=headers),  # with the page's cookie
            server.client.post(API, files=sent, data={"csrf": server.csrf()}, headers=headers),
        ):
            assert answer.status_code == 401 and answer.json()["code"] == "token-missing"
            assert answer.headers["www-authenticate"] == "Bearer"
    with program(server, token_of(server)) as client:
        assert client.get(API, headers={"host": "evil.example"}).status_code == 421
        assert client.request("DELETE", API).status_code == 405
        assert client.get("/tokens", headers={"accept": "text/html"}).status_code == 200  # no login is needed here
    assert server.client.post("/tokens", data={"name": "x"}).status_code == 403  # no page of ours asked


def test_a_token_taken_back_is_good_no_longer_and_only_its_hash_is_kept(server: Server) -> None:
    token = token_of(server, "short-lived")
    with program(server, token) as client:
        assert client.get(API).status_code == 200
        page = server.client.get("/tokens").text
        digest = re.search(r'name="token" value="([0-9a-f]{64})"', page.partition("short-lived")[2])
        assert digest is not None and token not in page
        server.client.post("/tokens/removal", data={"csrf": server.csrf(), "token": digest[1]})
        assert client.get(API).status_code == 401
    assert not any(token.encode() in path.read_bytes() for path in server.data.glob("trabecula.sqlite*"))
    assert token not in server.log


def test_the_description_is_open_and_names_every_address(server: Server, study: str) -> None:
    told = httpx.get(f"{server.url}/api/v1/openapi.json").json()
    assert told["openapi"].startswith("3.") and told["security"] == [{"token": []}]
    assert set(told["paths"]) == {
        API,
        f"{API}/{{study_id}}",
        f"{API}/{{study_id}}/versions/{{number}}",
        f"{API}/{{study_id}}/versions/{{number}}/files/{{name}}",
        f"{API}/{{study_id}}/corrections",
    }
    upload = told["paths"][API]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert upload["required"] == ["files"] and {"label", "recipe", "deidentify"} <= set(upload["properties"])
    assert "409" in told["paths"][f"{API}/{{study_id}}/corrections"]["post"]["responses"]

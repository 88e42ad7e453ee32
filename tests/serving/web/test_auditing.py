"""What the audit trail says of the page: before anything leaves, by number, and without a word that somebody typed."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import update
from sqlalchemy.orm import Session

from trabecula.serving.web import api, cohort, corrections, files, studies, study
from trabecula.serving.web.auditing import NOTED, UNNOTED
from trabecula.serving.web.login import Tokens
from trabecula.studies.audit import Asked, Trail
from trabecula.studies.tables import Study

from .test_roles import HTML, PASSWORD, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


def trail_of(house: House, **asked: Any) -> list[tuple[Any, ...]]:
    lines = Trail(house.users.engine).lines(Asked(**asked))
    return [(line["who"], line["what"], line["study"]) for line in lines]


def test_every_page_of_a_study_is_noted_or_said_not_to_be() -> None:
    pages = {
        route.name
        for module in (api, cohort, corrections, files, studies, study)
        for route in module.router.routes
        if isinstance(route, APIRoute) and "GET" in route.methods
    }
    assert pages - {"description", "queue"} == set(NOTED) | set(UNNOTED)


def test_looking_is_noted_once_while_it_lasts_and_leaving_with_a_file_each_time(house: House) -> None:
    client, _ = house.browser("cyd")
    for path in ("", "", "/again", "/state"):
        assert client.get(f"/studies/{house.sent['ada']}{path}", headers=HTML).status_code == 200
    assert client.get(f"/studies/{'0' * 32}", headers=HTML).status_code == 404
    for _ in range(2):
        assert client.get("/cohort/vertebrae.csv").status_code == 200
    noted = [line for line in trail_of(house, who="cyd") if line[1] != "uploaded"]
    assert noted == [("cyd", "saw", 1), ("cyd", "exported-table", None), ("cyd", "exported-table", None)]


def test_a_program_is_noted_by_its_user_and_its_own_name(house: House) -> None:
    token = Tokens(house.users.engine).make("bob", "nightly")
    client, _ = house.browser("bob")
    answer = client.get(f"/api/v1/studies/{house.sent['bob']}", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    (line,) = Trail(house.users.engine).lines(Asked(who="bob", what="saw"))
    assert (line["study"], line["program"]) == (2, "nightly")


def test_changes_are_noted_with_who_made_them(house: House) -> None:
    client, csrf = house.browser("ada")
    client.post(f"/studies/{house.sent['ada']}/retrial", data={"csrf": csrf})
    client.post(f"/studies/{house.sent['ada']}/cancellation", data={"csrf": csrf})
    client.post(f"/studies/{house.sent['cyd']}/label", data={"csrf": csrf, "label": "Mrs Jones"})
    client.post(f"/studies/{house.sent['cyd']}/removal", data={"csrf": csrf, "sure": "yes"})
    noted = trail_of(house, who="ada")
    assert noted[1:] == [
        ("ada", "retried", 1),
        ("ada", "cancelled", 1),
        ("ada", "renamed", 3),
        ("ada", "removed", 3),
    ]
    assert "Jones" not in str(list(Trail(house.users.engine).lines(Asked())))


def test_logins_are_noted_and_a_name_that_is_nobodys_is_not_kept(house: House) -> None:
    client, csrf = house.browser("ada")
    for name, password in (("ada", PASSWORD), ("ada", "wrong"), ("typed my password here", "wrong")):
        client.post("/login", data={"csrf": csrf, "name": name, "password": password})
    client.post("/logout", data={"csrf": csrf})
    noted = [(who, what) for who, what, _ in trail_of(house) if what.startswith("log")]
    assert noted == [("ada", "logged-in"), ("ada", "login-failed"), ("", "login-failed"), ("ada", "logged-out")]


def test_a_study_without_its_ct_can_be_seen_and_neither_corrected_nor_screened_again(house: House) -> None:
    mine = house.sent["ada"]
    with Session(house.users.engine) as session, session.begin():
        session.execute(update(Study).where(Study.id == mine).values(ct_removed_utc="2026-05-06T07:08:09+00:00"))
    client, csrf = house.browser("ada")
    view = client.get(f"/studies/{mine}/view/overview.nii")
    assert view.status_code == 410 and "2026-05-06" in view.json()["message"]
    again = client.post(f"/studies/{mine}/again", data={"csrf": csrf})
    assert again.status_code == 400 and again.json()["code"] == "ct-removed"

"""A recipe chosen for each study: offered with its sentence, followed by the worker, shown as its kind of answer."""

import json
import re
from html import unescape
from pathlib import Path

from trabecula.messages import LANGUAGES, messages
from trabecula.recipes import RECIPES

from .conftest import Server


def upload(server: Server, path: Path, recipe: str) -> str:
    fields = {"csrf": server.csrf(), "label": recipe, "recipe": recipe}
    sent = [("files", (path.name, path.read_bytes()))]
    answer = server.client.post("/studies", data=fields, files=sent, headers={"accept": "application/json"})
    assert answer.status_code == 201, answer.text
    study = str(answer.json()["id"])
    assert server.wait(study) == "done"
    return study


def words(server: Server, study: str) -> str:
    page = server.client.get(f"/studies/{study}").text
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_every_recipe_is_offered_with_its_sentence(server: Server) -> None:
    for language in LANGUAGES:
        page = unescape(server.client.get("/", headers={"accept-language": language}).text)
        for name in RECIPES:
            assert f"{name}: {messages(language)[f'about-{name}']}" in page
    assert re.findall(r'<option value="([\w-]+)" selected>stub', page) == ["stub"]  # what the server was started with


def test_the_worker_follows_the_recipe_that_was_chosen(server: Server, cylinder_nifti: Path) -> None:
    shown = {
        name: words(server, upload(server, cylinder_nifti, name)) for name in ("stub", "stub-classes", "stub-areal")
    }
    assert all(f"Recipe {name}." in text for name, text in shown.items())
    assert "Mean of L1 and L2, 95% interval" in shown["stub"] and "mg/cm³, K2HPO4-equivalent" in shown["stub"]
    classes, areal = shown["stub-classes"], shown["stub-areal"]
    assert "By a classifier, from L1 and L2." in classes and "Osteoporosis 72%" in classes
    assert "mg/cm³" not in classes and "95% interval" not in classes
    assert "By the T-score of the areal BMD." in areal and "0.812 g/cm²" in areal
    assert "mg/cm³" not in areal and areal.count("K2HPO4-equivalent") == 1  # at the foot of every page
    listed = re.sub(r"<[^>]*>", " ", server.client.get("/").text)
    assert "0.81 g/cm²" in listed and re.search(r"\d mg/cm³", listed)


def test_a_recipe_that_is_none_is_turned_away_before_any_file(server: Server, cylinder_nifti: Path) -> None:
    before = len(list((server.data / "studies").glob("*")))
    fields = {"csrf": server.csrf(), "recipe": "homoeopathy"}
    sent = [("files", (cylinder_nifti.name, cylinder_nifti.read_bytes()))]
    answer = server.client.post("/studies", data=fields, files=sent, headers={"accept": "application/json"})
    assert answer.status_code >= 400 and "unknown-recipe" in json.dumps(answer.json())
    assert len(list((server.data / "studies").glob("*"))) == before

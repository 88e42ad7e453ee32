"""One CT through several recipes: a row each, what they share once, a refusal beside results, nothing half-written."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from toys.program import Program
from toys.recipes import blocks, localise_blocks
from trabecula.anatomy import Level
from trabecula.line import Shared, screen
from trabecula.recipes import ALL, RECIPES, recipes_named
from trabecula.records import FRACTURE, Effect, Readings, Reason, Scan, Spine
from trabecula.screening import screen_to_folder

TOYS = ("blocks", "refusing", "classifying", "areal")


@pytest.fixture
def toys_alone(trabecula: Program) -> None:
    for name in [name for name in RECIPES if name not in TOYS]:
        del RECIPES[name]


def rows_of(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    return {row["recipe"]: row for row in told["recipes"]}


@pytest.mark.usefixtures("toys_alone")
def test_every_recipe_is_a_row_and_a_refusal_stops_none(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "all")
    assert (ran.code, ran.err) == (0, "")
    rows = rows_of(tmp_path / "out")
    assert tuple(rows) == TOYS
    assert rows["refusing"]["refused"] == {"code": "no-vertebrae-found", "message": "No vertebra was found."}
    assert not (tmp_path / "out" / "refusing").exists()
    assert (rows["blocks"]["category"], rows["blocks"]["density"]["value"]) == ("osteopenia", 100.0)
    assert (rows["classifying"]["category"], rows["classifying"]["density"]) == ("osteoporosis", None)
    assert rows["classifying"]["probabilities"] == {"osteoporosis": 0.7, "osteopenia": 0.2, "normal": 0.1}
    assert (rows["areal"]["density"]["value"], rows["areal"]["density"]["unit"]) == (0.8, "g/cm2")
    for name in ("blocks", "classifying", "areal"):
        whole = json.loads((tmp_path / "out" / name / "assessment.json").read_text())
        assert whole["diagnosis"]["category"] == rows[name]["category"]
        assert rows[name]["seconds"] == pytest.approx(
            sum(v for k, v in whole["run"]["seconds"].items() if k not in ("read", "report")), abs=1e-3
        )


@pytest.mark.usefixtures("toys_alone")
def test_a_disagreement_stands_first_everywhere(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "all")
    sentence = "The recipes disagree on the likeliest category: Osteopenia (blocks, areal), Osteoporosis (classifying)."
    assert ran.out.startswith(sentence) and "[recipes-disagree]" in ran.out.splitlines()[0]
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert told["agree"] is False
    assert [one["code"] for one in told["reasons"]] == ["recipes-disagree", "recipes-share"]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.index(sentence) < page.index("<table") < page.index("blocks/report.html")
    assert "no-vertebrae-found" in page and page.count("data:image/png") == 3
    trabecula("screen", ct, "--out", tmp_path / "zh", "--recipe", "blocks, areal", "--language", "zh")
    chinese = (tmp_path / "zh" / "index.html").read_text("utf-8")
    assert "给出类别的各方法，其最可能的类别一致：骨量减少（blocks、areal）" in chinese


@dataclass(frozen=True)
class Suspecting:
    """Suspects a fracture of every vertebra."""

    def __call__(self, scan: Scan, spine: Spine, regions: Any, calibration: Any, readings: Readings) -> Readings:
        why = (Reason(FRACTURE, "Suspected.", None, Effect.WITHHOLD),)
        return replace(readings, vertebrae=tuple(replace(one, density=None, reasons=why) for one in readings.vertebrae))


@pytest.mark.usefixtures("toys_alone")
def test_who_gives_no_category_and_why_and_who_is_no_second_opinion_stand_at_the_top(
    trabecula: Program, ct: Path, tmp_path: Path
) -> None:
    """A row of its own says only that no vertebra was measurable."""
    RECIPES["suspecting"] = replace(blocks(), name="suspecting", exclude=Suspecting())
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks,areal,suspecting")
    assert ran.code == 0, ran.err
    first = ran.out.splitlines()[: ran.out.splitlines().index("")]
    assert first[1] == "No category: suspecting [vertebral-fracture]. [recipes-without]"
    assert [line.partition(":")[0] for line in first[2:-1]] == ["T12", "L1", "L2"]
    assert "suspected by suspecting and not by blocks, areal" in first[3] and first[3].endswith("[recipes-fracture]")
    assert first[-1].endswith("[recipes-share]") and "blocks, areal, suspecting" in first[-1]
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())["reasons"]
    assert [f"{one['message']} [{one['code']}]" for one in told] == first
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert all(page.index(one["message"]) < page.index("<table") for one in told)


def test_recipes_that_find_the_spine_each_in_its_own_way_share_nothing(
    trabecula: Program, ct: Path, tmp_path: Path
) -> None:
    RECIPES["own"] = replace(blocks(lambda scan: localise_blocks(scan)), name="own")
    trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks,own")
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())["reasons"]
    assert [one["code"] for one in told] == ["recipes-agree"]


def test_the_results_are_those_of_each_recipe_alone(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    trabecula("screen", ct, "--out", tmp_path / "both", "--recipe", "blocks,classifying")
    for name in ("blocks", "classifying"):
        screen_to_folder(ct, tmp_path / name, RECIPES[name])
        together, alone = (
            json.loads((folder / "assessment.json").read_text())
            for folder in (tmp_path / "both" / name, tmp_path / name)
        )
        for told in (together, alone):
            told["run"] = {key: told["run"][key] for key in ("settings", "weights_sha256", "files")}
        assert together == alone


@pytest.mark.usefixtures("toys_alone")
def test_without_any_result_nothing_is_written(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    for name in ("blocks", "classifying", "areal"):
        RECIPES[name] = replace(RECIPES[name], localise=RECIPES["refusing"].localise)
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", ALL)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == "Refused [no-vertebrae-found]: No vertebra was found.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_fault_in_one_recipe_is_told_without_its_words(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    def broken(scan: Scan) -> Spine:
        raise LookupError("Doe^Jane")

    RECIPES["broken"] = replace(blocks(), name="broken", localise=broken)
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "broken,blocks")
    assert ran.code == 0 and "LookupError" in ran.out and "Doe" not in ran.out
    assert rows_of(tmp_path / "out")["broken"]["refused"]["code"] == "defect"


def test_an_earlier_comparison_is_replaced_and_nothing_else(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for names in ("blocks,areal", "blocks,classifying"):
        assert trabecula("screen", ct, "--out", out, "--recipe", names).code == 0
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["blocks", "classifying"]
    assert trabecula("screen", ct, "--out", out, "--recipe", "blocks").code == 0
    assert not (out / "comparison.json").exists()
    trabecula("screen", ct, "--out", out, "--recipe", "blocks,areal")
    (out / "blocks" / "mine.txt").touch()
    refused = trabecula("screen", ct, "--out", out, "--recipe", "blocks,areal")
    assert (refused.code, "[output-not-empty]" in refused.err) == (2, True)
    assert (out / "blocks" / "mine.txt").exists() and (out / "comparison.json").exists()


def test_what_cannot_be_is_refused_at_once(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks,homoeopathy")
    assert (ran.code, "[unknown-recipe]" in ran.err) == (2, True)
    assert all(name in ran.err for name in RECIPES)
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks,areal", "--prior", tmp_path)
    assert (ran.code, "[prior-of-several]" in ran.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "names"), [(" house, niu2023,house", ["house", "niu2023"]), (None, ["house"])])
def test_recipes_are_named_once_each(given: str | None, names: list[str]) -> None:
    assert [recipe.name for recipe in recipes_named(given)] == names


@dataclass(frozen=True)
class Counted:
    """Finds the blocks, and counts how often it is asked."""

    label: str
    calls: tuple[list[str], ...]

    def __call__(self, scan: Scan) -> Spine:
        self.calls[0].append(self.label)
        return localise_blocks(scan)


def test_equal_stages_run_once_and_others_each(cylinder_scan: Scan) -> None:
    calls: tuple[list[str], ...] = ([],)
    same, again, other = (replace(blocks(), localise=Counted(label, calls)) for label in ("a", "a", "b"))
    shared = Shared([same, again, other])
    spines = [screen(cylinder_scan, recipe, shared=shared).spine for recipe in (same, again, other)]
    assert calls[0] == ["a", "b"]
    assert spines[0] is spines[1] and spines[0] is not spines[2]
    assert [box.level for box in spines[0].vertebrae] == [Level.T12, Level.L1, Level.L2]
    screen(cylinder_scan, same)
    assert calls[0] == ["a", "b", "a"]


@pytest.fixture
def cylinder_scan(cylinder: Any) -> Scan:
    from trabecula.records import Acquisition
    from trabecula.volume import Orientation

    return Scan(cylinder, Orientation(), Acquisition(source="nifti"))


@pytest.mark.slow
def test_a_real_ct_through_two_recipes(trabecula: Program, tmp_path: Path) -> None:
    folder = os.environ.get("TRABECULA_REAL_CT")
    if folder is None:
        pytest.skip("TRABECULA_REAL_CT does not name a folder of real CTs")
    given = Path(folder) / "crlm-ct-1006"
    ran = trabecula("screen", given, "--out", tmp_path / "out", "--recipe", "house,niu2023")
    assert ran.code == 0
    rows = rows_of(tmp_path / "out")
    assert list(rows) == ["house", "niu2023"]
    for name, row in rows.items():
        assert row["refused"] is None and row["levels_used"] == ["L1", "L2"]
        assert (tmp_path / "out" / name / "regions.nii.gz").exists()
    said = {row["category"] for row in rows.values()}
    assert f"[recipes-{'agree' if len(said) == 1 else 'disagree'}]" in ran.out.splitlines()[0]

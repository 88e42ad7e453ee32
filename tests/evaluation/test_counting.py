"""How names by counting are judged, by the truth of virtual torsos."""

from collections.abc import Callable

import numpy as np
import pytest

from trabecula.anatomy import LEVELS, Level
from trabecula.errors import refusal
from trabecula.evaluation.counting import one_torso, outcome, reliability, report
from trabecula.records import Reason, Scan, Spine, VertebraBox, reason
from trabecula.virtual.counting import CountingTruth
from trabecula.virtual.fields import FIELD_KINDS
from trabecula.virtual.torso import Torso, draw_torso

NUMBER = FIELD_KINDS.index("abdomen")
Localise = Callable[[Scan], Spine]


@pytest.fixture(scope="module")
def torso() -> Torso:
    return draw_torso(900_000 + NUMBER, field="abdomen")


@pytest.fixture(autouse=True)
def drawn_once(torso: Torso, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trabecula.evaluation.counting.draw_torso", lambda *given: torso)


def by_truth(torso: Torso, off_mm: float = 0.0, lower: int = 0, said: tuple[Reason, ...] = ()) -> Localise:
    """Finds every body in view as it is: so many mm too high, named as the one so many places lower."""

    def localise(scan: Scan) -> Spine:
        boxes = []
        for body in torso.truth.bodies:
            z, y, x = scan.volume.to_index(np.array(body.centre_lps_mm) + [0.0, 0.0, off_mm])
            if body.name in LEVELS[:-1] and 0 <= z < scan.volume.shape[0]:
                level = LEVELS[LEVELS.index(Level(body.name)) + lower]
                boxes.append(VertebraBox(level, 1.0, (z - 3, z + 3), (x - 8, x + 8), float(y)))
        return Spine(tuple(boxes), 0.0, said)

    return localise


def judged(localise: Localise) -> str:
    return outcome(one_torso(NUMBER, localise, "a", "variants"))


def test_names_are_right_doubted_withheld_or_wrong(torso: Torso) -> None:
    doubt = (reason("level-uncertain", probability=0.7),)
    assert judged(by_truth(torso)) == "right"
    assert judged(by_truth(torso, said=doubt)) == "right, doubted"
    assert judged(by_truth(torso, lower=1)) == "WRONG"
    assert judged(by_truth(torso, lower=1, said=doubt)) == "wrong, doubted"
    withheld = reason("level-unknown", number=5, first=Level.T12, last=Level.L4, probability=0.5)
    assert judged(by_truth(torso, said=(withheld,))) == "withheld"

    def refuse(scan: Scan) -> Spine:
        raise refusal("no-vertebrae-found")

    row = one_torso(NUMBER, refuse, "a", "variants")
    assert outcome(row) == "refused" and len(row["missed"]) > 3


def test_a_whole_body_is_judged_by_its_place_and_one_that_is_cut_by_its_name(
    torso: Torso, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(by_truth(torso, off_mm=-12.3)) == "WRONG"
    monkeypatch.setattr(CountingTruth, "in_view", lambda truth, grid: dict.fromkeys(truth.by_name, 0.6))
    assert judged(by_truth(torso, off_mm=-12.3)) == "right"
    assert judged(by_truth(torso, off_mm=-12.3, lower=1)) == "WRONG"


def test_probabilities_are_held_against_how_often_names_are_right() -> None:
    doubted = {"codes": ["level-uncertain"], "missed": [], "field": "chest", "family": "a", "numbering": "regular"}
    right, wrong = ({"named": "L1", "true": true, "away_mm": 1.0} for true in ("L1", "T12"))
    rows = [
        doubted | {"people": people, "boxes": [box], "probability": p}
        for people, box, p in (("population", right, 0.75), ("population", wrong, 0.75), ("variants", wrong, 0.99))
    ]
    text, error = reliability(rows[:2])
    assert error == pytest.approx(0.25) and "| 0.70 to 0.80 | 2 | 0.750 | 0.500 |" in text
    told = report(rows)
    assert "Population: expected calibration error 0.250." in told
    assert "Variants: expected calibration error 0.990." in told

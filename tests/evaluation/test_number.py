"""What is told of rows of people: worked by hand."""

from typing import Any

import numpy as np
import pytest

from trabecula.evaluation.number.fractures import told
from trabecula.evaluation.number.outlined import examine_outlined
from trabecula.evaluation.number.people import densities
from trabecula.evaluation.number.summary import (
    LINES,
    accuracy,
    categories,
    phases,
    precision,
    rungs,
    screened,
    summary,
    vertebrae,
)


def row(
    number: int, read: float, true: float, *, phase: str = "none", half: float = 10.0, **beside: Any
) -> dict[str, Any]:
    line = {
        "slope": 1.4, "offset_hu": 0.0, "rise": 10.0 if phase != "none" else 0.0,
        "facts": {"water_path_mm": 230.0, "contrast_phase": "portal" if phase != "none" else "plain",
                  "contrast_probabilities": {"plain": 0.0, "arterial": 0.0, "portal": 0.6, "delayed": 0.4}},
        "rungs": [["rung-default", 1.4, 0.0, 0.05], ["rung-tissues", 1.2, 0.0, 0.1]],
    }  # fmt: skip
    level = {
        "level": "L1", "is": "L1", "density": [read, read - half, read + half],
        "read_hu": 1.4 * (read + line["rise"]), "opinions": {"network": read + 5},
    }  # fmt: skip
    below = read < 80
    scan = {
        "kvp": 120, "thickness_mm": 1.25, "phase": phase, "maker_slope": 1.0, "own_offset_hu": 0.0,
        "lines": {"computed": line, "phantom": {**line, "slope": 1.5, "rise": line["rise"] * 1.4 / 1.5}},
        "mean": [read, read - half, read + half], "used": ["L1", "L2"],
        "candidates": ["osteoporosis" if below else "normal"],
        "probabilities": {"osteoporosis": float(below), "osteopenia": 0.0, "normal": float(not below)},
        "levels": [level],
    }  # fmt: skip
    about = {"person": f"a-{number}", "family": "a", "uniform": bool(number % 2), "sex": "F", "age_years": 70.0}
    return {**about, "true": true, "true_levels": {"L1": true}, "scan": scan, **beside}


def test_bias_deviation_and_coverage_by_hand() -> None:
    told = accuracy([row(0, 104.0, 100.0), row(1, 98.0, 100.0), row(2, 70.0, 100.0, phase="portal")])
    assert "| family a, plain | 2 | +1.0 (-37.1 to +39.1) | 4.2 | 100 (16 to 100) % |" in told
    assert "| portal phase | 1 | -30.0 | - | 0 (0 to 98) % |" in told


def test_a_vertebra_under_another_name_or_withheld_is_no_reading() -> None:
    good, wrong, silent = row(0, 100.0, 100.0), row(1, 100.0, 100.0), row(2, 100.0, 100.0)
    wrong["scan"]["levels"][0]["is"] = "L2"
    silent["scan"]["levels"][0]["density"] = None
    found, whose = vertebrae([good, wrong, silent])
    assert len(found) == 1 and whose == ["a-0"]
    assert "1 of 3 vertebrae under another name" in summary([good, wrong, silent])


def test_every_rung_takes_the_same_rise_in_hu_off() -> None:
    (one,), _ = vertebrae([row(0, 100.0, 100.0, phase="portal")])
    assert LINES["computed from voltage and size (the default)"](one) == pytest.approx(100.0)
    # 154 HU less 14 of contrast medium, by another slope
    assert LINES["phantom in the scan"](one) == pytest.approx(140 / 1.5)
    assert LINES["the patient's tissues"](one) == pytest.approx(140 / 1.2)
    assert "| network of Niu 2023 | 1 | +5.0 | - |" in rungs([row(0, 100.0, 100.0)])


def test_brier_and_sensitivity_by_hand() -> None:
    rows = [row(0, 70.0, 75.0), row(2, 70.0, 130.0), row(4, 130.0, 130.0), row(6, 130.0, 60.0)]
    told = categories(rows)
    assert "Brier score of the three categories, 4 people: 1.000" in told  # two are right, two wholly wrong
    assert "| drawn by age and sex, as screened | 4 | 2 | 50 (1 to 99) % | 50 (1 to 99) % |" in told
    assert "The headline names the true category in 2 of 4" in told


def test_precision_is_of_pairs_that_rest_on_the_same_levels() -> None:
    first = row(0, 100.0, 100.0, again="same", second=row(0, 104.0, 100.0)["scan"])
    other = row(4, 100.0, 100.0, again="same", second={**row(4, 50.0, 100.0)["scan"], "used": ["L2", "L3"]})
    # 4 / sqrt 2 / 102
    assert "| same | 1 | 2.8 % | 2.8 |" in precision([first, other])


def test_the_probability_of_the_true_phase_is_told() -> None:
    told = phases([row(0, 100.0, 100.0, phase="delayed"), row(1, 100.0, 100.0, phase="portal")])
    assert "| delayed | 1 | 0, 0, 1, 0 | 0.40 |" in told and "| portal | 1 | 0, 0, 1, 0 | 0.60 |" in told


def test_an_outlined_person_is_read_as_qct_would_read_it_within_the_interval() -> None:
    found = examine_outlined(1, 953_000, "b")
    value, low, high = found["scan"]["mean"]
    assert low < found["true"] < high and abs(value - found["true"]) < 25
    assert [one["is"] for one in found["scan"]["levels"]] == ["L1", "L2"]
    assert found["scan"]["lines"]["phantom"]["slope"] == pytest.approx(found["scan"]["own_slope"], rel=0.01)
    assert "1 people, 0 without a mean; 0 of 2 vertebrae under another name." in summary([found])


def test_fractures_are_counted_by_what_was_lost_and_what_was_called_one() -> None:
    bodies = [
        {"level": "L1", "lost": 0.4, "told": 0.35, "grade": 2}, {"level": "L2", "lost": 0.27, "told": 0.2, "grade": 0},
        {"level": "L3", "lost": 0.0, "told": 0.26, "grade": 2}, {"level": "L4", "lost": 0.0, "told": 0.0, "grade": 0},
        {"level": "L5", "lost": 0.22, "told": 0.26, "grade": 2},  # a mild one counts as neither
    ]  # fmt: skip
    text = told([{"person": "b-1", "family": "b", "bodies": bodies}])
    assert "| both | 1 | 2 | 50 (1 to 99) % | 2 | 50.0 (1.3 to 98.7) % |" in text
    assert "Of the 1 that were missed, 1 had lost less than 30% of a height." in text


def test_a_population_is_screened_by_the_errors_of_people_like_it() -> None:
    rows = [row(0, 90.0, 70.0), row(2, 140.0, 140.0)]  # who is low is read 20 too high
    told = screened(rows, np.array([60.0, 70.0, 75.0, 100.0, 140.0, 150.0]))
    assert "6 people, 50% of them below 80:" in told
    # 60 reads 80, which is not below it; 100 lies near 70 alone and 140 near itself.
    assert "| 80 | 0% | 100% |" in told


def test_a_screened_population_holds_low_and_normal_densities() -> None:
    found = densities(60)
    assert 0.05 < (found < 80).mean() < 0.5 and found.max() < 260

import numpy as np
import pytest

from trabecula.evaluation.agreement import agreement
from trabecula.evaluation.diagnosis import Confusion
from trabecula.evaluation.interval import Estimate
from trabecula.evaluation.tables import (
    NIU2023_TEST,
    PUBLISHED,
    Published,
    agreement_figures,
    beside,
    diagnosis_figures,
    markdown,
    peers,
)


def test_markdown_keeps_cells_apart() -> None:
    assert markdown(("a", "b"), [(1, "x|y")]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"
    with pytest.raises(ValueError, match="2 heads but 1 cells"):
        markdown(("a", "b"), [("x",)])


def test_ours_stand_below_the_published() -> None:
    lines = peers([Published("Ours (simulated)", "0.9", "-", "-")]).splitlines()
    assert len(lines) == 2 + len(PUBLISHED) + 1
    assert lines[2].startswith("| Niu 2023 | 0.95; 96.6%")
    assert lines[-1] == "| Ours (simulated) | 0.9 | - | - |"


def test_our_figures_carry_the_names_of_niu2023() -> None:
    reference = np.array([70.0, 90, 110, 130, 150])
    ours = agreement_figures(agreement(reference + np.array([2, 1, -1, 2, 1]), reference))
    for name in ("Osteoporosis", "Abnormal"):
        ours |= diagnosis_figures(name, Confusion(21, 7, 1, 71), Estimate(0.984, 0.965, 1))
    named = {name for name in NIU2023_TEST if name.startswith(("BMD", "Osteoporosis", "Abnormal"))}
    assert named <= ours.keys()
    assert ours["Osteoporosis: AUC"] == "0.984 (0.965 to 1.000)"
    assert ours["Osteoporosis: sensitivity"] == "95.45% (21/22; 78.2 to 99.2)"
    assert ours["BMD limits of agreement, mg/cm3"] == "-1.40 to 3.40"


def test_nobody_to_find_is_said_so() -> None:
    figures = diagnosis_figures("Abnormal", Confusion(0, 0, 0, 5), Estimate(0.5, 0, 1))
    assert figures["Abnormal: sensitivity"] == "none (0/0)"


def test_beside_passes_over_no_published_figure() -> None:
    heads = ("figure", "Niu 2023", "ours, simulated")
    table = beside({"Dice": "0.95"}, {"Dice": "0.9", "pairs": "40"}, heads).splitlines()
    assert table[2:] == ["| Dice | 0.95 | 0.9 |", "| pairs | - | 40 |"]
    with pytest.raises(ValueError, match="Dice"):
        beside({"Dice": "0.95"}, {"pairs": "40"}, heads)

"""The rods' beam: exact torsos through spectra, held to what must come out."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("spekpy")
pytest.importorskip("xraylib")

from trabecula.evaluation.world.hardening import (
    Ellipse,
    Scanner,
    Torso,
    disc,
    examine,
    lines_of,
    read,
    sample_torso,
    trace_share,
    water_lines,
    water_path_mm,
)

WATER = Torso([Ellipse(0, 0, 150, 110, {"water": 1.0})], (0.0, 30.0), 110.0)


@pytest.mark.parametrize("bow_tie_mm", [0.0, 25.0])
def test_water_reads_0_everywhere_behind_any_bow_tie(bow_tie_mm: float) -> None:
    hu = read(water_lines(lines_of(WATER), Scanner(120, 8.0, bow_tie_mm)), [disc(0, 30, 14, 8), disc(100, 0, 8, 8)])
    assert hu == pytest.approx([0, 0], abs=0.2)


def test_the_path_through_water_is_its_mean_chord() -> None:
    circle = replace(WATER, ellipses=[Ellipse(0, 0, 120, 120, {"water": 1.0})], body_mm=(0.0, 0.0))
    assert water_path_mm(circle, lines_of(circle), Scanner(120, 8.0, 0.0)) == pytest.approx(240, abs=1)


def test_a_torso_is_of_nothing_negative() -> None:
    for person in range(20):
        lines = lines_of(sample_torso(np.random.default_rng([43, person])))
        assert lines.min() > -1e-6


def test_a_stronger_bow_tie_hardens_the_beam_for_the_rods_and_not_for_the_body() -> None:
    weak, strong = (next(row for row in examine(0, 43, mm, (120,)) if row.kvp == 120) for mm in (0.0, 25.0))
    assert strong.share > weak.share + 0.25
    assert 0.45 < weak.share < strong.share < 1.05
    assert trace_share(0, 43, with_bone=True) > trace_share(0, 43, with_bone=False) + 0.02


def test_dense_bone_reads_less_by_rods_than_its_mineral() -> None:
    rows = [next(row for row in examine(person, 43, 16.0, (120,)) if row.kvp == 120) for person in range(4)]
    lightest, densest = min(rows, key=lambda row: row.mineral), max(rows, key=lambda row: row.mineral)
    assert densest.qct - densest.mineral < lightest.qct - lightest.mineral - 2

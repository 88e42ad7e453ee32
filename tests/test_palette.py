"""The colours of the vertebrae: apart for every kind of colour vision, and the same wherever they are drawn."""

import re
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.anatomy import MEASURED_LEVELS, USUAL_LEVELS, Level
from trabecula.palette import COLOURS, colour_of, swatch_of

STYLE = Path(__file__).resolve().parents[1] / "src/trabecula/serving/web/static/app.css"

VISION = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Linear RGB as people see it: Machado, Oliveira and Fernandes 2009, severity 1."""

TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""Oklab (Ottosson 2020), in which equal distances look equally large; here 0 to 100 in lightness."""

APART, NEIGHBOURS_APART = 14.0, 25.0
"""Of two colours in Oklab; 2 is what one can just tell apart side by side."""


def seen(colour: str, vision: str) -> NDArray[np.float64]:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = TO_LAB @ np.cbrt(TO_CONES @ np.clip(VISION[vision] @ linear, 0, 1)) * 100
    return lab


@pytest.mark.parametrize("vision", VISION)
def test_every_two_levels_are_told_apart_and_neighbours_most_of_all(vision: str) -> None:
    labs = {level: seen(colour_of(level), vision) for level in MEASURED_LEVELS}
    apart = {pair: float(np.linalg.norm(labs[pair[0]] - labs[pair[1]])) for pair in combinations(MEASURED_LEVELS, 2)}
    assert min(apart.values()) > APART
    assert min(apart[pair] for pair in pairwise(MEASURED_LEVELS)) > NEIGHBOURS_APART


def test_the_rule_would_turn_away_red_beside_green() -> None:
    red, green = (seen(colour, "deuteranopia") for colour in ("#d62728", "#6b8e23"))
    assert np.linalg.norm(red - green) < APART


def test_no_colour_is_a_grey_of_the_ct() -> None:
    assert all(np.linalg.norm(seen(colour, "all cones")[1:]) > 10 for colour in COLOURS)


def test_neighbours_differ_all_along_the_spine_and_where_names_are_unknown() -> None:
    with_thirteen = [*USUAL_LEVELS[: USUAL_LEVELS.index(Level.L1)], Level.T13, Level.L1]
    with_six = [Level.L5, Level.L6, Level.S1]
    unknown = [level for level in Level if not level.is_named]
    for levels in (list(USUAL_LEVELS), with_thirteen, with_six, unknown):
        assert all(colour_of(a) != colour_of(b) for a, b in pairwise(levels))


def test_the_page_colours_its_rows_as_the_viewer_colours_its_regions() -> None:
    style = dict(re.findall(r"\.(level-\d) { background: (#[0-9a-f]{6}); }", STYLE.read_text()))
    assert style == {swatch_of(level): colour_of(level) for level in MEASURED_LEVELS}

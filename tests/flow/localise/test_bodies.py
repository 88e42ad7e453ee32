"""From the network's maps to bodies, and from bodies to the chain that is the spine."""

import numpy as np
import pytest

from trabecula.flow.localise.bodies import Body, find_bodies, spine_of, with_names
from trabecula.flow.localise.evidence import (
    CHANNELS,
    LOOK,
    LOOKS,
    MIDDLE,
    PART,
    RIB_LEFT,
    RIB_RIGHT,
    UPRIGHT,
    Part,
    Rib,
)
from trabecula.flow.localise.numbering import NAMED
from trabecula.volume import Float32

SHAPE = (40, 24, 24)


def maps(middles: list[tuple[float, float, float]], heights: list[float]) -> Float32:
    """Scores with a bump at each middle; every other channel indifferent."""
    scores = np.zeros((CHANNELS, *SHAPE), np.float32)
    near = np.full(SHAPE, 1e-4, np.float32)
    for middle, height in zip(middles, heights, strict=True):
        squares = sum((axis - c) ** 2 for axis, c in zip(np.indices(SHAPE, dtype=np.float32), middle, strict=True))
        near = np.maximum(near, height * np.exp(-squares / 3))
    scores[MIDDLE] = np.log(near / (1 - near))
    return scores


def body(score: float = 0.9) -> Body:
    return Body(np.zeros(3), score, np.ones(3) / 3, np.ones(3) / 3, np.ones(5) / 5, 1.0, np.ones(19) / 19)


def test_a_body_is_read_at_its_middle() -> None:
    scores = maps([(10.2, 12.0, 11.6)], [0.9])
    scores[RIB_RIGHT][Rib.LONG], scores[RIB_LEFT][Rib.SHORT] = 9.0, 9.0
    scores[PART][Part.FIRST_RIB], scores[UPRIGHT] = 9.0, 9.0
    scores[LOOK][LOOKS.index("T1")] = 9.0
    (found,) = find_bodies(scores, 0.3, 6.0)
    assert found.middle == pytest.approx([10.2, 12.0, 11.6], abs=0.3)
    assert (found.rib_right.argmax(), found.rib_left.argmax()) == (Rib.LONG, Rib.SHORT)
    assert found.part.argmax() == Part.FIRST_RIB
    assert LOOKS[found.look.argmax()] == "T1"
    assert found.upright > 0.99
    assert found.rib_right.sum() == pytest.approx(1, abs=1e-5)


def test_what_shows_elsewhere_is_not_the_bodys() -> None:
    scores = maps([(10, 12, 12)], [0.9])
    scores[RIB_RIGHT][Rib.NONE] = 9.0
    scores[RIB_RIGHT][Rib.LONG, :, :, 16:] = 20.0
    (found,) = find_bodies(scores, 0.3, 6.0)
    assert found.rib_right[Rib.NONE] > 0.99


def test_two_peaks_within_one_body_are_one_and_faint_ones_none() -> None:
    assert len(find_bodies(maps([(10, 12, 12), (11.5, 12, 12)], [0.9, 0.6]), 0.3, 6.0)) == 1
    assert find_bodies(maps([(10, 12, 12)], [0.2]), 0.3, 6.0) == []


def test_the_spine_passes_by_what_lies_aside() -> None:
    spine = [[0.0, 0.0, z] for z in (0.0, -30.0, -60.0, -90.0)]
    hip, sternum = [60.0, 10.0, -80.0], [0.0, -120.0, -20.0]
    places = np.array([spine[2], hip, spine[0], sternum, spine[3], spine[1]])
    assert spine_of([body()] * 6, places) == [2, 5, 0, 4]


def test_the_spine_bridges_a_body_that_was_missed_and_not_a_gap() -> None:
    places = np.array([[0.0, 0.0, z] for z in (0.0, -30.0, -90.0, -120.0)])
    assert spine_of([body()] * 4, places) == [0, 1, 2, 3]
    apart = np.array([[0.0, 0.0, z] for z in (0.0, -30.0, -60.0, -400.0, -430.0)])
    assert spine_of([body()] * 5, apart) == [0, 1, 2]


def test_of_two_peaks_closer_than_a_disc_the_better_one_is_taken() -> None:
    places = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -11.0], [0.0, 0.0, -33.0]])
    assert spine_of([body(0.4), body(0.9), body(0.9)], places) == [1, 2]


def test_no_bodies_are_no_spine() -> None:
    assert spine_of([], np.zeros((0, 3))) == []


def test_names_of_a_second_network_join_the_bodies_and_what_it_alone_found_is_kept() -> None:
    l1, l2 = (np.eye(len(NAMED))[NAMED.index(name)] for name in ("L1", "L2"))
    joined = with_names([body(0.6)], [(np.array([1.0, 0, 0]), 0.8, l1), (np.array([6.0, 0, 0]), 0.7, l2)], 6.0)
    assert len(joined) == 2
    assert joined[0].middle == pytest.approx([0.5, 0, 0])
    assert (joined[0].score, NAMED[joined[0].named.argmax()]) == (0.8, "L1")
    alone = joined[1]
    assert LOOKS[alone.look.argmax()] == "L2"
    assert np.ptp(alone.rib_right) == np.ptp(alone.part) == 0
    assert alone.look.sum() == pytest.approx(1)

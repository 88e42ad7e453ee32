"""The way through bright discs is the best there is, so that a brighter limit never meets more slabs."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from trabecula.flow.calibrate.vessels import _longest_way

REACH = [1, 1]
SMALL = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
HU = SMALL.flatmap(lambda shape: arrays(np.int16, shape, elements=st.integers(0, 9)))


def hits(bright: NDArray[np.bool_]) -> int:
    """How many slabs the way meets; it never leaves its reach."""
    way = _longest_way(bright, REACH)
    assert np.abs(np.diff(way, axis=0)).max(initial=0) <= 1
    return int(bright[np.arange(len(bright)), way[:, 0], way[:, 1]].sum())


def most(bright: NDArray[np.bool_]) -> int:
    """The same, of all ways there are."""
    places = list(np.ndindex(bright.shape[1:]))
    ways = [way for way in product(places, repeat=len(bright)) if all(map(near, way, way[1:]))]
    return max(sum(bool(slab[at]) for slab, at in zip(bright, way, strict=True)) for way in ways)


def near(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return max(abs(p - q) for p, q in zip(a, b, strict=True)) <= 1


@given(HU)
def test_no_way_meets_more_slabs_than_the_one_found_and_none_more_as_the_level_rises(hu: NDArray[np.int16]) -> None:
    found = [hits(hu >= level) for level in range(11)]
    assert found == [most(hu >= level) for level in range(11)]
    assert found == sorted(found, reverse=True)

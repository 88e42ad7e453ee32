"""A spine phantom's inserts, one above the other: found, read, and refused where they are cut."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.flow.calibrate.certificate import Certificate, Rod
from trabecula.flow.calibrate.stack import read_stack
from trabecula.volume import Grid, Volume

ESP = Certificate("ESP", "", tuple(Rod(mg, None) for mg in (50.0, 100.0, 200.0)), stacked=True)
RATIO = 0.86 + (120 - 80) / 60 * (0.81 - 0.86)
"""K2HPO4 for 1 mg of hydroxyapatite at 120 kVp."""


def phantom(
    slope: float = 1.35, offset_hu: float = 3.0, upside_down: bool = False, first_mm: float = 0.0, slice_mm: float = 2.0
) -> Volume:
    """An oval body of water with three vertebrae of 23 mm between end plates, 12 mm apart, from ``first_mm`` up."""
    shape = (int(110 / slice_mm), 110, 160)
    grid = Grid.axial((0.0, 0.0, 0.0), shape, (slice_mm, 2.0, 2.0))
    z, y, x = (np.arange(n) * s for n, s in zip(shape, grid.spacing_mm, strict=True))
    back, left = (y - y.mean())[:, None], (x - x.mean())[None]
    hu = np.full(shape, -1000.0)
    hu[:, (left / 140) ** 2 + (back / 90) ** 2 < 1] = offset_hu
    radius = np.hypot(back - 20, left)
    process = (np.abs(left) < 4) & (back > 38) & (back < 70)
    values = (50.0, 100.0, 200.0)[:: -1 if upside_down else 1]
    for n, mg in enumerate(values):
        start = first_mm + 35 * n
        inside = (z >= start) & (z < start + 25)
        plates = inside & ((z < start + 2) | (z >= start + 23))
        for k in np.flatnonzero(inside):
            hu[k, radius < 19] = 500
            hu[k, radius < 17.5] = 450 if plates[k] else offset_hu + slope * mg
            hu[k, process] = 300
    hu += np.random.default_rng(1).normal(0, 8, shape)
    return Volume(hu.astype(np.float32), grid.affine)


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("slice_mm", [1.25, 2.0, 3.0])
def test_the_inserts_give_the_line_whichever_way_the_phantom_lies(upside_down: bool, slice_mm: float) -> None:
    found = read_stack(phantom(upside_down=upside_down, slice_mm=slice_mm), ESP, 120.0)
    assert found is not None
    assert found.slope_hu_cm3_mg == pytest.approx(1.35 / RATIO, rel=0.01)
    assert found.offset_hu == pytest.approx(3.0, abs=2.0)
    assert found.rod_hu == pytest.approx((70.5, 138, 273), abs=3)


def test_a_phantom_of_which_one_insert_is_out_of_view_gives_no_line() -> None:
    assert read_stack(phantom(first_mm=-35.0), ESP, 120.0) is None


def test_inserts_that_fit_no_line_give_none() -> None:
    other = replace(ESP, rods=tuple(Rod(mg, None) for mg in (50.0, 190.0, 200.0)))
    assert read_stack(phantom(), other, 120.0) is None


def test_water_alone_gives_none() -> None:
    water = phantom()
    assert read_stack(Volume(np.minimum(water.hu, 20), water.affine), ESP, 120.0) is None

"""The tissues' own line, and how it errs."""

import numpy as np
import pytest

from flow.calibrate.conftest import Scene
from trabecula.flow.calibrate.around import surroundings
from trabecula.flow.calibrate.beam import at_energies, energies_kev, slope_at_energy
from trabecula.flow.calibrate.tissues import _even, effective_energy, tissues_rung

NAMES = ("air", "subcutaneous_fat", "muscle", "blood")


@pytest.mark.parametrize("offset_hu", [-8.0, 0.0, 8.0])
@pytest.mark.parametrize("kev", [56.0, 68.0, 80.0])
def test_a_scanner_whose_water_is_off_stays_within_the_lines_own_error(kev: float, offset_hu: float) -> None:
    read = {name: float(np.interp(kev, energies_kev(), at_energies(name))) + offset_hu for name in NAMES}
    read["air"] -= offset_hu
    energy = effective_energy(read)
    assert energy is not None
    rung = tissues_rung(energy)
    assert abs(rung.slope_hu_cm3_mg / slope_at_energy(kev) - 1) < 2 * rung.slope_sd_fraction


@pytest.mark.parametrize("rows", [(0, 3), (40, 55), (115, 131)])
def test_rows_that_are_smoothed_alone_are_as_within_the_whole(scene: Scene, rows: tuple[int, int]) -> None:
    around = surroundings(scene.volume, scene.middles())
    where = np.zeros(around.hu.shape, bool)
    where[:, slice(*rows)] = True
    alone, whole = _even(around, where), _even(around, np.ones_like(where))
    assert np.isfinite(whole[where]).any()
    np.testing.assert_array_equal(alone[where], whole[where])

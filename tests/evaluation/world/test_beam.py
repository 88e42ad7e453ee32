"""Projection and back-projection give an image back; a polychromatic beam behaves as physics has it."""

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.evaluation.world.beam import (
    BONE_HA_MG_CM3,
    MATERIALS,
    WATER,
    Beam,
    Sinogram,
    materials_of,
    per_mm,
    reconstruct,
)
from trabecula.evaluation.world.slices import examine, tissue_hu

Y, X = np.mgrid[:90, :120] - np.array([44.5, 59.5])[:, None, None]
BODY = ((X / 55) ** 2 + (Y / 40) ** 2 < 1).astype(float)
SPOT = np.hypot(X - 10, Y - 12) < 9


def test_a_line_through_a_disc_is_its_chord() -> None:
    disc = (np.hypot(X, Y) < 30).astype(float)
    lines = Sinogram.of([disc], 2.0, angles=12).lines[0]
    np.testing.assert_allclose(lines.sum(axis=1), disc.sum() * 2.0, rtol=1e-9)
    middle = lines.shape[1] // 2
    np.testing.assert_allclose(lines[:, middle - 1 : middle + 2].mean(axis=1), 120.0, rtol=0.03)


def test_back_projection_gives_the_image_back() -> None:
    image = BODY + 0.3 * SPOT
    sinogram = Sinogram.of([image], 1.5, angles=180)
    found = sinogram.back_projected(sinogram.lines[0])
    inner = np.hypot(X - 10, Y - 12) < 6
    assert found[inner].mean() == pytest.approx(1.3, abs=0.005)
    assert found[(np.hypot(X + 25, Y) < 8)].mean() == pytest.approx(1.0, abs=0.005)
    assert abs(found[:8, :8].mean()) < 0.02


def test_the_beam_is_that_of_the_specifications_table() -> None:
    for kvp, (yellow, red, fat, cortical, low, high) in {
        80: (-73, 2, -98, 2201, 2.03, 2.10),
        120: (-52, 10, -79, 1646, 1.51, 1.57),
    }.items():
        found = tissue_hu(kvp)
        assert found["yellow"] == pytest.approx(yellow, abs=2)
        assert found["red"] == pytest.approx(red, abs=1)
        assert found["adipose"] == pytest.approx(fat, abs=2)
        assert found["bone"] == pytest.approx(cortical, rel=0.015)
        assert found["slope in red"] == pytest.approx(low, rel=0.02)
        assert found["slope in yellow"] == pytest.approx(high, rel=0.02)


def test_attenuation_of_water_is_nists() -> None:
    # NIST XCOM, with coherent scattering: 0.2059 cm2/g at 60 keV, 0.1707 at 100 keV.
    np.testing.assert_allclose(per_mm(WATER, np.array([60.0, 100.0])), [0.02059, 0.01707], rtol=0.005)
    assert pytest.approx(1083, abs=1) == BONE_HA_MG_CM3


def test_bone_is_darker_in_a_larger_patient_and_water_is_water() -> None:
    beam = Beam.of(120)
    assert beam.mean_hu(WATER, 250.0) == pytest.approx(0, abs=1e-9)
    ratio = beam.mean_hu(MATERIALS["bone"], 300.0) / beam.mean_hu(MATERIALS["bone"], 200.0)
    assert np.log(ratio) / np.log(1.5) == pytest.approx(-0.19, abs=0.03)


def test_a_slice_through_the_beam() -> None:
    share = 0.1
    maps = {"muscle": BODY * ~SPOT, "red": SPOT * (1 - share), "bone": SPOT * share}
    beam = Beam.of(120)
    found = reconstruct(Sinogram.of(list(maps.values()), 2.5, angles=120), list(maps), beam)
    inner = np.hypot(X - 10, Y - 12) < 6

    def at(path_mm: float) -> float:
        return (1 - share) * beam.mean_hu(MATERIALS["red"], path_mm) + share * beam.mean_hu(MATERIALS["bone"], path_mm)

    assert at(300) - 3 < found[inner].mean() < at(170)
    assert found[np.hypot(X + 25, Y) < 8].mean() == pytest.approx(beam.mean_hu(MATERIALS["muscle"], 230.0), abs=4)


def test_materials_hold_the_hu_that_they_stand_for() -> None:
    hu = np.array([[-1000.0, -300.0, -79.0, -20.0, 43.4, 90.0, 150.0, 1200.0]])
    bone = hu > 110
    maps = materials_of(hu, bone, 0.4, -72.0, 1.54)
    table = {"muscle": 43.4, "adipose": -79.0, "red": 10.0, "yellow": -52.0, "bone": 1646.0}
    back = 1000 * (sum(maps[name] * (1 + table[name] / 1000) for name in maps) - 1)
    np.testing.assert_allclose(back[~bone], hu[~bone], atol=1e-6)
    np.testing.assert_allclose(back[bone], hu[bone], rtol=0.03)  # the slope differs with the marrow
    np.testing.assert_allclose(maps["bone"][0, -2] * BONE_HA_MG_CM3 * 1.54, 150 - (-72 * 0.4 + 10 * 0.6), rtol=1e-9)


def test_a_drawn_vertebra_agrees_with_physics() -> None:
    examined = examine(0, Level.L2, (120,), pixel_mm=2.0)
    (row,) = examined.rows
    assert abs(row.off_hu) < 10  # at 2 mm; docs/results/world.md has the slices of 1 mm
    assert abs(examined.resolved_hu - row.drawn_hu) < 4

"""Changes that must not change a reading: each is what it says, and what breaks is told."""

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.evaluation.robustness import STILL, Change, _cropped, _resliced, _stored_backwards, _turned, compare
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import (
    Acquisition,
    Assessment,
    Basis,
    Calibration,
    Diagnosis,
    Effect,
    Readings,
    Regions,
    Scan,
    Spine,
    VertebraReading,
    reason,
)
from trabecula.volume import Grid, Orientation, Volume

GRID = Grid.axial((5.0, -10.0, 300.0), (60, 40, 50), (2.5, 1.0, 1.0))
VOLUME = Volume(np.random.default_rng(0).normal(0, 50, GRID.shape).astype(np.float32), GRID.affine)
MARK = np.array([31, 22, 18])


@pytest.mark.parametrize("thickness_mm", [1.0, 2.5, 4.0, 5.0])
def test_reslicing_keeps_places_and_means(thickness_mm: float) -> None:
    ramp = Volume(np.broadcast_to(np.arange(60.0)[:, None, None], GRID.shape).astype(np.float32), GRID.affine)
    made = _resliced(ramp, thickness_mm)
    assert made.spacing_mm[0] == pytest.approx(thickness_mm)
    z = made.shape[0] // 2
    place = made.to_lps(np.array([z, 5, 5]))
    assert made.hu[z, 5, 5] == pytest.approx(ramp.to_index(place)[0], abs=0.1)


def test_thicker_slices_have_less_noise() -> None:
    assert _resliced(VOLUME, 5.0).hu.std() == pytest.approx(50 / np.sqrt(2), rel=0.05)


def test_a_volume_stored_backwards_shows_the_same_at_the_same_place() -> None:
    made = _stored_backwards(VOLUME, (0, 2))
    index = np.rint(made.to_index(VOLUME.to_lps(MARK))).astype(int)
    assert made.hu[tuple(index)] == VOLUME.hu[tuple(MARK)]
    assert (index != MARK).any()


def test_a_crop_keeps_one_side() -> None:
    upper, lower = VOLUME.to_lps(np.array([40, 0, 0])), VOLUME.to_lps(np.array([30, 0, 0]))
    assert _cropped(VOLUME, upper, lower, keep_above=True).shape[0] == 25
    below = _cropped(VOLUME, upper, lower, keep_above=False)
    assert below.shape[0] == 35
    np.testing.assert_array_equal(below.to_lps(MARK), VOLUME.to_lps(MARK))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_turned_patient_lies_where_the_movement_says(axis: int) -> None:
    hu = np.full(GRID.shape, -100.0, np.float32)
    hu[30:33, 21:24, 17:20] = 500.0
    change = _turned(Volume(hu, GRID.affine), "turned", axis)
    found = change.volume.to_lps(np.argwhere(change.volume.hu > 150).mean(axis=0))
    expected = (change.moved @ [*VOLUME.to_lps(np.array([31, 22, 18])), 1.0])[:3]
    assert np.linalg.norm(found - expected) < 1.5


def assessment(*vertebrae: tuple[Level, float, float | None], shift_mm: float = 0.0) -> Assessment:
    """Vertebrae 30 mm apart with a mean HU and a BMD; None where it is withheld."""
    readings = tuple(
        VertebraReading(
            level,
            (5.0, -10.0, 330.0 - 30 * i + shift_mm),
            9000.0,
            hu,
            30.0,
            None if bmd is None else Measurement(bmd, (bmd - 20, bmd + 20)),
            reasons=() if bmd is not None else (reason("cut-by-view", Effect.WITHHOLD, level=level),),
        )
        for i, (level, hu, bmd) in enumerate(vertebrae)
    )
    scan = Scan(VOLUME, Orientation(), Acquisition("nifti"))
    calibration = Calibration(Phrase("rung-assumed"), 1.4, 0.0, 0.07)
    nothing = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())
    labels = np.zeros(VOLUME.shape, np.uint8)
    return Assessment(
        "r", scan, Spine((), 0.0), Regions(labels, ()), calibration, Readings(readings, Phrase("rung-assumed")), nothing
    )


BASE = assessment((Level.L1, 150.0, 100.0), (Level.L2, 140.0, 95.0))


def test_a_reading_that_stays_is_kept() -> None:
    found = compare(BASE, assessment((Level.L1, 153.0, 102.0), (Level.L2, 139.0, 94.0)), Change("c", VOLUME, STILL))
    assert (found.kept, found.withheld, found.broken) == (2, 0, ())
    assert found.worst_hu == pytest.approx(3.0)


def test_a_wrong_name_another_density_and_a_lost_vertebra_are_told() -> None:
    changed = assessment((Level.T12, 150.0, 100.0), (Level.L2, 160.0, 95.0))
    assert compare(BASE, changed, Change("c", VOLUME, STILL)).broken == ("L1 called T12", "L2 +20.0 HU")
    lost = compare(BASE, assessment((Level.L1, 150.0, 100.0)), Change("c", VOLUME, STILL))
    assert lost.broken == ("L2 not found",)


def test_a_withheld_or_nameless_vertebra_holds() -> None:
    changed = assessment((Level.UNKNOWN_1, 150.0, 100.0), (Level.L2, 140.0, None))
    assert (compare(BASE, changed, Change("c", VOLUME, STILL)).withheld) == 2

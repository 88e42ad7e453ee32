"""Areal BMD from whole images: where they lie, which vertebrae get none, and what is said."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.measure.axial import AxialImages
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD
from trabecula.records import Acquisition, Calibration, Scan, Spine, VertebraBox, reason
from trabecula.virtual.cohort import VirtualCt
from trabecula.volume import Orientation, Volume
from trabecula.weights import weights_named

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
MEASURE = AxialImages("yasaka2020-reader", LEVELS)
PLAIN = Calibration(Phrase("rung-voltage", {"kvp": 120}), 1.25, 0.0, 0.02)


def spine_of(virtual: VirtualCt, levels: tuple[Level, ...]) -> Spine:
    def box(level: Level) -> VertebraBox:
        z, y, x = np.argwhere(virtual.bodies == level.verse_id).mean(axis=0)
        return VertebraBox(level, 0.9, (z - 5, z + 5), (x - 15, x + 15), float(y))

    return Spine(tuple(box(level) for level in levels), 100.0)


@pytest.fixture(scope="module")
def scan(virtual: VirtualCt) -> Scan:
    return Scan(virtual.volume, Orientation(), Acquisition(source="test", patient_sex="F"))


def test_each_level_has_a_number_with_the_error_of_its_network(virtual: VirtualCt, scan: Scan) -> None:
    found = MEASURE(scan, spine_of(virtual, (Level.T12, *LEVELS)), None, PLAIN)
    assert tuple(one.level for one in found.vertebrae) == LEVELS  # T12 is not asked
    assert found.sex == "F"
    error_sd = weights_named(MEASURE.weights).error_sd
    for one in found.vertebrae:
        assert one.density is not None and one.density.quantity == AREAL_BMD and not one.withheld
        high = one.density.interval[1]
        assert high - one.density.value == pytest.approx(1.96 * error_sd)
        assert 0.3 < one.density.value < 2.0
        middle = virtual.volume.to_lps(np.argwhere(virtual.bodies == one.level.verse_id).mean(axis=0))
        np.testing.assert_allclose(one.centroid_lps_mm, middle, atol=1e-6)


def test_denser_bone_gives_a_higher_number(virtual: VirtualCt, scan: Scan) -> None:
    spine = spine_of(virtual, LEVELS)
    bone = virtual.vertebrae > 0
    denser = Volume(np.where(bone, virtual.volume.hu + 120, virtual.volume.hu).astype(np.float32), scan.volume.affine)
    plain, dense = (
        np.mean([one.density.value for one in MEASURE(s, spine, None, PLAIN).vertebrae if one.density])
        for s in (scan, replace(scan, volume=denser))
    )
    assert dense > plain + 0.05


def test_images_beyond_the_scan_are_not_read(virtual: VirtualCt, scan: Scan) -> None:
    spine = spine_of(virtual, LEVELS)
    at = int(spine.vertebrae[0].centre_zx[0])
    cut = Volume(scan.volume.hu[: at + 1], scan.volume.affine)
    first, *others = MEASURE(replace(scan, volume=cut), spine, None, PLAIN).vertebrae
    assert [one.code for one in first.reasons] == ["cut-by-view"] and first.withheld
    assert not any(one.withheld for one in others)


def test_an_enhanced_scan_is_withheld(virtual: VirtualCt, scan: Scan) -> None:
    spine = spine_of(virtual, LEVELS)
    seen = reason("contrast-medium.header", rise=12.0, rise_sd=4.0)
    found = MEASURE(scan, spine, None, replace(PLAIN, contrast_rise=12.0, reasons=(seen,)))
    assert all([one.code for one in v.reasons] == ["unenhanced-only"] for v in found.vertebrae)


def test_a_mere_possibility_of_contrast_withholds_nothing(virtual: VirtualCt, scan: Scan) -> None:
    # Of a plain scan the phase is never quite certain: its expected rise is small and not zero.
    found = MEASURE(scan, spine_of(virtual, LEVELS), None, replace(PLAIN, contrast_rise=0.1))
    assert not any(one.withheld for one in found.vertebrae)


def test_without_its_levels_it_says_so(virtual: VirtualCt, scan: Scan) -> None:
    found = MEASURE(scan, spine_of(virtual, (Level.T10, Level.T11)), None, PLAIN)
    assert found.vertebrae == () and [one.code for one in found.reasons] == ["levels-not-in-view"]

"""What a classifier is shown of a vertebra, alone and with its neighbour, and what contrast medium may not change."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.measure.classifier import CategoryReading, Classifier
from trabecula.flow.measure.network import NetworkDensity
from trabecula.messages import Phrase
from trabecula.quantity import CATEGORIES
from trabecula.records import Acquisition, Calibration, Regions, Scan, Spine, VertebraRegion
from trabecula.virtual.cohort import VirtualCt
from trabecula.volume import Orientation, Volume

BOTH, FIRST = (Level.L1, Level.L2), (Level.L1,)
SPINE = Spine((), 60.0)
PLAIN = Calibration(Phrase("rung-voltage", {"kvp": 120}), 1.25, 0.0, 0.02)
EACH = Classifier("pan2024-classifier-l1", FIRST)
JOINT = Classifier("pan2024-classifier", BOTH)


def scan_of(volume: Volume) -> Scan:
    return Scan(volume, Orientation(), Acquisition(source="test"))


def regions_of(labels: np.ndarray, volume: Volume, levels: tuple[Level, ...]) -> Regions:
    kept = np.where(np.isin(labels, [level.verse_id for level in levels]), labels, 0).astype(np.uint8)
    found = []
    for level in levels:
        mask = labels == level.verse_id
        x, y, z = volume.to_lps(np.argwhere(mask).mean(axis=0))
        found.append(VertebraRegion(level, 0.9, (x, y, z), float(mask.sum() * volume.voxel_volume_mm3)))
    return Regions(kept, tuple(found))


@pytest.fixture(scope="module")
def scan(virtual: VirtualCt) -> Scan:
    return scan_of(virtual.volume)


@pytest.fixture(scope="module")
def regions(virtual: VirtualCt) -> Regions:
    return regions_of(virtual.trabecular, virtual.volume, BOTH)


def test_the_shares_are_of_the_three_categories(scan: Scan, regions: Regions) -> None:
    for shares in (
        EACH.probabilities(scan, regions, PLAIN, FIRST),
        JOINT.probabilities(scan, regions, PLAIN, BOTH),
    ):
        assert set(shares) == set(CATEGORIES)
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)


def test_only_the_outlined_bone_is_seen(scan: Scan, regions: Regions) -> None:
    elsewhere = np.where(regions.labels > 0, scan.volume.hu, np.float32(3000))
    other = scan_of(Volume(elsewhere, scan.volume.affine))
    inner = EACH.probabilities(other, regions, PLAIN, FIRST)
    # At the rim of the region voxels are between bone and what lies beside it; inside nothing may change.
    second_gone = replace(regions, labels=np.where(regions.labels == Level.L2.verse_id, 0, regions.labels))
    assert EACH.probabilities(other, second_gone, PLAIN, FIRST) == inner


def test_denser_bone_is_less_osteoporotic(scan: Scan, regions: Regions) -> None:
    inside = regions.labels > 0

    def osteoporosis(shift_hu: float) -> float:
        hu = scan.volume.hu + np.where(inside, np.float32(shift_hu), 0).astype(np.float32)
        shares = JOINT.probabilities(scan_of(Volume(hu, scan.volume.affine)), regions, PLAIN, BOTH)
        return shares[CATEGORIES[2]]

    assert osteoporosis(-250.0) > 0.8 > 0.2 > osteoporosis(250.0)


def test_what_contrast_medium_adds_is_taken_off(scan: Scan, regions: Regions) -> None:
    rise = 20.0
    enhanced = scan_of(Volume(scan.volume.hu + np.float32(rise * PLAIN.slope_hu_cm3_mg), scan.volume.affine))
    with_rise = replace(PLAIN, contrast_rise=rise)
    plain = EACH.probabilities(scan, regions, PLAIN, FIRST)
    assert EACH.probabilities(enhanced, regions, with_rise, FIRST) == pytest.approx(plain, abs=1e-3)


def test_both_together_only_where_both_are_there(virtual: VirtualCt, scan: Scan, regions: Regions) -> None:
    measure = CategoryReading(BOTH, each=EACH, joint=JOINT)
    found = measure(scan, SPINE, regions, PLAIN)
    assert found.joint is not None and found.joint.levels == BOTH
    first, second = found.vertebrae
    assert first.density is None and first.probabilities is not None
    assert second.probabilities is None  # the network of L1 never saw an L2
    assert first.mean_hu == pytest.approx(float(scan.volume.hu[regions.labels == Level.L1.verse_id].mean()), abs=0.01)
    alone = measure(scan, SPINE, regions_of(virtual.trabecular, virtual.volume, FIRST), PLAIN)
    assert alone.joint is None and alone.vertebrae[0].probabilities == first.probabilities


def test_a_density_stands_beside_the_category(scan: Scan, regions: Regions) -> None:
    density = NetworkDensity("peng2023-densitometer")
    found = CategoryReading(BOTH, Classifier("peng2023-classifier", BOTH), density=density)(scan, SPINE, regions, PLAIN)
    for one, other in zip(found.vertebrae, density(scan, SPINE, regions, PLAIN).vertebrae, strict=True):
        assert one.density == other.density and one.probabilities is not None

"""Each check by hand-made evidence, and the list of them in order; also where a recipe outlines nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.exclude import Check, Evidence, Exclusions
from trabecula.flow.exclude.cut import CutByView
from trabecula.flow.exclude.doubtful import MethodsDisagree, Uneven
from trabecula.flow.exclude.height import HeightLoss, usual_heights, worst_loss
from trabecula.flow.exclude.metal import Metal
from trabecula.flow.exclude.size import Incomplete, TooSmall
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, CATEGORIES, Measurement
from trabecula.recipes.exclusions import EXCLUSIONS
from trabecula.records import (
    Acquisition,
    BodyHeights,
    Calibration,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
    VertebraRegion,
    reason,
)
from trabecula.volume import Grid, Orientation, Volume

SPACING_MM = (2.5, 1.0, 1.0)
SLICES = {Level.T12: slice(28, 36), Level.L1: slice(16, 24), Level.L2: slice(4, 12)}
ROWS = COLUMNS = slice(8, 24)
SOUND = {level: BodyHeights(*usual_heights(level)) for level in SLICES}
OVERLAP = reason("regions-overlap", Effect.WITHHOLD, level=Level.L2)


def evidence(hu: np.ndarray | None = None, told: dict[Level, BodyHeights] | None = None, **of_l2: Any) -> Evidence:
    """T12, L1 and L2 as blocks of 150 HU in a scan of 40 slices, all whole; ``of_l2`` stands in L2's region."""
    grid = Grid.axial((0.0, 0.0, 0.0), (40, 32, 32), SPACING_MM)
    volume = Volume(np.full(grid.shape, 150, np.float32) if hu is None else hu, grid.affine)
    labels = np.zeros(grid.shape, np.uint8)
    for level, slices in SLICES.items():
        labels[slices, ROWS, COLUMNS] = level.verse_id
    of_each = {level: (told or {}).get(level, SOUND[level]) for level in SLICES}
    regions = [VertebraRegion(level, 0.9, (0.0, 0.0, 0.0), 12000.0, of_each[level]) for level in SLICES]
    regions[-1] = replace(regions[-1], **of_l2)
    calibration = Calibration(Phrase("rung-default"), 1.5, 0.0, 0.07)
    scan = Scan(volume, Orientation(), Acquisition("nifti"))
    return Evidence(scan, Spine((), 16.0), Regions(labels, tuple(regions)), calibration)


def readings(**of_l2: Any) -> Readings:
    """Three sound vertebrae of 100 mg/cm3 by both methods; ``of_l2`` stands in L2's reading."""
    density = Measurement(100.0, (80.0, 120.0))
    sound = [VertebraReading(level, (0.0, 0.0, 0.0), 12000.0, 150.0, 40.0, density) for level in SLICES]
    sound[-1] = replace(sound[-1], **of_l2)
    return Readings(tuple(sound), Phrase("method-network", {"error_sd": 10.0}))


def said(check: Check, about: Evidence, measured: Readings, level: Level = Level.L2) -> Reason | None:
    reading = measured.find(level)
    assert reading is not None
    return check(about, reading, measured)


def excluded(about: Evidence, measured: Readings, checks: Exclusions = EXCLUSIONS) -> dict[str, list[str]]:
    """The codes that each vertebra carries afterwards."""
    after = checks(about.scan, about.spine, about.regions, about.calibration, measured)
    return {str(one.level): [why.code for why in one.reasons] for one in after.vertebrae}


@pytest.mark.parametrize("check", EXCLUSIONS.checks, ids=lambda check: type(check).__name__)
def test_a_sound_vertebra_passes_every_check(check: Check) -> None:
    assert [said(check, evidence(), readings(), level) for level in SLICES] == [None] * 3


@pytest.mark.parametrize(
    ("first", "last", "cut"), [(0, 40, False), (2, 40, False), (3, 40, True), (0, 38, False), (0, 37, True)]
)
def test_a_vertebra_at_the_end_of_the_scan_is_cut(first: int, last: int, cut: bool) -> None:
    """L2 begins with slice 4 and T12 ends with slice 35; their end plates lie 3 mm, 1.2 slices, beyond."""
    about = evidence()
    assert about.regions is not None
    part = replace(about.scan, volume=Volume(about.scan.volume.hu[first:last], about.scan.volume.affine))
    seen = Evidence(part, about.spine, Regions(about.regions.labels[first:last], ()), about.calibration)
    found = [said(CutByView(), seen, readings(), level) for level in (Level.T12, Level.L2)]
    assert [one.code for one in found if one is not None] == ["cut-by-view"] * cut
    assert all(one.effect is Effect.WITHHOLD for one in found if one is not None)


def test_end_plates_beyond_the_scan_cut_a_vertebra_whose_region_is_whole() -> None:
    about = evidence()
    assert about.regions is not None
    part = replace(about.scan, volume=Volume(about.scan.volume.hu[3:], about.scan.volume.affine))
    seen = Evidence(part, about.spine, Regions(about.regions.labels[3:], ()), about.calibration)
    assert said(CutByView(end_plate_mm=0.0), seen, readings()) is None
    assert said(CutByView(), seen, readings()) is not None


def test_a_body_that_leaves_the_scan_is_cut_though_its_region_ends_before() -> None:
    about = evidence()

    def with_box(z_range: tuple[float, float]) -> Evidence:
        spine = Spine((VertebraBox(Level.L2, 0.9, z_range, (10.0, 20.0)),), 10.0)
        return Evidence(about.scan, spine, about.regions, about.calibration)

    assert said(CutByView(), with_box((2.0, 12.0)), readings()) is None
    found = said(CutByView(), with_box((-0.1, 10.0)), readings())
    assert found is not None and found.code == "cut-by-view"


def test_a_region_without_a_voxel_is_not_cut() -> None:
    about = evidence()
    assert about.regions is not None
    none = Evidence(about.scan, about.spine, replace(about.regions, labels=0 * about.regions.labels), about.calibration)
    assert [said(check, none, readings()) for check in (CutByView(), Metal())] == [None, None]


@pytest.mark.parametrize(("volume_mm3", "withheld"), [(2499.0, True), (2500.0, False)])
def test_a_small_region_is_withheld(volume_mm3: float, withheld: bool) -> None:
    found = said(TooSmall(), evidence(), readings(volume_mm3=volume_mm3))
    assert (found is not None) is withheld
    assert found is None or (found.code, found.effect) == ("region-too-small", Effect.WITHHOLD)
    assert found is None or "2.5 cm3" in found.message


@pytest.mark.parametrize(("at", "withheld"), [((8, 16, 16), True), ((8, 16, 25), True), ((8, 16, 26), False)])
@pytest.mark.parametrize("hu", [2000.0, 2000.5])
def test_metal_in_or_at_the_region_withholds_it(at: tuple[int, int, int], withheld: bool, hu: float) -> None:
    """The region ends with column 23; two voxels beside it count."""
    scan_hu = np.full((40, 32, 32), 150, np.float32)
    scan_hu[at] = hu
    found = said(Metal(), evidence(scan_hu), readings())
    assert (found is not None) is (withheld and hu > 2000)
    assert found is None or (found.code, found.effect) == ("metal", Effect.WITHHOLD)


def test_metal_beside_a_region_at_the_scans_edge_is_seen() -> None:
    """The first slices of the scan lie beside L2, and there is no voxel before them."""
    hu = np.full((40, 32, 32), 150, np.float32)
    hu[2, 16, 16] = 3000.0
    assert said(Metal(), evidence(hu), readings()) is not None
    assert said(Metal(), evidence(hu), readings(), Level.L1) is None


@pytest.mark.parametrize(
    ("factors", "place", "lost"),
    [
        ((0.68, 0.9, 1.0), "anterior", 0.32),  # a wedge
        ((1.0, 0.55, 1.0), "middle", 0.45),  # biconcave
        ((0.7, 0.7, 0.7), "", 0.3),  # crushed: told by its neighbours
    ],
)
def test_a_fractured_body_is_withheld_with_its_grade(
    factors: tuple[float, float, float], place: str, lost: float
) -> None:
    own = BodyHeights(*(f * h for f, h in zip(factors, usual_heights(Level.L2), strict=True)))
    found = said(HeightLoss(), evidence(told={**SOUND, Level.L2: own}), readings())
    assert found is not None
    assert (found.code, found.effect) == ("vertebral-fracture", Effect.WITHHOLD)
    assert f"grade {3 if lost > 0.4 else 2}, L2" in found.message and f"{lost:.0%} of its {place}" in found.message


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_a_small_or_large_person_has_lost_nothing(scale: float) -> None:
    told = {level: BodyHeights(*(scale * h for h in usual_heights(level))) for level in SLICES}
    assert said(HeightLoss(), evidence(told=told), readings()) is None


def test_a_mild_wedge_is_none() -> None:
    front, middle, back = usual_heights(Level.L2)
    mild = BodyHeights(0.78 * front, 0.85 * middle, back)
    assert said(HeightLoss(), evidence(told={**SOUND, Level.L2: mild}), readings()) is None
    loss = worst_loss(Level.L2, mild, {level: SOUND[level] for level in (Level.T12, Level.L1)})
    assert loss is not None and loss.grade == 1


def test_a_second_fracture_does_not_hide_the_first() -> None:
    crushed = {level: BodyHeights(*(0.65 * h for h in usual_heights(level))) for level in (Level.L1, Level.L2)}
    sound = {level: BodyHeights(*usual_heights(level)) for level in (Level.T11, Level.T12, Level.L3)}
    for level, own in crushed.items():
        others = {**sound, **{other: heights for other, heights in crushed.items() if other is not level}}
        loss = worst_loss(level, own, others)
        assert loss is not None and loss.share == pytest.approx(0.35)


def test_heights_are_held_against_sound_bodies_only() -> None:
    crushed = BodyHeights(*(0.65 * h for h in usual_heights(Level.L2)))
    told = {**SOUND, Level.L2: crushed}
    metal = reason("metal", Effect.WITHHOLD, level=Level.L1, limit_hu=2000.0)
    measured = readings()
    t12, l1, l2 = measured.vertebrae
    withheld = replace(measured, vertebrae=(replace(t12, reasons=(metal,)), replace(l1, reasons=(metal,)), l2))
    assert said(HeightLoss(), evidence(told=told), withheld) is None
    assert said(HeightLoss(), evidence(told=told), measured) is not None


def test_a_body_without_heights_or_already_withheld_is_not_judged_by_them() -> None:
    wedge = {Level.L2: BodyHeights(10.0, 18.0, 27.0)}
    assert said(HeightLoss(), evidence(told=wedge), readings()) is not None
    assert said(HeightLoss(), evidence(heights=None), readings()) is None
    assert said(HeightLoss(), evidence(told=wedge), readings(reasons=(OVERLAP,))) is None


@pytest.mark.parametrize(
    ("sizes_mm3", "codes"),
    [
        ((9000.0, 11000.0, 13000.0), [[], [], []]),
        ((9000.0, 11000.0, 5000.0), [[], [], ["region-incomplete"]]),
        ((4000.0, 9000.0, 18000.0), [["region-incomplete"], [], []]),  # each against its own neighbours
    ],
)
def test_a_region_of_less_than_half_its_neighbour_is_withheld(
    sizes_mm3: tuple[float, ...], codes: list[list[str]]
) -> None:
    measured = readings()
    sized = zip(measured.vertebrae, sizes_mm3, strict=True)
    measured = replace(measured, vertebrae=tuple(replace(one, volume_mm3=size) for one, size in sized))
    assert list(excluded(evidence(), measured, Exclusions((Incomplete(),))).values()) == codes


def test_a_withheld_neighbour_says_nothing_of_a_size() -> None:
    t12, l1, l2 = readings(volume_mm3=6000.0).vertebrae
    large = replace(l1, volume_mm3=30000.0)
    for reasons, withheld in (((OVERLAP,), False), ((), True)):
        beside = replace(readings(), vertebrae=(t12, replace(large, reasons=reasons), l2))
        assert (said(Incomplete(), evidence(), beside) is not None) is withheld


@pytest.mark.parametrize(
    ("network_mg_cm3", "mean_hu", "doubted"),
    [
        *((100.0, 150.0, False), (100.0, 125.1, False), (100.0, 124.9, True), (100.0, 187.4, False)),
        *((100.0, 187.6, True), (60.0, 69.0, False), (60.0, 66.0, True)),  # at least 15 mg/cm3 apart
    ],
)
def test_two_methods_that_disagree_are_doubted(network_mg_cm3: float, mean_hu: float, doubted: bool) -> None:
    """By a line of 1.5 HU a mg/cm3; a fifth of what it gives is allowed."""
    density = Measurement(network_mg_cm3, (0.0, 200.0))
    found = said(MethodsDisagree(), evidence(), readings(density=density, mean_hu=mean_hu))
    assert (found is not None) is doubted
    assert found is None or (found.code, found.effect) == ("density-disagreement", Effect.DOUBT)


@pytest.mark.parametrize("density", [None, Measurement(0.4, (0.3, 0.5), AREAL_BMD)])
def test_what_no_line_of_ours_measures_is_not_compared_with_it(density: Measurement | None) -> None:
    assert said(MethodsDisagree(), evidence(), readings(density=density)) is None


@pytest.mark.parametrize(("sd_hu", "doubted"), [(100.0, False), (100.5, True), (float("nan"), False)])
def test_uneven_bone_is_doubted(sd_hu: float, doubted: bool) -> None:
    found = said(Uneven(), evidence(), readings(sd_hu=sd_hu))
    assert (found is not None) is doubted
    assert found is None or (found.code, found.effect) == ("uneven-density", Effect.DOUBT)


def test_what_is_withheld_loses_its_number_and_keeps_what_was_seen() -> None:
    about = evidence(reasons=(OVERLAP,))
    measured = readings(probabilities=dict.fromkeys(CATEGORIES, 1 / 3))
    after = EXCLUSIONS(about.scan, about.spine, about.regions, about.calibration, measured)
    l1, l2 = after.vertebrae[1:]
    assert (l2.withheld, l2.density, l2.probabilities, l2.mean_hu) == (True, None, None, 150.0)
    assert l2.reasons == (OVERLAP,)
    assert l1 == measured.vertebrae[1]


def test_what_is_doubted_keeps_its_number() -> None:
    about, measured = evidence(), readings(sd_hu=140.0)
    l2 = EXCLUSIONS(about.scan, about.spine, about.regions, about.calibration, measured).vertebrae[-1]
    before = measured.vertebrae[-1].density
    assert before is not None and l2.density is not None and not l2.withheld
    assert l2.density.value == before.value
    assert l2.density.interval[0] < before.interval[0] and l2.density.interval[1] > before.interval[1]


def test_a_check_is_told_what_the_earlier_ones_found() -> None:
    """A region four times too large holds metal; first told so, the sizes of its neighbours are not held against it."""
    hu = np.full((40, 32, 32), 150, np.float32)
    hu[8, 16, 16] = 3000.0
    about, measured = evidence(hu), readings(volume_mm3=48000.0)
    assert excluded(about, measured) == {"T12": [], "L1": [], "L2": ["metal"]}
    backwards = excluded(about, measured, Exclusions(EXCLUSIONS.checks[::-1]))
    assert backwards == {"T12": [], "L1": ["region-incomplete"], "L2": ["metal"]}


def test_every_reason_is_said_in_the_order_of_the_checks() -> None:
    hu = np.full((40, 32, 32), 150, np.float32)
    hu[8, 16, 16] = 3000.0
    everything = readings(volume_mm3=2000.0, sd_hu=140.0)
    found = excluded(evidence(hu, reasons=(OVERLAP,)), everything)
    assert found["L2"] == ["regions-overlap", "region-too-small", "metal", "region-incomplete", "uneven-density"]


def test_what_withholds_the_scan_withholds_each_vertebra_and_what_doubts_it_none() -> None:
    about = evidence()
    broken, odd = Reason("broken", "No line fits.", effect=Effect.WITHHOLD), Reason("odd", "It looks odd.")
    after = excluded(replace(about, calibration=replace(about.calibration, reasons=(broken, odd))), readings())
    assert after == {"T12": ["broken"], "L1": ["broken"], "L2": ["broken"]}


def test_where_nothing_is_outlined_readings_are_judged_by_themselves() -> None:
    about = replace(evidence(), regions=None)
    assert excluded(about, readings()) == {"T12": [], "L1": [], "L2": []}
    assert excluded(about, readings(sd_hu=140.0, mean_hu=300.0))["L2"] == ["density-disagreement", "uneven-density"]


def test_nothing_measured_stays_nothing() -> None:
    about = evidence()
    empty = replace(readings(), vertebrae=())
    assert EXCLUSIONS(about.scan, about.spine, about.regions, about.calibration, empty) == empty

"""Whole virtual patients: the same for the same seed, the same person on every grid, truth that can be trusted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from trabecula.anatomy import LEVELS, Level
from trabecula.virtual.attenuation import TABLE, behind
from trabecula.virtual.cohort import (
    VirtualCt,
    draw,
    scan,
    scan_patient,
    spine_grid,
    torso_grid,
    true_levels,
)
from trabecula.virtual.drawn import TRABECULAR_MARGIN_MM, Drawn
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.numbering import Numbering
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import sample_subject
from trabecula.virtual.tissue import enhancement
from trabecula.virtual.trunk import water_path_mm
from trabecula.volume import Grid

PERSON = sample_subject(21)
COARSE = Protocol(pixel_mm=1.6, thickness_mm=5.0, increment_mm=5.0, noise_hu=10.0)


@pytest.fixture(scope="module")
def spine() -> Drawn:
    return draw(PERSON, spine_grid(PERSON, Level.L1, Level.L2, 1.25))


@pytest.fixture(scope="module")
def ct() -> VirtualCt:
    return scan_patient(PERSON, COARSE, Level.L1, Level.L2)


def centroid_mm(drawn: Drawn, level: Level) -> np.ndarray:
    return drawn.volume.to_lps(np.argwhere(drawn.body == level.verse_id).mean(axis=0))


def test_the_same_person_is_drawn_bit_for_bit_the_same(spine: Drawn) -> None:
    again = draw(sample_subject(21), spine_grid(sample_subject(21), Level.L1, Level.L2, 1.25))
    for name in ("body", "depth_mm", "end_mm"):
        np.testing.assert_array_equal(getattr(spine, name), getattr(again, name))
    np.testing.assert_array_equal(spine.volume.hu, again.volume.hu)
    np.testing.assert_array_equal(scan(spine, COARSE, 4).hu, scan(again, COARSE, 4).hu)
    assert (scan(spine, COARSE, 4).hu != scan(spine, COARSE, 5).hu).any()


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0])
def test_a_vertebra_is_in_the_same_place_on_every_grid(spine: Drawn, spacing_mm: float) -> None:
    x, y, z = PERSON.vertebra(Level.L2).centre_lps_mm
    n = round(64 / spacing_mm)
    other = draw(PERSON, Grid.axial((x + 3.3, y + 1.7, z - 0.4), (n, n, n), (spacing_mm,) * 3))
    np.testing.assert_allclose(centroid_mm(other, Level.L2), centroid_mm(spine, Level.L2), atol=1.0)
    np.testing.assert_allclose(centroid_mm(other, Level.L2), (x, y, z), atol=2.0)
    sizes = [(d.body == Level.L2.verse_id).sum() * d.volume.voxel_volume_mm3 for d in (other, spine)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.015)
    assert other.bmd()[Level.L2] == pytest.approx(spine.bmd()[Level.L2], rel=0.04)


def test_a_vertebra_keeps_its_shape_and_findings_where_the_view_cuts_it() -> None:
    found = replace(NOTHING, island_mm=9.0, schmorl_mm=5.0, haemangioma_mm=12.0, metastasis_mm=8.0)
    subject = sample_subject(22)
    subject = replace(
        subject, spine=tuple(replace(v, findings=found) if v.name == Level.L2 else v for v in subject.spine)
    )
    x, y, z = subject.vertebra(Level.L2).centre_lps_mm
    whole = draw(subject, Grid.axial((x, y, z), (48, 48, 48), (1.5, 1.5, 1.5)))
    front = draw(subject, Grid.axial((x, y - 16.5, z), (48, 26, 48), (1.5, 1.5, 1.5)))  # the arch is out of view
    np.testing.assert_array_equal(front.body, whole.body[:, :26])
    inside = front.trabecular() > 0
    assert inside.sum() > 1000
    np.testing.assert_allclose(front.volume.hu[inside], whole.volume.hu[:, :26][inside], atol=0.5)


@pytest.mark.parametrize("level", [Level.L2, Level.S1])
def test_an_arch_keeps_its_shape_where_the_body_is_out_of_view(level: Level) -> None:
    x, y, z = PERSON.vertebra(level).centre_lps_mm
    whole = draw(PERSON, Grid.axial((x, y + 12, z), (40, 56, 48), (1.5, 1.5, 1.5)))
    back = draw(PERSON, Grid.axial((x, y + 12 + 31.5, z), (40, 14, 48), (1.5, 1.5, 1.5)))
    assert (back.whole == level.verse_id).sum() > 100
    np.testing.assert_array_equal(back.whole, whole.whole[:, -14:])
    bone = back.whole == level.verse_id
    np.testing.assert_allclose(back.volume.hu[bone], whole.volume.hu[:, -14:][bone], atol=0.5)


def test_a_torso_and_a_spine_crop_hold_the_same_vertebra(spine: Drawn) -> None:
    z = PERSON.vertebra(Level.L1).centre_lps_mm[2]
    torso = draw(PERSON, torso_grid(PERSON, (z - 30, z + 30), 2.0))
    np.testing.assert_allclose(centroid_mm(torso, Level.L1), centroid_mm(spine, Level.L1), atol=1.0)


def test_truth_is_the_mean_of_the_noise_free_image(spine: Drawn) -> None:
    for level in (Level.L1, Level.L2):
        mask = spine.trabecular() == level.verse_id
        assert mask.sum() > 1000
        at_120 = spine.bone.hu_at_120(float(spine.volume.hu[mask].mean(dtype=float)))
        assert spine.bmd()[level] == pytest.approx(at_120 / TABLE[120].slope_k2hpo4, rel=1e-6)


@pytest.mark.parametrize("kvp", [80, 100, 140])
def test_the_voltage_changes_bone_and_fat_and_not_the_truth(spine: Drawn, kvp: int) -> None:
    other = draw(PERSON, spine_grid(PERSON, Level.L1, Level.L2, 1.25), kvp)
    mask = spine.trabecular() == Level.L1.verse_id
    np.testing.assert_array_equal(other.body, spine.body)
    for level, bmd in spine.bmd().items():
        assert other.bmd()[level] == pytest.approx(bmd, abs=1e-3)
    sign = 1 if kvp < 120 else -1
    assert sign * (other.volume.hu[mask].mean() - spine.volume.hu[mask].mean()) > 10
    fat = (spine.volume.hu < -80) & (spine.volume.hu > -130)
    assert sign * (other.volume.hu[fat].mean() - spine.volume.hu[fat].mean()) < -2


def test_soft_tissue_hardly_changes_with_the_voltage() -> None:
    plain = next(s for s in map(sample_subject, range(20)) if s.phase == "none")
    grid = spine_grid(plain, Level.L1, Level.L2, 2.0)
    low, high = draw(plain, grid, 80).volume.hu, draw(plain, grid, 140).volume.hu
    soft = (high > 30) & (high < 70)
    assert soft.sum() > 10_000
    assert abs(np.median(low[soft] - high[soft])) < 1


def test_iodine_and_calcium_follow_the_voltage() -> None:
    seeds = range(400)
    enhanced = next(s for s in map(sample_subject, seeds) if s.phase == "arterial" and s.aorta_calcification > 0.6)
    x, y, z = enhanced.vertebra(Level.L1).centre_lps_mm
    front = y - enhanced.vertebra(Level.L1).depth_mean_mm / 2 - 15
    low, high = (draw(enhanced, Grid.axial((x + 8, front, z), (60, 24, 40), (1.5,) * 3), kvp) for kvp in (80, 140))
    blood = np.median(low.volume.hu[:, 8:16, 16:24]), np.median(high.volume.hu[:, 8:16, 16:24])
    assert (blood[0] - 42) / (blood[1] - 42) == pytest.approx(43 / 24, rel=0.05)
    assert low.volume.hu.max() > 1.3 * high.volume.hu.max()


def test_contrast_medium_lifts_the_marrow_and_not_the_truth() -> None:
    portal = replace(PERSON, phase="portal")
    plain, lifted = (
        draw(replace(PERSON, phase=phase), spine_grid(PERSON, Level.L1, Level.L1, 1.5)) for phase in ("none", "portal")
    )
    mask = plain.trabecular() > 0
    rise = float((lifted.volume.hu[mask] - plain.volume.hu[mask]).mean())
    assert rise == pytest.approx(enhancement(portal, behind(120, water_path_mm(PERSON))).marrow, rel=0.01)
    assert lifted.bmd()[Level.L1] == pytest.approx(plain.bmd()[Level.L1], abs=0.01)
    rises = [enhancement(replace(sample_subject(seed), phase="portal"), TABLE[120]).marrow for seed in range(60)]
    assert np.mean(rises) == pytest.approx(18, abs=2)


def test_a_vertebra_is_labelled_with_its_arch(spine: Drawn) -> None:
    assert (spine.whole[spine.body > 0] > 0).mean() > 0.98
    back = (spine.whole == Level.L1.verse_id) & (spine.body == 0)
    y_mm = spine.volume.to_lps(np.argwhere(back))[:, 1]
    assert back.sum() * spine.volume.voxel_volume_mm3 > 5000
    assert (y_mm > PERSON.vertebra(Level.L1).centre_lps_mm[1]).mean() > 0.9
    assert spine.volume.hu[back].mean() > 200


def test_the_size_of_a_patient_does_not_change_the_density_but_its_hu() -> None:
    large = replace(PERSON, half_width_mm=PERSON.half_width_mm + 30, half_depth_mm=PERSON.half_depth_mm + 20)
    grid = spine_grid(PERSON, Level.L2, Level.L2, 1.5)
    slim, stout = draw(PERSON, grid), draw(large, grid)
    assert stout.bmd()[Level.L2] == pytest.approx(slim.bmd()[Level.L2], abs=0.01)
    mask = slim.trabecular() > 0
    assert stout.volume.hu[mask].mean() < 0.98 * slim.volume.hu[mask].mean()


def test_the_density_of_a_vertebra_is_the_same_whatever_the_view(spine: Drawn) -> None:
    bmd = {level: true.bmd_k2hpo4 for level, true in true_levels(PERSON).items()}
    assert set(bmd) == {Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5}
    for level in (Level.L1, Level.L2):
        assert bmd[level] == pytest.approx(spine.bmd()[level], rel=0.015)
        assert bmd[level] == pytest.approx(PERSON.vertebra(level).bmd_k2hpo4, rel=0.25)


def test_the_trabecular_region_lies_inside_its_body_and_keeps_its_margin(spine: Drawn) -> None:
    regions = spine.trabecular()
    for level in (Level.L1, Level.L2):
        inner, body = regions == level.verse_id, spine.body == level.verse_id
        assert (body[inner]).all()
        depth_mm = ndimage.distance_transform_edt(body, spine.volume.spacing_mm)
        assert depth_mm[inner].min() > TRABECULAR_MARGIN_MM - 1.25  # to a voxel's middle, on a 1.25 mm grid
        # and is not needlessly small: all that lies deep inside belongs to it
        assert inner[depth_mm > TRABECULAR_MARGIN_MM + 2.5].mean() > 0.95


def test_thicker_slices_shrink_the_region_at_the_end_plates_only(spine: Drawn) -> None:
    thin, middle, thick = (spine.trabecular(t) > 0 for t in (1.0, 3.0, 5.0))
    np.testing.assert_array_equal(spine.trabecular(2.0) > 0, thin)
    assert thin.sum() > middle.sum() > thick.sum() > 0.5 * thin.sum()
    assert not (thick & ~thin).any()
    gone = thin & ~thick
    assert spine.end_mm[gone].max() < 5
    level = Level.L2.verse_id
    heights = [np.ptp(np.nonzero((spine.trabecular(t) == level).any(axis=(1, 2)))[0]) for t in (1.0, 5.0)]
    assert heights[1] < heights[0]


def test_the_spine_grid_holds_the_bodies_whole() -> None:
    for seed in range(30):
        subject = sample_subject(seed)
        grid = spine_grid(subject, Level.T11, Level.L4, 1.0)
        last = grid.affine[:3, 3] + grid.affine[:3, :3] @ (np.array(grid.shape) - 1)
        for level in LEVELS[LEVELS.index(Level.T11) : LEVELS.index(Level.L4) + 1]:
            vertebra = subject.vertebra(level)
            corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
            corners *= [max(vertebra.width_mm) / 2, max(vertebra.depth_mm) / 2, vertebra.height_mm / 2]
            world = corners @ vertebra.axes + vertebra.centre_lps_mm
            assert (world.min(axis=0) > grid.affine[:3, 3]).all()
            assert (world.max(axis=0) < last).all()


def test_every_level_in_view_is_labelled_and_has_its_density(ct: VirtualCt) -> None:
    labels = set(np.unique(ct.trabecular)) - {0}
    assert {Level.L1.verse_id, Level.L2.verse_id} <= labels
    assert {Level.L1, Level.L2} <= set(ct.bmd)
    assert ct.trabecular.shape == ct.volume.shape
    np.testing.assert_allclose(ct.volume.spacing_mm, (5.0, 1.6, 1.6))


def test_the_labels_of_a_scan_lie_on_its_bone(ct: VirtualCt) -> None:
    for level in (Level.L1, Level.L2):
        mask = ct.trabecular == level.verse_id
        place = ct.volume.to_lps(np.argwhere(mask).mean(axis=0))
        np.testing.assert_allclose(place, PERSON.vertebra(level).centre_lps_mm, atol=3.0)
        plain_hu = float(ct.volume.hu[mask].mean()) - enhancement(PERSON, TABLE[120]).marrow
        calibrated = plain_hu / behind(120, water_path_mm(PERSON)).slope_k2hpo4
        assert calibrated == pytest.approx(ct.bmd[level], rel=0.1)


def test_a_whole_patient_is_the_same_bit_for_bit(ct: VirtualCt) -> None:
    again = scan_patient(PERSON, COARSE, Level.L1, Level.L2)
    np.testing.assert_array_equal(again.volume.hu, ct.volume.hu)
    np.testing.assert_array_equal(again.trabecular, ct.trabecular)
    assert again.bmd == ct.bmd


def test_another_scan_of_the_same_person_has_the_same_density(ct: VirtualCt) -> None:
    again = scan_patient(PERSON, replace(COARSE, kvp=80, rotation_deg=5.0), Level.L1, Level.L3, seed=1)
    assert again.bmd == ct.bmd
    assert again.volume.shape != ct.volume.shape


def test_the_fine_spine_joins_the_coarse_torso_without_a_seam() -> None:
    """Where the spine drawn at 1 mm ends, soft tissue goes on: no edge of air, no other HU."""
    quiet = scan_patient(PERSON, replace(COARSE, noise_hu=0.0), Level.L1, Level.L2)
    middle = np.argwhere(quiet.trabecular > 0).mean(axis=0).astype(int)
    around = quiet.volume.hu[middle[0], middle[1] - 20 : middle[1] + 30, middle[2] - 55 : middle[2] + 55]
    assert around.min() > -300


@pytest.mark.parametrize("numbering", [Numbering.FOUR_LUMBAR, Numbering.LUMBARISED])
def test_a_person_of_four_or_six_lumbar_vertebrae_can_be_scanned(numbering: Numbering) -> None:
    person = next(p for p in map(sample_subject, range(2000)) if p.numbering is numbering)
    ct = scan_patient(person, COARSE, Level.L3, Level.L5)
    labels = set(np.unique(ct.trabecular)) - {0}
    if numbering is Numbering.FOUR_LUMBAR:
        assert Level.L5 not in ct.bmd
        assert Level.L5.verse_id not in labels
        assert Level.L4.verse_id in labels
    else:
        assert {Level.L3.verse_id, Level.L4.verse_id, Level.L5.verse_id} <= labels

"""Each finding shows in the image, in its place, and leaves the truth that of the image."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.virtual.cohort import Drawn, draw, true_levels
from trabecula.virtual.findings import NOTHING, Findings
from trabecula.virtual.numbering import Numbering
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.volume import Grid

PERSON = sample_subject(4, 110.0)


def having(level: Level, found: Findings, *more: Level) -> Subject:
    """The person with these findings at a level (and more levels), and nothing else anywhere."""
    spine = tuple(replace(v, findings=found if v.name in (level, *more) else NOTHING) for v in PERSON.spine)
    return replace(PERSON, spine=spine, metal_hip=False)


def around(subject: Subject, level: Level = Level.L2, spacing_mm: float = 1.0) -> Drawn:
    n = round(66 / spacing_mm)
    return draw(subject, Grid.axial(subject.vertebra(level).centre_lps_mm, (n, n, n), (spacing_mm,) * 3))


@pytest.fixture(scope="module")
def plain() -> Drawn:
    return around(having(Level.L2, NOTHING))


def in_own_frame(drawn: Drawn, mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask as (left, anterior, up) mm from the middle of L2."""
    vertebra = drawn.subject.vertebra(Level.L2)
    return (drawn.volume.to_lps(np.argwhere(mask)) - vertebra.centre_lps_mm) @ vertebra.axes.T


def heights(drawn: Drawn) -> tuple[float, float, float]:
    """Height of L2 in front, in the middle and behind."""
    left, front, up = in_own_frame(drawn, drawn.body == Level.L2.verse_id).T
    depth = PERSON.vertebra(Level.L2).depth_mean_mm
    central = np.abs(left) < 6
    bands = (front > 0.3 * depth, np.abs(front) < 4, front < -0.35 * depth)
    return tuple(float(np.ptp(up[central & band])) for band in bands)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("found", "lowered"),
    [
        (Findings(fracture_anterior=0.5), (True, False, False)),
        (Findings(fracture_middle=0.5), (False, True, False)),
        (Findings(fracture_anterior=0.5, fracture_posterior=0.45), (True, True, True)),
    ],
)
def test_a_fracture_lowers_the_body_where_it_says(plain: Drawn, found: Findings, lowered: tuple[bool, ...]) -> None:
    broken = around(having(Level.L2, found))
    for before, after, low in zip(heights(plain), heights(broken), lowered, strict=True):
        if low:
            assert after < 0.75 * before
        else:
            assert after > (0.6 if found.fracture_anterior else 0.85) * before
    # packed bone is 20 to 60% denser in mineral
    assert broken.bmd()[Level.L2] > 1.1 * plain.bmd()[Level.L2]


@pytest.mark.parametrize(
    "found",
    [
        Findings(schmorl_mm=7.0),
        Findings(sclerosis_upper_mm=6.0),
        Findings(haemangioma_mm=18.0),
        Findings(metastasis_mm=14.0),
        Findings(island_mm=9.0),
        Findings(cement_mm=18.0),
        Findings(osteophyte_mm=9.0),
        Findings(fracture_anterior=0.4),
    ],
)
@pytest.mark.parametrize("spacing_mm", [1.5])
def test_a_finding_is_the_same_on_every_grid(found: Findings, spacing_mm: float) -> None:
    fine, coarse = (around(having(Level.L2, found), spacing_mm=s) for s in (1.0, spacing_mm))
    assert coarse.bmd()[Level.L2] == pytest.approx(fine.bmd()[Level.L2], rel=0.06)
    sizes = [(d.body == Level.L2.verse_id).sum() * d.volume.voxel_volume_mm3 for d in (fine, coarse)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_a_schmorl_node_is_a_pit_with_a_dense_rim(plain: Drawn) -> None:
    drawn = around(having(Level.L2, Findings(schmorl_mm=8.0)))
    gone = (plain.body == Level.L2.verse_id) & (drawn.body != Level.L2.verse_id)
    assert 150 < gone.sum() < 4000
    up = in_own_frame(plain, gone)[:, 2]
    assert (up > 4).mean() > 0.95
    near = drawn.volume.hu - plain.volume.hu
    rim = (drawn.body == Level.L2.verse_id) & (near > 80)
    assert rim.sum() > 200
    assert drawn.volume.hu[gone].mean() < drawn.volume.hu[rim].mean() - 100


@pytest.mark.parametrize(("upper", "lower"), [(6.0, 0.0), (0.0, 6.0)])
def test_sclerosis_lies_along_its_end_plate(plain: Drawn, upper: float, lower: float) -> None:
    drawn = around(having(Level.L2, Findings(sclerosis_upper_mm=upper, sclerosis_lower_mm=lower)))
    dense = (drawn.volume.hu - plain.volume.hu > 60) & (drawn.body == Level.L2.verse_id)
    up = in_own_frame(drawn, dense)[:, 2]
    assert dense.sum() > 500
    assert ((up > 0) if upper else (up < 0)).all()
    assert drawn.end_mm[dense].max() < 6.6


def test_a_haemangioma_is_fatty_with_upright_struts(plain: Drawn) -> None:
    drawn = around(having(Level.L2, Findings(haemangioma_mm=22.0)))
    changed = np.abs(drawn.volume.hu - plain.volume.hu) > 5
    hu = drawn.volume.hu[changed]
    assert np.quantile(hu, 0.2) < 30
    assert np.quantile(hu, 0.97) > 200
    # along the spine neighbours are alike, across it they are not
    inside = ndimage_core(changed)
    along = np.abs(np.diff(drawn.volume.hu, axis=0))[inside[1:] & inside[:-1]].mean()
    across = np.abs(np.diff(drawn.volume.hu, axis=2))[inside[:, :, 1:] & inside[:, :, :-1]].mean()
    assert along < 0.75 * across


def ndimage_core(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.binary_erosion(ndimage.binary_closing(mask, iterations=2), iterations=2))


def test_sclerotic_lesions_raise_the_density_and_cement_is_metal_dense(plain: Drawn) -> None:
    metastasis = around(having(Level.L2, Findings(metastasis_mm=16.0)))
    assert metastasis.bmd()[Level.L2] > plain.bmd()[Level.L2] + 5
    assert metastasis.volume.hu[metastasis.trabecular() == Level.L2.verse_id].max() > 350
    cement = around(having(Level.L2, Findings(cement_mm=20.0)))
    assert cement.volume.hu[cement.trabecular() == Level.L2.verse_id].max() > 1200


def test_screws_and_rods_join_the_vertebrae_that_have_them() -> None:
    subject = having(Level.L4, Findings(screws=True), Level.L5)
    x, y, z = subject.vertebra(Level.L4).centre_lps_mm
    grid = Grid.axial((x, y + 15, z - 18), (70, 90, 70), (1.2,) * 3)
    metal = draw(subject, grid).volume.hu > 2500
    without = draw(having(Level.L4, NOTHING), grid)
    assert not (without.volume.hu > 2500).any()
    body = without.body
    for level in (Level.L4, Level.L5):
        inside = metal & (body == level.verse_id)
        assert inside.sum() > 200
        lps = without.volume.to_lps(np.argwhere(inside))[:, 0] - subject.vertebra(level).centre_lps_mm[0]
        assert lps.min() < -4 < 4 < lps.max()  # one on either side
    rods = metal & (body == 0)
    slices = np.flatnonzero(rods.any(axis=(1, 2)))
    assert (np.diff(slices) == 1).all()  # from one vertebra to the next without a gap


def test_a_bridge_runs_along_the_front_right_of_the_chest() -> None:
    levels = (Level.T9, Level.T10, Level.T11)
    subject = having(Level.T8, Findings(bridge_mm=6.0), *levels)
    x, y, z = subject.vertebra(Level.T10).centre_lps_mm
    grid = Grid.axial((x, y, z), (100, 60, 60), (1.2,) * 3)
    with_it, without = draw(subject, grid), draw(having(Level.T8, NOTHING), grid)
    new = (with_it.volume.hu - without.volume.hu > 120) & (with_it.volume.hu > 200)
    np.testing.assert_array_equal(with_it.body, without.body)
    assert new.any(axis=(1, 2))[10:80].mean() > 0.9  # over bodies and discs
    place = without.volume.to_lps(np.argwhere(new))
    assert np.mean(place[:, 0] < x) > 0.8  # right
    assert np.mean(place[:, 1] < y) > 0.8  # and in front
    inside = without.trabecular() > 0
    np.testing.assert_allclose(with_it.volume.hu[inside], without.volume.hu[inside], atol=1e-3)


@pytest.mark.parametrize("seed", [47, 10, 269])
def test_the_truth_of_the_broken_and_cemented_can_be_told(seed: int) -> None:
    person = sample_subject(seed)
    assert any(v.findings.fracture_anterior or v.findings.cement_mm for v in person.spine)
    assert all(np.isfinite(true.bmd_k2hpo4) and true.bmd_k2hpo4 > 0 for true in true_levels(person).values())


def test_the_worst_crush_still_has_a_region() -> None:
    worst = Findings(fracture_anterior=0.6, fracture_middle=0.18, fracture_posterior=0.54)
    subject = having(Level.L1, worst)
    drawn = draw(subject, Grid.axial(subject.vertebra(Level.L1).centre_lps_mm, (50, 60, 66), (1.0,) * 3))
    assert (drawn.trabecular() == Level.L1.verse_id).sum() > 100


@pytest.mark.parametrize("numbering", [Numbering.FOUR_LUMBAR, Numbering.LUMBARISED, Numbering.THIRTEEN_RIBS])
def test_every_body_of_a_variant_is_drawn_and_labelled(numbering: Numbering) -> None:
    person = next(p for p in map(sample_subject, range(2000)) if p.numbering is numbering)
    top, bottom = (person.vertebra(level).centre_lps_mm for level in (Level.T11, Level.S1))
    grid = Grid.axial(
        (0, (top[1] + bottom[1]) / 2, (top[2] + bottom[2]) / 2),
        (round((top[2] - bottom[2]) / 2.5) + 16, 60, 60),
        (2.5,) * 3,
    )
    names = [v.name for v in person.spine]
    drawn = draw(person, grid)
    assert {v.verse_id for v in person.spine[names.index("T11") :]} <= set(np.unique(drawn.body))

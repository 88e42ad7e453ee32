"""Samples from shards whose truth is known at every voxel: what is turned, cut and disturbed keeps its labels."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import LEVELS, Level
from trabecula.cohort.case import Known, Labelled
from trabecula.cohort.drawn import SPINE_SPACING_MM
from trabecula.quantity import VBMD_HA
from trabecula.recipes import RECIPES
from trabecula.training.samples import density, patch, projection, spine, torso
from trabecula.training.samples.augment import vary_intensity
from trabecula.training.tasks import house, niu2023
from trabecula.view import View
from trabecula.volume import Grid, Volume

Shard = dict[str, NDArray[Any]]

BACKGROUND_HU, CORTEX_HU, TRABECULAR_HU = -1000, 400, 150  # air, as beyond the edge
MIDDLES = {Level.T12: 16, Level.L1: 44, Level.L2: 72}
BMD = {Level.T12: 101.0, Level.L1: 102.0, Level.L2: 103.0}
WIDE = View((48, 56, 56), SPINE_SPACING_MM, (200.0, 800.0))


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """Three boxes with a bright rim in a crop of 1.25 x 1 x 1 mm; HU say what a voxel is."""
    hu = np.full((88, 110, 100), BACKGROUND_HU, np.float32)
    body, inner = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    for level, z in MIDDLES.items():
        whole, core = ((slice(z - r, z + r), slice(40 + 11 - r, 70 - 11 + r), slice(24, 56)) for r in (11, 8))
        core = (core[0], core[1], slice(27, 53))
        body[whole], inner[core] = level.verse_id, level.verse_id
        hu[whole], hu[core] = CORTEX_HU, TRABECULAR_HU
    volume = Volume(hu, Grid.axial((0.0, 0.0, 0.0), hu.shape, SPINE_SPACING_MM).affine)  # type: ignore[arg-type]
    return Labelled(volume, {"bodies": body, "trabecular": inner}, Known(tube_voltage_kvp=120.0, density=BMD))


@pytest.fixture(scope="module")
def crop(labelled: Labelled) -> Shard:
    return dict(spine.cut(labelled))


def test_what_a_voxel_is_explains_its_brightness(crop: Shard) -> None:
    """Turned, stretched and mirrored though it is; for patches about a body and for those along the spine."""
    rng = np.random.default_rng(1)
    explained: dict[str, list[float]] = {"one_body": [], "along_spine": []}
    for _ in range(14):
        for draw in (patch.one_body, patch.along_spine):
            drawn = draw(crop, rng, WIDE)
            assert drawn is not None
            image, label = drawn
            assert image.shape == (1, *label.shape)
            assert 0 <= image.min() <= image.max() <= 1
            if draw is patch.one_body:  # neighbours are not its classes, and as bright
                label = np.where(ndimage.binary_dilation(label > 0, iterations=2), label, -1)
            shown = label >= 0
            if len(np.unique(label[shown])) == 3:
                means = np.array([image[0][label == k].mean() for k in range(3)])
                explained[draw.__name__].append(float(means[label[shown]].var() / image[0][shown].var()))
    for name, shares in explained.items():
        assert len(shares) > 8, name
        assert np.median(shares) > 0.6, name


def test_a_coarser_view_shows_more(crop: Shard) -> None:
    def filled(spacing_mm: float) -> float:
        view = View((48, 80, 80), (spacing_mm,) * 3, (200.0, 800.0))
        rng = np.random.default_rng(2)
        return float(max((patch.along_spine(crop, rng, view)[1] > 0).sum() for _ in range(8)))

    assert filled(2.0) < filled(1.0)


def test_one_seed_gives_one_sample(crop: Shard) -> None:
    one, other = (patch.one_body(crop, np.random.default_rng(5), WIDE) for _ in range(2))
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_a_vertebra_is_shown_alone_with_its_own_density(crop: Shard) -> None:
    view = niu2023.VERTEBRA_VIEW
    rng = np.random.default_rng(0)
    for _ in range(12):
        drawn = density.sample(crop, rng, view)
        assert drawn is not None
        image, bmd = drawn
        assert image.shape == (1, *view.shape)
        assert float(bmd) in set(BMD.values())
        shown = image[0] > 0
        assert not shown[[0, -1]].any()
        # 20 x 24 x 26 mm of 150 HU, eroded or grown by a voxel of the shard at most, shown 1 / 1.2 to 1 / 0.85 as large
        assert 16 * 21 * 23 / 1.2**3 <= shown.sum() * 8 <= 25 * 29 * 31 / 0.85**3
        # at 2 mm the bright rim reaches a voxel into the region
        inside = ndimage.binary_erosion(shown, iterations=2)
        assert image[0][inside].mean() == pytest.approx((TRABECULAR_HU + 200) / 800, abs=0.01)
        np.testing.assert_allclose(np.argwhere(shown).mean(axis=0), np.array(view.shape) / 2, atol=4.5)


def test_a_mean_teaches_its_own_category_alone() -> None:
    verses = {Level.L1: 70.0, Level.L2: 100.0}  # osteoporosis and osteopenia; 85 together
    shard = {"bmd": np.array([(level.verse_id, bmd) for level, bmd in verses.items()])}
    assert density.seen_categories(shard, tuple(verses)) == {"osteoporosis", "osteopenia"}
    assert density.seen_categories(shard, tuple(verses), together=True) == {"osteopenia"}
    assert density.seen_categories(shard, (*verses, Level.L3), together=True) == set()


def test_training_sees_a_vertebra_as_use_does(crop: Shard, labelled: Labelled) -> None:
    """With nothing varied, the sample is what the view cuts from the scan itself."""
    view, level = niu2023.VERTEBRA_VIEW, Level.L1
    region = labelled.masks["trabecular"]
    middle = np.argwhere(region == level.verse_id).mean(axis=0)
    used = view.cut_masked(labelled.volume, region, level.verse_id, middle)
    closest = min(
        float(np.abs(drawn[0][0] - used).mean())
        for seed in range(60)
        if (drawn := density.sample({**crop, "bmd": crop["bmd"][1:2]}, np.random.default_rng(seed), view)) is not None
    )
    assert closest < 0.01


def test_a_cut_vertebra_teaches_no_density(crop: Shard) -> None:
    cut = {name: array[44:] if array.ndim == 3 else array for name, array in crop.items()}  # through the middle of L1
    view = niu2023.VERTEBRA_VIEW
    drawn = [density.sample(cut, np.random.default_rng(seed), view) for seed in range(12)]
    assert {float(one[1]) for one in drawn if one is not None} == {BMD[Level.L2]}
    nothing = {**crop, "trabecular": np.zeros_like(crop["trabecular"])}
    assert density.sample(nothing, np.random.default_rng(0), view) is None


def test_a_density_of_another_material_is_not_learnt(labelled: Labelled) -> None:
    other = Labelled(labelled.volume, labelled.masks, Known(density=BMD, quantity=VBMD_HA))
    assert spine.cut(other)["bmd"].shape == (0, 2)


def test_a_whole_scan_is_brought_to_the_shards_spacing_about_its_bodies(labelled: Labelled) -> None:
    fine = Grid.axial((0.0, 0.0, 0.0), (180, 150, 130), (0.7, 0.8, 0.9))
    hu = labelled.volume.sample(fine)
    index = np.linalg.inv(labelled.volume.affine) @ fine.affine
    masks = {
        kind: ndimage.affine_transform(mask, index[:3, :3], index[:3, 3], fine.shape, order=0, mode="constant")
        for kind, mask in labelled.masks.items()
    }
    shard = spine.cut(Labelled(Volume(hu, fine.affine), masks, labelled.known))
    assert shard["hu"].shape == shard["body"].shape == shard["trabecular"].shape
    for level in MIDDLES:
        true = (labelled.masks["bodies"] == level.verse_id).sum()
        assert (shard["body"] == level.verse_id).sum() == pytest.approx(true, rel=0.08)
    assert np.median(shard["hu"][shard["trabecular"] > 0]) == pytest.approx(TRABECULAR_HU, abs=5)


@pytest.fixture(scope="module")
def projected() -> Shard:
    """T8 to S1 as bright boxes, each of its own width, on dark ground; rows of 2 mm from caudal up."""
    hu, body = np.zeros((300, 4, 200), np.float32), np.zeros((300, 4, 200), np.uint8)
    for index, level in enumerate(reversed(LEVELS)):
        z, half = 40 + 17 * index, 9 + index
        hu[z : z + 12, :, 100 - half : 100 + half] = 800
        body[z : z + 12, :, 100 - half : 100 + half] = level.verse_id
    volume = Volume(hu, Grid.axial((0.0, 0.0, 0.0), (300, 4, 200), (2.0, 2.0, 2.0)).affine)
    return dict(projection.cut(Labelled(volume, {"bodies": body}, Known())))


def boxes_of(shard: Shard, seed: int, number: int) -> list[projection.Sample]:
    rng = np.random.default_rng(seed)
    drawn = (projection.sample(shard, rng, niu2023.PROJECTION_VIEW, niu2023.BOXES) for _ in range(number))
    return [one for one in drawn if one is not None]


def test_boxes_lie_on_the_vertebrae_they_name(projected: Shard) -> None:
    contrasts, seen = [], set()
    for image, boxes, labels in boxes_of(projected, 0, 30):
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2] <= image.shape[2]).all()
        assert (boxes[:, 3] <= image.shape[1]).all()
        assert (np.diff(labels[np.argsort(boxes[:, 1])]) > 0).all()  # cranial on top
        seen |= {niu2023.BOXES.names[label] for label in labels}
        for x0, y0, x1, y1 in np.rint(boxes).astype(int):
            inside = image[0, y0 + 2 : y1 - 2, x0 + 3 : x1 - 3]
            left, right = image[0, y0 + 2 : y1 - 2, x0 - 6 : x0 - 3], image[0, y0 + 2 : y1 - 2, x1 + 3 : x1 + 6]
            if inside.size and left.size and right.size:
                contrasts.append(float(np.median(inside) - (np.median(left) + np.median(right)) / 2))
    assert seen == {level.value for level in LEVELS} == projection.seen(projected, niu2023.BOXES) - {"background"}
    assert len(contrasts) > 50
    assert np.mean(np.array(contrasts) > 0.15) > 0.9


def test_a_label_is_that_of_its_own_vertebra(projected: Shard) -> None:
    """Each rectangle has its own width, so a box of the wrong name has the wrong width."""
    pixel = niu2023.PROJECTION_VIEW.spacing_mm[0]
    width_mm = {level.value: 2.0 * 2 * (9 + i) for i, level in enumerate(reversed(LEVELS))}
    for image, boxes, labels in boxes_of(projected, 3, 24):
        whole = (boxes[:, 0] > 1) & (boxes[:, 2] < image.shape[2] - 1)
        wide_mm = (boxes[:, 2] - boxes[:, 0])[whole] * pixel
        ratio = wide_mm / np.array([width_mm[niu2023.BOXES.names[label]] for label in labels[whole]])
        assert ((ratio > 0.88) & (ratio < 1.12)).all()
        np.testing.assert_allclose(ratio, ratio[:1].repeat(len(ratio)), rtol=0.01)


def test_torso_names_come_from_the_head_and_lie_on_their_bodies() -> None:
    """Bodies are as bright as their name's index, so a name on the wrong body has the wrong brightness."""
    levels = (Level.T6, Level.T12, Level.L2, Level.L6)
    hu, body = np.zeros((150, 60, 100), np.int16), np.zeros((150, 60, 100), np.uint8)
    for index, level in enumerate(levels):
        place = np.s_[120 - 30 * index : 132 - 30 * index, 25:37, 43:57]
        hu[place], body[place] = 300, level.verse_id
    head = house.NAMES
    assert torso.seen({"body": body}, head) == {"above", "T12", "L2"}  # what L6 is depends on where one begins to count
    rng = np.random.default_rng(4)
    shown: set[int] = set()
    for _ in range(6):
        image, near, names = torso.sample({"hu": hu, "body": body}, rng, house.FINDER_VIEW, head)
        assert image.shape == (1, *torso.PATCH)
        assert near.shape == names.shape == tuple(n // 2 for n in torso.PATCH)
        assert 0 <= near.min() <= near.max() <= 1
        named = names[names != torso.UNNAMED]
        shown |= set(named.tolist())
        if named.size > 300:
            half = image[0, ::2, ::2, ::2]
            assert np.median(half[names != torso.UNNAMED]) > np.median(half[names == torso.UNNAMED]) + 0.1
    assert shown == {head.names.index(name) for name in ("above", "T12", "L2")}


def test_intensity_varies_and_anatomy_stays() -> None:
    hu = np.zeros((20, 24, 24), np.float32)
    hu[5:15, 6:18, 6:18] = 400
    for seed in range(20):
        out = vary_intensity(hu, np.random.default_rng(seed))
        assert out.shape == hu.shape
        assert np.isfinite(out).all()
        assert out[8:12, 9:15, 9:15].mean() > out[:3].mean() + 150


def test_what_is_trained_sees_and_answers_as_what_is_shipped() -> None:
    """A task's view and head are those that its weights' manifest entry has."""
    from trabecula.training.tasks import MODULES, task_for
    from trabecula.weights import catalogue

    assert {name for recipe in RECIPES.values() for name in recipe.weights} <= MODULES.keys()
    for name in MODULES.keys() & catalogue().keys():
        task, shipped = task_for(name), catalogue()[name]
        assert task.view == shipped.view, name
        if task.measure is None:  # else the head was measured on validation cases
            assert task.head == shipped.head, name


def test_drawn_patients_are_the_same_each_time_and_never_those_of_the_test() -> None:
    from trabecula.cohort.case import Field
    from trabecula.cohort.read import read_cohort

    training, testing = (read_cohort("virtual:40:b", judging) for judging in (False, True))
    assert not {case.patient for case in training.cases} & {case.patient for case in testing.cases}
    case = read_cohort("virtual:1", judging=False).cases[0]
    one, other = (spine.cut(case.labelled(("bodies", "trabecular"), Field.SPINE)) for _ in range(2))
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array)
    np.testing.assert_array_equal(one["body"][one["trabecular"] > 0], one["trabecular"][one["trabecular"] > 0])
    slopes = {80: 1.906, 100: 1.596, 120: 1.422, 140: 1.308}  # HU per mg/cm3 K2HPO4
    cut = set(np.unique(one["body"][[0, 1, 2, -3, -2, -1]]))
    for label, bmd in one["bmd"]:
        if label not in cut:
            hu = one["hu"][one["trabecular"] == label]
            assert hu.mean() / slopes[int(one["kvp"])] == pytest.approx(float(bmd), abs=max(10.0, 0.1 * float(bmd)))

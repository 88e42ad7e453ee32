"""Batches from shards whose truth is known at every voxel: what is turned, cut and disturbed keeps its labels."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from trabecula.anatomy import LEVELS, Level
from trabecula.recipes.niu2023 import DENSITY
from trabecula.training.batches import (
    PATCH,
    PROJECTION_PIXEL_MM,
    density_batches,
    detector_batches,
    segmenter_batches,
    vary_intensity,
    vertebra_crop,
    window,
)
from trabecula.training.data import CROP_SPACING_MM
from trabecula.training.data import _save as save

BACKGROUND_HU, CORTEX_HU, TRABECULAR_HU = -1000, 400, 150  # air, as beyond the edge
MIDDLES = {Level.T12: 16, Level.L1: 44, Level.L2: 72}
BMD = {Level.T12: 101.0, Level.L1: 102.0, Level.L2: 103.0}


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three boxes with a bright rim in a crop of 1.25 x 1 x 1 mm; HU say what a voxel is."""
    folder = tmp_path_factory.mktemp("crops")
    hu = np.full((88, 110, 100), BACKGROUND_HU, np.int16)
    body, inner = np.zeros(hu.shape, np.uint8), np.zeros(hu.shape, np.uint8)
    for level, z in MIDDLES.items():
        whole, core = ((slice(z - r, z + r), slice(40 + 11 - r, 70 - 11 + r), slice(24, 56)) for r in (11, 8))
        core = (core[0], core[1], slice(27, 53))
        body[whole], inner[core] = level.verse_id, level.verse_id
        hu[whole], hu[core] = CORTEX_HU, TRABECULAR_HU
    bmd = np.array([[level.verse_id, BMD[level]] for level in MIDDLES], np.float32)
    for seed in (0, 1):
        save(folder / f"{seed}.npz", hu=hu, body=body, trabecular=inner, bmd=bmd)
    return folder


def test_segmenter_patches_have_their_labels(crops: Path) -> None:
    for images, labels in islice(segmenter_batches(crops, 0, 3, (200.0, 800.0), CROP_SPACING_MM), 4):
        assert images.shape == (3, 1, *PATCH)
        assert labels.shape == (3, *PATCH)
        assert set(labels.unique().tolist()) <= {0, 1, 2}
        assert 0 <= images.min() < images.max() <= 1


def test_segmenter_labels_stay_on_the_bone_they_name(crops: Path) -> None:
    """What a voxel is explains most of its brightness, turned, stretched and mirrored though it is."""
    explained = []
    for images, labels in islice(segmenter_batches(crops, 1, 8, (200.0, 800.0), CROP_SPACING_MM), 2):
        for image, label in zip(images[:, 0].numpy(), labels.numpy(), strict=True):
            if len(np.unique(label)) == 3:
                means = np.array([image[label == k].mean() for k in range(3)])
                explained.append(float(means[label].var() / image.var()))
    assert len(explained) > 10
    assert np.median(explained) > 0.85
    assert np.quantile(explained, 0.2) > 0.6


def test_a_coarser_voxel_shows_more(crops: Path) -> None:
    def filled(spacing_mm: float) -> float:
        _, labels = next(segmenter_batches(crops, 2, 12, (200.0, 800.0), (spacing_mm,) * 3))
        return float((labels > 0).sum(dim=(1, 2, 3)).float().max())

    assert filled(2.0) < filled(1.0)


def test_one_seed_gives_one_stream(crops: Path) -> None:
    (a, b), (c, d) = (next(segmenter_batches(crops, 5, 2, (0.0, 400.0), CROP_SPACING_MM)) for _ in range(2))
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


def test_density_batches_show_one_vertebra_and_know_its_density(crops: Path) -> None:
    shape = DENSITY.shape
    for images, bmd in islice(density_batches(crops, 0, 6, DENSITY), 3):
        assert images.shape == (6, 1, *shape)
        assert set(bmd.tolist()) <= set(BMD.values())
        shown = images[:, 0] > 0
        assert (~shown[:, [0, -1]]).all()
        assert (~shown[:, :, [0, -1]]).all()
        for image, one in zip(images[:, 0], shown, strict=True):
            # 20 x 24 x 26 mm of 150 HU, eroded or grown by a voxel of the shard at most
            assert 16 * 21 * 23 <= one.sum() * 8 <= 25 * 29 * 31
            # at 2 mm the bright rim reaches a voxel into the region
            inside = ndimage.binary_erosion(one.numpy(), iterations=2)
            assert image.numpy()[inside].mean() == pytest.approx((TRABECULAR_HU + 200) / 800, abs=0.01)
            middle = one.nonzero().float().mean(dim=0)
            np.testing.assert_allclose(middle, np.array(shape) / 2, atol=4.5)


def test_every_vertebra_gets_its_own_density(crops: Path) -> None:
    with np.load(crops / "0.npz") as file:
        shard = dict(file)
    for level in MIDDLES:
        keep = shard["bmd"][:, 0] == level.verse_id
        others = {**shard, "bmd": shard["bmd"][keep], "hu": np.where(shard["body"] == level.verse_id, 500, 0)}
        drawn = vertebra_crop(others, np.random.default_rng(0), DENSITY)
        assert drawn is not None
        image, bmd = drawn
        assert bmd == BMD[level]
        assert np.median(image[image > 0]) == pytest.approx((500 + 200) / 800)


def test_a_cut_vertebra_teaches_no_density(crops: Path) -> None:
    with np.load(crops / "0.npz") as file:
        shard = dict(file)
    cut = {name: array[44:] if array.ndim == 3 else array for name, array in shard.items()}  # through the middle of L1
    drawn = {vertebra_crop(cut, np.random.default_rng(seed), DENSITY)[1] for seed in range(12)}  # type: ignore[index]
    assert drawn == {BMD[Level.L2]}
    nothing = {**shard, "trabecular": np.zeros_like(shard["trabecular"])}
    assert vertebra_crop(nothing, np.random.default_rng(0), DENSITY) is None


@pytest.fixture(scope="module")
def projections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """T8 to S1 as bright rectangles, each of its own width, on dark ground; rows of 2 mm from caudal up."""
    folder = tmp_path_factory.mktemp("projections")
    image = np.zeros((300, 200), np.int16)
    boxes = []
    for index, level in enumerate(reversed(LEVELS)):
        z, half = 40 + 17 * index, 9 + index
        image[z : z + 12, 100 - half : 100 + half] = 800
        boxes.append((level.verse_id, z, 100 - half, z + 12, 100 + half))
    save(folder / "0.npz", projection=image, boxes=np.array(boxes, np.int16), spacing_mm=np.float32(2.0))
    return folder


def test_detector_boxes_lie_on_the_vertebrae_they_name(projections: Path) -> None:
    contrasts, seen = [], set()
    for images, targets in islice(detector_batches(projections, 0, 4), 8):
        for image, target in zip(images, targets, strict=True):
            boxes, labels = target["boxes"].numpy(), target["labels"].numpy()
            assert image.shape[0] == 1
            assert len(boxes) == len(labels) > 0
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, 2] <= image.shape[2]).all()
            assert (boxes[:, 3] <= image.shape[1]).all()
            assert (boxes[:, 2:] - boxes[:, :2] > 1).all()
            assert labels.min() >= 1
            assert labels.max() <= len(LEVELS)
            assert len(set(labels)) == len(labels)
            assert (np.diff(labels[np.argsort(boxes[:, 1])]) > 0).all()  # cranial on top
            seen |= set(labels)
            for x0, y0, x1, y1 in np.rint(boxes).astype(int):
                inside = image[0, y0 + 2 : y1 - 2, x0 + 3 : x1 - 3]
                left, right = image[0, y0 + 2 : y1 - 2, x0 - 6 : x0 - 3], image[0, y0 + 2 : y1 - 2, x1 + 3 : x1 + 6]
                if inside.numel() and left.numel() and right.numel():
                    contrasts.append(float(inside.median() - (left.median() + right.median()) / 2))
    assert seen == set(range(1, len(LEVELS) + 1))
    assert len(contrasts) > 50
    assert np.mean(np.array(contrasts) > 0.15) > 0.9


def test_a_label_is_that_of_its_own_vertebra(projections: Path) -> None:
    """Each rectangle has its own width, so a box of the wrong name has the wrong width."""
    width_mm = {LEVELS.index(level) + 1: 2.0 * 2 * (9 + i) for i, level in enumerate(reversed(LEVELS))}
    for images, targets in islice(detector_batches(projections, 3, 4), 6):
        for image, target in zip(images, targets, strict=True):
            whole = (target["boxes"][:, 0] > 1) & (target["boxes"][:, 2] < image.shape[2] - 1)
            wide_mm = (target["boxes"][:, 2] - target["boxes"][:, 0])[whole] * PROJECTION_PIXEL_MM
            expected = np.array([width_mm[int(label)] for label in target["labels"][whole]])
            ratio = wide_mm.numpy() / expected
            assert (ratio > 0.88).all() and (ratio < 1.12).all()
            np.testing.assert_allclose(ratio, ratio[:1].repeat(len(ratio)), rtol=0.01)


def test_intensity_varies_and_anatomy_stays() -> None:
    hu = np.zeros((20, 24, 24), np.float32)
    hu[5:15, 6:18, 6:18] = 400
    for seed in range(20):
        out = vary_intensity(hu, np.random.default_rng(seed))
        assert out.shape == hu.shape
        assert out.dtype == np.float32
        assert np.isfinite(out).all()
        assert out[8:12, 9:15, 9:15].mean() > out[:3].mean() + 150


def test_window_by_hand() -> None:
    hu = np.array([-300.0, -200.0, 0.0, 100.0, 200.0, 900.0], np.float32)
    np.testing.assert_allclose(window(hu, 0.0, 400.0), [0, 0, 0.5, 0.75, 1, 1])

"""Shards of real virtual patients: labels on the bone they name, densities that the image bears out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.anatomy import LEVELS, Level
from trabecula.training.data import (
    CROP_SPACING_MM,
    TEST_SEED,
    TRAINING_SEED,
    crop_shard,
    make_shards,
    projection_shard,
    training_subject,
)
from trabecula.training.data import _save as save
from trabecula.training.niu2023 import SETTINGS

Shard = dict[str, NDArray[Any]]
SEED = TEST_SEED + 302


SLOPES = {80: 1.906, 100: 1.596, 120: 1.422, 140: 1.308}
"""HU per mg/cm3 K2HPO4 by tube voltage."""


def load(path: Path) -> Shard:
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def crop(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    folder = tmp_path_factory.mktemp("crop")
    crop_shard(SEED, folder)
    assert [path.name for path in folder.iterdir()] == [f"{SEED}.npz"]
    return load(folder / f"{SEED}.npz")


@pytest.fixture(scope="module")
def projection(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    folder = tmp_path_factory.mktemp("projection")
    projection_shard(SEED, folder)
    return load(folder / f"{SEED}.npz")


def whole_levels(crop: Shard) -> list[int]:
    cut = set(np.unique(crop["body"][:3])) | set(np.unique(crop["body"][-3:]))
    return [int(level) for level, _ in crop["bmd"] if level not in cut]


def test_a_crop_is_one_grid(crop: Shard) -> None:
    assert crop["hu"].shape == crop["body"].shape == crop["trabecular"].shape
    assert crop["hu"].shape[0] * CROP_SPACING_MM[0] > 80  # two vertebrae at least
    np.testing.assert_array_equal(crop["body"][crop["trabecular"] > 0], crop["trabecular"][crop["trabecular"] > 0])


def test_a_whole_vertebra_has_the_density_that_its_image_shows(crop: Shard) -> None:
    bmd = dict(crop["bmd"])
    assert whole_levels(crop)
    for level in whole_levels(crop):
        hu = crop["hu"][crop["trabecular"] == level]
        assert hu.mean() / SLOPES[int(crop["kvp"])] == pytest.approx(
            float(bmd[level]), abs=max(10.0, 0.1 * float(bmd[level]))
        )


def test_nothing_is_labelled_where_the_scan_shows_nothing(crop: Shard) -> None:
    """Where the scan ends before the drawing does, there is air: it must not be taught to be bone."""
    assert (crop["hu"][crop["body"] > 0] > -900).mean() > 0.998


def test_boxes_hold_the_vertebrae(projection: Shard) -> None:
    image, boxes = projection["projection"].astype(float), projection["boxes"]
    assert {int(box[0]) for box in boxes} <= {level.verse_id for level in LEVELS}
    assert {level.verse_id for level in (Level.T12, Level.L1, Level.L5)} <= {int(box[0]) for box in boxes}
    heights = [(int(i), (z0 + z1) / 2) for i, z0, _, z1, _ in boxes]
    assert heights == sorted(heights, key=lambda each: -each[1])  # row 0 is caudal
    for level, z0, x0, z1, x1 in boxes:
        assert 0 <= z0 < z1 <= image.shape[0]
        assert 0 <= x0 < x1 <= image.shape[1]
        if level in (Level.L2.verse_id, Level.L3.verse_id, Level.L4.verse_id):
            wide, high = (x1 - x0) * 2.0, (z1 - z0) * 2.0
            assert 30 < wide < 66
            assert 18 < high < 55
            inside, beside = image[z0:z1, x0:x1], image[z0:z1, max(0, x0 - 12) : x0 - 4]
            assert np.median(inside) > np.median(beside)


def test_the_same_seed_is_the_same_shard(crop: Shard, tmp_path: Path) -> None:
    crop_shard(SEED, tmp_path)
    again = load(tmp_path / f"{SEED}.npz")
    for name, array in crop.items():
        np.testing.assert_array_equal(again[name], array)


def test_densities_are_uniform_in_every_second_subject() -> None:
    def density(seed: int) -> float:
        return training_subject(seed).vertebra(Level.L1).bmd_k2hpo4

    uniform = np.array([density(seed) for seed in range(1, 400, 2)])
    assert uniform.min() < 40
    assert uniform.max() > 225
    share, _ = np.histogram(uniform, np.linspace(20, 250, 6))
    assert share.min() > 0.5 * len(uniform) / 5


def test_no_test_subject_is_ever_trained_on() -> None:
    assert TRAINING_SEED + max(SETTINGS.projections, SETTINGS.crops) < TEST_SEED


def write_square(seed: int, folder: Path) -> None:
    save(folder / f"{seed}.npz", value=np.array(seed * seed))


def test_missing_shards_alone_are_made(tmp_path: Path) -> None:
    tmp_path.joinpath("2.npz").write_bytes(b"already there")
    make_shards(write_square, tmp_path, range(1, 4), 1)
    assert {path.name for path in tmp_path.iterdir()} == {"1.npz", "2.npz", "3.npz"}
    assert (tmp_path / "2.npz").read_bytes() == b"already there"
    with np.load(tmp_path / "3.npz") as file:
        assert file["value"] == 9

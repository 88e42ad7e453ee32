"""The paper's own input, T12 to L2 as one block: it can be trained, and runs only with what was trained."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trabecula import inference
from trabecula.anatomy import Level
from trabecula.errors import WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.recipes import RECIPES, TO_TRAIN, recipe_named
from trabecula.recipes.niu2023 import BLOCK, NIU2023_BLOCK
from trabecula.records import Acquisition, Calibration, Effect, Joint, Readings, Regions, Scan, Spine, reason
from trabecula.records.codec import _decoded, plain
from trabecula.training.export import export
from trabecula.training.tasks import task_for
from trabecula.training.tasks.niu2023 import BLOCK_VIEW
from trabecula.view import Number
from trabecula.virtual.cohort import VirtualCt
from trabecula.volume import Orientation
from trabecula.weights import INSTEAD, catalogue

NAME = "niu2023-block-densitometer"
PLAIN = Calibration(Phrase("rung-voltage", {"kvp": 120}), 1.25, 0.0, 0.02)
GIVEN_MG_CM3 = 1000.0


class MeanOfShown(nn.Module):
    """The mean of all voxels that are not blank, 1 being the window's upper end."""

    def forward(self, image: Tensor) -> Tensor:
        return image.sum((1, 2, 3, 4), keepdim=True).flatten(1) / (image > 0).float().sum((1, 2, 3, 4))[:, None]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network for the block, whose answer is known."""
    image = torch.rand(1, 1, *BLOCK_VIEW.shape)
    export(MeanOfShown(), [image], tmp_path / f"{NAME}.onnx", BLOCK_VIEW, Number(scale=0.001), {"error_sd": 9.0})
    monkeypatch.setenv(INSTEAD, str(tmp_path))
    for cached in (catalogue, inference.network):
        cached.cache_clear()
    yield
    monkeypatch.undo()
    for cached in (catalogue, inference.network):
        cached.cache_clear()


def test_it_is_not_listed_and_says_what_it_takes() -> None:
    assert NIU2023_BLOCK.name in TO_TRAIN and NIU2023_BLOCK.name not in RECIPES
    with pytest.raises(WrongUsage, match=f"{NAME}.*trabecula train niu2023-block") as refused:
        recipe_named("niu2023-block")
    assert refused.value.code == "recipe-untrained"
    assert recipe_named("niu2023-block", trained=False) is NIU2023_BLOCK


def test_with_its_network_it_is_found(given: None) -> None:
    assert recipe_named("niu2023-block") is NIU2023_BLOCK


def test_its_training_shows_the_block_and_learns_the_mean_of_l1_and_l2() -> None:
    hu, inner = np.full((120, 80, 80), -1000, np.int16), np.zeros((120, 80, 80), np.uint8)
    for at, level in enumerate(BLOCK):
        part = np.s_[8 + 36 * at : 28 + 36 * at, 25:55, 25:55]
        hu[part], inner[part] = 100 + 100 * at, level.verse_id
    rows = [[level.verse_id, bmd] for level, bmd in zip(BLOCK, (70.0, 100.0, 140.0), strict=True)]
    shard = {"hu": hu, "body": inner, "trabecular": inner, "kvp": np.float32(120), "bmd": np.array(rows, np.float32)}
    task = task_for(NAME)
    drawn = task.draw(shard, np.random.default_rng(1))
    assert drawn is not None
    image, bmd = drawn
    assert image.shape == task.input_shape[1:] and bmd == pytest.approx(120.0)
    for hu_of_one in (100, 200, 300):  # each of the three is in the image
        seen = BLOCK_VIEW.window(np.array([hu_of_one], np.float32))[0]
        assert (np.abs(image - seen) < 0.005).sum() > 600
    assert task.draw({**shard, "bmd": shard["bmd"][:2]}, np.random.default_rng(1)) is None  # no QCT of L2


@pytest.fixture
def scan(virtual: VirtualCt) -> Scan:
    return Scan(virtual.volume, Orientation(), Acquisition(source="test"))


@pytest.fixture
def regions(virtual: VirtualCt) -> Regions:
    from trabecula.records import VertebraRegion

    labels = np.where(np.isin(virtual.trabecular, [level.verse_id for level in BLOCK]), virtual.trabecular, 0)
    found = []
    for level in BLOCK:
        mask = labels == level.verse_id
        x, y, z = virtual.volume.to_lps(np.argwhere(mask).mean(axis=0))
        volume_mm3 = float(mask.sum() * virtual.volume.voxel_volume_mm3)
        found.append(VertebraRegion(level, 0.9, (x, y, z), volume_mm3))
    return Regions(labels.astype(np.uint8), tuple(found))


def test_one_density_of_the_block_and_none_of_each(given: None, scan: Scan, regions: Regions) -> None:
    measure = NIU2023_BLOCK.measure
    found = measure(scan, Spine((), 60.0), regions, PLAIN)
    assert [one.density for one in found.vertebrae] == [None] * 3
    assert found.joint is not None and found.joint.density is not None and found.joint.levels == BLOCK
    inside = np.clip((scan.volume.hu[regions.labels > 0] + 200) / 800, 0, 1)
    assert found.joint.density.value == pytest.approx(GIVEN_MG_CM3 * inside.mean(), rel=0.02)
    assert found.joint.density.own_sd == 9.0
    fewer = replace(regions, vertebrae=regions.vertebrae[1:])
    assert measure(scan, Spine((), 60.0), fewer, PLAIN).joint is None
    assert _decoded(Joint, plain(found.joint)) == found.joint


def test_the_category_is_that_of_the_blocks_density(given: None, scan: Scan, regions: Regions) -> None:
    read: Readings = NIU2023_BLOCK.measure(scan, Spine((), 60.0), regions, PLAIN)
    density = Measurement(100.0, (90.0, 110.0), own_sd=5.0)
    found = NIU2023_BLOCK.diagnose(replace(read, joint=Joint(BLOCK, density=density)))
    assert (found.category, found.density, found.levels_used) == (Category.OSTEOPENIA, density, BLOCK)
    metal = reason("metal", Effect.WITHHOLD, level=Level.L2, limit_hu=2000.0)
    spoilt = tuple(replace(one, reasons=(metal,)) if one.level == Level.L2 else one for one in read.vertebrae)
    undetermined = NIU2023_BLOCK.diagnose(replace(read, vertebrae=spoilt, joint=None))
    assert (undetermined.category, undetermined.density) == (Category.UNDETERMINED, None)
    assert [one.code for one in undetermined.reasons] == ["too-few-vertebrae"]
    assert undetermined.levels_used == (Level.T12, Level.L1)


@pytest.mark.slow
def test_a_scan_is_screened_with_it(given: None, scan: Scan, tmp_path: Path) -> None:
    from trabecula.line import screen

    found = screen(scan, recipe_named("niu2023-block"))
    assert found.diagnosis.determined and found.diagnosis.density is not None
    assert found.diagnosis.density.value == found.readings.joint.density.value  # type: ignore[union-attr]

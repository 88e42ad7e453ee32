"""The three networks of Niu 2023: a detector on projections, AnatomyNet on crops, DenseNet-121 on single vertebrae.

The paper's Adam at 3e-5 for 50 epochs of 300 patients is more than two cores can walk in an hour: a higher rate with a
falling one arrives sooner. The focal loss is the paper's; the expectation's error is added.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trabecula.anatomy import LEVELS, Level
from trabecula.networks.anatomynet import AnatomyNet
from trabecula.networks.densenet import DenseNet3d
from trabecula.training import losses, scores
from trabecula.training.export import DetectorForExport
from trabecula.training.loop import Schedule
from trabecula.training.needs import OUTLINES, density_of
from trabecula.training.samples import density, patch, projection, spine
from trabecula.training.task import Rule, Task, schedules, stack
from trabecula.view import Bins, Classes, View

PROJECTION_VIEW = View(
    shape=(448, 1, 352),  # 672 x 528 mm
    spacing_mm=(1.5, 1.5, 1.5),
    window_hu=(450.0, 900.0),
    plane="coronal-projection",
)
BOXES = Classes(("background", *(level.value for level in LEVELS)))

CROP_VIEW = View(
    # The paper's 150 x 220 x 120 voxels hold 105 x 154 x 150 mm. The same field at 1.5 mm has a fourth as many
    # voxels: a training step of two patches then shows two cores four times as many vertebrae.
    shape=(104, 112, 80),
    spacing_mm=(1.5, 1.5, 1.5),
    window_hu=(0.0, 400.0),
)
TISSUES = Classes(("background", "cortical", "trabecular"))

VERTEBRA_VIEW = View(
    shape=(32, 32, 32),  # one vertebra at a time, so that each has its own number and T12 can stand in
    spacing_mm=(2.0, 2.0, 2.0),  # a mean needs no fine voxels: a training step takes a fourth of that at 1 mm
    window_hu=(200.0, 800.0),  # the paper's 0/400 is white from 200 HU, 140 mg/cm3, on: no normal bone could be read
    masked=True,
    off_centre_voxels=0.5,
)
BLOCK_VIEW = View(
    shape=(72, 48, 32),  # 144 x 96 x 64 mm: T12 to L2 of a tall person, and a bent one, as one block
    spacing_mm=(2.0, 2.0, 2.0),
    window_hu=(200.0, 800.0),
    masked=True,
)
BLOCK, JUDGED = (Level.T12, Level.L1, Level.L2), (Level.L1, Level.L2)
BINS = Bins(first=0.0, last=300.0, number=31)  # the paper does not give its classes

# In bf16 the weight gradients of the last blocks, a voxel or two across, came out infinite (torch 2.15, CPU).
DENSITY_SCHEDULE = Schedule(steps=3000, learning_rate=1.5e-4, minutes=24, bf16=False, settle_after=0.6)

Levels = tuple[Level, ...]


def detector_loss(network: nn.Module, batch: Any) -> Tensor:
    """The sum of what Faster R-CNN is trained to make small."""
    parts: dict[str, Tensor] = network(*batch)
    return torch.stack(list(parts.values())).sum()


def density_loss(network: nn.Module, batch: tuple[Tensor, Tensor], centres: Tensor) -> Tensor:
    """The paper's focal loss; it alone is content with a wide distribution, and the second term centres it."""
    image, bmd = batch
    found = network(image).float()
    centres = centres.to(found.device)
    error = losses.expected_value(found, centres) - bmd
    return losses.focal(found, losses.soft_bins(bmd, centres)) + 0.05 * error.abs().mean()


def boxes_batch(samples: Sequence[tuple[Any, ...]]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Projections of several sizes and their boxes, as torchvision's detectors take them."""
    images = [torch.from_numpy(image) for image, _, _ in samples]
    return images, [{"boxes": torch.from_numpy(b), "labels": torch.from_numpy(n)} for _, b, n in samples]


def _anatomynet() -> nn.Module:
    return AnatomyNet().to(memory_format=torch.channels_last_3d)


def localiser() -> Task:
    """Finds and names vertebrae in the projection."""
    from trabecula.networks.fasterrcnn import vertebra_detector

    full = Schedule(steps=6000, learning_rate=1e-3, minutes=66, bf16=False)
    return Task(
        weights="niu2023-localiser",
        view=PROJECTION_VIEW,
        head=BOXES,
        kind=projection.KIND,
        draw=partial(projection.sample, view=PROJECTION_VIEW, head=BOXES),
        seen=partial(projection.seen, head=BOXES),
        network=vertebra_detector,
        loss=detector_loss,
        score=scores.detection_scores,
        rule=Rule("recall_and_precision", True, "Niu 2023, appendix: recall and average precision, validation set"),
        schedules=schedules(full, small_steps=30),
        batch=4,
        seed=1,
        input_shape=(1, PROJECTION_VIEW.shape[0], PROJECTION_VIEW.shape[2]),
        collate=boxes_batch,
        graph=DetectorForExport,
    )


def segmenter() -> Task:
    """Outlines trabecular bone in a crop of the spine."""
    return Task(
        weights="niu2023-segmenter",
        view=CROP_VIEW,
        head=TISSUES,
        kind=spine.KIND,
        draw=partial(patch.along_spine, view=CROP_VIEW),
        seen=spine.seen,
        network=_anatomynet,
        loss=losses.segmentation,
        score=partial(scores.dice_scores, names=TISSUES.names),
        rule=Rule("dice", True, "Niu 2023, appendix: highest average Dice on the validation set"),
        schedules=schedules(Schedule(steps=4000, learning_rate=2e-3, minutes=92), small_steps=30),
        batch=2,
        seed=2,
        input_shape=(1, 1, *CROP_VIEW.shape),
        needs=OUTLINES,
    )


def _densitometer(weights: str, view: View, seed: int, levels: Levels, judged: Levels, full: Schedule) -> Task:
    centres = torch.from_numpy(BINS.centres.astype(np.float32))
    return Task(
        weights=weights,
        view=view,
        head=BINS,
        kind=spine.KIND,
        draw=partial(density.sample, view=view, levels=levels, judged=judged),
        seen=None,
        network=partial(DenseNet3d, BINS.number),
        loss=partial(density_loss, centres=centres),
        score=partial(scores.number_scores, answer=partial(losses.expected_value, centres=centres)),
        rule=Rule("mean_absolute_error", False, "Niu 2023, appendix: the best epoch; the figure is ours"),
        schedules=schedules(full, small_steps=40),
        batch=16,
        seed=seed,
        input_shape=(1, 1, *view.shape),
        collate=stack,
        needs=density_of(judged, together=bool(judged)),
    )


def densitometer() -> Task:
    """Gives the density of a single vertebra."""
    return _densitometer("niu2023-densitometer", VERTEBRA_VIEW, 3, (), (), DENSITY_SCHEDULE)


def block_densitometer() -> Task:
    """Gives the mean density of L1 and L2 from T12 to L2 in one image."""
    longer = replace(DENSITY_SCHEDULE, minutes=60)  # an image has three times as many voxels
    return _densitometer("niu2023-block-densitometer", BLOCK_VIEW, 4, BLOCK, JUDGED, longer)


TASKS = {
    "niu2023-localiser": localiser,
    "niu2023-segmenter": segmenter,
    "niu2023-densitometer": densitometer,
    "niu2023-block-densitometer": block_densitometer,
}

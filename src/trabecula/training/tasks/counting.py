"""The network of the house recipe that finds every vertebral body and says what it is counted by."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trabecula.flow.localise.bodies import find_bodies
from trabecula.flow.localise.evidence import (
    CHANNELS,
    LOOK,
    LOOKS,
    MIDDLE,
    PART,
    RIB_LEFT,
    RIB_RIGHT,
    UPRIGHT,
    Part,
    Rib,
)
from trabecula.networks.unet import SpineFinder
from trabecula.training.loop import Schedule
from trabecula.training.samples import counted
from trabecula.training.scores import device_of
from trabecula.training.task import Rule, Task, schedules
from trabecula.view import Evidence, View

OURS = "ours: the recipe is no publication's"

VIEW = View(
    shape=(256, 96, 96),  # 288 mm wide: the ribs' necks and first 10 cm are in view
    spacing_mm=(3.0, 3.0, 3.0),
    window_hu=(225.0, 750.0),
)
MINIMUM_SCORE = 0.3

Batch = tuple[Tensor, Tensor, Tensor]


def counting_loss(network: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of the middles, which are one voxel in ten thousand and weigh more, and of every answer."""
    image, near, answers = batch
    scores = network(image.contiguous(memory_format=torch.channels_last_3d)).float()
    middles = functional.binary_cross_entropy_with_logits(scores[:, MIDDLE], near, weight=1 + 30 * near)
    right, left, part, upright, look = answers.unbind(1)
    two = torch.stack([torch.zeros_like(scores[:, UPRIGHT]), scores[:, UPRIGHT]], 1)
    ribs = _asked(scores[:, RIB_RIGHT], right) + _asked(scores[:, RIB_LEFT], left)
    rest = _asked(scores[:, PART], part) + 0.5 * _asked(two, upright) + 0.7 * _asked(scores[:, LOOK], look)
    return 10 * middles + ribs + rest


def _asked(scores: Tensor, answer: Tensor) -> Tensor:
    """Mean cross-entropy over the voxels that have an answer; none at all teach nothing."""
    number = (answer != counted.UNASKED).sum().clamp(min=1)
    return functional.cross_entropy(scores, answer, ignore_index=counted.UNASKED, reduction="sum") / number


def confusion(network: nn.Module, batches: Sequence[Batch]) -> dict[str, NDArray[np.int64]]:
    """How often each answer (columns) is given, read at the bodies found, where another is true (rows)."""
    sizes = {"rib": len(Rib), "part": len(Part), "look": len(LOOKS)}
    counts = {question: np.zeros((size, size), np.int64) for question, size in sizes.items()}
    for images, _, answers in batches:
        with torch.no_grad():
            scores = network(images.to(device_of(network))).float().cpu().numpy()
        for found, true in zip(scores, answers.numpy(), strict=True):
            for body in find_bodies(found, MINIMUM_SCORE, 2 * VIEW.spacing_mm[0]):
                here = true[(slice(None), *np.rint(body.middle).astype(int))]
                given = (body.rib_right, body.rib_left, body.part, body.look)
                asked = here[[counted.RIGHT, counted.LEFT, counted.PART, counted.LOOK]]
                for question, is_true, answer in zip(("rib", "rib", "part", "look"), asked, given, strict=True):
                    if is_true != counted.UNASKED:
                        counts[question][is_true, answer.argmax()] += 1
    return counts


def counting_scores(network: nn.Module, batches: Sequence[Batch]) -> dict[str, float]:
    """The mean loss, and the share of right answers at the bodies found."""
    with torch.no_grad():
        losses = [float(counting_loss(network, _on(batch, network))) for batch in batches]
    counts = confusion(network, batches)
    right = {f"{name}_right": float(np.trace(table) / max(table.sum(), 1)) for name, table in counts.items()}
    return {"loss": float(np.mean(losses)), **right}


def _on(batch: Batch, network: nn.Module) -> Batch:
    image, near, answers = (part.to(device_of(network)) for part in batch)
    return image, near, answers


def _head(task: Task, network: nn.Module, batches: Sequence[Batch]) -> Evidence:
    """What the network's answers are worth, counted on cases that it was not trained on."""
    tables = {name: tuple(map(tuple, table.tolist())) for name, table in confusion(network, batches).items()}
    return Evidence(LOOKS, **tables)


def counter() -> Task:
    """Finds bodies and says which ribs join them."""
    nothing = {name: () for name in ("rib", "part", "look")}
    return Task(
        weights="house-counter",
        view=VIEW,
        head=Evidence(LOOKS, **nothing),
        kind=counted.KIND,
        draw=partial(counted.sample, view=VIEW),
        seen=None,
        network=_network,
        loss=counting_loss,
        score=counting_scores,
        rule=Rule("loss", False, OURS),
        schedules=schedules(Schedule(steps=8000, learning_rate=2e-3, minutes=90), small_steps=40),
        batch=2,
        seed=21,
        input_shape=(1, 1, *counted.PATCH),
        measure=_head,
    )


def _network() -> nn.Module:
    return SpineFinder(CHANNELS - 1).to(memory_format=torch.channels_last_3d)


TASKS = {"house-counter": counter}

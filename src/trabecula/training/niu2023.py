"""Trains the three networks of Niu 2023 on virtual patients and exports them: ``python -m trabecula.training.niu2023``.

Each step leaves its result in the work folder and is skipped or resumed when run again.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor, nn

from trabecula.training import batches, data, losses
from trabecula.training.loop import Schedule, train

app = typer.Typer(add_completion=False, help=__doc__)


@dataclass(frozen=True)
class Settings:
    """Training numbers: the paper's where two cores allow, ours where they do not (both are in the recipe)."""

    projections: int = 560
    crops: int = 420
    segment_window_hu: tuple[float, float] = (0.0, 400.0)  # level, width: the paper's
    density_window_hu: tuple[float, float] = (200.0, 800.0)  # the paper's 0/400 saturates at 140 mg/cm3
    density_shape: tuple[int, int, int] = (40, 48, 64)
    bmd_bins: tuple[float, float, int] = (0.0, 300.0, 31)  # first, last, number


SETTINGS = Settings()


def bin_centres() -> Tensor:
    """The densities, mg/cm3, that the network's outputs stand for."""
    first, last, number = SETTINGS.bmd_bins
    return torch.linspace(first, last, number)


@app.command()
def simulate(work: Path, workers: int = 2) -> None:
    """Makes the training shards."""
    first = data.TRAINING_SEED
    data.make_shards(data.projection_shard, work / "projections", range(first, first + SETTINGS.projections), workers)
    data.make_shards(data.crop_shard, work / "crops", range(first, first + SETTINGS.crops), workers)


@app.command()
def localiser(work: Path, minutes: float = 25.0, steps: int = 6000, seed: int = 1) -> None:
    """Trains Faster R-CNN on projections."""
    from trabecula.networks.fasterrcnn import vertebra_detector

    torch.manual_seed(seed)

    def loss(network: nn.Module, batch: Any) -> Tensor:
        parts: dict[str, Tensor] = network(*batch)
        return torch.stack(list(parts.values())).sum()

    train(
        vertebra_detector(),
        batches.detector_batches(work / "projections", seed, 4),
        loss,
        Schedule(steps=steps, learning_rate=1e-3, minutes=minutes, bf16=False),
        work / "localiser",
    )


@app.command()
def segmenter(work: Path, minutes: float = 50.0, steps: int = 4000, seed: int = 2, size: int = 2) -> None:
    """Trains AnatomyNet on patches."""
    from trabecula.networks.anatomynet import AnatomyNet

    torch.manual_seed(seed)

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        image, label = batch
        return losses.dice_cross_entropy(network(image.to(memory_format=torch.channels_last_3d)).float(), label)

    train(
        AnatomyNet().to(memory_format=torch.channels_last_3d),
        batches.segmenter_batches(work / "crops", seed, size, *SETTINGS.segment_window_hu),
        loss,
        Schedule(steps=steps, learning_rate=2e-3, minutes=minutes),
        work / "segmenter",
    )


@app.command()
def densitometer(work: Path, minutes: float = 25.0, steps: int = 3000, seed: int = 3, size: int = 8) -> None:
    """Trains DenseNet-121 on single vertebrae."""
    from trabecula.networks.densenet import DenseNet3d

    torch.manual_seed(seed)
    centres = bin_centres()

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor], centres: Tensor = centres) -> Tensor:
        image, bmd = batch
        scores = network(image.to(memory_format=torch.channels_last_3d)).float()
        # The focal loss alone is content with a wide distribution; the second term centres its expectation.
        error = losses.expected_bmd(scores, centres) - bmd
        return losses.focal(scores, losses.soft_bins(bmd, centres)) + 0.05 * error.abs().mean()

    train(
        DenseNet3d(len(centres)).to(memory_format=torch.channels_last_3d),
        batches.density_batches(work / "crops", seed, size, *SETTINGS.density_window_hu, SETTINGS.density_shape),
        partial(loss),
        Schedule(steps=steps, learning_rate=5e-4, minutes=minutes),
        work / "densitometer",
    )


if __name__ == "__main__":
    app()

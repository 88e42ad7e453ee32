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

from trabecula.flow.localise import CANVAS
from trabecula.inference import WEIGHTS
from trabecula.recipes.niu2023 import CROP, DENSITY
from trabecula.training import batches, data, losses
from trabecula.training.loop import Schedule, load_weights, record_of, train

app = typer.Typer(add_completion=False, help=__doc__)


@dataclass(frozen=True)
class Settings:
    """How many virtual patients are made; what the networks see is the recipe's."""

    projections: int = 560
    crops: int = 420


SETTINGS = Settings()


def bin_centres() -> Tensor:
    """The densities, mg/cm3, that the network's outputs stand for."""
    first, last, number = DENSITY.bins_mg_cm3
    return torch.linspace(first, last, number)


@app.command()
def simulate(work: Path, workers: int = 2) -> None:
    """Makes the training shards."""
    first = data.TRAINING_SEED
    data.make_shards(data.projection_shard, work / "projections", range(first, first + SETTINGS.projections), workers)
    data.make_shards(data.crop_shard, work / "crops", range(first, first + SETTINGS.crops), workers)


@app.command()
def localiser(work: Path, minutes: float = 66.0, steps: int = 6000, seed: int = 1) -> None:
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
def segmenter(work: Path, minutes: float = 92.0, steps: int = 4000, seed: int = 2, size: int = 2) -> None:
    """Trains AnatomyNet on patches."""
    from trabecula.networks.anatomynet import AnatomyNet

    torch.manual_seed(seed)

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        image, label = batch
        return losses.dice_cross_entropy(network(image.to(memory_format=torch.channels_last_3d)).float(), label)

    train(
        AnatomyNet().to(memory_format=torch.channels_last_3d),
        batches.segmenter_batches(work / "crops", seed, size, CROP.window_hu, CROP.spacing_mm),
        loss,
        Schedule(steps=steps, learning_rate=2e-3, minutes=minutes),
        work / "segmenter",
    )


@app.command()
def densitometer(work: Path, minutes: float = 24.0, steps: int = 3000, seed: int = 3, size: int = 16) -> None:
    """Trains DenseNet-121 on single vertebrae."""
    from trabecula.networks.densenet import DenseNet3d

    torch.manual_seed(seed)
    centres = bin_centres()

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor], centres: Tensor = centres) -> Tensor:
        image, bmd = batch
        scores = network(image).float()
        # The focal loss alone is content with a wide distribution; the second term centres its expectation.
        error = losses.expected_bmd(scores, centres) - bmd
        return losses.focal(scores, losses.soft_bins(bmd, centres)) + 0.05 * error.abs().mean()

    train(
        DenseNet3d(len(centres)),
        batches.density_batches(work / "crops", seed, size, DENSITY),
        partial(loss),
        # In bf16 the weight gradients of the last blocks, a voxel or two across, came out infinite (torch 2.15, CPU).
        Schedule(steps=steps, learning_rate=1.5e-4, minutes=minutes, bf16=False, settle_after=0.6),
        work / "densitometer",
    )


@app.command()
def export(work: Path, weights: Path = WEIGHTS, only: str = "") -> None:
    """Writes the ONNX files and their manifest entries."""
    from trabecula.networks.anatomynet import AnatomyNet
    from trabecula.networks.densenet import DenseNet3d
    from trabecula.networks.fasterrcnn import vertebra_detector
    from trabecula.training.export import DetectorForExport
    from trabecula.training.export import export as write

    parts: dict[str, tuple[nn.Module, Tensor]] = {
        "localiser": (vertebra_detector(), torch.rand(1, *CANVAS)),
        "segmenter": (AnatomyNet(), torch.rand(1, 1, *CROP.shape)),
        "densitometer": (DenseNet3d(len(bin_centres())), torch.rand(1, 1, *DENSITY.shape)),
    }
    shards = {"localiser": "projections", "segmenter": "crops", "densitometer": "crops"}
    for name, (network, example) in parts.items():
        if only and name != only:
            continue
        load_weights(network, work / name)
        made = len(list((work / shards[name]).glob("*.npz")))
        entry = {
            "input": list(example.shape),
            "trained_by": f"python -m trabecula.training.niu2023 {name}",
            "data": f"{made} virtual patients from seed {data.TRAINING_SEED} on",
            "schedule": record_of(work / name),
        }
        graph = DetectorForExport(network) if name == "localiser" else network
        write(graph, example, weights / f"niu2023-{name}.onnx", entry)


if __name__ == "__main__":
    app()

"""Trains the two networks of the house recipe on virtual patients: ``python -m trabecula.training.house``.

Each step leaves its result in the work folder and is skipped or resumed when run again.
"""

from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from trabecula.inference import WEIGHTS
from trabecula.networks.unet import BodySegmenter, SpineFinder
from trabecula.recipes.house import FINDER, PATCH
from trabecula.training import data, house_batches, losses
from trabecula.training.loop import Schedule, train

app = typer.Typer(add_completion=False, help=__doc__)

TORSOS, CROPS = 1000, 700
"""How many virtual patients the two networks see."""

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@app.command()
def simulate(work: Path, workers: int = 2) -> None:
    """Makes the training shards: about 0.5 and 1.5 CPU-seconds each."""
    first = data.TRAINING_SEED
    data.make_shards(data.torso_shard, work / "torsos", range(first, first + TORSOS), workers)
    data.make_shards(data.crop_shard, work / "crops", range(first, first + CROPS), workers)


@app.command()
def finder(work: Path, minutes: float = 60.0, steps: int = 6000, seed: int = 11, size: int = 2) -> None:
    """Trains the network that finds and names bodies."""
    torch.manual_seed(seed)
    train(
        SpineFinder().to(memory_format=torch.channels_last_3d).to(DEVICE),
        house_batches.finder_batches(work / "torsos", seed, size, FINDER.window_hu),
        finder_loss,
        Schedule(steps=steps, learning_rate=2e-3, minutes=minutes),
        work / "finder",
        DEVICE,
    )


def finder_loss(network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the middles, which are one voxel in ten thousand and weigh more, and of the bodies' names."""
    image, near, names = (part.to(DEVICE) for part in batch)
    scores = network(image.contiguous(memory_format=torch.channels_last_3d)).float()
    middles = functional.binary_cross_entropy_with_logits(scores[:, 0], near, weight=1 + 30 * near)
    if not (names >= 0).any():
        return 10 * middles
    named = functional.cross_entropy(scores[:, 1:], names, ignore_index=house_batches.UNNAMED)
    return 10 * middles + named


@app.command()
def segmenter(work: Path, minutes: float = 60.0, steps: int = 8000, seed: int = 12, size: int = 4) -> None:
    """Trains the network that outlines one body and its trabecular region."""
    torch.manual_seed(seed)

    def loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        image, label = (part.to(DEVICE) for part in batch)
        return losses.dice_cross_entropy(network(image.contiguous(memory_format=torch.channels_last_3d)).float(), label)

    train(
        BodySegmenter(PATCH.shape).to(memory_format=torch.channels_last_3d).to(DEVICE),
        house_batches.segmenter_batches(work / "crops", seed, size, PATCH.shape, PATCH.spacing_mm, PATCH.window_hu),
        loss,
        Schedule(steps=steps, learning_rate=2e-3, minutes=minutes),
        work / "segmenter",
        DEVICE,
    )


@app.command()
def export(work: Path, weights: Path = WEIGHTS, only: str = "") -> None:
    """Writes the ONNX files and their manifest entries."""
    from trabecula.training.export import export as write
    from trabecula.training.loop import load_weights, record_of

    parts: dict[str, tuple[nn.Module, Any, str]] = {
        "finder": (SpineFinder(), (1, 1, *house_batches.FINDER_PATCH), "torsos"),
        "segmenter": (BodySegmenter(PATCH.shape), (1, 1, *PATCH.shape), "crops"),
    }
    for name, (network, shape, shards) in parts.items():
        if only and name != only:
            continue
        load_weights(network, work / name)
        entry = {
            "input": list(shape),
            "trained_by": f"python -m trabecula.training.house {name}",
            "data": f"{len(list((work / shards).glob('*.npz')))} virtual patients from seed {data.TRAINING_SEED} on",
            "schedule": record_of(work / name),
        }
        write(network, torch.rand(*shape), weights / f"house-{name}.onnx", entry)


if __name__ == "__main__":
    app()

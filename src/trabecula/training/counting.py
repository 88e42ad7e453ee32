"""Trains the network that counts on virtual patients: ``python -m trabecula.training.counting``.

Each step leaves its result in the work folder and is skipped or resumed when run again.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from trabecula.flow.localise.bodies import find_bodies
from trabecula.flow.localise.evidence import CHANNELS, LOOK, LOOKS, MIDDLE, PART, RIB_LEFT, RIB_RIGHT, UPRIGHT
from trabecula.networks.counting import body_counter, start_from_folded
from trabecula.training import counting_batches, data
from trabecula.training.counting_data import counting_shard
from trabecula.training.loop import Schedule, load_weights, record_of, train
from trabecula.view import Evidence, View, head_entry, view_entry
from trabecula.weights import FOLDER

app = typer.Typer(add_completion=False, help=__doc__)

TORSOS = 900
"""How many virtual patients the network sees of one generator."""

VIEW = View(shape=(256, 96, 96), spacing_mm=(data.TORSO_SPACING_MM,) * 3, window_hu=(225.0, 750.0))
"""What it sees in use: 288 mm across, so that the ribs' necks and first 10 cm are in view, and up to 768 mm long."""

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@app.command()
def simulate(work: Path, number: int = TORSOS, first: int = data.TRAINING_SEED, workers: int = 2) -> None:
    """Makes the training shards: about one CPU-second each."""
    data.make_shards(counting_shard, work / "torsos", range(first, first + number), workers)


@app.command()
def counter(
    work: Path,
    minutes: float = 75.0,
    steps: int = 8000,
    seed: int = 21,
    size: int = 2,
    rate: float = 2e-3,
    pool: Annotated[list[str] | None, typer.Option(help="folder=weight of shards beside those of this work")] = None,
) -> None:
    """Trains the network, from the trunk of the shipped ``house-finder`` where nothing was trained yet."""
    torch.manual_seed(seed)
    folders = [(work / "torsos", 1.0)]
    folders += [(Path(folder), float(weight)) for folder, _, weight in (entry.partition("=") for entry in pool or [])]
    batches = counting_batches.counting_batches(folders, seed, size, VIEW.window_hu)
    network = body_counter(CHANNELS)
    if not (work / "counter" / "checkpoint.safetensors").exists():
        _start(network, next(batches)[0])
    train(
        network.to(memory_format=torch.channels_last_3d).to(DEVICE),
        batches,
        counting_loss,
        Schedule(steps=steps, learning_rate=rate, minutes=minutes),
        work / "counter",
        DEVICE,
    )


def _start(network: nn.Module, image: Tensor, shipped: str = "house-finder") -> None:
    """Takes the trunk of a network that finds bodies already; its head's first channel is the middles too."""
    from trabecula.training.export import folded_convolutions

    path = FOLDER / f"{shipped}.onnx"
    if not path.exists():
        return
    folded, plain = folded_convolutions(path)
    taken = start_from_folded(network, folded, plain, image)
    head = network.get_submodule("head")
    with torch.no_grad():
        head.weight[MIDDLE].copy_(plain["head.weight"][0])  # type: ignore[operator,index,union-attr]
        head.bias[MIDDLE].copy_(plain["head.bias"][0])  # type: ignore[operator,index,union-attr]
    print(f"{taken} weights taken from {path.name}")


def counting_loss(network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the middles, which are one voxel in ten thousand and weigh more, and of every answer."""
    image, near, answers = (part.to(DEVICE) for part in batch)
    scores = network(image.contiguous(memory_format=torch.channels_last_3d)).float()
    total = 10 * functional.binary_cross_entropy_with_logits(scores[:, MIDDLE], near, weight=1 + 30 * near)
    ribs_right, ribs_left, part, upright, look = answers.unbind(1)
    for channels, answer, weight in ((RIB_RIGHT, ribs_right, 1.0), (RIB_LEFT, ribs_left, 1.0), (PART, part, 1.0)):
        total = total + weight * _asked(scores[:, channels], answer)
    two = torch.stack([torch.zeros_like(scores[:, UPRIGHT]), scores[:, UPRIGHT]], 1)
    return total + 0.5 * _asked(two, upright) + 0.7 * _asked(scores[:, LOOK], look)


def _asked(scores: Tensor, answer: Tensor) -> Tensor:
    """Mean cross-entropy over the voxels that have an answer; none at all teach nothing."""
    number = (answer != counting_batches.UNASKED).sum().clamp(min=1)
    summed = functional.cross_entropy(scores, answer, ignore_index=counting_batches.UNASKED, reduction="sum")
    return summed / number


@app.command()
def confusion(work: Path, torsos: int = 200, seed: int = 31, minimum_score: float = 0.3) -> None:
    """Counts, on augmented torsos of people kept apart, what the network answers where what is true."""
    network = load_weights(body_counter(CHANNELS), work / "counter")
    pool = counting_batches.Pool([(work / "apart", 1.0)], seed)
    counts = {"rib": np.zeros((3, 3)), "part": np.zeros((5, 5)), "look": np.zeros((len(LOOKS), len(LOOKS)))}
    for _ in track(range(torsos), description="asking"):
        sample = counting_batches.sample_torso(pool.draw(), pool.rng)
        image = counting_batches.window(sample.hu, *VIEW.window_hu)
        with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16):
            scores = network(torch.from_numpy(image)[None, None].to(DEVICE))[0].float().cpu().numpy()
        for body in find_bodies(scores, minimum_score, 2 * data.TORSO_SPACING_MM):
            answers = sample.answers[(slice(None), *np.rint(body.middle).astype(int))]
            given = (body.rib_right, body.rib_left, body.part, body.look)
            for question, true, answer in zip(
                ("rib", "rib", "part", "look"), answers[[0, 1, 2, 4]], given, strict=True
            ):
                if true != counting_batches.UNASKED:
                    counts[question][true, answer.argmax()] += 1
    (work / "counter" / "confusion.json").write_text(json.dumps({k: v.astype(int).tolist() for k, v in counts.items()}))
    for question, table in counts.items():
        print(question, f"{np.trace(table) / table.sum():.3f} right of {table.sum():.0f}", table.astype(int), sep="\n")


@app.command()
def export(work: Path, weights: Path = FOLDER) -> None:
    """Writes the ONNX file and its manifest entry."""
    from trabecula.training.export import export as write

    network = load_weights(body_counter(CHANNELS), work / "counter")
    counts = json.loads((work / "counter" / "confusion.json").read_text())
    shape = (1, 1, *counting_batches.PATCH)
    entry = {
        "view": view_entry(VIEW),
        "head": head_entry(Evidence(LOOKS, counts["rib"], counts["part"], counts["look"])),
        "trained_by": "python -m trabecula.training.counting counter",
        "data": f"{len(list((work / 'torsos').glob('*.npz')))} virtual patients from seed {data.TRAINING_SEED} on",
        "schedule": record_of(work / "counter"),
    }
    write(network, torch.rand(*shape), weights / "house-counter.onnx", entry)


if __name__ == "__main__":
    app()

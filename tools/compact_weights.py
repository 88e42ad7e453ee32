"""Stores a shipped network's weights as int8, where that changes no density that it reads: no training is needed.

    python tools/compact_weights.py niu2023-densitometer [--patients 12]

Every vertebra of virtual patients of both families (seeds 900,000 on, never trained on) is shown to the file as it is
and as int8. Where no density changes by ``answers.BOUNDS`` or more, the file and its entry in the manifest are
replaced. What was found is printed, and kept in the entry.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from trabecula.anatomy import Level
from trabecula.cohort.case import Field
from trabecula.cohort.drawn import drawn_cohort
from trabecula.inference import Network
from trabecula.training.answers import BOUNDS
from trabecula.training.compact import compact, expanded
from trabecula.training.export import enter
from trabecula.training.samples import density, spine
from trabecula.view import Bins, Number, View
from trabecula.volume import Float32
from trabecula.weights import FOLDER, MANIFEST, Weights, weights_from, weights_named

RUNS = 100


def images(view: View, patients: int) -> Iterator[Float32]:
    """Every whole vertebra of the patients of either family as a network sees it."""
    for family in ("a", "b"):
        for at, case in enumerate(drawn_cohort(f"virtual:{patients}:{family}", judging=True).cases):
            shard = spine.cut(case.source.labelled(case.known, spine.KIND.masks, Field.SPINE))
            for label in shard["bmd"][:, 0]:
                (level,) = (one for one in Level if one.verse_id == int(label))
                drawn = density.sample(shard, np.random.default_rng([at, int(label)]), view, (level,))
                if drawn is not None:
                    yield drawn[0][None]


def compacted(weights: Weights, folder: Path) -> dict[str, Any]:
    """Writes the file as int8 into a folder; its manifest entry."""
    entry = dict(json.loads((FOLDER / MANIFEST).read_text(encoding="utf-8"))[weights.name])
    path = folder / weights.file
    onnx.save(compact(expanded(onnx.load(FOLDER / weights.file))), path)
    content = path.read_bytes()
    return entry | {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def seconds(networks: tuple[Network, Network], image: Float32) -> list[float]:
    """The quickest of runs by turns: other work on the machine makes runs slower, never quicker."""
    spent: list[list[float]] = [[], []]
    for _ in range(RUNS):
        for network, times in zip(networks, spent, strict=True):
            started = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - started)
    return [min(times) for times in spent]


def main() -> None:
    """Converts, compares, and replaces the file where it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("--patients", type=int, default=12, help="of each family")
    asked = parser.parse_args()
    before = weights_named(asked.weights)
    head = before.head
    assert isinstance(head, Bins | Number), "for a network that gives a density"
    with tempfile.TemporaryDirectory() as scratch:
        entry = compacted(before, Path(scratch))
        shape = (1, 1, *before.view.shape)
        networks = (Network(before, shape), Network(weights_from(asked.weights, entry, Path(scratch)), shape))
        read = np.array(
            [
                [head.value(network(image)[0][0]) for network in networks]
                for image in images(before.view, asked.patients)
            ]
        )
        times = seconds(networks, np.random.default_rng(0).random(shape, np.float32))
        change = read[:, 1] - read[:, 0]
        found = {
            "stored": "convolutions as int8, from the float16 file",
            "on": f"{len(read)} vertebrae of {2 * asked.patients} virtual patients of families a and b, simulated",
            "change": {"mean": change.mean(), "sd": change.std(ddof=1), "largest": np.abs(change).max()},
            "bound": BOUNDS[head.quantity],
            "time_ratio": times[1] / times[0],
        }
        rounded = json.loads(json.dumps(found, default=float), parse_float=lambda digits: float(f"{float(digits):.3g}"))
        print(json.dumps(rounded, indent=1))
        if not np.abs(change).max() < BOUNDS[head.quantity]:
            raise SystemExit("A density changes by too much; the file stays as it is.")
        (FOLDER / before.file).write_bytes((Path(scratch) / before.file).read_bytes())
        enter(FOLDER / MANIFEST, asked.weights, entry | {"compacted": rounded})


if __name__ == "__main__":
    main()

"""Stores a shipped network's weights as int8, where that changes no density that a recipe reads: no training is needed.

    python tools/compact_weights.py niu2023 niu2023-densitometer [--patients 12]

Virtual patients of both families (seeds 900,000 on, never trained on) are screened up to the densities, with the file
as it is and as int8. Where no density changes by ``answers.BOUNDS`` or more, the file and its entry in the manifest are
replaced. What was found is printed, and kept in the entry.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx

from trabecula import inference
from trabecula.cohort.case import Case
from trabecula.cohort.drawn import drawn_cohort
from trabecula.recipe import Recipe
from trabecula.recipes import recipe_named
from trabecula.records import Readings
from trabecula.training.answers import BOUNDS
from trabecula.training.compact import compact, expanded
from trabecula.training.export import enter
from trabecula.view import Bins
from trabecula.weights import FOLDER, INSTEAD, MANIFEST, catalogue, weights_named

RUNS = 40


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """The networks of a folder instead of those shipped."""
    os.environ[INSTEAD] = str(folder)
    try:
        for cached in (catalogue, inference.network):
            cached.cache_clear()
        yield
    finally:
        del os.environ[INSTEAD]
        for cached in (catalogue, inference.network):
            cached.cache_clear()


def densities(recipe: Recipe, case: Case, folders: tuple[Path, Path]) -> list[tuple[float, float]]:
    """The density of every vertebra of a case, as the networks of either folder give it, mg/cm3."""
    scan = case.load().scan
    spine = recipe.localise(scan)
    assert recipe.segment is not None, "a density of regions needs a segmenter"
    regions = recipe.segment(scan, spine)
    calibration = recipe.calibrate(scan, spine, regions)

    def read(folder: Path) -> Readings:
        with using(folder):
            return recipe.measure(scan, spine, regions, calibration)

    before, after = (read(folder).vertebrae for folder in folders)
    return [(a.density.value, b.density.value) for a, b in zip(before, after, strict=True) if a.density and b.density]


def speed_ratio(name: str, folders: tuple[Path, Path]) -> float:
    """How long the second folder's network takes, the first's being 1: medians of runs by turns."""
    networks = []
    for folder in folders:
        with using(folder):
            shape = (1, 1, *weights_named(name).view.shape)
            networks.append(inference.Network(weights_named(name), shape))
    image = np.random.default_rng(0).random(shape, np.float32)
    seconds: list[list[float]] = [[], []]
    for _ in range(RUNS):
        for network, spent in zip(networks, seconds, strict=True):
            started = time.perf_counter()
            network(image)
            spent.append(time.perf_counter() - started)
    return float(np.median(seconds[1]) / np.median(seconds[0]))


def write(name: str, folder: Path) -> None:
    """The int8 file with its entry."""
    entry = dict(json.loads((FOLDER / MANIFEST).read_text(encoding="utf-8"))[name])
    path = folder / entry["file"]
    onnx.save(compact(expanded(onnx.load(FOLDER / entry["file"]))), path)
    content = path.read_bytes()
    entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "stored": "int8"}
    enter(folder / MANIFEST, name, entry)


def main() -> None:
    """Converts, compares, and replaces the file where it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("weights")
    parser.add_argument("--patients", type=int, default=12, help="of each family")
    asked = parser.parse_args()
    recipe, head = recipe_named(asked.recipe), weights_named(asked.weights).head
    assert isinstance(head, Bins) and asked.weights in recipe.weights, (
        "for a network of the recipe that gives densities"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folders = (FOLDER, Path(scratch))
        write(asked.weights, folders[1])
        pairs = []
        for family in ("a", "b"):
            for case in drawn_cohort(f"virtual:{asked.patients}:{family}", judging=True).cases:
                pairs += densities(recipe, case, folders)
                print(f"{case.name}: {len(pairs)} vertebrae", flush=True)
        change = np.diff(np.array(pairs), axis=1)
        largest = float(np.abs(change).max())
        found = {
            "change_mg_cm3": {"mean": change.mean(), "sd": change.std(ddof=1), "largest": largest},
            "on": f"{len(pairs)} vertebrae of {2 * asked.patients} virtual patients of families a and b, simulated",
            "time_ratio": speed_ratio(asked.weights, folders),
        }
        print(json.dumps(found, indent=1, default=float))
        entry = json.loads((folders[1] / MANIFEST).read_text(encoding="utf-8"))[asked.weights]
        if not largest < BOUNDS[head.quantity]:
            raise SystemExit("A density changes by too much; the file stays as it is.")
        rounded = json.loads(json.dumps(found, default=float), parse_float=lambda digits: float(f"{float(digits):.3g}"))
        (FOLDER / entry["file"]).write_bytes((folders[1] / entry["file"]).read_bytes())
        enter(FOLDER / MANIFEST, asked.weights, entry | {"int8": rounded})


if __name__ == "__main__":
    main()

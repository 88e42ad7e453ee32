"""Training data made from virtual patients: whole-torso projections and spine crops, kept as shards.

A shard is one subject under one protocol. Making one takes one to three CPU-seconds; ``make_shards`` uses every
worker it is given and skips what is already there, so it may be stopped and started again.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import LEVELS, MEASURED_LEVELS, Level
from trabecula.virtual.cohort import draw, scan, spine_grid, torso_grid
from trabecula.virtual.scanner import Protocol, acquire, sample_protocol
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.volume import Grid, Volume, point

CROP_SPACING_MM = (1.25, 1.0, 1.0)
"""Niu 2023's scanner gave 1.25 mm slices of about 0.7 mm pixels; 1 mm halves the arithmetic of a training step."""

TORSO_SPACING_MM = 3.0
"""Of the whole torsos: ribs and discs can be told, and a training step shows half a metre of spine."""

TRAINING_SEED, TEST_SEED = 100_000, 900_000
"""Subjects are counted up from these, so that no test subject is ever trained on."""


def training_subject(seed: int) -> Subject:
    """Every second subject's density is uniform in 20 to 250 mg/cm3, or a regressor would learn age instead."""
    bmd = float(np.random.default_rng([seed, 9]).uniform(20, 250)) if seed % 2 else None
    return sample_subject(seed, bmd)


def projection_shard(seed: int, folder: Path) -> None:
    """One torso from T2 to the hips: its coronal maximum intensity projection and each vertebra's box."""
    subject = training_subject(seed)
    rng = np.random.default_rng([seed, 7])
    top = subject.spine[4].centre_lps_mm[2] + 10
    bottom = subject.vertebra(Level.S1).centre_lps_mm[2] - rng.uniform(60, 150)
    protocol = sample_protocol(rng)
    drawn = draw(subject, torso_grid(subject, (bottom, top), 2.0), protocol.kvp)
    grid = Grid.axial(
        point(drawn.volume.to_lps((np.asarray(drawn.volume.shape) - 1) / 2)), drawn.volume.shape, (2.0, 2.0, 2.0)
    )
    ct = scan_coarse(drawn.volume, protocol, rng, grid)
    boxes = []
    for level in LEVELS:
        z, _, x = np.nonzero(drawn.body == level.verse_id)
        if z.size:
            boxes.append((level.verse_id, z.min(), x.min(), z.max() + 1, x.max() + 1))
    _save(
        folder / f"{seed}.npz",
        projection=ct.hu.max(axis=1).astype(np.int16),
        boxes=np.array(boxes, np.int16),
        spacing_mm=np.float32(2.0),
    )


def scan_coarse(drawn: Volume, protocol: Protocol, rng: np.random.Generator, grid: Grid) -> Volume:
    """A scan on a coarse grid: noise averaged over the coarse voxel, not that of one fine pixel."""
    z, _, x = grid.spacing_mm
    shrink = min(1.0, protocol.pixel_mm / x * 1.5) * min(1.0, np.sqrt(max(protocol.thickness_mm, 0.5) / z))
    return acquire(drawn, replace(protocol, noise_hu=protocol.noise_hu * shrink, noise_peak_per_mm=0.4 / x), rng, grid)


def torso_shard(seed: int, folder: Path) -> None:
    """One torso from T4 to the hips at 3 mm, 300 mm wide: HU and the label of every vertebral body."""
    subject = training_subject(seed)
    rng = np.random.default_rng([seed, 10])
    top = subject.spine[6].centre_lps_mm[2] + 10
    bottom = subject.vertebra(Level.S1).centre_lps_mm[2] - rng.uniform(40, 130)
    protocol = sample_protocol(rng)
    drawn = draw(subject, torso_grid(subject, (bottom, top), TORSO_SPACING_MM), protocol.kvp)
    spacing = (TORSO_SPACING_MM,) * 3
    middle = drawn.volume.to_lps((np.asarray(drawn.volume.shape) - 1) / 2)
    ct = scan_coarse(drawn.volume, protocol, rng, Grid.axial(point(middle), drawn.volume.shape, spacing))
    cut = max(0, (ct.shape[2] - 100) // 2)
    part = np.s_[:, :, cut : cut + 100]
    _save(folder / f"{seed}.npz", hu=np.clip(ct.hu[part], -1024, 3071).astype(np.int16), body=drawn.body[part])


def crop_shard(seed: int, folder: Path, bmd_mg_cm3: float | None = None) -> None:
    """A spine crop of about four vertebrae on the network's grid: HU, trabecular labels, bodies and BMD truth."""
    subject = training_subject(seed) if bmd_mg_cm3 is None else sample_subject(seed, bmd_mg_cm3)
    rng = np.random.default_rng([seed, 8])
    choices = (Level.T12, Level.L1, Level.L2, *LEVELS[2:])
    middle = LEVELS.index(choices[rng.integers(len(choices))])
    top, bottom = LEVELS[max(middle - 1, 0)], LEVELS[min(middle + 1, len(LEVELS) - 1)]
    protocol = sample_protocol(rng)
    drawn = draw(subject, spine_grid(subject, top, bottom, 1.0), protocol.kvp)
    ct = scan(drawn, protocol, 0)
    # No sample may lie outside the scan, or a label would lie on air.
    last = np.asarray(ct.shape) - 1
    z, y, x = (int(e // s) + 1 for e, s in zip(last * np.asarray(ct.spacing_mm), CROP_SPACING_MM, strict=True))
    grid = Grid.axial(point(ct.to_lps(last / 2)), (z, y, x), CROP_SPACING_MM)
    hu = ct.sample(grid)
    labels = _nearest(drawn.volume, drawn.trabecular(protocol.thickness_mm), grid)
    bodies = _nearest(drawn.volume, drawn.body, grid)
    bmd = drawn.bmd()
    _save(
        folder / f"{seed}.npz",
        hu=np.clip(hu, -1024, 3071).astype(np.int16),
        trabecular=labels,
        body=bodies,
        kvp=np.int16(protocol.kvp),
        bmd=np.array([[level.verse_id, bmd[level]] for level in MEASURED_LEVELS if level in bmd], np.float32),
    )


def _nearest(volume: Volume, labels: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    index = np.linalg.inv(volume.affine) @ grid.affine
    parts = [
        np.clip(np.rint(index[axis, axis] * np.arange(n) + index[axis, 3]), 0, volume.shape[axis] - 1).astype(int)
        for axis, n in enumerate(grid.shape)
    ]
    return labels[np.ix_(*parts)]


def _save(path: Path, **arrays: object) -> None:
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    partial.rename(path)


def make_shards(make: Callable[[int, Path], None], folder: Path, seeds: range, workers: int | None = None) -> None:
    """Makes the missing shards among ``seeds`` with a progress bar."""
    from rich.progress import track

    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not (folder / f"{seed}.npz").exists()]
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        jobs = [pool.submit(make, seed, folder) for seed in missing]
        for job in track(jobs, description=f"making {folder.name}"):
            job.result()

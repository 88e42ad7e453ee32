"""Shards for the network that counts: whole torsos at 3 mm with the truth about every vertebral body."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trabecula.training.data import TORSO_SPACING_MM, _save, scan_coarse
from trabecula.virtual.cohort import draw, torso_grid
from trabecula.virtual.findings import Rates
from trabecula.virtual.scanner import sample_protocol
from trabecula.virtual.subject import Numbering, Subject, sample_subject
from trabecula.volume import Grid, point

RATES = replace(
    Rates(),
    sacralised=0.10,
    four_lumbar=0.08,
    lumbarised=0.08,
    thirteen_ribs=0.06,
    eleven_ribs=0.08,
    short_rib12=0.35,
    lumbar_ribs=0.12,
)
"""Variants are drawn far more often than they are met: counting must not lean on the usual."""

COLUMNS, ROWS = 112, 84
"""Kept of a torso: 336 mm across and 252 mm from the back to the front, more than the network sees at once."""

NAMED_AS_USUAL = (Numbering.REGULAR, Numbering.SACRALISED)
"""Where looks may teach names: in other people they mislead, and only counting can tell."""


def rib_mm(subject: Subject, name: str) -> tuple[float, float]:
    """The length along its arc of the rib that joins a vertebra, right and left; 0 where there is none."""
    if name in {f"T{k}" for k in range(1, 12)}:
        return 200.0, 200.0
    length = {"T12": subject.rib12_mm, "T13": subject.rib13_mm, "L1": subject.lumbar_ribs_mm}.get(name, 0.0)
    return length * subject.scale, length * subject.scale


def counting_shard(seed: int, folder: Path) -> None:
    """One torso from the neck to the hips: HU, the label of every body, and a row about each of them.

    ``about`` rows: VerSe id, middle (z, y, x) in voxels, rib lengths right and left in mm, whether it is joined to the
    sacrum, whether its name may be learnt from looks.
    """
    rng = np.random.default_rng([seed, 10])
    subject = sample_subject(seed, rates=RATES)
    top = subject.spine[int(rng.integers(0, 3))].centre_lps_mm[2] + rng.uniform(-10, 30)
    bottom = subject.by_name["S1"].centre_lps_mm[2] - rng.uniform(20, 110)
    protocol = sample_protocol(rng)
    drawn = draw(subject, torso_grid(subject, (bottom, top), TORSO_SPACING_MM), protocol.kvp)
    middle = drawn.volume.to_lps((np.asarray(drawn.volume.shape) - 1) / 2)
    ct = scan_coarse(
        drawn.volume, protocol, rng, Grid.axial(point(middle), drawn.volume.shape, (TORSO_SPACING_MM,) * 3)
    )
    rows, columns = (max(0, n - keep) for n, keep in zip(ct.shape[1:], (ROWS, COLUMNS), strict=True))
    start = np.array([0, rows, columns // 2])
    part = np.s_[:, rows:, columns // 2 : columns // 2 + COLUMNS]
    named = subject.numbering in NAMED_AS_USUAL
    about = [
        (v.verse_id, *(ct.to_index(np.array(v.centre_lps_mm)) - start), *rib_mm(subject, v.name), max(v.ala_mm), named)
        for v in subject.spine
    ]
    _save(
        folder / f"{seed}.npz",
        hu=np.clip(ct.hu[part], -1024, 3071).astype(np.int16),
        body=drawn.body[part],
        about=np.array(about, np.float32),
    )

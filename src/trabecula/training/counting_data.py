"""Shards for the network that counts: torsos at 3 mm with the truth about every vertebral body."""

from pathlib import Path

import numpy as np

from trabecula.training.data import TORSO_SPACING_MM, _save
from trabecula.virtual.counting import CountingTruth
from trabecula.virtual.numbering import Numbering
from trabecula.virtual.torso import draw_torso

COLUMNS, ROWS = 112, 84
"""Kept of a torso about its spine: 336 mm across and 252 mm deep, more than the network sees at once."""

NAMED_AS_USUAL = (Numbering.REGULAR, Numbering.SACRALISED)
"""Where looks may teach names: in other people they mislead, and only counting can tell."""


def counting_shard(seed: int, folder: Path) -> None:
    """One torso: HU, the label of every body, and a row about each of them, in view or not.

    Every second one is shown whole, from the neck to the hips, the others in some field of view. ``about`` rows: VerSe
    id, middle (z, y, x) in voxels, rib lengths right and left in mm, whether it is joined to the sacrum, whether its
    name may be learnt from its looks.
    """
    torso = draw_torso(seed, TORSO_SPACING_MM, field="trunk" if seed % 2 else None)
    volume = torso.volume
    middles = volume.to_index(np.array([body.centre_lps_mm for body in torso.truth.bodies]))
    inside = ((middles >= 0) & (middles < volume.shape)).all(axis=1)
    _, y, x = middles[inside].mean(axis=0) if inside.any() else np.array(volume.shape) / 2
    start = np.array(
        [0, _first(y - 0.6 * ROWS, volume.shape[1], ROWS), _first(x - COLUMNS / 2, volume.shape[2], COLUMNS)]
    )
    part = np.s_[:, start[1] : start[1] + ROWS, start[2] : start[2] + COLUMNS]
    named = torso.truth.numbering in NAMED_AS_USUAL
    joined = _joined(torso.truth)
    about = [
        (body.verse_id, *(middle - start), *body.rib_mm, body.name == joined, named)
        for body, middle in zip(torso.truth.bodies, middles, strict=True)
    ]
    _save(
        folder / f"{seed}.npz",
        hu=np.clip(volume.hu[part], -1024, 3071).astype(np.int16),
        body=torso.body[part],
        about=np.array(about, np.float32),
    )


def _first(wanted: float, there: int, keep: int) -> int:
    return int(np.clip(round(wanted), 0, max(0, there - keep)))


def _joined(truth: CountingTruth) -> str | None:
    """The last free vertebra, where a joint or bone joins it to the sacrum (Castellvi II to IV)."""
    if not {"joint", "bone"} & set(truth.castellvi_sides):
        return None
    names = [body.name for body in truth.bodies]
    return names[names.index(truth.sacrum) - 1]

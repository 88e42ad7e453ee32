"""A contact sheet of virtual people, for judging by eye whether they could be people."""

from collections.abc import Callable
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trabecula.anatomy import Level
from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.virtual.cohort import draw, scan, torso_grid
from trabecula.virtual.families import FAMILIES, sample_person
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import Subject
from trabecula.volume import Volume

if TYPE_CHECKING:
    from PIL import Image

SPACING_MM = 2.0
PROTOCOL = Protocol(
    pixel_mm=SPACING_MM, thickness_mm=SPACING_MM, increment_mm=SPACING_MM, psf_fwhm_mm=1.3, noise_hu=9.0
)
SOFT_WINDOW_HU = (-160.0, 450.0)
BONE_WINDOW_HU = (-100.0, 900.0)
_COLOURS = ("#ffb000", "#40b0ff")  # of every second body
COLUMNS = 2
"""People beside one another; each has four pictures."""


def gallery(out: Path, number: int, seed: int, family: str, progress: Callable[[int], None]) -> None:
    """Writes a PNG of ``number`` people from the neck to the hips. ``progress`` gets the number drawn.

    Of each: mid-sagittal, coronal through the spine, axial at T7 and at L2 with the bodies' outlines, and the coronal
    maximum intensity projection.

    Raises:
        WrongUsage: no people, an unknown family, or a file that cannot be written.
    """
    if number < 1:
        raise wrong_usage("nothing-ordered", number=number)
    if family not in FAMILIES:
        raise wrong_usage("unknown-family", name=family, choices=tuple(FAMILIES))
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = -(-number // COLUMNS)
    figure, axes = plt.subplots(rows, 4 * COLUMNS, figsize=(4 * COLUMNS * 1.7, rows * 2.6), squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for n in range(number):
        row, column = divmod(n, COLUMNS)
        _person(axes[row, 4 * column : 4 * column + 4], sample_person(seed + n, family=family))
        progress(n + 1)
    figure.text(0.5, 0.002, "Virtual patients: simulated, nobody's scan.", ha="center", fontsize=7)
    figure.tight_layout(pad=0.4, rect=(0, 0.012, 1, 1))
    drawn = BytesIO()
    figure.savefig(drawn, dpi=80, format="png")
    plt.close(figure)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.open(drawn).convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE).save(
            out, format="png", optimize=True
        )
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error


def _palette() -> "Image.Image":
    """128 greys, and both outlines over 16 of them in four strengths: a smaller file than in all colours."""
    from PIL import Image

    flat = [part for grey in (*range(0, 254, 2), 255) for part in (grey, grey, grey)]
    for outline in _COLOURS:
        rgb = [int(outline[i : i + 2], 16) for i in (1, 3, 5)]
        for grey in range(0, 256, 17):
            for strength in (0.25, 0.5, 0.75, 1.0):
                flat += [round(part * strength + grey * (1 - strength)) for part in rgb]
    picture = Image.new("P", (1, 1))
    picture.putpalette(flat)
    return picture


def caption(subject: Subject) -> str:
    """Who a person is and what they have, in two or three lines."""
    found: dict[str, list[str]] = {}
    for v in subject.spine:
        if v.name[0] in "TLS":
            for name, value in asdict(v.findings).items():
                if value and name not in ("schmorl_upper", "osteophyte_mm"):
                    kind = name.removesuffix("_mm").split("_")[0]
                    if v.name not in found.setdefault(kind, []):
                        found[kind].append(v.name)
    findings = "; ".join(
        f"{kind} {', '.join(names[:3])}{'…' if len(names) > 3 else ''}" for kind, names in found.items()
    )
    bmd = (subject.vertebra(Level.L1).bmd_k2hpo4 + subject.vertebra(Level.L2).bmd_k2hpo4) / 2
    who = f"{subject.seed}: {subject.sex} {subject.age_years:.0f} y, {bmd:.0f} mg/cm3, {subject.numbering}"
    return f"{who}\n{findings or 'no findings'}"


def _person(axes: Any, subject: Subject) -> None:
    top = subject.vertebra(Level.C7).centre_lps_mm[2]
    bottom = subject.vertebra(Level.S1).centre_lps_mm[2] - 105
    drawn = draw(subject, torso_grid(subject, (bottom, top), SPACING_MM, 420.0))
    ct = scan(drawn, PROTOCOL, 0)
    body = _nearest(drawn.body, drawn.volume, ct)
    chest, belly = (
        round(float(ct.to_index(np.array(subject.vertebra(level).centre_lps_mm))[0])) for level in (Level.T7, Level.L2)
    )
    _, y, x = (round(i) for i in ct.to_index(np.array(subject.vertebra(Level.L3).centre_lps_mm)))
    views = (
        (ct.hu[::-1, :, x], body[::-1, :, x], SOFT_WINDOW_HU),
        (ct.hu[::-1, y], body[::-1, y], SOFT_WINDOW_HU),
        (ct.hu[::-1].max(axis=1), None, BONE_WINDOW_HU),
        (np.concatenate(ct.hu[[chest, belly]]), np.concatenate(body[[chest, belly]]), SOFT_WINDOW_HU),
    )
    for axis, (hu, labels, window) in zip(axes, views, strict=True):
        axis.imshow(hu, cmap="gray", vmin=window[0], vmax=window[1], interpolation="bilinear")
        if labels is not None:
            for label in np.unique(labels[labels > 0]):
                axis.contour(labels == label, [0.5], colors=[_COLOURS[int(label) % 2]], linewidths=0.5)
    axes[0].set_title(caption(subject), fontsize=5.5, loc="left")


def _nearest(labels: Any, of: Volume, ct: Volume) -> Any:
    """Labels of one grid at the voxels of another whose axes are parallel."""
    index = np.linalg.inv(of.affine) @ ct.affine
    parts = [
        np.clip(np.rint(index[a, a] * np.arange(n) + index[a, 3]), 0, of.shape[a] - 1).astype(int)
        for a, n in enumerate(ct.shape)
    ]
    return labels[np.ix_(*parts)]

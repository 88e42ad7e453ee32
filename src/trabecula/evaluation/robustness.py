"""Does a reading survive what must not change it? ``python -m trabecula.evaluation.robustness CT... --recipe house``.

Each CT is read as it is, then resampled, cropped, stored in another order, made noisy and turned. No truth is needed: a
vertebra holds when it keeps its name and its mean HU within ``HU_LIMIT``, or is withheld with a reason.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from trabecula.anatomy import Level
from trabecula.errors import TrabeculaError
from trabecula.evaluation.tables import markdown
from trabecula.flow.read import read
from trabecula.line import screen
from trabecula.recipe import Recipe
from trabecula.recipes import DEFAULT, recipe_named
from trabecula.records import Assessment, Scan
from trabecula.volume import PADDING_HU, Float64, Grid, Volume

HU_LIMIT = 5.0
SAME_PLACE_MM = 12.0
NOISE_HU = 20.0
TURN_DEG = 10.0

STILL = np.eye(4)


@dataclass(frozen=True)
class Change:
    """A scan changed, and the rigid movement of the patient that came with it (LPS mm)."""

    name: str
    volume: Volume
    moved: Float64


def changes(volume: Volume, middles: dict[Level, Float64]) -> list[Change]:
    """Every change that the field of view allows; ``middles`` (LPS mm) say where to crop."""
    made = [Change(f"slices of {mm} mm", _resliced(volume, float(mm)), STILL) for mm in (1, 3, 5)]
    if Level.L2 in middles and Level.L3 in middles:
        made.append(Change("nothing above L3", _cropped(volume, middles[Level.L2], middles[Level.L3], False), STILL))
    if Level.T12 in middles and Level.L1 in middles:
        made.append(Change("nothing below T12", _cropped(volume, middles[Level.T12], middles[Level.L1], True), STILL))
    for name, axes in (("columns", (2,)), ("rows", (1,)), ("slices", (0,)), ("all", (0, 1, 2))):
        made.append(Change(f"{name} stored backwards", _stored_backwards(volume, axes), STILL))
    noise = np.random.default_rng(0).standard_normal(volume.shape, dtype=np.float32) * np.float32(NOISE_HU)
    noisy = np.where(volume.hu > PADDING_HU, np.round(volume.hu + noise), volume.hu)
    made.append(Change(f"noise of {NOISE_HU:.0f} HU added", Volume(noisy.astype(np.float32), volume.affine), STILL))
    for name, axis in (("long", 2), ("transverse", 0), ("sagittal", 1)):
        made.append(_turned(volume, f"turned {TURN_DEG:.0f} degrees about the {name} axis", axis))
    return made


def _resliced(volume: Volume, thickness_mm: float) -> Volume:
    """Slices of another thickness: means over the old ones where thicker, interpolated where thinner."""
    step = thickness_mm / volume.spacing_mm[0]
    old = np.arange(volume.shape[0])
    if step > 1:
        at = (np.arange(int(volume.shape[0] / step)) + 0.5) * step - 0.5
        reach = np.minimum(old + 0.5, at[:, None] + step / 2) - np.maximum(old - 0.5, at[:, None] - step / 2)
        share = np.maximum(reach, 0) / step
    else:
        at = np.arange(0, volume.shape[0] - 1 + 1e-6, step)
        share = np.maximum(1 - np.abs(at[:, None] - old), 0)
    index = np.eye(4)
    index[0, 0], index[0, 3] = step, at[0]
    return Volume(np.tensordot(share.astype(np.float32), volume.hu, 1), volume.affine @ index)


def _cropped(volume: Volume, upper: Float64, lower: Float64, keep_above: bool) -> Volume:
    """The scan on one side of the middle between two vertebrae."""
    z = round(float(volume.to_index((upper + lower) / 2)[0]))
    part = slice(z, None) if keep_above else slice(0, z)
    shift = np.eye(4)
    shift[0, 3] = part.start
    return Volume(volume.hu[part], volume.affine @ shift)


def _stored_backwards(volume: Volume, axes: tuple[int, ...]) -> Volume:
    """The same patient with axes stored the other way round; the affine says so."""
    index = np.eye(4)
    for axis in axes:
        index[axis, axis], index[axis, 3] = -1, volume.shape[axis] - 1
    return Volume(np.ascontiguousarray(np.flip(volume.hu, axes)), volume.affine @ index)


def _turned(volume: Volume, name: str, axis: int) -> Change:
    """The patient turned about an axis of LPS through the scan's middle, scanned on the same grid."""
    angle = np.radians(TURN_DEG)
    turn = np.eye(4)
    i, j = [k for k in range(3) if k != axis]
    turn[[i, i, j, j], [i, j, i, j]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    middle = np.eye(4)
    middle[:3, 3] = volume.to_lps((np.asarray(volume.shape) - 1) / 2)
    moved = middle @ turn @ np.linalg.inv(middle)
    grid = Grid(volume.shape, np.linalg.inv(moved) @ volume.affine)
    return Change(name, Volume(volume.sample(grid), volume.affine), moved)


@dataclass(frozen=True)
class Finding:
    """What became of the vertebrae under one change."""

    change: str
    kept: int  # same name, mean HU within the limit
    withheld: int  # or unnamed, with a reason
    out_of_view: int
    broken: tuple[str, ...]  # what neither holds for, in words
    worst_hu: float


def compare(base: Assessment, changed: Assessment, change: Change) -> Finding:
    """Holds every vertebra measured in the original against the one found in its place."""
    kept = withheld = outside = 0
    broken, differences = [], [0.0]
    found = changed.readings.vertebrae
    doubt = ", and said to be uncertain" if changed.spine.reasons else ""
    for one in base.readings.vertebrae:
        if one.withheld:
            continue
        place = (change.moved @ [*one.centroid_lps_mm, 1.0])[:3]
        z = changed.scan.volume.to_index(place)[0] * changed.scan.volume.spacing_mm[0]
        if not 15 < z < changed.scan.volume.shape[0] * changed.scan.volume.spacing_mm[0] - 15:
            outside += 1
            continue
        near = [v for v in found if np.linalg.norm(np.subtract(v.centroid_lps_mm, place)) < SAME_PLACE_MM]
        if not near:
            box = changed.spine.find(one.level)
            broken.append(f"{one.level} {'not outlined' if box else 'not found'}")
        elif near[0].withheld or not near[0].level.is_named:
            withheld += 1
        elif near[0].level != one.level:
            broken.append(f"{one.level} called {near[0].level}{doubt}")
        else:
            difference = near[0].mean_hu - one.mean_hu
            differences.append(abs(difference))
            if abs(difference) > HU_LIMIT:
                broken.append(f"{one.level} {difference:+.1f} HU")
            else:
                kept += 1
    return Finding(change.name, kept, withheld, outside, tuple(broken), max(differences))


def examine(scan: Scan, recipe: Recipe, progress: Callable[[str], None] = lambda name: None) -> list[Finding]:
    """All changes of one scan, each written to a file and read again as any CT."""
    progress("as it is")
    base = screen(scan, recipe)
    middles = {v.level: np.asarray(v.centroid_lps_mm) for v in base.readings.vertebrae}
    findings = []
    for change in changes(scan.volume, middles):
        progress(change.name)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ct.nii.gz"
            _write(change.volume, path)
            try:
                findings.append(compare(base, screen(read(path), recipe), change))
            except TrabeculaError as error:
                findings.append(Finding(change.name, 0, 0, 0, (f"refused: {error.code}",), 0.0))
    return findings


def _write(volume: Volume, path: Path) -> None:
    import nibabel as nib

    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.clip(volume.hu, -3024, 3071).astype(np.int16).transpose(2, 1, 0), ras)
    nib.save(image, path)


def page(results: dict[str, list[Finding]], command: str, recipe: str) -> str:
    """The results page: a row a change and CT."""
    rows = [
        (name, f.change, f.kept, f.withheld, f.out_of_view, f"{f.worst_hu:.1f}", "; ".join(f.broken) or "-")
        for name, findings in results.items()
        for f in findings
    ]
    judged = sum(f.kept + f.withheld + len(f.broken) for findings in results.values() for f in findings)
    broken = sum(len(f.broken) for findings in results.values() for f in findings)
    heads = ("CT", "change", "kept", "withheld", "out of view", "worst difference, HU", "does not hold")
    return (
        f"# {recipe}: what must not change a reading\n\n"
        f"Made by `{command}`. Each CT is read as it is and then changed; a vertebra is kept when it has the same name "
        f"and a mean HU within {HU_LIMIT:.0f} of the unchanged reading. Withheld ones carry a reason, or have no name "
        f"where too little is in view to tell. **{judged - broken} of {judged} readings hold.**\n\n"
        + markdown(heads, rows)
        + "\n"
    )


def main(
    cts: Annotated[list[Path], typer.Argument(help="CTs: DICOM folders or NIfTI files.")],
    recipe: Annotated[str, typer.Option()] = DEFAULT,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/results/robustness.md"),
) -> None:
    """Examines CTs and writes the page."""
    from rich.console import Console

    console = Console(stderr=True)
    results = {}
    for path in cts:
        name = path.parent.name if path.is_file() else path.name
        with console.status(name) as status:
            results[name] = examine(read(path), recipe_named(recipe), status.update)
    out.parent.mkdir(parents=True, exist_ok=True)
    command = f"python -m trabecula.evaluation.robustness CTS --recipe {recipe}"
    out.write_text(page(results, command, recipe), encoding="utf-8")
    print(out)


if __name__ == "__main__":
    typer.run(main)

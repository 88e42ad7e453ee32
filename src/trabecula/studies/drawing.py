"""A region that a reader outlines anew: where it lies on the scan, and what the recipe measures in it."""

import gzip
import io
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.disk import sync_file, sync_folder, sync_tree
from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.flow.segment.region import CRUMB_MM3
from trabecula.formats.given import RAS_FROM_LPS
from trabecula.messages import Phrase
from trabecula.recipe import Recipe
from trabecula.records import Assessment, Effect, Regions, VertebraReading, VertebraRegion, reason
from trabecula.studies import viewer
from trabecula.studies.correction import sentence
from trabecula.studies.result import Result
from trabecula.studies.sentences import cannot, wrong
from trabecula.volume import Float64, Volume, point

KEPT_LABELS = "labels.npz"
MOST_VOXELS = 20_000_000
BY_READER = ("renamed-by-reader",)
"""What a reader has said of a vertebra, and what another outline leaves true."""


@dataclass(frozen=True)
class Outline:
    """What was drawn in the viewer: a part of the spine's close-up from voxel ``low`` on, both in (x, y, z)."""

    level: Level
    low: tuple[int, int, int]
    inside: NDArray[np.bool_]


def outline_from(level: Level, low: tuple[int, int, int], size: tuple[int, int, int], packed: bytes) -> Outline:
    """An outline as the page sends it: one bit a voxel, x first, gzip.

    Raises:
        WrongUsage: it is none.
    """
    count = size[0] * size[1] * size[2]
    if min(*low, *(one - 1 for one in size)) < 0 or count > MOST_VOXELS:
        raise damaged()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            bits = file.read(count // 8 + 2)
    except (OSError, EOFError) as error:
        raise damaged() from error
    if len(bits) != -(-count // 8):
        raise damaged()
    inside = np.unpackbits(np.frombuffer(bits, np.uint8), count=count).astype(bool)
    return Outline(level, low, inside.reshape(size[::-1]).transpose(2, 1, 0))


def damaged() -> WrongUsage:
    """What came is no outline."""
    return wrong("outline-damaged")


def keep_labels(folder: Path, labels: NDArray[np.uint8], drawn: int = 0) -> None:
    """Keeps the regions, (z, y, x) and as the program named them; those that version ``drawn`` outlined by its number.

    Raises:
        TrabeculaError: the disk has no room; nothing is left of it then.
    """
    path = folder / _kept_name(drawn)
    unfinished = path.with_name(f"part-{path.name}")
    try:
        np.savez_compressed(unfinished, labels=labels)
        sync_file(unfinished)
        unfinished.replace(path)
        sync_folder(folder)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise full() from error


def kept_labels(folder: Path, drawn: int = 0) -> NDArray[np.uint8]:
    """The regions as the program named them, (z, y, x)."""
    with np.load(folder / _kept_name(drawn), allow_pickle=False) as held:
        labels: NDArray[np.uint8] = held["labels"]
    return labels


def full() -> TrabeculaError:
    """No room for a region."""
    return cannot("disk-full.region")


def keep_outline(folder: Path, kept: Result, based_on: int, number: int, outline: Outline) -> VertebraRegion:
    """Keeps the regions of version ``number``, which differ by one outline from those of version ``based_on``.

    Returns what there is to say of the new region.

    Raises:
        WrongUsage: nothing is inside, or nothing was changed.
        TrabeculaError: the disk has no room.
    """
    first = {now: first for first, now in kept.names.items()}[outline.level]
    volume = kept.assessment.scan.volume
    labels = kept_labels(folder, based_on)
    if not _redrawn(labels, volume, first, outline, _view_affine(folder)):
        raise wrong("nothing-drawn")
    index = np.argwhere(labels == first.verse_id)
    size_mm3 = float(len(index) * volume.voxel_volume_mm3)
    if size_mm3 < CRUMB_MM3:
        raise wrong("outline-small", size=size_mm3, least=CRUMB_MM3)
    keep_labels(folder, labels, number)
    try:
        viewer.write_labels(volume, labels, folder / "view" / viewer.labels_name(number))
        sync_tree(folder / "view")
    except OSError as error:
        drop_outline(folder, number)
        raise full() from error
    assert kept.assessment.regions is not None
    before = kept.assessment.regions.find(outline.level)
    assert before is not None
    middle = point(volume.to_lps(index.mean(axis=0)))
    return replace(before, centroid_lps_mm=middle, volume_mm3=size_mm3, confidence=1.0, reasons=())


def drop_outline(folder: Path, number: int) -> None:
    """Takes back what ``keep_outline`` kept."""
    (folder / _kept_name(number)).unlink(missing_ok=True)
    (folder / "view" / (viewer.labels_name(number) + viewer.PACKED)).unlink(missing_ok=True)


def waiting(kept: Result, region: VertebraRegion, recipe: Recipe) -> tuple[Result, tuple[Phrase, ...]]:
    """The result until the new region is measured: its vertebra has no number, the others are as they were."""
    found = kept.assessment
    level = region.level
    change = Phrase("change-redrawn", {"level": level})
    vertebrae = tuple(_waiting(one, region) if one.level == level else one for one in found.readings.vertebrae)
    note = reason("corrected-by-reader", Effect.NOTE, changes=(change,))
    joint = found.readings.joint
    joint = None if joint is not None and level in joint.levels else joint
    readings = replace(found.readings, vertebrae=vertebrae, reasons=(*found.readings.reasons, note), joint=joint)
    made = replace(found, regions=_with(found, region), readings=readings, diagnosis=recipe.diagnose(readings))
    return Result(made, kept.names), (sentence(change),)


def measured_anew(whole: Assessment, level: Level, recipe: Recipe) -> Assessment:
    """The assessment with what the recipe measures in the region of ``level``; the other vertebrae are as they were."""
    assert whole.regions is not None
    measured = recipe.measure(whole.scan, whole.spine, whole.regions, whole.calibration)
    checked = recipe.exclude(whole.scan, whole.spine, whole.regions, whole.calibration, measured)
    new = {one.level: one for one in checked.vertebrae}
    note = reason("outlined-by-reader", Effect.NOTE, level=level)
    vertebrae = []
    for one in whole.readings.vertebrae:
        if one.level == level and level in new:
            said = [known for known in one.reasons if known.code in BY_READER]
            one = replace(new[level], reasons=(*new[level].reasons, *said, note))
        vertebrae.append(one)
    readings = replace(whole.readings, vertebrae=tuple(vertebrae), joint=checked.joint)
    return replace(whole, readings=readings, diagnosis=recipe.diagnose(readings))


def _waiting(one: VertebraReading, region: VertebraRegion) -> VertebraReading:
    said = tuple(known for known in one.reasons if known.code in BY_READER)
    return VertebraReading(
        level=one.level,
        centroid_lps_mm=region.centroid_lps_mm,
        volume_mm3=region.volume_mm3,
        mean_hu=float("nan"),
        sd_hu=float("nan"),
        density=None,
        reasons=(*said, reason("region-waits", Effect.WITHHOLD, level=one.level)),
    )


def _with(found: Assessment, region: VertebraRegion) -> Regions | None:
    if found.regions is None:
        return None
    vertebrae = tuple(region if one.level == region.level else one for one in found.regions.vertebrae)
    return replace(found.regions, vertebrae=vertebrae)


def _redrawn(
    labels: NDArray[np.uint8], volume: Volume, level: Level, outline: Outline, view_affine_ras: Float64
) -> bool:
    """Changes the labels where the drawing differs from them; whether it does anywhere.

    The close-up may be coarser than the scan: a voxel of the scan is changed only where the voxel of the close-up that
    it lies in was. What belongs to another vertebra stays with it.
    """
    label = level.verse_id
    view_from_scan = np.linalg.inv(view_affine_ras) @ RAS_FROM_LPS @ volume.affine  # (x, y, z) of (z, y, x)
    scan_from_view = np.linalg.inv(view_from_scan)
    corners = np.array([outline.low, np.add(outline.low, outline.inside.shape)]) - 0.5
    places = np.array(np.meshgrid(*corners.T, indexing="ij")).reshape(3, -1)
    reach = scan_from_view[:3, :3] @ places + scan_from_view[:3, 3:]
    low = np.clip(np.floor(reach.min(axis=1)), 0, volume.shape).astype(int)
    high = np.clip(np.ceil(reach.max(axis=1)) + 1, low, volume.shape).astype(int)
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*(np.arange(one.start, one.stop) for one in part), indexing="ij"), axis=-1)
    cell = np.rint(index @ view_from_scan[:3, :3].T + view_from_scan[:3, 3]).astype(int)
    held = np.clip(cell - outline.low, 0, np.array(outline.inside.shape) - 1)
    within = (cell - outline.low == held).all(axis=-1)
    drawn = outline.inside[tuple(np.moveaxis(held, -1, 0))]
    middle = np.rint(cell @ scan_from_view[:3, :3].T + scan_from_view[:3, 3]).astype(int)
    middle = np.clip(middle, 0, np.array(volume.shape) - 1)
    before = labels[tuple(np.moveaxis(middle, -1, 0))] == label
    here = labels[part]
    changed = within & (drawn != before) & ((here == label) | (here == 0)) & ((here == label) != drawn)
    here[changed] = np.where(drawn[changed], label, 0)
    return bool(changed.any())


def _view_affine(folder: Path) -> Float64:
    content = viewer.packed(folder / "view", viewer.SPINE)
    if content is None:
        raise damaged()
    header = gzip.GzipFile(fileobj=io.BytesIO(content)).read(viewer.NIFTI_HEADER_BYTES)
    affine: Float64 = nib.Nifti1Header.from_fileobj(io.BytesIO(header)).get_best_affine()
    return affine


def _kept_name(drawn: int) -> str:
    return f"labels-{drawn}.npz" if drawn else KEPT_LABELS

"""A region outlined anew: what was drawn in the viewer lies where it was drawn, on whatever grid the scan has."""

import gzip
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.messages import Phrase
from trabecula.quantity import Measurement
from trabecula.recipes import RECIPES
from trabecula.records import (
    Acquisition,
    Assessment,
    Calibration,
    Readings,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
    VertebraRegion,
)
from trabecula.studies import drawing, viewer
from trabecula.studies.drawing import Outline, keep_labels, keep_outline, kept_labels, outline_from
from trabecula.studies.result import Result, first_result
from trabecula.volume import Orientation, Volume

LEVEL, OTHER = Level.L1, Level.L2
HOUSE = RECIPES["house"]


def affine(spacing_mm: tuple[float, float, float], tilt: float = 0.0) -> np.ndarray:
    """Of (z, y, x) to LPS, slices tilted about x by an angle."""
    z, y, x = spacing_mm
    made = np.zeros((4, 4))
    made[0, 2], made[3, 3] = x, 1.0
    made[1:3, 0] = np.array([np.sin(tilt), np.cos(tilt)]) * z
    made[1:3, 1] = np.array([np.cos(tilt), -np.sin(tilt)]) * y
    made[:3, 3] = -20.0, -100.0, 300.0
    return made


def kept_study(folder: Path, spacing_mm: tuple[float, float, float], tilt: float = 0.0) -> Result:
    """A scan of 60 mm each way with two regions as the worker leaves it."""
    shape = tuple(round(60 / one) for one in spacing_mm)
    volume = Volume(np.zeros(shape, np.float32), affine(spacing_mm, tilt))
    labels = np.zeros(shape, np.uint8)
    z, y, x = (np.arange(count) * step for count, step in zip(shape, spacing_mm, strict=True))
    inside = (abs(y - 30) < 10)[None, :, None] & (abs(x - 30) < 12)[None, None, :]
    labels[np.broadcast_to(inside & (abs(z - 42) < 8)[:, None, None], shape)] = LEVEL.verse_id
    labels[np.broadcast_to(inside & (abs(z - 14) < 8)[:, None, None], shape)] = OTHER.verse_id
    scan = Scan(volume, Orientation(), Acquisition("nifti"))
    boxes = tuple(VertebraBox(one, 0.9, (0.0, 1.0), (0.0, 1.0), 2.0) for one in (LEVEL, OTHER))
    regions = tuple(VertebraRegion(one, 0.9, (0.0, 0.0, 0.0), 900.0) for one in (LEVEL, OTHER))
    read = tuple(
        VertebraReading(one, (0.0, 0.0, 0.0), 900.0, 120.0, 30.0, Measurement(130.0, (110.0, 150.0)))
        for one in (LEVEL, OTHER)
    )
    readings = Readings(read, Phrase("method-region"))
    line = Calibration(Phrase("rung-assumed"), 1.5, 0.0, 0.1)
    found = Assessment(
        "house", scan, Spine(boxes, 2.0), Regions(labels, regions), line, readings, HOUSE.diagnose(readings)
    )
    folder.mkdir()
    (folder / "view").mkdir()
    keep_labels(folder, labels)
    viewer.write_spine(scan, found.spine, labels, folder / "view")
    return first_result(found)


def view_of(folder: Path) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The close-up's affine to RAS and its shape, as the browser reads them."""
    import nibabel as nib

    image = nib.Nifti1Image.from_bytes(gzip.decompress((folder / "view" / "spine.nii.gz").read_bytes()))
    return image.affine, image.shape


def drawn(folder: Path, volume: Volume, labels: np.ndarray, dab_lps: np.ndarray, radius_mm: float) -> Outline:
    """What the browser would send: the region as it is on the close-up's grid, with a ball taken out of it."""
    to_ras, shape = view_of(folder)
    index = np.stack(np.meshgrid(*(np.arange(count) for count in shape), indexing="ij"), axis=-1)
    lps = (index @ to_ras[:3, :3].T + to_ras[:3, 3]) * [-1, -1, 1]
    own = np.rint(volume.to_index(lps)).astype(int)
    own = np.clip(own, 0, np.array(volume.shape) - 1)
    inside = labels[tuple(np.moveaxis(own, -1, 0))] == LEVEL.verse_id
    inside &= np.linalg.norm(lps - dab_lps, axis=-1) > radius_mm
    return Outline(LEVEL, (0, 0, 0), inside)


@pytest.mark.parametrize(
    ("spacing_mm", "tilt"), [((2.0, 1.0, 1.0), 0.0), ((5.0, 0.8, 0.7), 0.0), ((1.5, 1.0, 1.2), 0.15)]
)
def test_what_is_erased_is_gone_where_it_was_erased_and_nowhere_else(
    tmp_path: Path, spacing_mm: tuple[float, float, float], tilt: float
) -> None:
    kept = kept_study(tmp_path / "study", spacing_mm, tilt)
    volume, before = kept.assessment.scan.volume, kept_labels(tmp_path / "study")
    dab = volume.to_lps(np.array([42, 30, 30]) / spacing_mm)
    outline = drawn(tmp_path / "study", volume, before, dab, 6.0)
    region = keep_outline(tmp_path / "study", kept, 0, 2, outline)
    after = kept_labels(tmp_path / "study", 2)
    away = np.linalg.norm(volume.to_lps(np.argwhere((before == LEVEL.verse_id) & (after == 0))) - dab, axis=1)
    left = np.linalg.norm(volume.to_lps(np.argwhere(after == LEVEL.verse_id)) - dab, axis=1)
    cell = max(spacing_mm)
    assert away.size and away.max() < 6 + cell and left.min() > 6 - cell
    assert np.array_equal(after == OTHER.verse_id, before == OTHER.verse_id)
    assert region.volume_mm3 == pytest.approx((after == LEVEL.verse_id).sum() * volume.voxel_volume_mm3)
    assert np.array_equal(kept_labels(tmp_path / "study"), before)  # the program's own stay
    shown = gzip.decompress((tmp_path / "study" / "view" / "labels-2.nii.gz").read_bytes())
    assert shown[viewer.NIFTI_HEADER_BYTES :].count(LEVEL.verse_id) == (after == LEVEL.verse_id).sum()


def test_a_coarse_close_up_changes_no_voxel_whose_cell_was_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "SPINE_VOXELS", 2000)
    kept = kept_study(tmp_path / "study", (1.0, 1.0, 1.0))
    assert max(view_of(tmp_path / "study")[1]) < 40  # coarser than the scan
    volume, before = kept.assessment.scan.volume, kept_labels(tmp_path / "study")
    dab = volume.to_lps(np.array([42.0, 30.0, 30.0]))
    keep_outline(tmp_path / "study", kept, 0, 2, drawn(tmp_path / "study", volume, before, dab, 7.0))
    changed = np.argwhere(kept_labels(tmp_path / "study", 2) != before)
    assert 0 < np.linalg.norm(volume.to_lps(changed) - dab, axis=1).max() < 7 + 3 * np.sqrt(3)


def test_nothing_drawn_and_too_little_are_said_and_kept_nowhere(tmp_path: Path) -> None:
    kept = kept_study(tmp_path / "study", (2.0, 1.0, 1.0))
    volume, labels = kept.assessment.scan.volume, kept_labels(tmp_path / "study")
    same = drawn(tmp_path / "study", volume, labels, np.zeros(3), 0.0)
    for outline, code in ((same, "nothing-drawn"), (replace(same, inside=same.inside & False), "outline-small")):
        with pytest.raises(WrongUsage) as wrong:
            keep_outline(tmp_path / "study", kept, 0, 2, outline)
        assert wrong.value.code == code
    assert not list((tmp_path / "study").rglob("*-2.*"))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As a full disk does, every write beyond fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [20, 400])  # before the labels are kept, and before the viewer's are
def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path, size: int) -> None:
    kept = kept_study(tmp_path / "study", (2.0, 1.0, 1.0))
    volume, labels = kept.assessment.scan.volume, kept_labels(tmp_path / "study")
    outline = drawn(tmp_path / "study", volume, labels, volume.to_lps(np.array([21.0, 30.0, 30.0])), 6.0)
    before = sorted(tmp_path.rglob("*"))
    with files_no_larger_than(size), pytest.raises(TrabeculaError) as full:
        keep_outline(tmp_path / "study", kept, 0, 2, outline)
    assert full.value.code == "disk-full" and "still here" in full.value.message
    assert sorted(tmp_path.rglob("*")) == before


def test_an_outline_comes_back_as_it_was_packed() -> None:
    inside = np.random.default_rng(0).random((5, 4, 3)) > 0.5  # (x, y, z)
    bits = np.packbits(inside.transpose(2, 1, 0).ravel())
    outline = outline_from(LEVEL, (1, 2, 3), (5, 4, 3), gzip.compress(bits.tobytes()))
    assert np.array_equal(outline.inside, inside) and outline.low == (1, 2, 3)


@pytest.mark.parametrize(
    ("size", "packed"),
    [
        ((5, 4, 3), b"no gzip"),
        ((5, 4, 3), gzip.compress(b"short")),
        ((5, 4, 3), gzip.compress(bytes(9))),
        ((4000, 4000, 4000), gzip.compress(bytes(8))),
        ((0, 4, 3), gzip.compress(b"")),
    ],
    ids=["no gzip", "too short", "too long", "too large", "empty"],  # gzip writes the hour, which would name the tests
)
def test_what_is_no_outline_is_turned_away(size: tuple[int, int, int], packed: bytes) -> None:
    with pytest.raises(WrongUsage) as wrong:
        outline_from(LEVEL, (0, 0, 0), size, packed)
    assert wrong.value.code == "outline-damaged"


def test_until_it_is_measured_a_new_region_has_no_number_and_the_others_keep_theirs(tmp_path: Path) -> None:
    kept = kept_study(tmp_path / "study", (2.0, 1.0, 1.0))
    assert kept.assessment.regions is not None
    region = kept.assessment.regions.vertebrae[0]
    made, changes = drawing.waiting(kept, replace(region, volume_mm3=5000.0), HOUSE)
    first, second = made.assessment.readings.vertebrae
    assert first.withheld and first.density is None and [one.code for one in first.reasons] == ["region-waits"]
    assert second == kept.assessment.readings.vertebrae[1]
    assert tuple(map(str, changes)) == ("L1 was outlined anew.",)

"""Pictures of what was measured: the scan along the spine's own curve, the regions outlined, the levels named.

Drawn with numpy and Pillow, which load in a tenth of matplotlib's time. In every picture superior is up; in coronal
and axial ones the patient's right is on the viewer's left; in sagittal ones anterior is on the left.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont

from trabecula.anatomy import Level
from trabecula.palette import colour_of
from trabecula.records import Assessment
from trabecula.volume import Float32, Float64

PIXELS_PER_MM = 4.0
WINDOW_HU = (200.0, 1000.0)
"""Level and width: wide enough that cortex and trabecular bone differ, narrow enough that fat and muscle do."""

SLAB_MM = 1.5
"""Averaged to either side of the curved plane, against noise."""

MARGIN_MM = {"above": 14.0, "anterior": 58.0, "posterior": 62.0, "beside": 60.0, "axial": 46.0}
WHITE, GREY = (255, 255, 255), (200, 206, 212)
"""Names are white, as some of the levels' colours are dark; grey is what is only told in passing: what was seen and not
measured, sides, the scale."""

LINE_PX = {"used": 5, "measured": 2, "withheld": 3}
LABEL_MM = 12.0
"""What a label needs at least between its vertebra and the picture's edge."""

TEXT_PX, LARGER = 26, 34 / 26
DASHES = 18
"""Of an outline that is dashed, all the way round."""

Pair = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A vertebra to name: its middle in voxels (z, y, x), and whether it was used, measured, withheld or only seen."""

    level: Level
    middle: tuple[float, float, float]
    standing: str

    @property
    def name(self) -> str:
        """What is written beside it, the same in every language: brackets for withheld, "?2" for the second unknown."""
        level = self.level.value.replace("unknown-", "?")
        return f"({level})" if self.standing == "withheld" else level

    @property
    def ink(self) -> tuple[int, ...]:
        """The level's colour, as it is in the viewer; what became of the vertebra is told by its line."""
        return ImageColor.getrgb(colour_of(self.level))


@dataclass(frozen=True)
class Plane:
    """A flat picture before it is drawn: ``hu`` and ``labels`` are (row, column), superior or anterior first."""

    hu: Float32
    labels: NDArray[np.uint8]
    spacing_mm: Pair  # of rows, of columns
    sides: tuple[str, str]  # what lies to the viewer's left and right
    text_scale: float = 1.0  # larger for a picture that will be shown small

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        rows, columns = self.hu.shape
        return self.pixels(columns * self.spacing_mm[1]), self.pixels(rows * self.spacing_mm[0])

    def place(self, row: float, column: float) -> Pair:
        """The pixel (x, y) of a row and column of this plane, fractions allowed."""
        return (
            (column + 0.5) * self.spacing_mm[1] * PIXELS_PER_MM,
            (row + 0.5) * self.spacing_mm[0] * PIXELS_PER_MM,
        )

    @staticmethod
    def pixels(length_mm: float) -> int:
        return max(1, round(length_mm * PIXELS_PER_MM))


def overlays(assessment: Assessment) -> dict[str, bytes]:
    """PNG files by name: sagittal, coronal, and an axial one for each vertebra that has a region."""
    marks = marked(assessment)
    pictures = {"sagittal.png": _sagittal(assessment, marks), "coronal.png": _coronal(assessment, marks)}
    for mark in marks:
        if mark.standing != "seen":
            pictures[f"axial-{mark.level}.png"] = _axial(assessment, mark)
    return {name: _png(picture) for name, picture in pictures.items()}


def marked(assessment: Assessment) -> list[Mark]:
    """Every vertebra measured, withheld or merely seen, cranial first."""
    volume, diagnosis = assessment.scan.volume, assessment.diagnosis
    marks = []
    for vertebra in assessment.readings.vertebrae:
        if assessment.regions is not None and assessment.regions.part(vertebra.level)[0].stop == 0:
            continue
        z, y, x = volume.to_index(np.asarray(vertebra.centroid_lps_mm))
        standing = "withheld" if vertebra.withheld else "measured"
        marks.append(Mark(vertebra.level, (z, y, x), "used" if diagnosis.decided_by(vertebra.level) else standing))
    named = {mark.level for mark in marks}
    for box in assessment.spine.vertebrae:
        if box.level not in named:
            z, y, x = assessment.spine.middle(box)
            row = y if box.y is not None else _row_at(z, marks, y)
            marks.append(Mark(box.level, (float(z), float(row), float(x)), "seen"))
    return sorted(marks, key=lambda mark: -mark.middle[0])


def _row_at(z: float, marks: list[Mark], otherwise: float) -> float:
    """The y of the spine at ``z``: that of the nearest vertebra measured."""
    measured = [mark for mark in marks if mark.standing != "seen"]
    return min(measured, key=lambda mark: abs(mark.middle[0] - z)).middle[1] if measured else otherwise


def _sagittal(assessment: Assessment, marks: list[Mark]) -> Image.Image:
    volume = assessment.scan.volume
    z, curve = _rows(assessment, marks)
    middle_y = [mark.middle[1] for mark in marks] or [volume.shape[1] / 2]
    y = _span(
        min(middle_y) - MARGIN_MM["anterior"] / volume.spacing_mm[1],
        max(middle_y) + MARGIN_MM["posterior"] / volume.spacing_mm[1],
        volume.shape[1],
    )
    hu = _along(volume.hu, z, y, curve[:, 1], 2, SLAB_MM / volume.spacing_mm[2])
    labels = _nearest(assessment.labels, z, y, curve[:, 1], 2)
    plane = Plane(hu, labels, (volume.spacing_mm[0], volume.spacing_mm[1]), ("A", "P"))
    picture = _drawn(plane, marks)
    for mark in marks:
        at = plane.place(z[0] - mark.middle[0], mark.middle[1] - y[0])
        left = _edge(plane, mark, at, first=True) - plane.pixels(4)
        _name(picture, mark, (max(left, plane.pixels(LABEL_MM)), at[1]), "r")
    return picture


def _coronal(assessment: Assessment, marks: list[Mark]) -> Image.Image:
    volume = assessment.scan.volume
    z, curve = _rows(assessment, marks)
    middle_x = [mark.middle[2] for mark in marks] or [volume.shape[2] / 2]
    beside = MARGIN_MM["beside"] / volume.spacing_mm[2]
    x = _span(min(middle_x) - beside, max(middle_x) + beside, volume.shape[2])
    hu = _along(volume.hu, z, x, curve[:, 0], 1, SLAB_MM / volume.spacing_mm[1])
    labels = _nearest(assessment.labels, z, x, curve[:, 0], 1)
    plane = Plane(hu, labels, (volume.spacing_mm[0], volume.spacing_mm[2]), ("R", "L"))
    picture = _drawn(plane, marks)
    for mark in marks:
        at = plane.place(z[0] - mark.middle[0], mark.middle[2] - x[0])
        right = _edge(plane, mark, at, first=False) + plane.pixels(5)
        _name(picture, mark, (min(right, picture.width - plane.pixels(LABEL_MM)), at[1]), "l")
    return picture


def _axial(assessment: Assessment, mark: Mark) -> Image.Image:
    volume = assessment.scan.volume
    _, step_y, step_x = volume.spacing_mm
    middle_z, middle_y, middle_x = mark.middle
    around = MARGIN_MM["axial"]
    slice_z = int(np.clip(round(middle_z), 0, volume.shape[0] - 1))
    y = _span(middle_y - 0.8 * around / step_y, middle_y + 1.2 * around / step_y, volume.shape[1])
    x = _span(middle_x - around / step_x, middle_x + around / step_x, volume.shape[2])
    part = np.ix_(y, x)
    labels = assessment.labels[slice_z][part]
    plane = Plane(volume.hu[slice_z][part], labels, (step_y, step_x), ("R", "L"), text_scale=1.6)
    picture = _drawn(plane, [mark])
    corner = (plane.pixels(2), picture.height - plane.pixels(2))
    _write(picture, corner, mark.name, "ls", WHITE, LARGER * plane.text_scale)
    return picture


def _rows(assessment: Assessment, marks: list[Mark]) -> tuple[NDArray[np.intp], Float64]:
    """The slices to show, superior first, and the spine's (y, x) in each of them."""
    volume = assessment.scan.volume
    ends = [z for box in assessment.spine.vertebrae for z in box.z_range]
    labelled = np.flatnonzero(assessment.labels.any(axis=(1, 2)))
    ends += [float(z) for z in labelled[[0, -1]]] if labelled.size else []
    ends = ends or [0.0, volume.shape[0] - 1.0]
    above = MARGIN_MM["above"] / volume.spacing_mm[0]
    z = _span(min(ends) - above, max(ends) + above, volume.shape[0])[::-1]
    if not marks:
        return z, np.tile([volume.shape[1] / 2, volume.shape[2] / 2], (len(z), 1))
    z_known, y_known, x_known = np.array([mark.middle for mark in reversed(marks)]).T
    return z, np.stack([np.interp(z, z_known, y_known), np.interp(z, z_known, x_known)], axis=1)


def _span(low: float, high: float, length: int) -> NDArray[np.intp]:
    """Whole indices from low to high, those outside the scan left out; never none."""
    start = int(np.clip(np.floor(low), 0, length - 1))
    return np.arange(start, max(start + 1, min(int(np.ceil(high)) + 1, length)))


def _along(
    hu: Float32, z: NDArray[np.intp], across: NDArray[np.intp], curve: Float64, axis: int, slab: float
) -> Float32:
    """HU (z, across) on the plane that bends with ``curve`` along ``axis`` (1 y, 2 x), averaged over the slab."""
    total = np.zeros((len(z), len(across)), np.float32)
    for offset in (-slab, 0.0, slab):
        place = np.clip(curve + offset, 0, hu.shape[axis] - 1)
        low = np.minimum(place.astype(int), max(hu.shape[axis] - 2, 0))
        part = (place - low).astype(np.float32)[:, None]
        high = np.minimum(low + 1, hu.shape[axis] - 1)
        total += (1 - part) * _pick(hu, z, across, low, axis) + part * _pick(hu, z, across, high, axis)
    return np.asarray(total / 3, np.float32)


def _nearest(
    labels: NDArray[np.uint8], z: NDArray[np.intp], across: NDArray[np.intp], curve: Float64, axis: int
) -> NDArray[np.uint8]:
    place = np.clip(np.rint(curve).astype(int), 0, labels.shape[axis] - 1)
    return np.asarray(_pick(labels, z, across, place, axis), np.uint8)


def _pick(
    array: NDArray[Any], z: NDArray[np.intp], across: NDArray[np.intp], place: NDArray[np.intp], axis: int
) -> NDArray[Any]:
    if axis == 2:
        return np.asarray(array[z[:, None], across[None, :], place[:, None]])
    return np.asarray(array[z[:, None], place[:, None], across[None, :]])


def _drawn(plane: Plane, marks: list[Mark]) -> Image.Image:
    """The plane in grey, the marks' regions outlined, the viewer's sides and a scale told."""
    level_hu, width_hu = WINDOW_HU
    grey = np.clip((plane.hu - level_hu) / width_hu + 0.5, 0, 1) * 255
    picture = Image.fromarray(grey.astype(np.uint8)).resize(plane.size_px, Image.Resampling.BICUBIC).convert("RGB")
    for mark in marks:
        mask = _mask(plane, mark)
        around = mask.getbbox()
        if around is None or mark.standing not in LINE_PX:
            continue
        box = (around[0] - 2, around[1] - 2, around[2] + 2, around[3] + 2)  # filters are slow: not the whole picture
        outline = _outline(mask.crop(box), LINE_PX[mark.standing], dashed=mark.standing == "withheld")
        picture.paste((0, 0, 0), box, outline.filter(ImageFilter.MaxFilter(3)).point(lambda value: value // 2))
        picture.paste(mark.ink, box, outline)
    corner = plane.pixels(1.5)
    _write(picture, (corner, corner), plane.sides[0], "lt", scale=plane.text_scale)
    _write(picture, (picture.width - corner, corner), plane.sides[1], "rt", scale=plane.text_scale)
    _scale(picture, plane)
    return picture


def _mask(plane: Plane, mark: Mark) -> Image.Image:
    """The mark's region at the picture's size, its stairs smoothed: white inside, black outside."""
    coarse = Image.fromarray(np.where(plane.labels == mark.level.verse_id, 255, 0).astype(np.uint8))
    smooth = coarse.resize(plane.size_px, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(3))
    return smooth.point(lambda value: 255 if value > 127 else 0)


def _outline(mask: Image.Image, width_px: int, dashed: bool) -> Image.Image:
    """The inner rim of a mask; dashed by the angle about its middle."""
    rim = ImageChops.subtract(mask, mask.filter(ImageFilter.MinFilter(2 * width_px + 1)))
    if not dashed:
        return rim
    y, x = np.nonzero(np.asarray(rim))
    turn = (np.arctan2(y - y.mean(), x - x.mean()) / (2 * np.pi) + 0.5) * DASHES
    kept = turn % 1 < 0.6
    broken = np.zeros((rim.height, rim.width), np.uint8)
    broken[y[kept], x[kept]] = 255
    return Image.fromarray(broken)


def _edge(plane: Plane, mark: Mark, at: Pair, first: bool) -> float:
    """The first (or last) pixel column of the mark's region, or half a vertebra from its middle where it has none."""
    columns = np.flatnonzero((plane.labels == mark.level.verse_id).any(axis=0))
    if columns.size == 0:
        return at[0] + plane.pixels(20) * (-1 if first else 1)
    return plane.place(0, float(columns[0] if first else columns[-1]))[0]


def _name(picture: Image.Image, mark: Mark, at: Pair, side: str) -> None:
    """The level beside its vertebra, ``side`` ("l" or "r") of the text at ``at``."""
    _write(picture, at, mark.name, f"{side}m", *((GREY, 1.0) if mark.standing == "seen" else (WHITE, LARGER)))


def _scale(picture: Image.Image, plane: Plane) -> None:
    """A bar of two centimetres in the lower right corner."""
    right, bottom = picture.width - plane.pixels(3), picture.height - plane.pixels(3)
    left = right - plane.pixels(20)
    draw = ImageDraw.Draw(picture)
    for width, ink in ((6, (0, 0, 0)), (3, GREY)):
        draw.line([(left, bottom - 10), (left, bottom), (right, bottom), (right, bottom - 10)], ink, width)
    _write(picture, ((left + right) / 2, bottom - 6), "2 cm", "mb", scale=plane.text_scale)


def _write(
    picture: Image.Image, at: Pair, text: str, anchor: str, ink: tuple[int, ...] = GREY, scale: float = 1.0
) -> None:
    """Text with a dark rim, readable on bone and on air."""
    font = ImageFont.load_default(scale * TEXT_PX)
    ImageDraw.Draw(picture).text(at, text, ink, font, anchor, stroke_width=3, stroke_fill=(0, 0, 0))


def _png(picture: Image.Image) -> bytes:
    held = BytesIO()
    picture.save(held, "PNG", compress_level=4)
    return held.getvalue()

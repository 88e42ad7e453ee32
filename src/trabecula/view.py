"""What a network sees of a scan, and what its outputs mean: the same values cut for training and for use.

Both stand in the weights' manifest beside the hash, so that weights carry their own preprocessing and class names.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trabecula.volume import Float32, Float64, Grid, Volume

Plane = Literal["volume", "axial", "sagittal", "sagittal-stack", "coronal", "coronal-projection"]
"""How a network takes a view: whole, its planes one by one, or (``stack``) its planes as channels of one image."""


@dataclass(frozen=True)
class View:
    """A stretch of a scan on a network's own grid. Shape and spacing are (z, y, x); a 2-D network's has a one.

    ``window_hu`` is level and width. ``masked``: all but the region of interest is blanked. ``off_centre_voxels``: how
    far the middle of what is looked at lies beyond the array's own middle, on every axis.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    window_hu: tuple[float, float]
    plane: Plane = "volume"
    masked: bool = False
    off_centre_voxels: float = 0.0

    @property
    def size_mm(self) -> Float64:
        size: Float64 = np.asarray(self.shape, float) * np.asarray(self.spacing_mm)
        return size

    def grid(self, volume: Volume, middle: Float64) -> Grid:
        """The view's grid along the scan's own axes, about ``middle`` in (z, y, x) voxels of the scan."""
        scale = np.asarray(self.spacing_mm) / np.asarray(volume.spacing_mm)
        step = np.eye(4)
        step[:3, :3] = np.diag(scale)
        step[:3, 3] = middle - scale * ((np.asarray(self.shape) - 1) / 2 + self.off_centre_voxels)
        return Grid(self.shape, volume.affine @ step)

    def window(self, hu: Float32) -> Float32:
        """HU to 0 at the window's lower end and below, 1 at its upper end and above."""
        level_hu, width_hu = self.window_hu
        return np.asarray(np.clip((hu - (level_hu - width_hu / 2)) / width_hu, 0, 1), np.float32)

    def cut(self, volume: Volume, middle: Float64) -> Float32:
        """The windowed image about ``middle`` (z, y, x voxels of the scan); ``shape``, float32 from 0 to 1."""
        return self.window(volume.sample(self.grid(volume, middle)))

    def cut_masked(
        self,
        volume: Volume,
        labels: NDArray[np.uint8],
        label: int | tuple[int, ...],
        middle: Float64,
        hu_factor: float = 1.0,
        hu_less: float = 0.0,
    ) -> Float32:
        """The same of HU less ``hu_less``, times ``hu_factor``; zero where ``labels``, on the scan's grid, is another
        than ``label`` or all of ``label``."""
        around = self._around(volume, middle)
        shift = np.eye(4)
        shift[:3, 3] = [part.start for part in around]
        affine, grid = volume.affine @ shift, self.grid(volume, middle)
        inside = Volume(np.isin(labels[around], label).astype(np.float32), affine).sample(grid) > 0.5
        hu = (Volume(volume.hu[around], affine).sample(grid) - np.float32(hu_less)) * np.float32(hu_factor)
        return np.asarray(self.window(hu) * inside, np.float32)

    def as_input(self, image: Float32) -> Float32:
        """An image (z, y, x) as the network takes it: (batch, channels, ...)."""
        if self.plane == "axial":
            return np.asarray(image[:, None])
        if self.plane in ("sagittal", "sagittal-stack"):
            planes = np.ascontiguousarray(image.transpose(2, 0, 1))
            return planes[:, None] if self.plane == "sagittal" else planes[None]
        return np.asarray(image[None, None])

    def from_output(self, scores: Float32) -> Float32:
        """Scores (batch, classes, ...) of every voxel as (classes, z, y, x)."""
        if self.plane == "axial":
            return np.ascontiguousarray(scores.swapaxes(0, 1))
        if self.plane == "sagittal":
            return np.ascontiguousarray(scores.transpose(1, 2, 3, 0))
        return np.asarray(scores[0])

    def _around(self, volume: Volume, middle: Float64) -> tuple[slice, slice, slice]:
        """The part of the scan that the view and a margin for smoothing lie in."""
        reach = self.size_mm / 2 / np.asarray(volume.spacing_mm) + 3
        z, y, x = (slice(max(0, int(c - r)), int(c + r) + 2) for c, r in zip(middle, reach, strict=True))
        return z, y, x


@dataclass(frozen=True)
class Classes:
    """Outputs that are scores of classes, on axis 1, in this order."""

    names: tuple[str, ...]

    def probabilities(self, scores: Float32) -> Float32:
        """Softmax over axis 0 of one case's scores (classes, ...)."""
        exponent = np.exp(scores - scores.max(axis=0))
        return np.asarray(exponent / exponent.sum(axis=0), np.float32)


@dataclass(frozen=True)
class Bins:
    """Outputs that are scores of evenly spaced values of a quantity; the answer is their expectation."""

    first: float
    last: float
    number: int
    quantity: str = "vbmd-k2hpo4"

    @property
    def centres(self) -> Float64:
        return np.linspace(self.first, self.last, self.number)

    def value(self, scores: Float32) -> float:
        """The expectation of one case's scores (bins,)."""
        share = np.exp(scores - scores.max())
        return float((share / share.sum() * self.centres).sum())


@dataclass(frozen=True)
class Number:
    """An output that is a quantity's value times ``scale``."""

    quantity: str = "vbmd-k2hpo4"
    scale: float = 1.0

    def value(self, scores: Float32) -> float:
        return float(scores.reshape(-1)[0]) / self.scale


Table = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Evidence:
    """Outputs that say of each vertebral body what joins it and what it looks like (``flow/localise/evidence.py``).

    ``looks`` are the classes of the looks. ``rib``, ``part`` and ``look`` count, on unseen virtual patients, how often
    each answer (columns) was given where another is true (rows).
    """

    looks: tuple[str, ...]
    rib: Table
    part: Table
    look: Table


Head: TypeAlias = Classes | Bins | Number | Evidence

_HEADS: dict[str, type[Head]] = {"classes": Classes, "bins": Bins, "number": Number, "evidence": Evidence}


def head_from(entry: dict[str, Any]) -> Head:
    """A head from its manifest entry: ``kind`` and the fields of that kind.

    Raises:
        KeyError, TypeError: it is no head.
    """
    facts = _tuples(entry)
    return _HEADS[facts.pop("kind")](**facts)


def head_entry(head: Head) -> dict[str, Any]:
    """A head as its manifest entry."""
    kind = next(name for name, one in _HEADS.items() if isinstance(head, one))
    return {"kind": kind, **{name: list(v) if isinstance(v, tuple) else v for name, v in vars(head).items()}}


def view_from(entry: dict[str, Any]) -> View:
    """A view from its manifest entry.

    Raises:
        TypeError: a field is missing or unknown.
    """
    return View(**_tuples(entry))


def view_entry(view: View) -> dict[str, Any]:
    """A view as its manifest entry."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(view).items()}


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}

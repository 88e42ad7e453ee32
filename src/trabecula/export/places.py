"""Where on the images each vertebra is read: an ellipse on one slice, or a point where a recipe outlines nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.flow.measure.qct import qct_region
from trabecula.records import Assessment, VertebraReading
from trabecula.volume import Float64

PIXEL_VARIANCE = 1 / 12
"""Of a pixel's own extent, in pixels squared: what a mask's pixel centres leave out of its spread."""


CORNERS = 36
"""Of the polygon that stands for an ellipse. OHIF 3.13 measures one pixel in an ellipse that is wider than high, and
draws none that is turned; its polygons are right."""

MARK_RADIUS_MM = 5.0


@dataclass(frozen=True)
class Place:
    """A place on slice ``number`` of the grid as given; ``points`` (n, 2) are column and row, in pixels.

    They are counted from the upper left corner of the first pixel, as SCOORD wants it (PS3.3 C.18.6.1.2). Many are a
    closed outline, two a circle's middle and a point on it, one is a point.
    """

    number: int
    points: Float64
    area_mm2: float = 0.0  # of an outline

    @property
    def graphic(self) -> str:
        """As SCOORD calls it."""
        return {1: "POINT", 2: "CIRCLE"}.get(len(self.points), "POLYLINE")

    @property
    def is_outline(self) -> bool:
        return self.graphic == "POLYLINE"


def middle(assessment: Assessment, levels: Sequence[Level]) -> Place | None:
    """A circle that marks the middle of several vertebrae, of all where none are named; None where there are none."""
    found = [one.centroid_lps_mm for one in assessment.readings.vertebrae if one.level in levels or not levels]
    if not found:
        return None
    column_mm = float(np.linalg.norm(_given_affine(assessment)[:3, 2]))
    number, (column, row) = _index(assessment, np.mean(found, axis=0))
    return Place(number, np.array([[column, row], [column + MARK_RADIUS_MM / column_mm, row]]))


def places(assessment: Assessment) -> dict[Level, Place]:
    """Where each vertebra of the readings is read."""
    given = assessment.scan.orientation.undo(_voxels_read(assessment))
    pixel_mm2 = float(np.prod(np.linalg.norm(_given_affine(assessment)[:3, 1:], axis=0)[:2]))
    found = {}
    for one in assessment.readings.vertebrae:
        if (given == one.level.verse_id).any():
            found[one.level] = _ellipse(given == one.level.verse_id, pixel_mm2)
        else:
            number, point = _index(assessment, np.asarray(one.centroid_lps_mm))
            found[one.level] = Place(number, point[None])
    return found


def _given_affine(assessment: Assessment) -> Float64:
    volume = assessment.scan.volume
    return assessment.scan.orientation.undo_affine(volume.affine, volume.shape)


def _index(assessment: Assessment, lps_mm: Float64) -> tuple[int, Float64]:
    """The slice of the grid as given that is nearest to a point, and its column and row there."""
    at = np.linalg.inv(_given_affine(assessment)) @ [*lps_mm, 1.0]
    count = assessment.scan.orientation.undo(assessment.labels).shape[0]
    return int(np.clip(np.rint(at[0]), 0, count - 1)), at[2:0:-1] + 0.5


def _voxels_read(assessment: Assessment) -> NDArray[np.uint8]:
    """The voxels (z, y, x) whose mean is each density, by VerSe id: QCT's region, or the whole of what is outlined."""
    read = np.zeros_like(assessment.labels)
    for one in assessment.readings.vertebrae:
        if assessment.regions is not None:
            part = assessment.regions.part(one.level)
            read[part][_mask(assessment, one, part)] = one.level.verse_id
    return read


def _mask(assessment: Assessment, vertebra: VertebraReading, part: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
    region = assessment.labels[part] == vertebra.level.verse_id
    return region if vertebra.read_hu is None else qct_region(region, assessment.scan.volume.affine)


def _ellipse(region: NDArray[np.bool_], pixel_mm2: float) -> Place:
    """The ellipse of the same middle, spread and direction on the fullest slice, of several on the middlemost."""
    pixels = region.sum(axis=(1, 2))
    fullest = np.flatnonzero(pixels >= 0.98 * pixels.max())
    number = int(fullest[np.argmin(np.abs(fullest - np.flatnonzero(pixels).mean()))])
    at = np.argwhere(region[number])[:, ::-1]  # column, row
    spread = np.cov(at.T, bias=True) + PIXEL_VARIANCE * np.eye(2)
    half_axes = 2 * np.linalg.cholesky(spread)  # of a filled ellipse: the covariance is a quarter of its axes' squares
    angles = np.linspace(0, 2 * np.pi, CORNERS + 1)
    points = at.mean(axis=0) + 0.5 + np.stack([np.cos(angles), np.sin(angles)], axis=1) @ half_axes.T
    points[-1] = points[0]
    return Place(number, points, float(np.pi * np.linalg.det(half_axes)) * pixel_mm2)

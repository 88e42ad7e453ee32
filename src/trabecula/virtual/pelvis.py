"""Draws the pelvis without the sacrum: iliac wings, hip joints, femora, pubis and ischium."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.canvas import Canvas, smooth_max
from trabecula.virtual.lesions import METAL_HU
from trabecula.virtual.numbering import Numbering
from trabecula.virtual.subject import Subject
from trabecula.volume import Float32, Float64

# The iliac wing from its back end to its front (0 to 1), mm from the body of S1 in a man: distance from the midline
# at that height, its gain with each mm upward, upper and lower edge, thickness.
_ALONG = (0.0, 0.25, 0.5, 0.75, 1.0)
_ASIDE = (48, 66, 90, 110, 122)
_FLARE = (0.05, 0.2, 0.42, 0.5, 0.35)
_UPPER = (-28, 28, 53, 40, -6)
_LOWER = (-48, -52, -80, -92, -58)
_THICK = (15, 15, 7, 6.5, 11)
_BACK_Y, _FRONT_Y = 78.0, -66.0


def draw_pelvis(canvas: Canvas, s: Subject, rng: np.random.Generator, spongy: float, compact: float) -> None:
    """Both halves of the pelvis and the upper ends of the femora."""
    k, base, shape = s.scale, _base(s), _wing_shape(s)
    for side in (-1, 1):
        _draw_wing(canvas, base, side, k, shape, (spongy * 0.75, compact * 0.8), rng)
        _draw_hip(canvas, base + np.array([side * 88 * k, -38 * k, -92 * k]), side, k, spongy, compact)
    if s.metal_hip:
        hip = base + np.array([88 * k, -38 * k, -92 * k])
        canvas.tube(np.array([hip, hip + [40, 8, -60], hip + [38, 10, -160]]), 9, METAL_HU)


def iliac_crests(s: Subject) -> Float64:
    """The highest point of the iliac crest on the right and on the left, (2, 3) in LPS mm."""
    base, (place, crest, _) = _base(s), _wing_shape(s)
    at = 0.5  # halfway along, where the wing is highest
    upper = float(np.interp(at, _ALONG, np.array(_UPPER) + crest))
    aside = float(np.interp(at, _ALONG, _ASIDE) * place[0] + np.interp(at, _ALONG, _FLARE) * place[1] * upper)
    y = _BACK_Y + at * (_FRONT_Y - _BACK_Y)
    return np.array([base + np.array([side * aside, y, upper]) * s.scale for side in (-1, 1)])


def _base(s: Subject) -> Float64:
    """The middle of S1's body; the ilium keeps its place where the sacrum has a segment more or less."""
    shift = {Numbering.FOUR_LUMBAR: -12.0, Numbering.LUMBARISED: 12.0}.get(s.numbering, 0.0) * s.scale
    return np.array(s.vertebra(Level.S1).centre_lps_mm) + [0, 0, shift]


def _wing_shape(s: Subject) -> tuple[Float64, Float64, Float64]:
    """Factors of a wing's place, offsets of its upper edge, factors of its thickness at the knots."""
    rng = np.random.default_rng([s.seed, 46])
    return rng.normal(1, 0.04, 3), rng.normal(0, 4, 5), rng.normal(1, 0.12, 5)


def _draw_wing(
    canvas: Canvas,
    base: Float64,
    side: int,
    k: float,
    shape: tuple[Float64, Float64, Float64],
    hu: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """A curved plate as a sheet of x over (y, z); ``shape`` are factors of its place, offsets of its upper edge and
    factors of its thickness at the knots."""
    low = base + np.array([min(side * 30, side * 160), _FRONT_Y - 12, -112]) * k
    high = base + np.array([max(side * 30, side * 160), _BACK_Y + 12, 72]) * k
    box = canvas.box(low, high)
    noise = rng.spawn(1)[0]
    if box is None:
        return
    x, y, z = canvas.points(box)
    x, y, z = side * (x - np.float32(base[0])) / k, (y - np.float32(base[1])) / k, (z - np.float32(base[2])) / k
    along = (_BACK_Y - y) / (_BACK_Y - _FRONT_Y)
    place, crest, thickness = shape

    def at(knots: tuple[float, ...] | Float64) -> Float32:
        return np.asarray(np.interp(along, _ALONG, knots), np.float32)

    flare = at(np.array(_FLARE) * place[1])
    middle = at(np.array(_ASIDE) * place[0]) + flare * z
    steep = np.gradient(at(np.array(_ASIDE)).ravel(), axis=0) / np.gradient(y.ravel()) if y.size > 1 else np.zeros(1)
    cosine = 1 / np.sqrt(1 + steep.reshape(y.shape) ** 2 + flare**2)
    upper, lower = at(np.array(_UPPER) + crest), at(_LOWER)
    thick = at(np.array(_THICK) * thickness)
    rim = 5 * np.clip(1 - (upper - z) / 14, 0, 1) + 9 * np.clip((-z - 45) / 30, 0, 1) * (along > 0.4)
    sheet = np.abs(x - middle) * cosine - (thick + rim) / 2
    ends = np.maximum(_FRONT_Y - y, y - _BACK_Y)
    edge = np.maximum(np.maximum(z - upper, lower - z) * 0.8, ends)
    distance = k * smooth_max(np.asarray(sheet, np.float32), np.asarray(edge + 0 * sheet, np.float32), 5.0)
    distance = distance + 0.7 * canvas.smooth_noise(box, noise, 15)
    canvas.paint(box, np.asarray(distance, np.float32), hu[0], 1.2, hu[1])


def _draw_hip(canvas: Canvas, hip: Float64, side: int, k: float, spongy: float, compact: float) -> None:
    canvas.ellipsoid(hip, (31 * k, 31 * k, 31 * k), compact * 0.55)
    canvas.ellipsoid(hip, (28 * k, 28 * k, 28 * k), spongy * 0.9 + 30)
    neck = hip + np.array([side * 42, 8, -30]) * k
    canvas.tube(np.array([hip, neck]), 17 * k, spongy * 0.6, 2.0, compact)
    canvas.tube(np.array([neck, neck + np.array([-side * 4, 5, -150])]), 15 * k, -70, 5.0, compact)
    pubis = hip + np.array([-side * 76, -32, -32]) * k
    sit = hip + np.array([-side * 32, 30, -70]) * k
    canvas.tube(np.array([hip + [-side * 14, -14, -6], pubis]), 9 * k, spongy * 0.6, 1.5, compact * 0.8)
    canvas.tube(
        np.array([hip + [-side * 8, 16, -14], sit, pubis - [0, 0, 22]]), 10 * k, spongy * 0.6, 1.5, compact * 0.8
    )

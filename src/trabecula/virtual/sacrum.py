"""Draws the sacrum and the coccyx: one curved bone of five segments round the body of S1, the canal within it.

Places are told along a curve, in mm of a man of average size: ``s`` along the bone from the middle of S1, ``n`` to
the front of it. The curve is straight through S1 and then an arc: from the first segment to the last a sacrum turns
forwards by 45 to 85 degrees, most of it below the second. All sizes are ours, drawn until they looked like those of two
real CTs (docs/results/gallery.md).
"""

from dataclasses import dataclass

import numpy as np

from trabecula.virtual.canvas import Canvas, Local, segment_distance, smooth_max, smooth_min
from trabecula.virtual.lesions import stream
from trabecula.virtual.subject import VertebraShape
from trabecula.virtual.vertebra import VertebraBone, canal_distance, draw_body, local_frame
from trabecula.volume import Float32, Float64

END_MM = 100.0
"""Where the sacrum ends; three pieces of the coccyx follow."""

_STRAIGHT_MM = 20.0
_JOINTS = (19.0, 42.0, 62.0, 79.0)
"""Between the segments: what is left of the discs, and the holes that the nerves leave by."""

# At each place along the bone: half its width, its front, its back; half the canal's width and depth, and its middle.
_S = (-16, -2, 14, 25, 45, 62, 80, 100)
_HALF = (42, 54, 55, 54, 46, 36, 24, 11)
_FRONT = (10, 12, 12.5, 10, 8, 6.5, 5, 4)
_BACK = (-20, -29, -34, -31, -25, -20, -15, -7)
_CANAL_HALF, _CANAL_DEEP = (15, 15, 14, 13, 11, 8.5, 6.5, 5), (7, 7, 7, 6.5, 5.5, 4, 3, 2.5)
_CANAL_MIDDLE = (-24, -24, -23, -19.5, -14.5, -11, -8, -6)


@dataclass(frozen=True)
class _Curve:
    """The course of the bone in the sagittal plane of S1's frame, in mm of a man of average size."""

    radius_mm: float

    def along(self, y: Float32, z: Float32) -> tuple[Float32, Float32]:
        """``s`` and ``n`` of points ``y`` before and ``z`` above the middle of S1."""
        r = np.float32(self.radius_mm)
        below = -z - np.float32(_STRAIGHT_MM)
        ahead = r - y
        turned = np.arctan2(below, ahead)
        curved = below > 0
        s = np.where(curved, np.float32(_STRAIGHT_MM) + r * turned, -z)
        n = np.where(curved, r - np.hypot(below, ahead), y)
        return np.asarray(s, np.float32), np.asarray(n, np.float32)

    def point(self, x: float, s: float, n: float) -> Float64:
        """The place (x, y, z) in S1's frame."""
        turned = max(s - _STRAIGHT_MM, 0.0) / self.radius_mm
        r = self.radius_mm - n
        return np.array([x, self.radius_mm - r * np.cos(turned), -min(s, _STRAIGHT_MM) - r * np.sin(turned)])


def draw_sacrum(canvas: Canvas, v: VertebraShape, bone: VertebraBone, seed: tuple[int, int]) -> None:
    """The sacrum, of which the body of S1 is a part without a wall of its own; only that body is labelled."""
    rng = np.random.default_rng([seed[0], 4, seed[1]])
    own = stream(seed, "sacrum")
    k = v.height_mm / 29
    curve = _Curve((END_MM - _STRAIGHT_MM) / float(np.radians(own.uniform(45, 85))))
    course = np.array([curve.point(0.0, s, n) for s in np.linspace(0, END_MM + 34, 12) for n in (-14, 8)])
    front, foot = max(36.0, float(course[:, 1].max()) + 4), float(course[:, 2].min()) - 4
    frame = local_frame(canvas, v, (-68 * k, -58 * k, foot * k), (68 * k, front * k, 26 * k))
    if frame is None:
        return
    box, local = frame
    behind_rng = rng.spawn(1)[0]
    body = draw_body(canvas, v, bone, frame, rng, seed)
    x, y, z = (p / np.float32(k) for p in local)
    s, n = curve.along(y, z)
    bent = np.asarray(x, np.float32), s, n
    behind_s1 = np.maximum(canal_distance(local, v), -10 * np.float32(k) - local[2])
    plate = k * _plate(curve, bent, (x, y, z), behind_s1 / k, own) + 0.6 * canvas.smooth_noise(box, behind_rng, 12)
    whole = smooth_min(body.distance, np.asarray(plate, np.float32), 3.0)
    whole = np.maximum(whole, -behind_s1)
    whole = np.minimum(whole, k * _coccyx((x, y, z), curve, own))
    behind = np.clip(body.distance / 4, 0, 1)
    hu = body.hu + behind * (_marrow(bent, bone, own) - body.hu)
    shell_mm = v.cortex_mm + np.float32(0.6) * behind
    canvas.paint(box, whole, np.asarray(hu, np.float32), np.asarray(shell_mm, np.float32), 0.8 * bone.compact)
    canvas.whole[box][whole < 0] = v.verse_id
    body.label(canvas, v, box)


def _plate(curve: _Curve, bent: Local, at: Local, behind_s1: Float32, own: np.random.Generator) -> Float32:
    """Signed distance to segments two to five and the alae of the first, canal and holes cut out, with the crest."""
    x, s, n = bent
    aside = np.abs(x)

    def of(knots: tuple[float, ...]) -> Float32:
        return np.asarray(np.interp(s, _S, knots), np.float32)

    # The alae lie further back than the body and slope down to the sides.
    half, deep = of(_HALF) * np.float32(own.normal(1, 0.05)), np.float32(own.normal(1, 0.08))
    front = n - of(_FRONT) * deep + 0.12 * aside
    back = of(_BACK) * deep * (1 - 0.25 * np.clip(aside / half, 0, 1) ** 2) - n
    plate = smooth_max(aside - half, np.maximum(front, back), 8.0)
    top = -s - np.float32(12.5) + 0.16 * aside
    # Over the roof of the canal there is a window to L5.
    window = np.where(n < -19, 3 + own.uniform(0, 6) - s, -99).astype(np.float32)
    plate = smooth_max(plate, np.maximum(top, window), 4.0)
    plate = smooth_max(plate, s - np.float32(END_MM), 3.0)
    a, b = of(_CANAL_HALF), of(_CANAL_DEEP)
    canal = (np.hypot(x / a, (n - of(_CANAL_MIDDLE) * deep) / b) - 1) * np.minimum(a, b)
    plate = smooth_max(plate, -np.maximum(canal, np.float32(4) - s), 1.0)
    for index, place in enumerate(_JOINTS):
        hole = np.hypot(aside - np.float32(18.0 - 2.0 * index), s - np.float32(place)) - np.float32(5.5 - index)
        plate = smooth_max(plate, -hole, 1.5)
    crest = own.uniform(2.5, 7.0)
    for place in (10.0, 32.0, 52.0, 70.0):
        root = float(np.interp(place, _S, _BACK)) * float(deep)
        ends = curve.point(0.0, place - 3, root + 2), curve.point(0.0, place + 4, root - crest)
        plate = smooth_min(plate, segment_distance(at, *ends, 3.2, 2.8, (0.8, 1.0, 1.3)), 3.0)
    for side in (-1, 1):
        joint = np.array([side * 20.0, -26.0, 8.0])  # where the joints of L5 stand
        horn = segment_distance(at, joint, joint + [side * 2, -2, 14], 6.0, 4.5)
        plate = smooth_min(plate, np.maximum(horn, -behind_s1), 3.0)
    return plate


def _coccyx(at: Local, curve: _Curve, own: np.random.Generator) -> Float32:
    """Three pieces below the sacrum, each smaller than the one above."""
    distance = np.full(np.broadcast_shapes(*(p.shape for p in at)), 99, np.float32)
    s = END_MM + own.uniform(2, 5)
    for half, long in ((9.0, 9.0), (6.0, 7.0), (4.5, 6.0)):
        ends = curve.point(0.0, s + 3, 0.0), curve.point(0.0, s + long, 0.0)
        distance = np.minimum(distance, segment_distance(at, *ends, 3.8, 3.2, (half / 4, 1.0, 1.0)))
        s += long + own.uniform(3, 7)
    return distance


def _marrow(bent: Local, bone: VertebraBone, own: np.random.Generator) -> Float32:
    """HU within: less bone than in S1 and least in the alae; what is left of discs between dense end plates."""
    x, s, n = bent
    # Trabecular bone of the ala is a third to two thirds of that of the bodies, and may be all fat in the old.
    share = own.uniform(0.7, 0.95) - own.uniform(0.1, 0.6) * np.clip((np.abs(x) - 18) / 14, 0, 1)
    hu = np.float32(bone.spongy) - np.float32(bone.mineral) * (1 - share)
    left = own.uniform(0.4, 1.0)
    for index, place in enumerate(_JOINTS):
        shown, thick = left * (1.0, 0.75, 0.5, 0.35)[index], own.uniform(1.5, 5.0) * (1.0, 0.6, 0.4, 0.3)[index]
        size = 1 - 0.18 * index
        within = np.clip(1.5 - (x / (14 * size)) ** 2 - ((n + 2) / (11 * size)) ** 2, 0, 1)
        # Below S1 the disc begins at its lower end plate.
        off = np.abs(s - np.float32(place - 2.5 if index == 0 else place))
        plates = np.exp(-(((off - 0.5 * thick - 1.0) / 1.1) ** 2))
        disc = np.clip(0.5 - (off - 0.5 * thick) / 1.2, 0, 1)
        hu = hu + within * np.float32(shown) * (np.float32(220) * plates + disc * (80 - hu))
    return np.asarray(hu, np.float32)

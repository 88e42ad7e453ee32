"""Draws the shoulder girdle and the arms, raised or down, with the muscle about them."""

from dataclasses import dataclass

import numpy as np

from trabecula.virtual.canvas import Canvas, smooth_max, to_local
from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import Trunk, height_of
from trabecula.volume import Float32, Float64, point


@dataclass(frozen=True)
class Shoulder:
    """The joints of one shoulder in LPS mm."""

    side: int
    joint: Float64  # the middle of the humerus' head
    elbow: Float64
    blade: Float64  # (3, 3): upper and lower corner of the shoulder blade, and its socket
    collar: Float64  # (n, 3): the clavicle from the breastbone on


def shoulders_of(s: Subject, trunk: Trunk) -> tuple[Shoulder, Shoulder]:
    """Right and left. Raised arms turn the blade out and its socket up."""
    rng = np.random.default_rng([s.seed, 42])
    raised = not s.arms_down
    lift, reach = rng.normal(0, 6), rng.normal(0, 5)
    both = []
    for side in (-1, 1):
        k = s.scale

        def on_back(level: float, share: float, side: int = side, k: float = k) -> Float64:
            """Behind the ribs, at a share of the cage's half width."""
            z = float(height_of(s, level))
            wide, deep, middle, shift = (float(v) for v in trunk.cavity.at(np.array(z)))
            y = middle + (deep + 15 * k) * (1 - min(share, 0.98) ** 2.35) ** (1 / 2.35)
            return np.array([shift + side * share * (wide + 14 * k), y, z])

        _, _, _, shift = (float(v) for v in trunk.cavity.at(np.array(height_of(s, 2.0))))
        top = np.array(on_back(1.9, 0.85))
        low = np.array(on_back(8.2 if raised else 7.6, 0.86 if raised else 0.58))
        out = (132 if raised else 146) * k + reach
        z = float(height_of(s, 1.3 if raised else 2.4)) + lift
        joint_y = top[1] - (34 if raised else 30) * k
        socket = np.array([shift + side * (out - 24 * k), joint_y + 6 * k, z])
        joint = np.array([shift + side * out, joint_y - 2 * k, z + (4 if raised else 0)])
        way = np.array([side * 110, -45, 250]) if raised else np.array([side * 55, 12, -300])
        start = trunk.cavity.at(np.array(height_of(s, 2.6)))
        breastbone = np.array([shift + side * 22 * k, float(start[2] - start[1]) - 6 * k, float(height_of(s, 2.2))])
        end = joint + np.array([-side * 8, 4, 24]) * k
        collar = np.array(
            [breastbone, breastbone + 0.35 * (end - breastbone) - [0, 14 * k, 0], end - [side * 26, 2, 2], end]
        )
        both.append(Shoulder(side, joint, joint + way * k, np.stack([top, low, socket]), collar))
    return both[0], both[1]


def draw_arm_muscles(canvas: Canvas, s: Subject, trunk: Trunk, muscle: float, fat: float) -> None:
    """Upper arm, deltoid and what binds the arm to the chest; drawn with the trunk's wall."""
    k = s.scale
    for shoulder in shoulders_of(s, trunk):
        arm = np.array([shoulder.joint, shoulder.elbow])
        layer = 5 + 0.35 * s.fat_mm
        inward = shoulder.joint + np.array([-shoulder.side * 60, -10, -45]) * k
        girdle = np.array([shoulder.joint, inward])
        for grow, hu in ((layer + 1.5, 15.0), (layer, fat), (0.0, muscle)):
            canvas.tube(arm, np.array([46 * k, 40 * k]) + grow, hu)
            canvas.tube(girdle, np.array([44 * k, 34 * k]) + grow, hu)


def draw_shoulders(canvas: Canvas, s: Subject, trunk: Trunk, spongy: float, compact: float) -> None:
    """Clavicles, shoulder blades and humeri."""
    k = s.scale
    for shoulder in shoulders_of(s, trunk):
        canvas.tube(shoulder.collar, np.array([8, 5.5, 5.5, 6.5]) * k, spongy * 0.8, 1.6, compact, (1, 1.1, 0.9))
        _draw_blade(canvas, shoulder, k, spongy, compact)
        joint, way = shoulder.joint, shoulder.elbow - shoulder.joint
        way = way / np.linalg.norm(way)
        canvas.tube(np.array([joint, joint + 28 * k * way]), np.array([23, 17]) * k, spongy * 0.6, 1.3, compact)
        canvas.tube(np.array([joint + 26 * k * way, shoulder.elbow]), 11.5 * k, -60, 4.0, compact)


def _draw_blade(canvas: Canvas, shoulder: Shoulder, k: float, spongy: float, compact: float) -> None:
    """A thin triangle with a thick outer border, a spine across its back to the acromion, and the coracoid."""
    top, low, socket = shoulder.blade
    up = (top - low) / np.linalg.norm(top - low)
    normal = np.cross(socket - low, up)
    normal *= np.sign(normal[1]) / np.linalg.norm(normal)  # to the back
    out = np.cross(up, normal)
    out *= np.sign(out @ (socket - low))
    corners = (np.stack([top, low, socket]) - low) @ np.stack([out, up]).T  # in the plane: out, up
    reach = 14 * k
    box = canvas.box(np.minimum(np.minimum(top, low), socket) - reach, np.maximum(np.maximum(top, low), socket) + reach)
    if box is not None:
        u, v, w = to_local(canvas.points(box), point(low), np.stack([out, up, normal]))
        edges = [_edge(u, v, corners[i], corners[(i + 1) % 3], corners.mean(axis=0)) for i in range(3)]
        outline = smooth_max(smooth_max(edges[0], edges[1], 4.0), edges[2], 4.0)
        bow = w - np.float32(0.0006) * u * (np.float32(corners[2, 0]) - u)  # hollow towards the ribs
        thick = 1.3 + 2.6 * np.exp(-(((edges[1] + 3) / 5) ** 2)) + 0.9 * np.exp(-(((outline + 2) / 3) ** 2))
        plate = smooth_max(np.asarray(np.abs(bow) - thick * k, np.float32), outline, 2.0)
        canvas.paint(box, plate, spongy * 0.8, 1.0, compact)
    back = normal * k
    spine = np.array([top * 0.72 + low * 0.28, 0.45 * top + 0.1 * low + 0.45 * socket, shoulder.collar[-1]])
    spine += np.stack([2 * back, 12 * back, 6 * back])
    canvas.tube(spine, np.array([3, 4.5, 8]) * k, spongy * 0.8, 1.4, compact, (1.1, 1, 1))
    canvas.tube(
        np.array([socket - 6 * out, socket + 2 * out]), np.array([10, 15]) * k, spongy, 1.2, compact, (0.7, 1, 1.2)
    )
    hook = (
        socket
        + np.array([[-shoulder.side * 6, -8, 14], [-shoulder.side * 4, -24, 22], [shoulder.side * 8, -40, 14]]) * k
    )
    canvas.tube(hook, np.array([7, 6, 5]) * k, spongy, 1.2, compact)


def _edge(u: Float32, v: Float32, a: Float64, b: Float64, inside: Float64) -> Float32:
    """Signed distance to the line through two corners in the plane, negative towards ``inside``."""
    normal = np.array([-(b - a)[1], (b - a)[0]]) / np.linalg.norm(b - a)
    normal *= -np.sign(normal @ (inside - a))
    return np.asarray(normal[0] * (u - a[0]) + normal[1] * (v - a[1]), np.float32)

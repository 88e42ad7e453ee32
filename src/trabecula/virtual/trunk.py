"""The outer and inner measures of a virtual trunk by height: its skin, its cavities, and the water a ray meets."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trabecula.anatomy import Level
from trabecula.virtual.subject import Subject
from trabecula.volume import Float32, Float64

_BACK_LEVELS = (Level.T12, Level.L1, Level.L2, Level.L3, Level.L4)


def back_mm(s: Subject) -> float:
    """Where the back ends (posterior, LPS): behind every spinous process, whose tips lie close under the skin."""
    bodies = [v for v in s.spine if v.name in _BACK_LEVELS]
    centre = next(v for v in bodies if v.name == Level.L3).centre_lps_mm[1]
    tips = [v.centre_lps_mm[1] + v.depth_mean_mm / 2 + v.spinous_mm for v in bodies]
    # The bodies lie about 36% of the half depth behind the middle.
    usual = centre + s.half_depth_mm - 0.36 * (s.half_depth_mm - s.fat_mm)
    return float(max(usual, max(tips) + 4 + 0.6 * s.fat_mm))


def middle_mm(s: Subject) -> float:
    """The middle of the trunk between belly and back (posterior, LPS)."""
    return back_mm(s) - s.half_depth_mm


def water_path_mm(s: Subject) -> float:
    """The water behind which bone is drawn in the lumbar spine: the rays through L2, mean over all directions.

    Fat, which holds little oxygen, hardens a beam half as much as its HU let one expect (projected discs of muscle
    within fat: 80 mm of it as 36 mm of water); within the wall nearly half is fat.
    """
    fat, lean = _crossed_mm(s)
    return 0.45 * fat + 0.76 * lean


def rod_path_mm(s: Subject) -> float:
    """The water behind which a phantom's rods under the back show their mineral.

    They lie at the edge, where bow-tie filters harden the beam and the body does less than in its middle: 0.84 of the
    water that HU show along the rays through the spine (evaluation/world/hardening.py, docs/results/hardening.md).
    """
    fat, lean = _crossed_mm(s)
    return ROD_SHARE * (0.9 * fat + 1.02 * lean)


ROD_SHARE = 0.84


def _crossed_mm(s: Subject) -> tuple[float, float]:
    """How much of the fat under the skin, and of what it encloses, the rays through L2 cross: mean over directions."""
    angles, along = np.linspace(0, np.pi, 45, endpoint=False), np.arange(-300, 300, 2.0)
    x = along * np.cos(angles)[:, None]
    y = along * np.sin(angles)[:, None] + s.vertebra(Level.L2).centre_lps_mm[1] - middle_mm(s)
    wide, deep = s.half_width_mm * 0.98, s.half_depth_mm * 0.98

    def within(inset_mm: float) -> float:
        inside = np.abs(x / (wide - inset_mm)) ** 2.4 + np.abs(y / (deep - inset_mm)) ** 2.4 < 1
        return float(inside.sum()) * 2.0 / len(angles)

    whole, lean = within(0.0), within(s.fat_mm)
    return whole - lean, lean


def bone_path_g_cm2(s: Subject) -> float:
    """The mineral that hardens the beam on its way to the middle of L2: g/cm2."""
    v = s.vertebra(Level.L2)
    across_cm = (sum(v.width_mm) / 2 + v.depth_mean_mm) / 20
    return HARDENING_SHARE * across_cm * max(v.bmd_k2hpo4, 0.0) / 1000


HARDENING_SHARE = 0.75
"""Half of what a ray passes in a body lies before its middle; its shell and the arch add half as much again, as slices
projected through a polychromatic beam show."""


@dataclass(frozen=True)
class Profile:
    """Superellipses stacked along the body: at heights ``z_mm`` (growing) half width, front, back and side shift.

    Front and back are posterior LPS mm; ``power`` 2 is an ellipse, more is squarer.
    """

    z_mm: Float64
    half_width_mm: Float64
    front_mm: Float64
    back_mm: Float64
    shift_mm: Float64
    power: float

    def at(self, z: Float64 | Float32) -> tuple[Float64, Float64, Float64, Float64]:
        """Half width, half depth, middle (posterior) and shift (left) at heights."""
        wide, front, back, shift = (
            np.interp(z, self.z_mm, values)
            for values in (self.half_width_mm, self.front_mm, self.back_mm, self.shift_mm)
        )
        return wide, (back - front) / 2, (back + front) / 2, shift

    def distance(self, points: tuple[Float32, Float32, Float32], grow_mm: float = 0.0) -> Float32:
        """Signed distance to the surface, to first order, in horizontal planes; ``grow_mm`` moves it outwards."""
        x, y, z = points
        wide, deep, middle, shift = (value.astype(np.float32) for value in self.at(z))
        wide, deep = np.maximum(wide + np.float32(grow_mm), 5), np.maximum(deep + np.float32(grow_mm), 5)
        power = np.float32(self.power)
        norm = (np.abs((x - shift) / wide) ** power + np.abs((y - middle) / deep) ** power) ** (1 / power)
        return np.asarray((norm - 1) * np.minimum(wide, deep), np.float32)


# Of the rib cage's inner wall, against T9: half width, reach from the middle of the body to the front; mm that the
# gutters beside the spine lie behind the middle of the body; mm of muscle and shoulder outside the ribs to the side.
_CAGE = {
    -1: (0.26, 0.26, 10, 20),
    0: (0.34, 0.30, 14, 48),
    1: (0.44, 0.36, 20, 96),
    2: (0.54, 0.46, 26, 92),
    3: (0.66, 0.57, 30, 74),
    4: (0.77, 0.68, 34, 58),
    5: (0.86, 0.78, 37, 46),
    6: (0.92, 0.86, 39, 37),
    7: (0.96, 0.92, 40, 29),
    8: (0.99, 0.97, 41, 23),
    9: (1.0, 1.0, 41, 19),
    10: (1.0, 1.02, 41, 16),
    11: (0.99, 1.03, 40, 14),
    12: (0.97, 1.02, 38, 13),
}


@dataclass(frozen=True)
class Trunk:
    """The skin and the inner wall of chest and belly; ``wall_mm`` of muscle lies outside the latter."""

    skin: Profile
    cavity: Profile
    chest_fat_mm: float
    wall_mm: float


def thoracic_index(s: Subject) -> dict[str, int]:
    """T1 is 1, what lies above it 0 and less; counted on to the last vertebra."""
    names = [v.name for v in s.spine]
    return {name: i - names.index("T1") + 1 for i, name in enumerate(names)}


def height_of(s: Subject, index: Float64 | float) -> Float64:
    """The height (superior, LPS mm) of a place along the spine: 4.5 is the disc between T4 and T5."""
    at = thoracic_index(s)
    return np.asarray(np.interp(index, [at[v.name] for v in s.spine], [v.centre_lps_mm[2] for v in s.spine]))


def trunk_of(s: Subject) -> Trunk:
    """A person's trunk. The chest has a depth and width of its own, which the belly's only half foretell."""
    rng = np.random.default_rng([s.seed, 31])
    at = thoracic_index(s)
    place = {at[v.name]: np.array(v.centre_lps_mm) for v in s.spine}
    middle, k = middle_mm(s), s.scale
    wall = float(rng.uniform(9, 16))
    fat = 0.75 * s.fat_mm
    belly_reach = place[9][1] - (middle - s.half_depth_mm + s.fat_mm + wall)
    older = 0.25 * max(0.0, s.age_years - 45)
    reach = float(
        np.clip(0.5 * belly_reach + 0.5 * 132 * k + older + rng.normal(0, 8), 92 * k, min(190.0, belly_reach + 35))
    )
    wide = float(0.5 * (s.half_width_mm - s.fat_mm - wall) + 0.5 * 131 * k + rng.normal(0, 5))
    slim = 1.0 if s.arms_down else 0.92
    rows = []
    for i, (a, r, gutter, out) in _CAGE.items():
        x, y, z = place[i]
        shoulder = 1.0 if i > 4 else slim * k
        inner = wide * a, y - reach * r, y + gutter * k
        skin = inner[0] + out * shoulder + fat, inner[1] - 15 * k - fat, _skin_back(s, i, fat)
        rows.append((z, *inner, *skin, 0.6 * x))
    names = {v.name: np.array(v.centre_lps_mm) for v in s.spine}
    last = s.spine[-1].name
    low = [(names["L2"], 0.99, 0.98), (names["L5"] if "L5" in names else names[last], 1.0, 0.97)]
    low += [(names[last] - [0, 0, 60], 1.05, 0.97), (names[last] - [0, 0, 130], 1.1, 0.98)]
    for (x, _, z), broad, deep in low:
        half, depth = s.half_width_mm * broad, s.half_depth_mm * deep
        skin = half, middle - depth, middle + depth
        thick = s.fat_mm + wall
        rows.append((z, half - thick, skin[1] + thick, skin[2] - thick, *skin, 0.4 * x))
    x, y, z = place[-2]
    rows.append((z, 0.2 * wide, y - 0.22 * reach, y + 8, 58 * k + fat / 3, y - 58 * k - fat / 3, y + 62 * k, 0.6 * x))
    rows = sorted(rows)
    z, columns = np.array([row[0] for row in rows]), [np.array(c) for c in zip(*(row[1:] for row in rows), strict=True)]
    power = float(rng.uniform(2.2, 2.8))
    # Smoothed over 2 cm, or the body would have edges round it.
    fine = np.arange(z[0], z[-1], 6.0)
    columns = [ndimage.gaussian_filter1d(np.interp(fine, z, c), 3.0, mode="nearest") for c in columns]
    z = fine
    cavity = Profile(z, columns[0], columns[1], columns[2], columns[6], 2.35)
    skin_profile = Profile(z, columns[3], columns[4], columns[5], columns[6], power)
    return Trunk(skin_profile, cavity, fat, wall)


def _skin_back(s: Subject, index: int, fat_mm: float) -> float:
    """The skin behind a thoracic vertebra: over the tip of its spinous process, or over ribs and muscles."""
    at = thoracic_index(s)
    v = next(v for v in s.spine if at[v.name] == index)
    y = v.centre_lps_mm[1]
    tip = y - v.axes[1][1] * (v.depth_mean_mm / 2 + v.spinous_mm - 2)
    return float(max(tip + 5 + 0.35 * fat_mm, y + (64 if index > 2 else 56) * s.scale + 0.8 * fat_mm))


def table_mm(s: Subject) -> float:
    """Where the back that lies on the table is furthest behind (posterior, LPS)."""
    return float(max(back_mm(s), trunk_of(s).skin.back_mm.max()))

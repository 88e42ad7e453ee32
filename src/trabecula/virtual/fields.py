"""Which part of a virtual person a scan shows: chest, trunk, abdomen, spine alone, and parts of these."""

from dataclasses import dataclass, replace

import numpy as np

from trabecula.virtual.subject import Subject
from trabecula.virtual.trunk import height_of, table_mm, thoracic_index, trunk_of
from trabecula.volume import Grid


@dataclass(frozen=True)
class Field:
    """A field of view in LPS mm: from ``low_mm`` to ``high_mm`` (superior), ``width_mm`` wide round ``middle_mm``.

    ``masked``: the table and the air about the body are blanked, as some archives store scans.
    """

    kind: str
    low_mm: float
    high_mm: float
    width_mm: float
    depth_mm: float
    middle_mm: tuple[float, float]  # left and posterior
    masked: bool = False

    def grid(self, spacing_mm: float | tuple[float, float, float]) -> Grid:
        """Its voxels, axial; spacing along (z, y, x)."""
        spacing = np.broadcast_to(spacing_mm, 3)
        size = np.array([self.high_mm - self.low_mm, self.depth_mm, self.width_mm])
        z, y, x = (int(n) for n in np.maximum(np.ceil(size / spacing), 2))
        middle = (*self.middle_mm, (self.low_mm + self.high_mm) / 2)
        return Grid.axial(middle, (z, y, x), (float(spacing[0]), float(spacing[1]), float(spacing[2])))


def field_between(s: Subject, z_range_mm: tuple[float, float], width_mm: float = 420.0) -> Field:
    """The whole torso between two heights, with the table, as deep as it is there."""
    low, high = z_range_mm
    skin = trunk_of(s).skin
    heights = np.linspace(low, high, 40)
    front = float(np.interp(heights, skin.z_mm, skin.front_mm).min()) - 30
    back = table_mm(s) + 45
    depth = min(width_mm, back - front)
    # Where the field is less deep than the body, the table stays in view.
    return Field("torso", low, high, width_mm, depth, (0.0, back - depth / 2))


# Where the field begins and ends along the spine (index of the vertebra, T1 1 ... T12 12, L1 13; S1 is the last), and
# its width in mm. Ends lie anywhere in a body.
_KINDS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "chest": ((-0.8, 1.2), (11.6, 14.6), (330, 440)),
    "chest-short": ((1.0, 4.5), (9.8, 13.2), (320, 420)),  # without the apex
    "trunk": ((-2.0, 0.0), (18.6, 24.5), (420, 500)),  # low-dose CT of a PET/CT
    "planning": ((-2.0, -0.4), (14.0, 16.4), (420, 500)),
    "abdomen": ((8.2, 11.6), (17.4, 20.5), (340, 440)),
    "abdomen-pelvis": ((7.4, 11.8), (18.6, 24.5), (340, 440)),  # to the coccyx or the sitting bones
    "upper-abdomen": ((7.8, 10.6), (14.0, 17.0), (330, 420)),
    "spine": ((6.0, 11.5), (16.0, 19.2), (130, 220)),
    "lumbar": ((11.2, 13.2), (17.2, 19.2), (140, 260)),
}
FIELD_KINDS = tuple(_KINDS)
_SHARES = (0.27, 0.12, 0.10, 0.09, 0.14, 0.07, 0.08, 0.07, 0.06)


def sample_field(s: Subject, rng: np.random.Generator, kind: str | None = None) -> Field:
    """A field of view of a kind, or of any as often as scans of it are met; one in ten is cropped, one in ten masked.

    Raises:
        ValueError: an unknown kind.
    """
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"unknown field {kind!r}; there are {', '.join(_KINDS)}")
    chosen = kind or str(rng.choice(FIELD_KINDS, p=_SHARES))
    tops, bottoms, widths = _KINDS[chosen]
    last = thoracic_index(s)["S1"]
    top, bottom = (rng.uniform(*ends) for ends in (tops, bottoms))
    # Indices below the chest are of a person of five lumbar vertebrae.
    bottom = bottom if bottom < 14 else bottom + (last - 18) * min(1.0, (bottom - 14) / 4)
    high, low = float(height_of(s, top)), _below(s, bottom, last)
    width, trunk = float(rng.uniform(*widths)), trunk_of(s)
    front, back = float(trunk.skin.front_mm.min()) - 30, table_mm(s) + 45
    spine = spine_at(s, (low + high) / 2)
    middle = (float(rng.normal(0, 9)), (front + back) / 2 + float(rng.normal(0, 8)))
    depth = min(width, back - front)
    if chosen in ("spine", "lumbar"):
        middle = (spine[0] + float(rng.normal(0, 8)), spine[1] + 12 + float(rng.normal(0, 8)))
        depth = min(width, 190.0)
    field = Field(chosen, low, high, width, depth, middle, bool(rng.random() < 0.1))
    return _cropped(field, spine, rng) if rng.random() < 0.1 else field


def _below(s: Subject, index: float, last: int) -> float:
    """A height along the spine; beyond S1's middle, 30 mm for each unit, down to the coccyx."""
    return float(height_of(s, min(index, last))) - 30 * max(0.0, index - last)


def spine_at(s: Subject, z_mm: float) -> tuple[float, float]:
    """Left and posterior mm of the spine at a height."""
    places = [v.centre_lps_mm for v in s.spine][::-1]
    x, y = (float(np.interp(z_mm, [p[2] for p in places], [p[i] for p in places])) for i in (0, 1))
    return x, y


def _cropped(field: Field, spine: tuple[float, float], rng: np.random.Generator) -> Field:
    """A part that still holds the spine: 90 to 260 mm high, 120 mm wide and more."""
    high = field.high_mm - field.low_mm
    keep = min(high, float(rng.uniform(90, 260)))
    low = field.low_mm + float(rng.uniform(0, high - keep))
    width = min(field.width_mm, float(rng.uniform(120, 360)))
    shift = 0.2 * width
    middle = (spine[0] + float(rng.uniform(-shift, shift)), spine[1] + float(rng.uniform(-20, 15)) - 0.15 * width)
    return replace(
        field, low_mm=low, high_mm=low + keep, width_mm=width, depth_mm=min(field.depth_mm, width), middle_mm=middle
    )

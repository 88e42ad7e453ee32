"""What is true for counting vertebrae: the middle of each body, the ribs that join it, the landmarks at both ends."""

from dataclasses import dataclass

import numpy as np

from trabecula.virtual.family_b.ribs import ribs_of_b
from trabecula.virtual.family_b.skeleton import iliac_crests_b
from trabecula.virtual.pelvis import iliac_crests
from trabecula.virtual.ribs import ribs_of
from trabecula.virtual.subject import Subject
from trabecula.volume import Grid, Point, Volume, point


@dataclass(frozen=True)
class CountedBody:
    """One vertebra. Ribs and what joins the sacrum: on the right, on the left."""

    name: str
    verse_id: int
    centre_lps_mm: Point
    rib_mm: tuple[float, float]  # length of the bone; 0: no rib joins it
    rib_head_lps_mm: tuple[Point | None, Point | None]
    rib_tip_lps_mm: tuple[Point | None, Point | None]
    height_mm: float


@dataclass(frozen=True)
class CountingTruth:
    """All bodies from C5 to S1, cranial first, and what they are counted from, in view or not."""

    bodies: tuple[CountedBody, ...]
    first_rib: str  # the vertebra that bears it; a neck rib at C7 is not the first
    sacrum: str  # its first body
    iliac_crests_lps_mm: tuple[Point, Point]  # the highest point, right and left
    numbering: str
    castellvi: str
    castellvi_sides: tuple[str, str]  # right and left: "", "broad", "joint" or "bone"

    @property
    def by_name(self) -> dict[str, CountedBody]:
        return {body.name: body for body in self.bodies}

    def in_view(self, grid: Grid | Volume) -> dict[str, float]:
        """The share of each body's height that lies between the first and the last slice of a grid, 0 to 1; 0 where
        its middle lies beside the grid.
        """
        inverse = np.linalg.inv(grid.affine)
        shares = {}
        for body in self.bodies:
            z, y, x = (inverse @ np.array([*body.centre_lps_mm, 1.0]))[:3]
            half = body.height_mm / 2 / grid.spacing_mm[0]
            inside = min(z + half, grid.shape[0] - 0.5) - max(z - half, -0.5)
            beside = not (-0.5 <= y <= grid.shape[1] - 0.5 and -0.5 <= x <= grid.shape[2] - 0.5)
            shares[body.name] = 0.0 if beside else float(np.clip(inside / (2 * half), 0, 1))
        return shares


def counting_truth(s: Subject) -> CountingTruth:
    """What is true of a person, whatever scan is made of it."""
    ribs = {(rib.vertebra, rib.side): rib for rib in (ribs_of_b(s) if s.family == "b" else ribs_of(s))}
    bodies = []
    for v in s.spine:
        pair = [ribs.get((v.name, side)) for side in (-1, 1)]
        lengths = [0.0 if rib is None else rib.length_mm for rib in pair]
        heads = [None if rib is None else point(rib.path_lps_mm[0]) for rib in pair]
        tips = [None if rib is None else point(rib.path_lps_mm[-1]) for rib in pair]
        height = (v.front_mm + v.back_mm) / 2
        bodies.append(
            CountedBody(
                v.name,
                v.verse_id,
                v.centre_lps_mm,
                (lengths[0], lengths[1]),
                (heads[0], heads[1]),
                (tips[0], tips[1]),
                height,
            )
        )
    sides = s.variant.castellvi.sides
    right, left = sides if s.variant.first_side < 0 else sides[::-1]
    crests = iliac_crests_b(s) if s.family == "b" else iliac_crests(s)
    return CountingTruth(
        bodies=tuple(bodies),
        first_rib="T1",
        sacrum="S1",
        iliac_crests_lps_mm=(point(crests[0]), point(crests[1])),
        numbering=s.numbering.value,
        castellvi=s.variant.castellvi.value,
        castellvi_sides=(right, left),
    )

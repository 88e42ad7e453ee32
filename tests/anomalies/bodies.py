"""Anomalies of the body rather than of the file: each needs a screening to judge. All of one virtual person.

Rows are those of docs/results/bad-inputs.md. Whatever is measured must be within ``TOLERANCE_MG_CM3`` of the truth and
bear its right name, or its name be in doubt; what the finding spoils must be withheld, or said.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.errors import Refusal
from trabecula.line import screen
from trabecula.recipes.house import HOUSE
from trabecula.records import Acquisition, Assessment, Scan
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.findings import NOTHING, Findings, Rates
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import Subject, sample_subject
from trabecula.volume import Grid, Orientation, Volume

PROTOCOL = Protocol(pixel_mm=1.2, thickness_mm=3.0, increment_mm=3.0, noise_hu=8.0)
TOLERANCE_MG_CM3 = 25.0
"""What no reading may miss the truth by: a name one off, or a region half outside of the bone, is more."""

NEAR_MM = 12.0
NAMES_IN_DOUBT = {"level-uncertain", "level-unknown", "levels-shifted", "localisers-disagree"}
NEVER = Rates(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

Change = Callable[[VirtualCt, NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Body:
    """``spoilt`` are the levels of which no number may come without a reason; ``change`` is made to the HU."""

    row: int
    name: str
    subject: Subject
    top: Level
    bottom: Level
    spoilt: tuple[Level, ...] = ()
    change: Change = lambda ct, hu: hu


def person(seed: int = 4, rates: Rates = NEVER, **findings: Findings) -> Subject:
    """A person with these findings by level, and none else."""
    drawn = sample_subject(seed, 120.0, rates)
    spine = tuple(replace(one, findings=findings.get(one.name, NOTHING)) for one in drawn.spine)
    return replace(drawn, spine=spine, metal_hip=False, phase="none")


def clipped_beads(ct: VirtualCt, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Metal in front of the belly, of which 12 bits show 3071 HU at most."""
    made = hu.copy()
    z, x = hu.shape[0] // 2, hu.shape[2] // 2
    made[z - 4 : z + 4, :6, x - 4 : x + 4] = 3071
    return made


def clipped_in_bone(ct: VirtualCt, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every other voxel of L2's trabecular bone at 3071 HU."""
    made = hu.copy()
    inside = np.argwhere(ct.trabecular == Level.L2.verse_id)
    made[tuple(inside[::2].T)] = 3071
    return made


def cut_through_t12(ct: VirtualCt, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scan ends in the middle of T12."""
    (middle,) = [one.centre_lps_mm for one in ct.subject.spine if one.name == Level.T12]
    return hu[: round(float(ct.volume.to_index(np.array(middle))[0]))]


def bodies() -> tuple[Body, ...]:
    """Every one; people are drawn when this is called."""
    chain = (Level.T11, Level.L3)
    return (
        Body(14, "Metal outside the bones, cut off at 3071 HU", person(), *chain, change=clipped_beads),
        Body(14, "Bone that is cut off at 3071 HU", person(), *chain, (Level.L2,), clipped_in_bone),
        Body(24, "Screws in L2", person(L2=Findings(screws=True)), *chain, (Level.L2,)),
        Body(24, "Cement in L1", person(L1=Findings(cement_mm=9.0)), *chain, (Level.L1,)),
        Body(25, "L2 fractured", person(L2=Findings(fracture_anterior=0.4)), *chain, (Level.L2,)),
        Body(26, "Six lumbar vertebrae", person(rates=replace(NEVER, lumbarised=1.0)), Level.T11, Level.L5),
        Body(26, "Thirteen pairs of ribs", person(rates=replace(NEVER, thirteen_ribs=1.0)), Level.T11, Level.L5),
        Body(27, "L3 alone", person(), Level.L3, Level.L3),
        Body(28, "The scan ends in T12", person(), *chain, (Level.T12,), cut_through_t12),
    )


def scanned(body: Body) -> tuple[VirtualCt, Volume]:
    """The virtual CT and the volume that is given to the program."""
    ct = scan_patient(body.subject, PROTOCOL, body.top, body.bottom, 4)
    hu = body.change(ct, ct.volume.hu)
    affine = ct.volume.affine
    return ct, Volume(np.ascontiguousarray(hu, np.float32), affine)


def screened(volume: Volume) -> Assessment:
    return screen(Scan(volume, Orientation(), Acquisition("nifti", tube_voltage_kvp=120.0)), HOUSE)


def complaint(body: Body, ct: VirtualCt, found: Assessment) -> str | None:
    """What is wrong with an answer; None where it is right."""
    said = {one.code for one in found.reasons}
    for reading in found.readings.vertebrae:
        if reading.density is None:
            continue
        true = nearest(ct, reading.centroid_lps_mm)
        if true is None:
            return f"{reading.level} where there is no vertebra"
        if reading.level.is_named and reading.level != true and not said & NAMES_IN_DOUBT:
            return f"{true} is called {reading.level}"
        if true in body.spoilt and not reading.reasons:
            return f"{true} is measured without a word"
        off = reading.density.value - ct.bmd[true]
        if abs(off) > TOLERANCE_MG_CM3 and not reading.reasons:
            return f"{true} is off by {off:+.0f} mg/cm3"
    return None


def nearest(ct: VirtualCt, at_lps_mm: tuple[float, float, float]) -> Level | None:
    """The level whose body's middle lies there."""
    off = {
        one.name: float(np.linalg.norm(np.subtract(one.centre_lps_mm, at_lps_mm)))
        for one in ct.subject.spine
        if one.name in ct.truth
    }
    name = min(off, key=lambda one: off[one])
    return Level(name) if off[name] < NEAR_MM else None


# -- no spine in view


def leg() -> Volume:
    """A thigh: skin, fat and muscle round a shaft of bone."""
    _, y, x = np.indices((60, 120, 120))
    radius = np.hypot(y - 60, x - 60)
    hu = np.select([radius < 6, radius < 11, radius < 42, radius < 52], [20.0, 1300.0, 55.0, -100.0], -1000.0)
    return noisy(hu)


def head() -> Volume:
    """A skull without a neck."""
    z, y, x = np.indices((60, 110, 90))
    radius = np.sqrt(((z - 4) / 50) ** 2 + ((y - 55) / 46) ** 2 + ((x - 45) / 38) ** 2)
    hu = np.select([radius < 0.85, radius < 0.95, radius < 1.03], [35.0, 1100.0, -90.0], -1000.0)
    return noisy(hu)


def noisy(hu: NDArray[Any]) -> Volume:
    noise = np.random.default_rng(0).normal(0, 8, hu.shape)
    grid = Grid.axial((0.0, 0.0, 0.0), hu.shape, (3.0, 2.0, 2.0))
    return Volume(np.rint(hu + noise).astype(np.float32), grid.affine)


NO_SPINE = {"A thigh": leg, "A head": head}


def refused_code(volume: Volume) -> str | None:
    """The code by which a volume is refused; None where it is not."""
    try:
        screened(volume)
    except Refusal as error:
        return error.code
    return None

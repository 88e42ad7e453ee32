"""A published study's people as virtual ones: who is enrolled, on which scanner, in which field of view."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy.special import ndtr, ndtri

from trabecula.errors import wrong_usage
from trabecula.virtual.cohort import without_implants
from trabecula.virtual.families import sample_person
from trabecula.virtual.fields import Field, field_between, spine_at
from trabecula.virtual.findings import POPULATION
from trabecula.virtual.publications import EVEN_MG_CM3, MATRIX, Part, People, Publication, Scanner, View
from trabecula.virtual.scanner import Protocol
from trabecula.virtual.subject import Subject, VertebraShape, Who, mean_bmd

T = TypeVar("T")


@dataclass(frozen=True)
class Enrolled:
    """One person of a study, and how that person is scanned."""

    subject: Subject
    scanner: Scanner
    protocol: Protocol
    view: View
    field: Field


def people_of(part: Part, share: float) -> int:
    """How many of a part a share of it is; the same share of every part, at least one.

    Raises:
        WrongUsage: ``share-unusable``: it is not above 0 and up to 1.
    """
    if not 0 < share <= 1:
        raise wrong_usage("share-unusable", share=share)
    return max(1, round(share * part.people))


def enrol(publication: Publication, part: Part, index: int) -> Enrolled:
    """Person ``index`` of a part; the same whatever share of the part is asked for.

    Nobody has been given contrast medium, and nobody has metal or cement in the spine: QCT could not read them (Niu
    2023 leaves them out, the others cannot have had a reference).
    """
    seed = part.first_seed + index
    rng = np.random.default_rng([seed, 61])
    who, bmd = _who(publication.people, part, rng)
    subject = sample_person(seed, bmd, POPULATION, who=who)
    subject = replace(without_implants(subject), phase="none")
    scanner = _shared_out(part.scanners, index, (5**0.5 - 1) / 2)
    view = _shared_out([(view, view.share) for view in publication.views], index, 2**0.5 - 1)
    return Enrolled(subject, scanner, _protocol(scanner, view, rng), view, _field(subject, view, scanner, rng))


def _shared_out(choices: Sequence[tuple[T, float]], index: int, step: float) -> T:
    """One of the choices: any first few people are shared out as all are (multiples of an irrational number)."""
    at = (0.5 + index * step) % 1
    for choice, share in choices:
        at -= share
        if at < 0:
            return choice
    return choices[-1][0]


def _who(people: People, part: Part, rng: np.random.Generator) -> tuple[Who, float]:
    """Sex, age and density, mg/cm3."""
    sex = "F" if rng.random() < people.women else "M"
    low, high = (float(ndtr((end - people.age_mean) / people.age_sd)) for end in people.ages)
    age = people.age_mean + people.age_sd * float(ndtri(rng.uniform(low, high)))
    even = rng.random() < part.even_share
    evenly = float(rng.uniform(*EVEN_MG_CM3))
    usual = mean_bmd(age, sex) + people.bmd_shift_mg_cm3 + people.bmd_sd_mg_cm3 * float(rng.standard_normal())
    return Who(sex, age), evenly if even else max(15.0, usual)


def _protocol(scanner: Scanner, view: View, rng: np.random.Generator) -> Protocol:
    """The scanner's settings with what differs from patient to patient: noise, place on the table, drift."""
    kept = scanner.protocol
    return replace(
        kept,
        pixel_mm=view.pixel_mm or kept.pixel_mm,
        noise_hu=kept.noise_hu * float(rng.lognormal(0, 0.15)),
        shading_hu=float(rng.uniform(0, 2)),
        off_centre_mm=(float(np.clip(rng.normal(0, 6), -20, 20)), float(np.clip(rng.normal(0, 12), -30, 30))),
        rotation_deg=float(np.clip(rng.normal(0, 2), -5, 5)),
    )


def _field(subject: Subject, view: View, scanner: Scanner, rng: np.random.Generator) -> Field:
    high = _ends(subject.vertebra(view.top))[1] + float(rng.uniform(*view.above_mm))
    low = _ends(subject.vertebra(view.bottom))[0] - float(rng.uniform(*view.below_mm))
    width = view.width_mm or MATRIX * scanner.protocol.pixel_mm
    field = replace(field_between(subject, (low, high), width), kind=view.kind)
    if view.width_mm is None:
        return field
    left, back = spine_at(subject, (low + high) / 2)
    return replace(field, depth_mm=width, middle_mm=(left, back + 12))


def _ends(v: VertebraShape) -> tuple[float, float]:
    """The lowest and the highest point of a vertebra's body, LPS mm."""
    half = np.array([max(v.width_mm), max(v.depth_mm), max(v.front_mm, v.back_mm)]) / 2
    reach = float(np.abs(v.axes[:, 2]) @ half)
    return v.centre_lps_mm[2] - reach, v.centre_lps_mm[2] + reach

"""A case: one scan and what is known of it. No voxel is read or drawn before it is asked for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.errors import WrongUsage, wrong_usage
from trabecula.messages import Phrase, in_turn, joined
from trabecula.quantity import VBMD_K2HPO4, Quantity
from trabecula.records import Scan
from trabecula.volume import Point, Volume

MASKS = ("bodies", "trabecular", "vertebrae")
"""Kinds of masks: vertebral bodies, their trabecular regions, whole vertebrae with their arches."""

CONTRAST, UNENHANCED = "contrast", "none"
"""The group that tells a scan's contrast medium, and what it tells where there is none."""

Masks = Mapping[str, NDArray[np.uint8]]
"""VerSe ids (z, y, x) on the scan's grid, by kind."""


class Split(StrEnum):
    """What a case may be used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Field(StrEnum):
    """Which part of a person a training sample shows; only a virtual patient is drawn anew for each."""

    TORSO = "torso"
    PROJECTION = "projection"
    SPINE = "spine"
    COUNTED = "counted"  # any part from the neck to the hips, with what vertebrae are counted by


@dataclass(frozen=True)
class Known:
    """What is known of a scan but its voxels; None or nothing where it is not known.

    ``density`` is the reference (QCT) of each vertebra in ``quantity``. ``whole_levels`` are the vertebrae that lie
    wholly in view, ``ribs_mm`` the lengths of the ribs that join each. ``groups`` name what
    figures may be broken down by.
    """

    sex: str | None = None  # "F" or "M"
    age_years: float | None = None
    scanner: str | None = None
    site: str | None = None
    tube_voltage_kvp: float | None = None
    density: Mapping[Level, float] = field(default_factory=dict)
    quantity: Quantity = VBMD_K2HPO4
    areal_bmd_g_cm2: float | None = None  # of L1 to L4, as DXA gives it
    centres_lps_mm: Mapping[Level, Point] = field(default_factory=dict)
    whole_levels: tuple[Level, ...] | None = None
    findings: Mapping[Level, tuple[str, ...]] = field(default_factory=dict)
    numbering: str | None = None
    ribs_mm: Mapping[Level, tuple[float, float]] = field(default_factory=dict)  # right and left; 0: none joins it
    joined_to_sacrum: Level | None = None  # by a joint or by bone (Castellvi II to IV)
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A case with its voxels: the scan as every door reads it, the masks asked for, and what is known."""

    scan: Scan
    masks: Masks
    known: Known


@dataclass(frozen=True)
class Labelled:
    """What a training sample is cut from: a volume, masks on its grid, and what is known."""

    volume: Volume
    masks: Masks
    known: Known


class Source(Protocol):
    """Where a case's voxels come from."""

    @property
    def masks(self) -> tuple[str, ...]:
        """The kinds of masks there are."""
        ...

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        """The scan and these masks."""
        ...

    def labelled(self, known: Known, masks: tuple[str, ...], field: Field) -> Labelled:
        """What a training sample of this field is cut from."""
        ...


@dataclass(frozen=True)
class Case:
    """One scan. ``patient`` groups the scans of one person: they are never counted as independent."""

    name: str
    patient: str
    source: Source
    known: Known
    split: Split | None = None

    def load(self, masks: tuple[str, ...] = ()) -> Seen:
        """The scan, and those of ``masks`` that there are.

        Raises:
            TrabeculaError: the scan or a mask cannot be used.
        """
        return self.source.load(self.known, tuple(kind for kind in masks if kind in self.source.masks))

    def labelled(self, masks: tuple[str, ...], field: Field) -> Labelled:
        """What a training sample of ``field`` is cut from.

        Raises:
            WrongUsage: ``mask-missing``: the case has none of a kind that is needed.
            TrabeculaError: the scan or a mask cannot be used.
        """
        missing = [kind for kind in masks if kind not in self.source.masks]
        if missing:
            raise wrong_usage("mask-missing", name=self.name, kinds=joined(missing))
        return self.source.labelled(self.known, masks, field)


@dataclass(frozen=True)
class BadRow:
    """A row of a table that cannot be used, and why."""

    line: int
    error: WrongUsage

    @property
    def phrase(self) -> Phrase:
        """The line and why, as it stands in another sentence."""
        return Phrase("row-bad", {"line": self.line, "said": self.error.coded})


@dataclass(frozen=True)
class Cohort:
    """Cases and where they come from. ``digest`` differs where the cohort does; ``generator`` made simulated ones."""

    name: str
    digest: str
    cases: tuple[Case, ...]
    simulated: bool = False
    family: str | None = None
    generator: str | None = None
    bad: tuple[BadRow, ...] = ()
    given: str = ""  # what it was asked for by


LISTED = 20
"""Bad rows told in one message; the rest are counted."""


def require_sound(cohort: Cohort, leave_out_bad: bool = False) -> None:
    """Refuses a cohort with bad rows, unless they are to be left out, or with nobody in it.

    Raises:
        WrongUsage: ``bad-rows`` with each line and its reason, or ``cohort-empty``.
    """
    if cohort.bad and not leave_out_bad:
        more = len(cohort.bad) - LISTED
        rows = [row.phrase for row in cohort.bad[:LISTED]]
        rows += [Phrase("rows-more", {"number": more})] if more > 0 else []
        raise wrong_usage("bad-rows", number=len(cohort.bad), name=cohort.name, rows=in_turn(rows))
    if not cohort.cases:
        raise wrong_usage("cohort-empty", name=cohort.name)


def validation_split(cases: tuple[Case, ...], share: float = 0.1) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Cases to train on and to judge by, apart by patient; those of the split ``test`` are in neither.

    Where no case is marked for validation, about ``share`` of the patients are taken, the same ones each time.

    Raises:
        WrongUsage: ``too-few-patients``: one of the two would be empty.
    """
    usable = [case for case in cases if case.split is not Split.TEST]
    marked = {case.patient for case in usable if case.split is Split.VALIDATION}
    if not marked:
        patients = sorted({case.patient for case in usable}, key=lot)
        marked = set(patients[: max(1, round(share * len(patients)))])
    training = tuple(case for case in usable if case.patient not in marked)
    judging = tuple(case for case in usable if case.patient in marked)
    if not training or not judging:
        raise wrong_usage("too-few-patients", number=len({case.patient for case in usable}))
    return training, judging


def lot(patient: str) -> str:
    """What patients are sorted by to be dealt: the same each time, and of no meaning."""
    return hashlib.sha256(patient.encode()).hexdigest()

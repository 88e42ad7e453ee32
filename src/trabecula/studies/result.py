"""One version's result as it is kept: an assessment without its voxels, and how its names came from the program's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.records import Acquisition, Assessment, Scan
from trabecula.records.codec import decode, to_json

OLDEST_TOLD_YEARS = 90.0
"""Ages above 89 can lead to a person (45 CFR 164.514(b)(2)(i)(C)), so that they are told as 90."""

TOLD = (
    "source",
    "manufacturer",
    "model",
    "tube_voltage_kvp",
    "kernel",
    "slice_thickness_mm",
    "filter_material",
    "contrast_delay_s",
)
"""Of the headers, what may be told of anybody's scan: no free text, no UID, no name of a place or device."""


@dataclass(frozen=True)
class Result:
    """``names`` leads from the program's names, under which the regions are kept, to those of this version."""

    assessment: Assessment
    names: Mapping[Level, Level]
    notes: tuple[str, ...] = ()  # why an export is missing

    @property
    def assessment_json(self) -> str:
        """What assessment.json says of it."""
        return to_json(self.assessment)

    @property
    def names_json(self) -> str:
        return json.dumps(dict(self.names))


def first_result(assessment: Assessment, notes: tuple[str, ...] = ()) -> Result:
    """What the program found; the scan in it should be a ``pseudonymous`` one."""
    return Result(assessment, {one.level: one.level for one in assessment.readings.vertebrae}, notes)


def result_from(assessment_json: str, names_json: str) -> Result:
    """A result as it was kept."""
    names = {Level(first): Level(now) for first, now in json.loads(names_json).items()}
    return Result(decode(json.loads(assessment_json)), names)


def relabelling(names: Mapping[Level, Level]) -> NDArray[np.uint8]:
    """The label of a region by the label that the program gave it; 0 for one that is no longer named."""
    table = np.zeros(256, np.uint8)
    for first, now in names.items():
        table[first.verse_id] = now.verse_id
    return table


def pseudonymous(scan: Scan) -> Scan:
    """The scan as pages and reports may tell it: what is ``TOLD``, age and sex, and no more of its headers."""
    said = scan.acquisition
    age = said.patient_age_years
    acquisition = Acquisition(
        contrast_agent=None if said.contrast_agent is None else "recorded",
        patient_sex=said.patient_sex,
        patient_age_years=None if age is None else min(age, OLDEST_TOLD_YEARS),
        **{name: getattr(said, name) for name in TOLD},
    )
    return replace(scan, acquisition=acquisition)

"""One result as JSON, whole but for the voxels: enough to diagnose anew, and to write its files again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.flow.document import document
from trabecula.records import (
    Acquisition,
    Assessment,
    Densities,
    Diagnosis,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraRegion,
)
from trabecula.studies.decode import decoded
from trabecula.volume import Orientation, Volume

OLDEST_TOLD_YEARS = 90.0
"""Ages above 89 can lead to a person (45 CFR 164.514(b)(2)(i)(C)), so that they are told as 90."""


@dataclass(frozen=True)
class Record:
    """The values of an ``Assessment`` without its two arrays. ``names`` leads from the program's names to these."""

    recipe: str
    acquisition: Acquisition
    orientation: Orientation
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, float, float, float], ...]
    scan_reasons: tuple[Reason, ...]
    spine: Spine
    regions: tuple[VertebraRegion, ...]
    region_reasons: tuple[Reason, ...]
    densities: Densities
    diagnosis: Diagnosis
    run: dict[str, Any]
    names: tuple[tuple[Level, Level], ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=_plain)

    def assessment(self, scan: Scan | None = None, labels: NDArray[np.uint8] | None = None) -> Assessment:
        """With the ``scan`` and the ``labels`` (z, y, x) given, or without any voxel worth looking at."""
        if scan is None:
            nothing = np.broadcast_to(np.float32(0), self.shape)
            scan = Scan(Volume(nothing, np.array(self.affine)), self.orientation, self.acquisition, self.scan_reasons)
        if labels is None:
            labels = np.broadcast_to(np.uint8(0), self.shape)
        regions = Regions(labels, self.regions, self.region_reasons)
        return Assessment(self.recipe, scan, self.spine, regions, self.densities, self.diagnosis, self.run)

    def document(self) -> str:
        """What assessment.json says of it, before any file is written."""
        return document(self.assessment(), self.run).to_json()


def record_of(assessment: Assessment) -> Record:
    """The record of what the program found; the scan in it should be a ``pseudonymous`` one."""
    volume = assessment.scan.volume
    return Record(
        recipe=assessment.recipe,
        acquisition=assessment.scan.acquisition,
        orientation=assessment.scan.orientation,
        shape=volume.shape,
        affine=tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in volume.affine),
        scan_reasons=assessment.scan.reasons,
        spine=assessment.spine,
        regions=assessment.regions.vertebrae,
        region_reasons=assessment.regions.reasons,
        densities=assessment.densities,
        diagnosis=assessment.diagnosis,
        run=assessment.run,
        names=tuple((one.level, one.level) for one in assessment.densities.vertebrae),
    )


def record_from(text: str) -> Record:
    """A record as it was kept."""
    return decoded(Record, json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")


def pseudonymous(scan: Scan) -> Scan:
    """The scan as pages and reports may tell it: no free text of a header, no UID; age and sex stay."""
    said = scan.acquisition
    age = said.patient_age_years
    acquisition = replace(
        said,
        contrast_agent=None if said.contrast_agent is None else "recorded",
        series_description=None,
        study_instance_uid=None,
        series_instance_uid=None,
        patient_age_years=None if age is None else min(age, OLDEST_TOLD_YEARS),
    )
    return replace(scan, acquisition=acquisition)

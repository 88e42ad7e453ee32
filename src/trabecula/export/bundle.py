"""What a department receives beside the report: prepared before anything is computed, written into its folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from highdicom import UID

from trabecula.anatomy import Level
from trabecula.export.capture import secondary_capture
from trabecula.export.deidentify import Pseudonyms, deidentified_headers, deidentified_scan, without_dates
from trabecula.export.fhir import fhir_bundle
from trabecula.export.pdf import encapsulated, pdf_of
from trabecula.export.seg import segmentation, segmented_levels
from trabecula.export.source import source_instances
from trabecula.export.sr import structured_report
from trabecula.flow.report import PAGE
from trabecula.records import Assessment, Scan

if TYPE_CHECKING:
    from pydicom import Dataset

DICOM_FOLDER, FHIR, PDF = "dicom", "fhir.json", "report.pdf"
OVERLAYS = ("sagittal.png", "coronal.png")


@dataclass(frozen=True)
class Wanted:
    """Which of the exports to make."""

    dicom: bool = False
    fhir: bool = False
    deidentify: bool = False


@dataclass(frozen=True)
class Export:
    """A scan ready to be screened, and what its exports need to know of the input."""

    wanted: Wanted
    scan: Scan = field(repr=False)  # without identifying facts where that is wanted
    instances: "tuple[Dataset, ...]" = field(repr=False)  # headers of the source images; none without DICOM

    def write(self, assessment: Assessment, folder: Path) -> None:
        """Write the exports into ``folder``, which holds report.html and the overlays already."""
        tracking: dict[Level | None, str] = {level: UID() for level in segmented_levels(assessment)}
        tracking[None] = UID()
        made: dict[str, Dataset] = {}
        if self.wanted.dicom:
            made = self._objects(assessment, folder, tracking)
            (folder / DICOM_FOLDER).mkdir()
            for name, one in made.items():
                one.save_as(folder / DICOM_FOLDER / name, enforce_file_format=True)
        if self.wanted.fhir:
            bundle = fhir_bundle(
                assessment, self.instances, tracking, tuple(made.values()), deidentified=self.wanted.deidentify
            )
            (folder / FHIR).write_text(json.dumps(bundle, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def _objects(
        self, assessment: Assessment, folder: Path, tracking: dict[Level | None, str]
    ) -> "dict[str, Dataset]":
        """SEG (where there is a region), SR, PDF and picture, by file name."""
        of_levels = {level: uid for level, uid in tracking.items() if level is not None}
        regions = segmentation(assessment, self.instances, of_levels) if of_levels else None
        pdf = pdf_of((folder / PAGE).read_text(encoding="utf-8"))
        (folder / PDF).write_bytes(pdf)
        pictures = [(folder / name).read_bytes() for name in OVERLAYS]
        made: dict[str, Dataset] = {} if regions is None else {"seg.dcm": regions}
        made["sr.dcm"] = structured_report(assessment, self.instances, regions, tracking)
        made["report.dcm"] = encapsulated(pdf, self.instances)
        made["capture.dcm"] = secondary_capture(pictures, _heading(assessment), self.instances[0])
        return {name: without_dates(one) for name, one in made.items()} if self.wanted.deidentify else made


def prepare(given: Path, scan: Scan, wanted: Wanted) -> Export:
    """Find out before computing whether the exports can be made of ``given``, from which ``scan`` was read.

    Raises:
        Refusal: DICOM objects are wanted of an input that has no DICOM headers, or whose grid had to be mended.
    """
    instances: tuple[Dataset, ...] = ()
    if wanted.dicom:
        instances = source_instances(given, scan)
    elif wanted.fhir and scan.acquisition.source == "dicom":
        instances = source_instances(given, scan, on_grid=False)
    if not wanted.deidentify:
        return Export(wanted, scan, instances)
    pseudonyms = Pseudonyms()
    return Export(wanted, deidentified_scan(scan, pseudonyms), deidentified_headers(instances, pseudonyms))


def _heading(assessment: Assessment) -> str:
    diagnosis = assessment.diagnosis
    bmd = "" if diagnosis.bmd_mg_cm3 is None else f" {diagnosis.bmd_mg_cm3:.0f} mg/cm3"
    return f"{diagnosis.category.capitalize()}{bmd} - Trabecula, research use only, unverified"

"""What a department receives beside the report: prepared before anything is computed, written into its folder.

highdicom and weasyprint load slowly: only what makes an object imports them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.uid import generate_uid

from trabecula.anatomy import Level
from trabecula.dicom.headers import day, text
from trabecula.export.deidentify import (
    Pseudonyms,
    TextInPixels,
    deidentified_headers,
    deidentified_scan,
    marked_deidentified,
    text_in_pixels,
)
from trabecula.export.fhir import fhir_bundle
from trabecula.export.regions import segmented_levels
from trabecula.export.source import first_header, series_headers, source_instances
from trabecula.formats.damage import muted
from trabecula.formats.opened import Opened
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.records import Assessment, Scan
from trabecula.report.folder import PAGE
from trabecula.report.masthead import UNNAMED, Masthead

if TYPE_CHECKING:
    from pydicom import Dataset

DICOM_FOLDER, FHIR, PDF = "dicom", "fhir.json", "report.pdf"
OVERLAYS = ("sagittal.png", "coronal.png")

Progress = Callable[[float], None]
"""Told how much of a report's work is done, 0 to 1."""

DONE_BEFORE = 0.2
"""What the pictures and the page take of it."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of the exports to make."""

    dicom: bool = False
    fhir: bool = False
    deidentify: bool = False
    fhir_release: str = "R4"
    language: str = DEFAULT_LANGUAGE  # of the report, its PDF, and the sentences of SR, FHIR and picture
    label: str | None = None  # what the report calls the scan
    regions: bool = True  # of DICOM, SEG and SR too: they need the grid of the images as they are


REPORT_ALONE: Wanted = Wanted()


@dataclass(frozen=True)
class Export:
    """A scan ready to be screened, and what its exports need to know of the input."""

    wanted: Wanted
    scan: Scan = field(repr=False)  # without identifying facts where that is wanted
    instances: "tuple[Dataset, ...]" = field(repr=False)  # headers of the source images; none without DICOM
    text: TextInPixels = TextInPixels.UNKNOWN  # in the source images
    head: Masthead = field(default=UNNAMED, repr=False)

    @property
    def run(self) -> dict[str, Any]:
        """What the run record says in place of its own facts."""
        if not self.wanted.deidentify:
            return {}
        done: bool | str = "attributes, not pixels" if self.text is TextInPixels.YES else True
        return {"written_utc": "removed", "deidentified": done}

    def write(self, assessment: Assessment, folder: Path, progress: Progress = lambda done: None) -> None:
        """Write the exports into ``folder``, which holds report.html and the overlays already."""
        progress(DONE_BEFORE)
        if not self.wanted.dicom and not self.wanted.fhir:
            return
        levels = {*segmented_levels(assessment), *(one.level for one in assessment.readings.vertebrae)}
        tracking: dict[Level | None, str] = {level: generate_uid() for level in (None, *sorted(levels))}
        made: dict[str, Dataset] = {}
        if self.wanted.dicom:
            with muted("pydicom"):  # its warnings quote names
                made = self._objects(assessment, folder, tracking, progress)
                (folder / DICOM_FOLDER).mkdir()
                for name, one in made.items():
                    one.save_as(folder / DICOM_FOLDER / name, enforce_file_format=True)
        if self.wanted.fhir:
            bundle = fhir_bundle(
                assessment,
                self.instances,
                tracking,
                tuple(made.values()),
                deidentified=self.wanted.deidentify and self.text is not TextInPixels.YES,
                release=self.wanted.fhir_release,
                language=self.wanted.language,
            )
            (folder / FHIR).write_text(json.dumps(bundle, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def _objects(
        self, assessment: Assessment, folder: Path, tracking: dict[Level | None, str], progress: Progress
    ) -> "dict[str, Dataset]":
        """SEG (where there is a region), SR, PDF and picture, by file name; PDF and picture alone on a mended grid."""
        from trabecula.export.capture import heading_of, secondary_capture
        from trabecula.export.pdf import encapsulated, pdf_of
        from trabecula.export.seg import segmentation
        from trabecula.export.sr import structured_report

        drawn = self.wanted.regions and segmented_levels(assessment)
        regions = segmentation(assessment, self.instances, tracking) if drawn else None
        progress(0.4)
        pdf = pdf_of((folder / PAGE).read_text(encoding="utf-8"))
        (folder / PDF).write_bytes(pdf)
        pictures = [(folder / name).read_bytes() for name in OVERLAYS]
        made: dict[str, Dataset] = {} if regions is None else {"seg.dcm": regions}
        progress(0.8)
        if self.wanted.regions:
            made["sr.dcm"] = structured_report(assessment, self.instances, regions, tracking, self.wanted.language)
        progress(0.9)
        made["report.dcm"] = encapsulated(pdf, self.instances)
        heading = heading_of(assessment, self.wanted.language)
        made["capture.dcm"] = secondary_capture(pictures, heading, self.instances[0])
        for picture in ("report.dcm", "capture.dcm"):
            made[picture].BurnedInAnnotation = "YES" if self.text is TextInPixels.YES else "NO"
        if self.wanted.deidentify:
            return {name: marked_deidentified(one, self.text) for name, one in made.items()}
        return made


def prepare(given: Opened, scan: Scan, wanted: Wanted) -> Export:
    """Find out before computing whether the exports can be made of ``given``, from which ``scan`` was read.

    Raises:
        Refusal: DICOM objects are wanted of an input that has no DICOM headers, or whose grid had to be mended.
        Defect: a PDF is wanted in a language that no font can print.
    """
    instances: tuple[Dataset, ...] = ()
    if wanted.dicom:
        if wanted.language != DEFAULT_LANGUAGE:
            from trabecula.export.pdf import require_fonts

            require_fonts(wanted.language)
        instances = (source_instances if wanted.regions else series_headers)(given.files, scan)
        wanted = replace(wanted, dicom=bool(instances))
    elif wanted.fhir and scan.acquisition.source == "dicom":
        instances = series_headers(given.files, scan)
    head = replace(_head(instances or first_header(given.files, scan), wanted), label=wanted.label)
    written = text_in_pixels(instances)
    if any(known.code == "burned-in-annotation" for known in scan.reasons):
        written = TextInPixels.YES
    if not wanted.deidentify:
        return Export(wanted, scan, instances, written, head)
    pseudonyms = Pseudonyms()
    return Export(
        wanted, deidentified_scan(scan, pseudonyms), deidentified_headers(instances, pseudonyms), written, head
    )


def _head(instances: "Sequence[Dataset]", wanted: Wanted) -> Masthead:
    """What the headers call the study; nothing of it where the patient is to be left out."""
    if wanted.deidentify or not instances:
        return Masthead(deidentified=wanted.deidentify)
    said = instances[0]
    return Masthead(
        accession=text(said.get("AccessionNumber")),
        study_number=text(said.get("StudyID")),
        study_day=day(said.get("StudyDate")),
        series_number=text(said.get("SeriesNumber")),
        series_day=day(said.get("SeriesDate")),
    )

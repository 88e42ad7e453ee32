"""The DICOM objects: held against the standard, read by another program, the same regions, the same patient."""

import json
import re
import shutil
import subprocess
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from trabecula.anatomy import UNKNOWN_LEVELS, Level
from trabecula.errors import Refusal
from trabecula.export import codes
from trabecula.export.bundle import Wanted, prepare
from trabecula.export.pdf import pdf_of
from trabecula.flow.read import read
from trabecula.formats.opened import opened
from trabecula.quantity import Category
from trabecula.records import Assessment, Basis, Diagnosis

OBJECTS = ("seg.dcm", "sr.dcm", "report.dcm", "capture.dcm")
UNDETERMINED = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())
Study = Callable[..., Path]
Exported = Callable[..., Path]
Complaints = Callable[[Path], tuple[list[str], list[str]]]


def known(out: Path) -> dict[str, pydicom.Dataset]:
    return {name: pydicom.dcmread(out / "dicom" / name) for name in OBJECTS}


def test_a_real_ct(real_ct: tuple[Path, Assessment], exported: Exported, complaints: Complaints) -> None:
    given, made = real_ct
    out = exported(given, Wanted(dicom=True, fhir=True), made)
    for name in OBJECTS:
        assert complaints(out / "dicom" / name) == ([], []), name
    same_regions(out)


def same_regions(out: Path) -> None:
    """The SEG's segments, laid on the source slices it references, against regions.nii.gz in the patient's space."""
    seg = hd.seg.segread(out / "dicom" / "seg.dcm")
    image = nib.load(out / "regions.nii.gz")
    regions = np.asarray(image.dataobj)
    levels = {codes.vertebra_code(level).value: level.verse_id for level in codes.SNOMED_CODES}
    found = set()
    total = 0
    for number in seg.segment_numbers:
        description = seg.get_segment_description(number)
        verse_id = levels[description.AnatomicRegionSequence[0].CodeValue]
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        places = np.argwhere(volume.array > 0)
        lps = places @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        index = (lps * [-1, -1, 1] - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
        assert np.abs(index - np.rint(index)).max() < 0.02
        assert (regions[tuple(np.rint(index).astype(int).T)] == verse_id).all()
        assert len(places) == (regions == verse_id).sum() > 0
        found.add(verse_id)
        total += len(places)
    assert found == set(np.unique(regions)) - {0}
    assert total == (regions > 0).sum()


@pytest.mark.parametrize("position", ["HFS", "FFS"])
def test_the_segmentation_is_regions_nii_gz(study: Study, exported: Exported, position: str) -> None:
    given = study(position=position)
    out = exported(given, Wanted(dicom=True))
    same_regions(out)
    seg = known(out)["seg.dcm"]
    assert [one.SegmentLabel for one in seg.SegmentSequence] == [
        f"{name} trabecular bone" for name in ("T12", "L1", "L2")
    ]
    assert len({one.TrackingUID for one in seg.SegmentSequence}) == 3
    heights = {pydicom.dcmread(path).SOPInstanceUID: path for path in given.iterdir()}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = pydicom.dcmread(heights[source]).ImagePositionPatient
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, place, atol=1e-3)


def test_slices_in_the_other_direction(study: Study, exported: Exported) -> None:
    """Columns from left to right reversed: the normal points to the feet, and the grid as given runs downwards."""

    def turned(dataset: pydicom.Dataset) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [x + 39 * 1.5, y, z]
        dataset.PixelData = np.ascontiguousarray(dataset.pixel_array[:, ::-1]).tobytes()

    same_regions(exported(study(turned), Wanted(dicom=True)))


def items(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    below = list(dataset.get("ContentSequence") or [])
    return below + [item for child in below for item in items(child)]


def test_the_report_says_what_was_found(study: Study, exported: Exported) -> None:
    out = exported(study(), Wanted(dicom=True))
    report = known(out)["sr.dcm"]
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed; tools/apt.sh installs dcmtk")
    shown = subprocess.run(
        ["dsrdump", "+Pl", out / "dicom" / "sr.dcm"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.count('"104.76" (mg/cm3,UCUM') == 3  # L1, L2 and their mean
    for told in (
        '(312894000,SCT,"Osteopenia")',
        "(metal-in-or-beside-it,99TRABECULA",
        "T12 holds metal.",
        "rule out low",
    ):
        assert told in shown
    groups = [one for one in items(report) if one.ValueType == "CONTAINER" and len(one.ContentSequence) > 5]
    by_site = {
        item.ConceptCodeSequence[0].CodeValue: group
        for group in groups
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Finding Site"
    }
    t12, l1 = by_site["23215003"], by_site["66794005"]
    assert densities(t12) == [] and densities(l1) == [104.76]
    seg = known(out)["seg.dcm"]
    segment = next(one for one in l1.ContentSequence if "ReferencedSOPSequence" in one).ReferencedSOPSequence[0]
    assert segment.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert seg.SegmentSequence[int(segment.ReferencedSegmentNumber) - 1].SegmentLabel == "L1 trabecular bone"
    tracked = {one.TrackingUID for one in seg.SegmentSequence}
    assert tracked < {str(one.UID) for one in items(report) if "UID" in one}


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


def densities(group: pydicom.Dataset) -> list[float]:
    return [
        float(one.MeasuredValueSequence[0].NumericValue)
        for one in group.ContentSequence
        if one.ConceptNameCodeSequence[0].get("CodeValue") == codes.VOLUMETRIC_BMD.value
    ]


def test_the_pdf_and_the_picture(study: Study, exported: Exported) -> None:
    out = exported(study(), Wanted(dicom=True))
    made = known(out)
    pdf = made["report.dcm"].EncapsulatedDocument[: made["report.dcm"].EncapsulatedDocumentLength]
    assert pdf == (out / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    plain = pdf + b"".join(map(inflated, re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)))
    assert re.search(rb"/Type ?/Page\b", plain) and b"/FontFile" in plain and plain.count(b"/Subtype /Image") >= 2
    picture = made["capture.dcm"].pixel_array
    sagittal = np.asarray(Image.open(BytesIO((out / "sagittal.png").read_bytes())).convert("RGB"))
    height, width, _ = sagittal.shape
    assert np.array_equal(picture[44 : 44 + height, :width], sagittal)
    assert picture[:44].max() == 255  # the heading


def test_printing_fetches_nothing(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 40), "red").save(picture)
    held = BytesIO()
    Image.new("RGB", (40, 40), "red").save(held, "PNG")
    inside = f"data:image/png;base64,{b64encode(held.getvalue()).decode()}"
    assert pdf_of(f'<p>x<img src="{inside}">').count(b"/Image") > pdf_of(f'<p>x<img src="{picture.as_uri()}">').count(
        b"/Image"
    )


def test_everything_is_one_folder_that_may_be_replaced(study: Study, exported: Exported) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True, fhir=True))
    listed = json.loads((out / "assessment.json").read_text())["run"]["files"]
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert set(listed) == there
    assert {f"dicom/{name}" for name in OBJECTS} | {"fhir.json", "report.pdf"} < there
    exported(given, Wanted())
    assert not (out / "dicom").exists() and not (out / "fhir.json").exists()


def test_what_a_person_put_beside_the_objects_is_not_replaced(study: Study, exported: Exported) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True))
    (out / "dicom" / "mine.txt").touch()
    with pytest.raises(Exception, match="something else") as refused:
        exported(given, Wanted(dicom=True))
    assert getattr(refused.value, "code", None) == "output-not-empty"
    assert (out / "dicom" / "mine.txt").exists()


def test_a_nifti_is_refused_before_anything_is_computed(study: Study, tmp_path: Path) -> None:
    scan = read(study())
    path = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(scan.volume.hu.T, np.diag([-1.5, -1.2, 3.0, 1.0])), path)
    with opened(path) as held, pytest.raises(Refusal) as refused:
        prepare(held, read(path), Wanted(dicom=True))
    assert refused.value.code == "no-dicom-headers"


def test_a_study_that_says_no_more_than_it_must(study: Study, exported: Exported, complaints: Complaints) -> None:
    kept = (
        *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality"),
        *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "PixelData"),
        *("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
        *("PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
    )

    def bare(dataset: pydicom.Dataset) -> None:
        for element in list(dataset):
            if element.keyword not in kept:
                del dataset[element.tag]

    out = exported(study(bare), Wanted(dicom=True, fhir=True))
    for name in OBJECTS:
        assert complaints(out / "dicom" / name)[0] == [], name
    same_regions(out)


@pytest.mark.parametrize("change", ["each its own", "none"])
def test_slices_without_a_common_frame_of_reference_are_given_one(
    study: Study, exported: Exported, change: str
) -> None:
    def spoil(dataset: pydicom.Dataset) -> None:
        if change == "none":
            del dataset.FrameOfReferenceUID
        else:
            dataset.FrameOfReferenceUID = generate_uid()

    given = study(spoil)
    named = {pydicom.dcmread(path).get("FrameOfReferenceUID") for path in given.iterdir()}
    out = exported(given, Wanted(dicom=True))
    frames = {pydicom.dcmread(out / "dicom" / name).get("FrameOfReferenceUID") for name in OBJECTS} - {None}
    assert len(frames) == 1 and not frames & named
    assert ("frames-of-reference-differ" in {reason.code for reason in read(given).reasons}) == (change != "none")
    same_regions(out)


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "StudyInstanceUID"])
def test_images_that_cannot_be_referred_to_are_refused(study: Study, exported: Exported, keyword: str) -> None:
    given = study(lambda dataset: delattr(dataset, keyword))
    with opened(given) as held, pytest.raises(Refusal, match=keyword) as refused:
        prepare(held, read(given), Wanted(dicom=True))
    assert refused.value.code == "dicom-headers-incomplete"
    exported(given, Wanted(fhir=True))


def test_slices_that_are_gone_since_they_were_read_are_missed(study: Study) -> None:
    given = study()
    scan = read(given)
    next(given.iterdir()).unlink()
    with opened(given) as held, pytest.raises(Refusal) as refused:
        prepare(held, scan, Wanted(dicom=True))
    assert refused.value.code == "dicom-source-unclear"


def test_a_mended_grid_is_refused(study: Study) -> None:
    def uneven(dataset: pydicom.Dataset) -> None:
        if dataset.InstanceNumber > 14:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y, z + 1.0]

    given = study(uneven)
    with opened(given) as held, pytest.raises(Refusal, match="spacing-uneven") as refused:
        prepare(held, read(given), Wanted(dicom=True))
    assert refused.value.code == "dicom-grid-mended"


def test_the_slices_that_were_screened_are_told_from_another_phase_at_their_place(
    study: Study, exported: Exported, tmp_path: Path
) -> None:
    given = study()
    for path in list(given.iterdir()):
        other = pydicom.dcmread(path)
        other.AcquisitionNumber, other.ContrastBolusAgent = 2, "Iodine"
        other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        brighter = other.pixel_array + 30
        other.PixelData = brighter.astype("<i2").tobytes()
        other.save_as(given / f"{other.SOPInstanceUID}.dcm", enforce_file_format=True)
    plain = {
        str(one.SOPInstanceUID) for one in map(pydicom.dcmread, given.iterdir()) if "ContrastBolusAgent" not in one
    }
    out = exported(given, Wanted(dicom=True))
    frames: Any = known(out)["seg.dcm"].PerFrameFunctionalGroupsSequence
    used = {frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for frame in frames}
    assert used <= plain
    same_regions(out)


def test_a_single_vertebra(
    study: Study, exported: Exported, complaints: Complaints, assess: Callable[..., Assessment]
) -> None:
    """With one segment the standard lets it be named once for all frames."""
    given = study()
    made = assess(read(given))
    alone = np.where(made.labels == Level.L2.verse_id, made.labels, 0).astype(np.uint8)
    out = exported(given, Wanted(dicom=True), assess(made.scan, alone))
    assert len(known(out)["seg.dcm"].SegmentSequence) == 1
    for name in OBJECTS:
        assert complaints(out / "dicom" / name) == ([], []), name
    same_regions(out)


def test_vertebrae_without_names(
    study: Study, exported: Exported, complaints: Complaints, assess: Callable[..., Assessment]
) -> None:
    given = study()
    made = assess(read(given))
    labels = made.labels.copy()
    for level, unknown in zip((Level.T12, Level.L1, Level.L2), UNKNOWN_LEVELS, strict=False):
        labels[made.labels == level.verse_id] = unknown.verse_id
    result = replace(assess(made.scan, labels), diagnosis=UNDETERMINED)
    out = exported(given, Wanted(dicom=True, fhir=True), result)
    for name in OBJECTS:
        assert complaints(out / "dicom" / name) == ([], []), name
    seg = known(out)["seg.dcm"]
    assert [one.SegmentLabel for one in seg.SegmentSequence] == [f"unknown-{n} trabecular bone" for n in (1, 2, 3)]
    assert {one.AnatomicRegionSequence[0].CodeValue for one in seg.SegmentSequence} == {"51282000"}


def coded(report: pydicom.Dataset, name: str) -> list[str]:
    """The meanings that a report codes under a name."""
    return [
        item.ConceptCodeSequence[0].CodeMeaning
        for item in items(report)
        if "ConceptCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeMeaning == name
    ]


def test_a_category_without_a_density(
    study: Study,
    exported: Exported,
    complaints: Complaints,
    assess: Callable[..., Assessment],
    as_classifier: Callable[[Assessment], Assessment],
) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True), as_classifier(assess(read(given))))
    for name in OBJECTS:
        assert complaints(out / "dicom" / name) == ([], []), name
    report = known(out)["sr.dcm"]
    assert coded(report, codes.BMD_CATEGORY.meaning) == ["Osteoporosis"]
    assert coded(report, codes.DECIDES_CATEGORY.meaning) == ["No", "Yes", "Yes"]
    assert coded(report, codes.WITHHELD_BECAUSE.meaning) == ["Metal in or beside it"]
    assert not [name for name in codes.QUANTITY_CODES.values() if name.meaning in str(report)]
    shares = {
        one.ConceptNameCodeSequence[0].CodeValue: float(one.MeasuredValueSequence[0].NumericValue)
        for one in items(report)
        if one.ValueType == "NUM" and one.ConceptNameCodeSequence[0].CodeValue.startswith("p-")
    }
    assert shares == {"p-osteoporosis": 0.72, "p-osteopenia": 0.25, "p-normal": 0.03}
    assert "ndetermin" not in str(report)


def test_areal_density_is_coded_as_such(
    study: Study,
    exported: Exported,
    complaints: Complaints,
    assess: Callable[..., Assessment],
    as_areal: Callable[[Assessment], Assessment],
) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True), as_areal(assess(read(given))))
    for name in OBJECTS:
        assert complaints(out / "dicom" / name) == ([], []), name
    report = known(out)["sr.dcm"]
    areal = codes.QUANTITY_CODES["abmd"].meaning
    measured = [
        one.MeasuredValueSequence[0]
        for one in items(report)
        if one.ValueType == "NUM" and one.ConceptNameCodeSequence[0].CodeMeaning == areal
    ]
    assert [float(one.NumericValue) for one in measured] == [0.8] * 3  # L1, L2 and their mean
    assert {one.MeasurementUnitsCodeSequence[0].CodeValue for one in measured} == {"g/cm2"}
    assert codes.VOLUMETRIC_BMD.meaning not in str(report) and "mg/cm3" not in str(report)


def test_where_nothing_is_outlined_there_is_no_segmentation(
    study: Study, exported: Exported, complaints: Complaints, assess: Callable[..., Assessment]
) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True, fhir=True), replace(assess(read(given)), regions=None))
    assert {path.name for path in (out / "dicom").iterdir()} == set(OBJECTS) - {"seg.dcm"}
    for path in (out / "dicom").iterdir():
        assert complaints(path) == ([], []), path.name
    assert coded(pydicom.dcmread(out / "dicom" / "sr.dcm"), codes.BMD_CATEGORY.meaning) == ["Osteopenia"]

"""The DICOM objects: held against the standard, read by another program, the same regions, the same patient."""

import json
import re
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
from trabecula.export.capture import broken, font_holding, heading_of, side_by_side
from trabecula.export.pdf import pdf_of
from trabecula.flow.read import read
from trabecula.formats.opened import opened
from trabecula.quantity import Category
from trabecula.records import Assessment, Basis, Diagnosis, reason

OBJECTS = ("seg.dcm", "sr.dcm", "report.dcm", "capture.dcm")
UNDETERMINED = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())
Study = Callable[..., Path]
Exported = Callable[..., Path]
Assess = Callable[..., Assessment]
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


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


def test_the_pdf_and_the_picture(study: Study, exported: Exported) -> None:
    out = exported(study(), Wanted(dicom=True))
    made = known(out)
    pdf = made["report.dcm"].EncapsulatedDocument[: made["report.dcm"].EncapsulatedDocumentLength]
    assert pdf == (out / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    plain = pdf + b"".join(map(inflated, re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)))
    assert re.search(rb"/Type ?/Page\b", plain) and b"/FontFile" in plain and plain.count(b"/Subtype /Image") >= 2
    picture = made["capture.dcm"].pixel_array
    views = [
        np.asarray(Image.open(BytesIO((out / name).read_bytes())).convert("RGB"))
        for name in ("sagittal.png", "coronal.png")
    ]
    top, (height, width, _) = picture.shape[0] - max(len(view) for view in views), views[0].shape
    assert np.array_equal(picture[top : top + height, :width], views[0])
    assert picture[:top].max() == 255  # the heading


def test_the_picture_says_what_to_check_first(study: Study, assess: Assess) -> None:
    made = assess(read(study()))
    doubt = reason("level-uncertain", probability=0.5)
    verdict, first, use = heading_of(replace(made, spine=replace(made.spine, reasons=(doubt,))))
    assert verdict.startswith("Osteopenia: 104.8 mg/cm3 (95% interval 90 to 120)")
    assert first == f"Check first: {doubt.message} [level-uncertain]"
    assert "cannot be used to rule out" in use and "verified by nobody" in use
    chinese = heading_of(made, "zh")
    if font_holding(["骨质"]) is None:
        assert chinese == heading_of(made)  # no font here has its letters
    else:
        assert all(re.search("[\u4e00-\u9fff]{4}", line) for line in chinese)
        plain, drawn = (side_by_side([png(300, 40)], said) for said in (heading_of(made), chinese))
        assert drawn.shape[1] == plain.shape[1] == 300 and not np.array_equal(drawn[:40], plain[:40])
    assert font_holding(["\U000f0000"]) is None  # for private use: no font has it


def png(width: int, height: int) -> bytes:
    held = BytesIO()
    Image.new("RGB", (width, height)).save(held, "PNG")
    return held.getvalue()


def test_a_heading_is_broken_between_words_only() -> None:
    words = "one word after the other and Oberschenkelhalsfraktur at last"
    lines = broken(words, lambda text: 10.0 * len(text), 180.0)
    assert " ".join(lines) == words
    assert all(len(line) <= 18 or " " not in line for line in lines)
    chinese = broken("先检查：T12 可能命名有误（相差一节），请核对。 仅供研究", lambda text: 10.0 * len(text), 80.0)
    assert all(len(line) <= 8 and line[0] not in "，。：）" for line in chinese) and any(
        "T12" in one for one in chinese
    )


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


def test_a_mended_grid_still_gives_report_and_picture(study: Study, exported: Exported, tmp_path: Path) -> None:
    def uneven(dataset: pydicom.Dataset) -> None:
        if dataset.InstanceNumber > 14:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y, z + 1.0]

    out = exported(study(uneven), Wanted(dicom=True, regions=False))
    made = {path.name: pydicom.dcmread(path) for path in (out / "dicom").iterdir()}
    given = pydicom.dcmread(next((tmp_path / "ct").iterdir()))
    assert set(made) == {"report.dcm", "capture.dcm"}
    assert {one.StudyInstanceUID for one in made.values()} == {given.StudyInstanceUID}


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

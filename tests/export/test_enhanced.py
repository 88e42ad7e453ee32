"""An enhanced multi-frame CT: regions on its frames, whatever their order, and references to each frame."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from trabecula.errors import Refusal
from trabecula.export import codes
from trabecula.export.bundle import Wanted, prepare
from trabecula.flow.read import read
from trabecula.formats.opened import opened

Study = Callable[..., Path]
Exported = Callable[..., Path]
Complaints = Callable[[Path], tuple[list[str], list[str]]]
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def shuffled(given: Path) -> list[pydicom.Dataset]:
    """The slices of a study in an order that is neither up nor down, as scanners with several detectors store them."""
    slices = [pydicom.dcmread(path) for path in sorted(given.iterdir())]
    return [slices[i] for i in np.random.default_rng(3).permutation(len(slices))]


def converted(given: Path) -> pydicom.Dataset:
    """As highdicom converts slices into one legacy converted enhanced CT, its frames in order."""
    slices = sorted(shuffled(given), key=lambda one: one.ImagePositionPatient[2])
    for one in slices:
        one.PatientPosition = "HFS"
    return hd.legacy.LegacyConvertedEnhancedCTImage(
        slices, generate_uid(), 2, generate_uid(), 1, transfer_syntax_uid=ExplicitVRLittleEndian
    )


def part(source: pydicom.Dataset, *keywords: str) -> list[pydicom.Dataset]:
    made = pydicom.Dataset()
    for keyword in keywords:
        setattr(made, keyword, source[keyword].value)
    return [made]


def enhanced(given: Path) -> pydicom.Dataset:
    """As a scanner writes it: frames in any order, and each saying of itself even what is the same in all."""
    slices = shuffled(given)
    whole = pydicom.dcmread(next(given.iterdir()))
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword in (
        *("RescaleSlope", "RescaleIntercept", "RescaleType", "ImagePositionPatient", "ImageOrientationPatient"),
        *("PixelSpacing", "SliceThickness", "SliceLocation", "KVP", "ConvolutionKernel"),
    ):
        if keyword in whole:
            delattr(whole, keyword)
    whole.NumberOfFrames = len(slices)
    whole.PixelData = b"".join(one.PixelData for one in slices)
    whole.SharedFunctionalGroupsSequence = [pydicom.Dataset()]
    whole.PerFrameFunctionalGroupsSequence = []
    for one in slices:
        frame = pydicom.Dataset()
        frame.PlanePositionSequence = part(one, "ImagePositionPatient")
        frame.PlaneOrientationSequence = part(one, "ImageOrientationPatient")
        frame.PixelMeasuresSequence = part(one, "PixelSpacing", "SliceThickness")
        frame.PixelValueTransformationSequence = part(one, "RescaleSlope", "RescaleIntercept")
        frame.CTXRayDetailsSequence = part(one, "KVP")
        whole.PerFrameFunctionalGroupsSequence.append(frame)
    return whole


def folder(dataset: pydicom.Dataset, tmp_path: Path) -> Path:
    (tmp_path / "whole").mkdir()
    dataset.save_as(tmp_path / "whole" / "ct.dcm", enforce_file_format=True)
    return tmp_path / "whole"


@pytest.mark.parametrize("make", [enhanced, converted])
@pytest.mark.parametrize("deidentify", [False, True])
def test_every_object_is_valid_and_refers_to_the_frames(
    study: Study, exported: Exported, complaints: Complaints, tmp_path: Path, make: Any, deidentify: bool
) -> None:
    given = folder(make(study()), tmp_path)
    out = exported(given, Wanted(dicom=True, fhir=True, deidentify=deidentify))
    source = pydicom.dcmread(given / "ct.dcm")
    places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in source.PerFrameFunctionalGroupsSequence]
    objects = {path.name: pydicom.dcmread(path) for path in (out / "dicom").iterdir()}
    assert set(objects) == {"seg.dcm", "sr.dcm", "report.dcm", "capture.dcm"}
    for name, made in objects.items():
        assert complaints(out / "dicom" / name) == ([], []), name
        assert (made.StudyInstanceUID == source.StudyInstanceUID) is not deidentify
        assert (made.PatientID == source.PatientID) is not deidentify
    seg = objects["seg.dcm"]
    assert (seg.FrameOfReferenceUID == source.FrameOfReferenceUID) is not deidentify
    same_as_regions(out)
    below: dict[int, set[int]] = {}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert (image.ReferencedSOPInstanceUID == source.SOPInstanceUID) is not deidentify
        place = places[image.ReferencedFrameNumber - 1]
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, place, atol=1e-3)
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        below.setdefault(number, set()).add(int(image.ReferencedFrameNumber))
    assert [len(frames) for frames in below.values()] == [5, 5, 5]
    told = [one for one in walked(objects["sr.dcm"]) if one.ConceptNameCodeSequence[0].CodeValue == "121233"]
    assert [set(one.ReferencedSOPSequence[0].ReferencedFrameNumber) for one in told] == list(below.values())


def walked(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    below = list(dataset.get("ContentSequence") or [])
    named = [one for one in below if "ConceptNameCodeSequence" in one]
    return named + [item for child in below for item in walked(child)]


def same_as_regions(out: Path) -> None:
    """Each segment, by its own geometry, holds the voxels of its vertebra in regions.nii.gz."""
    image = nib.load(out / "regions.nii.gz")
    regions, seg = np.asarray(image.dataobj), hd.seg.segread(out / "dicom" / "seg.dcm")
    levels = {codes.vertebra_code(level).value: level.verse_id for level in codes.SNOMED_CODES}
    for number in seg.segment_numbers:
        verse_id = levels[seg.get_segment_description(number).AnatomicRegionSequence[0].CodeValue]
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        places = np.argwhere(volume.array > 0)
        lps = places @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        index = (lps * [-1, -1, 1] - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
        assert (regions[tuple(np.rint(index).astype(int).T)] == verse_id).all()
        assert len(places) == (regions == verse_id).sum() > 0


def test_dsrdump_reads_the_report(study: Study, exported: Exported, tmp_path: Path, require: Any) -> None:
    out = exported(folder(enhanced(study()), tmp_path), Wanted(dicom=True))
    ran = subprocess.run([require("dsrdump"), "+Pl", out / "dicom" / "sr.dcm"], capture_output=True, text=True)
    assert ran.returncode == 0 and '"104.76" (mg/cm3,UCUM' in ran.stdout


def test_frames_that_were_not_all_screened_are_refused(study: Study, tmp_path: Path) -> None:
    """One frame is a scout, so that the frames are no longer the slices of the grid."""
    whole = enhanced(study())
    kind = pydicom.Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    ends = [f.PlanePositionSequence[0].ImagePositionPatient[2] for f in whole.PerFrameFunctionalGroupsSequence]
    whole.PerFrameFunctionalGroupsSequence[int(np.argmax(ends))].CTImageFrameTypeSequence = [kind]
    given = folder(whole, tmp_path)
    scan = read(given)
    assert scan.volume.shape[0] == len(ends) - 1
    with opened(given) as held, pytest.raises(Refusal) as refused:
        prepare(held, scan, Wanted(dicom=True))
    assert refused.value.code == "dicom-source-unclear"

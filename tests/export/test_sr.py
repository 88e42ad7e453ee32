"""The structured report: what it says, and where on the images each vertebra is read, for viewers to jump to."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from trabecula.anatomy import Level
from trabecula.export import codes
from trabecula.export.bundle import Wanted
from trabecula.flow.read import read
from trabecula.quantity import Category
from trabecula.records import Assessment, Basis, Diagnosis

UNDETERMINED = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())
Study = Callable[..., Path]
Exported = Callable[..., Path]
Assess = Callable[..., Assessment]
Complaints = Callable[[Path], tuple[list[str], list[str]]]


def items(dataset: pydicom.Dataset) -> list[pydicom.Dataset]:
    below = list(dataset.get("ContentSequence") or [])
    return below + [item for child in below for item in items(child)]


def densities(group: pydicom.Dataset) -> list[float]:
    return [
        float(one.MeasuredValueSequence[0].NumericValue)
        for one in group.ContentSequence
        if one.ConceptNameCodeSequence[0].get("CodeValue") == codes.VOLUMETRIC_BMD.value
    ]


def test_the_report_says_what_was_found(study: Study, exported: Exported) -> None:
    out = exported(study(), Wanted(dicom=True))
    report = known_sr(out)
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed; tools/apt.sh installs dcmtk")
    shown = subprocess.run(
        ["dsrdump", "+Pl", out / "dicom" / "sr.dcm"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.count('"104.76" (mg/cm3,UCUM') == 5  # L1 and L2, where read and in the whole region, and their mean
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
    seg = pydicom.dcmread(out / "dicom" / "seg.dcm")
    segment = next(one for one in l1.ContentSequence if "ReferencedSOPSequence" in one).ReferencedSOPSequence[0]
    assert segment.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert seg.SegmentSequence[int(segment.ReferencedSegmentNumber) - 1].SegmentLabel == "L1 trabecular bone"
    tracked = {one.TrackingUID for one in seg.SegmentSequence}
    assert tracked < {str(one.UID) for one in items(report) if "UID" in one}


@pytest.mark.parametrize("position", ["HFS", "FFS"])
def test_each_vertebra_is_outlined_on_the_slice_where_it_is_read(
    study: Study, exported: Exported, position: str
) -> None:
    given = study(position=position)
    out = exported(given, Wanted(dicom=True))
    slices = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, given.iterdir())}
    image = nib.load(out / "regions.nii.gz")
    regions = np.asarray(image.dataobj)
    report = known_sr(out)
    found = {}
    for group in items(report):
        for item in group.get("ContentSequence", []):
            if item.ValueType == "SCOORD" and item.GraphicType == "POLYLINE" and group.ValueType == "CONTAINER":
                found[tracking(group)] = item
    assert [name.rpartition(" ")[2] for name in found] == ["T12", "L1", "L2"]
    for name, item in found.items():
        assert name.startswith("Cornerstone3DTools@^0.1.0:PlanarFreehandROI:")  # else OHIF does not list it
        shown = slices[item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
        outline = np.reshape(item.GraphicData, (-1, 2))
        assert np.array_equal(outline[0], outline[-1])
        column, row = outline[:-1].mean(axis=0) - 0.5
        middle = np.asarray(shown.ImagePositionPatient, float)
        middle = middle + np.asarray(shown.ImageOrientationPatient[:3], float) * shown.PixelSpacing[1] * column
        middle = middle + np.asarray(shown.ImageOrientationPatient[3:], float) * shown.PixelSpacing[0] * row
        x, y, z = np.rint(np.linalg.inv(image.affine) @ [*(middle * [-1, -1, 1]), 1.0])[:3].astype(int)
        assert regions[x, y, z] == Level[name.rpartition(" ")[2]].verse_id
        area = abs(_twice_area(outline[:-1], np.roll(outline[:-1], -1, axis=0))) / 2
        assert area == pytest.approx(11 * 9, rel=0.1)  # of the ellipse that spreads as the block does


def _twice_area(corners: np.ndarray, following: np.ndarray) -> float:
    return float((corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]).sum())


def tracking(group: pydicom.Dataset) -> str:
    """Under which name a group of measurements is followed."""
    return next(one.TextValue for one in group.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "112039")


def test_every_group_has_a_place_without_which_ohif_shows_none(
    study: Study, exported: Exported, assess: Assess
) -> None:
    given = study()
    scan = read(given)
    undetermined = replace(assess(scan), diagnosis=UNDETERMINED)
    points = assess(scan, np.zeros(scan.volume.shape, np.uint8))
    points = replace(points, regions=None, readings=replace(points.readings, vertebrae=assess(scan).readings.vertebrae))
    for made, kinds in ((undetermined, {"POLYLINE", "CIRCLE"}), (points, {"POINT", "CIRCLE"})):
        report = known_sr(exported(given, Wanted(dicom=True), made))
        groups = [one for one in items(report) if named(one, "125007")]
        placed = [item.GraphicType for group in groups for item in group.ContentSequence if item.ValueType == "SCOORD"]
        by_uid = {uid(group) for group in groups}
        assert len(by_uid) == len(placed) == 4 and set(placed) == kinds


def known_sr(out: Path) -> pydicom.Dataset:
    return pydicom.dcmread(out / "dicom" / "sr.dcm")


def named(item: pydicom.Dataset, code: str) -> bool:
    return bool(item.get("ConceptNameCodeSequence")) and item.ConceptNameCodeSequence[0].get("CodeValue") == code


def uid(group: pydicom.Dataset) -> str:
    return str(next(one.UID for one in group.ContentSequence if named(one, "112040")))


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
    assess: Assess,
    as_classifier: Callable[[Assessment], Assessment],
) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True), as_classifier(assess(read(given))))
    for path in sorted((out / "dicom").iterdir()):
        assert complaints(path) == ([], []), path.name
    report = known_sr(out)
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
    assess: Assess,
    as_areal: Callable[[Assessment], Assessment],
) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True), as_areal(assess(read(given))))
    for path in sorted((out / "dicom").iterdir()):
        assert complaints(path) == ([], []), path.name
    report = known_sr(out)
    areal = codes.QUANTITY_CODES["abmd"].meaning
    measured = [
        one.MeasuredValueSequence[0]
        for one in items(report)
        if one.ValueType == "NUM" and one.ConceptNameCodeSequence[0].CodeMeaning == areal
    ]
    assert [float(one.NumericValue) for one in measured] == [0.8] * 5  # L1 and L2 twice, and their mean
    assert {one.MeasurementUnitsCodeSequence[0].CodeValue for one in measured} == {"g/cm2"}
    assert codes.VOLUMETRIC_BMD.meaning not in str(report) and "mg/cm3" not in str(report)


def test_where_nothing_is_outlined_there_is_no_segmentation(
    study: Study, exported: Exported, complaints: Complaints, assess: Assess
) -> None:
    given = study()
    out = exported(given, Wanted(dicom=True, fhir=True), replace(assess(read(given)), regions=None))
    assert {path.name for path in (out / "dicom").iterdir()} == {"sr.dcm", "report.dcm", "capture.dcm"}
    for path in (out / "dicom").iterdir():
        assert complaints(path) == ([], []), path.name
    assert coded(known_sr(out), codes.BMD_CATEGORY.meaning) == ["Osteopenia"]

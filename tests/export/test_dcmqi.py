"""Our structured report and segmentation as dcmqi reads them, which most research pipelines do."""

import json
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from trabecula.export.bundle import Wanted

Study = Callable[..., Path]
Exported = Callable[..., Path]
PROGRAMS = Path(sysconfig.get_path("scripts"))
"""dcmqi is a wheel of programs; they lie beside this Python."""


def run(program: str, *arguments: object) -> None:
    ran = subprocess.run([PROGRAMS / program, *map(str, arguments)], capture_output=True, text=True, errors="replace")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def own_uids(*keywords: str) -> Callable[[pydicom.Dataset], None]:
    """Gives a slice UIDs of its own, as some anonymisers do (all of LIDC-IDRI has frames of reference so)."""

    def edit(one: pydicom.Dataset) -> None:
        for keyword in keywords:
            setattr(one, keyword, generate_uid())

    return edit


ANONYMISED = {
    "plain": own_uids(),
    "frames": own_uids("FrameOfReferenceUID"),
    "series": own_uids("SeriesInstanceUID"),
    "all": own_uids("FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID"),
}


@pytest.fixture(params=ANONYMISED)
def out(request: pytest.FixtureRequest, study: Study, exported: Exported) -> Path:
    return exported(study(ANONYMISED[request.param]), Wanted(dicom=True, fhir=True))


def test_images_are_referred_to_by_the_uids_they_bear(out: Path) -> None:
    seg = pydicom.dcmread(out / "dicom" / "seg.dcm")
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in (out.parent / "ct").iterdir()]
    own = {one.SOPInstanceUID: (one.StudyInstanceUID, one.SeriesInstanceUID) for one in slices}
    studies = [(seg.StudyInstanceUID, seg.ReferencedSeriesSequence)]
    studies += [
        (other.StudyInstanceUID, other.ReferencedSeriesSequence)
        for other in seg.get("StudiesContainingOtherReferencedInstancesSequence", [])
    ]
    told = {
        image.ReferencedSOPInstanceUID: (study, series.SeriesInstanceUID)
        for study, listed in studies
        for series in listed
        for image in series.ReferencedInstanceSequence
    }
    assert told and told.items() <= own.items()
    bundle = json.loads((out / "fhir.json").read_text())
    (imaging,) = (e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "ImagingStudy")
    assert {uid for _, uid in own.values()} <= {series["uid"] for series in imaging["series"]}


def test_the_report_is_read_back(out: Path, tmp_path: Path) -> None:
    run("tid1500reader", "--inputDICOM", out / "dicom" / "sr.dcm", "--outputMetadata", tmp_path / "sr.json")
    read = json.loads((tmp_path / "sr.json").read_text())
    assert read["SeriesDescription"].startswith("Trabecula bone density")
    assessment = json.loads((out / "assessment.json").read_text())
    groups = {group["TrackingIdentifier"]: group for group in read["Measurements"]}
    for vertebra in assessment["vertebrae"]:
        group = groups[f"Trabecula {vertebra['level']} trabecular region"]
        items = {
            (item["quantity"]["CodeMeaning"], item.get("derivationModifier", {}).get("CodeMeaning")): item
            for item in group["measurementItems"]
        }
        values = {name: float(item["value"]) for name, item in items.items()}
        assert values["Volume", None] == pytest.approx(vertebra["volume_mm3"] / 1000, abs=1e-3)
        assert values["Attenuation Coefficient", "Mean"] == pytest.approx(vertebra["mean_hu"], abs=0.01)
        place = groups[f"Cornerstone3DTools@^0.1.0:PlanarFreehandROI:Trabecula {vertebra['level']}"]
        assert place["TrackingUniqueIdentifier"] == group["TrackingUniqueIdentifier"]
        bmd = [value for (quantity, _), value in values.items() if "mineral density" in quantity.lower()]
        assert bmd == pytest.approx([] if vertebra["bmd_mg_cm3"] is None else [vertebra["bmd_mg_cm3"]], abs=0.1)


def test_the_regions_are_read_back_where_they_are(out: Path, tmp_path: Path) -> None:
    (tmp_path / "seg").mkdir()
    seg = out / "dicom" / "seg.dcm"
    run("segimage2itkimage", "--inputDICOM", seg, "--outputDirectory", tmp_path / "seg", "--outputType", "nifti")
    regions = nib.load(out / "regions.nii.gz")
    ours = np.asarray(regions.dataobj)
    segments = pydicom.dcmread(seg).SegmentSequence
    assert len(segments) == len(set(ours[ours > 0]))
    for number, verse_id in enumerate(sorted(set(ours[ours > 0])), start=1):
        (read,) = (tmp_path / "seg").glob(f"{number}.nii.gz")
        theirs = nib.load(read)
        index = np.argwhere(np.asarray(theirs.dataobj) > 0)
        world = nib.affines.apply_affine(theirs.affine, index)
        at = nib.affines.apply_affine(np.linalg.inv(regions.affine), world)
        assert np.abs(at - np.rint(at)).max() < 0.01
        placed = {tuple(voxel) for voxel in np.rint(at).astype(int)}
        assert placed == {tuple(voxel) for voxel in np.argwhere(ours == verse_id)}

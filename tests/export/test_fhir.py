"""The FHIR Bundle of either release: held against its schema by a maintained library, and against the same SR."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from fhir.resources.bundle import Bundle as BundleR5
from fhir.resources.R4B.bundle import Bundle as BundleR4
from pydantic import ValidationError

from trabecula.anatomy import SNOMED_CODES, Level
from trabecula.export import codes
from trabecula.export.bundle import Wanted
from trabecula.flow.read import read
from trabecula.quantity import Category
from trabecula.records import Assessment, Basis, Diagnosis

Study = Callable[..., Path]
Exported = Callable[..., Path]
Resource = dict[str, Any]


def resources(out: Path, schema: type[BundleR4] | type[BundleR5] = BundleR4) -> list[Resource]:
    """What fhir.json holds, once the library has found it valid and every link leads somewhere."""
    text = (out / "fhir.json").read_text(encoding="utf-8")
    schema.model_validate_json(text)
    entries = json.loads(text)["entry"]
    there = {entry["fullUrl"] for entry in entries}
    assert set(links(entries)) <= there
    assert len(there) == len(entries)
    return [entry["resource"] for entry in entries]


def links(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [link for item in value.values() for link in links(item)]
    return [link for item in value for link in links(item)] if isinstance(value, list) else []


def of_kind(found: list[Resource], kind: str) -> list[Resource]:
    return [one for one in found if one["resourceType"] == kind]


def by_site(found: list[Resource]) -> dict[str, Resource]:
    return {one["bodySite"]["coding"][0]["code"]: one for one in of_kind(found, "Observation")}


def test_the_result(study: Study, exported: Exported) -> None:
    found = resources(exported(study(), Wanted(fhir=True)))
    (report,) = of_kind(found, "DiagnosticReport")
    assert report["status"] == "preliminary"
    assert report["conclusionCode"][0]["coding"][0]["code"] == "312894000"
    assert "Research use only." in report["conclusion"] and "rule out low BMD" in report["conclusion"]
    sites = by_site(found)
    assert set(sites) == {SNOMED_CODES[level] for level in (Level.T12, Level.L1, Level.L2)} | {"122496007"}
    l1, t12 = sites[SNOMED_CODES[Level.L1]], sites[SNOMED_CODES[Level.T12]]
    assert l1["valueQuantity"] == {
        "value": 104.76,
        "unit": "mg/cm3",
        "system": "http://unitsofmeasure.org",
        "code": "mg/cm3",
    }
    assert "dataAbsentReason" not in l1
    assert "valueQuantity" not in t12 and t12["code"]["coding"][0]["code"] == "vbmd"
    assert t12["dataAbsentReason"]["text"] == "T12 holds metal."
    assert sites["122496007"]["valueCodeableConcept"]["coding"][0]["code"] == "312894000"
    (patient,) = of_kind(found, "Patient")
    assert patient["gender"] == "female"


@pytest.mark.parametrize("wanted", [Wanted(dicom=True, fhir=True), Wanted(fhir=True, deidentify=True)])
def test_r5_says_what_r4_says(study: Study, exported: Exported, wanted: Wanted) -> None:
    given = study()
    old = resources(exported(given, wanted))
    out = exported(given, replace(wanted, fhir_release="R5"))
    new = resources(out, BundleR5)
    with pytest.raises(ValidationError):
        resources(out, BundleR4)
    assert json.loads((out / "fhir.json").read_text())["meta"]["profile"][0].endswith("|5.0.0")
    assert [one["resourceType"] for one in new] == [one["resourceType"] for one in old]
    for before, after in zip(of_kind(old, "Observation"), of_kind(new, "Observation"), strict=True):
        for key in ("code", "bodySite", "valueQuantity", "valueCodeableConcept", "dataAbsentReason", "component"):
            assert before.get(key) == after.get(key)
    (study_then,), (study_now,) = of_kind(old, "ImagingStudy"), of_kind(new, "ImagingStudy")
    assert [one["modality"]["coding"][0]["code"] for one in study_now["series"]] == [
        one["modality"]["code"] for one in study_then["series"]
    ]
    assert of_kind(new, "Device")[0]["name"] == [{"value": "Trabecula", "type": "registered-name"}]
    assert len(of_kind(new, "DiagnosticReport")[0]["study"]) == 1


def test_a_name_in_three_scripts(study: Study, exported: Exported) -> None:
    def edit(dataset: pydicom.Dataset) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.PatientBirthDate = "Yamada^Tarou=山田^太郎=やまだ^たろう", "19570203"

    (patient,) = of_kind(resources(exported(study(edit), Wanted(fhir=True))), "Patient")
    assert [name["family"] for name in patient["name"]] == ["Yamada", "山田", "やまだ"]
    assert patient["name"][1]["given"] == ["太郎"]
    assert patient["birthDate"] == "1957-02-03"


def test_the_same_as_the_structured_report(study: Study, exported: Exported) -> None:
    out = exported(study(), Wanted(dicom=True, fhir=True))
    found = resources(out)
    report = pydicom.dcmread(out / "dicom" / "sr.dcm")
    groups = report.ContentSequence[-1].ContentSequence  # two where a density has a place on an image, of one identity
    sites, identities = by_site(found), set()
    for group in groups:
        told = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in group.ContentSequence}
        one = sites[told["Finding Site"].ConceptCodeSequence[0].CodeValue]
        assert one["identifier"] == [
            {"system": "urn:dicom:uid", "value": f"urn:oid:{told['Tracking Unique Identifier'].UID}"}
        ]
        identities.add(told["Tracking Unique Identifier"].UID)
        bmd = told.get(codes.VOLUMETRIC_BMD.meaning)
        shown = one.get("valueQuantity") or one["component"][0].get("valueQuantity")
        if one["code"]["coding"][0]["code"] == codes.VOLUMETRIC_BMD.value and bmd is None:
            assert "valueQuantity" not in one
        else:
            assert float(bmd.MeasuredValueSequence[0].NumericValue) == shown["value"]
    assert len(identities) == 4
    (imaging,) = of_kind(found, "ImagingStudy")
    assert imaging["identifier"][0]["value"] == f"urn:oid:{report.StudyInstanceUID}"
    made = {pydicom.dcmread(path).SeriesInstanceUID for path in (out / "dicom").iterdir()}
    assert made < {series["uid"] for series in imaging["series"]}
    assert [series["modality"]["code"] for series in imaging["series"]] == ["CT", "SEG", "SR", "DOC", "OT"]


def test_a_nifti_has_no_patient_and_no_study(study: Study, exported: Exported, tmp_path: Path) -> None:
    scan = read(study())
    path = tmp_path / "ct.nii.gz"
    nib.save(nib.Nifti1Image(scan.volume.hu.T, np.diag([-1.5, -1.2, 3.0, 1.0])), path)
    found = resources(exported(path, Wanted(fhir=True)))
    kinds = {one["resourceType"] for one in found}
    assert kinds == {"DiagnosticReport", "Observation", "Device"}
    assert len(of_kind(found, "Observation")) == 4


def test_nothing_determined(study: Study, exported: Exported, assess: Callable[..., Assessment]) -> None:
    given = study()
    made = replace(assess(read(given)), diagnosis=Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ()))
    vertebrae = tuple(replace(one, density=None) for one in made.readings.vertebrae)
    made = replace(made, readings=replace(made.readings, vertebrae=vertebrae))
    out = exported(given, Wanted(dicom=True, fhir=True), made)
    sites = by_site(resources(out))
    assert all("valueQuantity" not in one for one in sites.values())
    assert sites["122496007"]["valueCodeableConcept"]["coding"][0]["code"] == "82334004"
    assert sites["122496007"]["component"][0]["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
    report = pydicom.dcmread(out / "dicom" / "sr.dcm")
    assert codes.VOLUMETRIC_BMD.meaning not in str(report)


@pytest.mark.parametrize("date", ["", "2025", "20251x01"])
def test_a_date_that_is_none_is_left_out(study: Study, exported: Exported, date: str) -> None:
    def edit(dataset: pydicom.Dataset) -> None:
        with pydicom.config.disable_value_validation():
            dataset.StudyDate = dataset.AcquisitionDate = date

    with pydicom.config.disable_value_validation():
        given = study(edit)
    found = resources(exported(given, Wanted(fhir=True)))
    assert "effectiveDateTime" not in of_kind(found, "DiagnosticReport")[0]
    assert "started" not in of_kind(found, "ImagingStudy")[0]


@pytest.mark.parametrize(("release", "schema"), [("R4", BundleR4), ("R5", BundleR5)])
def test_a_category_without_a_density(
    study: Study,
    exported: Exported,
    assess: Callable[..., Assessment],
    as_classifier: Callable[[Assessment], Assessment],
    release: str,
    schema: type[BundleR4] | type[BundleR5],
) -> None:
    given = study()
    out = exported(given, Wanted(fhir=True, fhir_release=release), as_classifier(assess(read(given))))
    found = resources(out, schema)
    sites = by_site(found)
    spine, l1, t12 = (sites[site] for site in ("122496007", SNOMED_CODES[Level.L1], SNOMED_CODES[Level.T12]))
    assert spine["valueCodeableConcept"]["text"] == "Osteoporosis"
    shares = {one["code"]["coding"][0]["code"]: one["valueQuantity"]["value"] for one in spine["component"]}
    assert shares == {"p-osteoporosis": 0.72, "p-osteopenia": 0.25, "p-normal": 0.03}
    said = of_kind(found, "DiagnosticReport")[0]["conclusion"]
    assert said.startswith("Osteoporosis or osteopenia: by a classifier of L1 and L2 (osteoporosis 72%")
    assert t12["dataAbsentReason"]["text"] == "T12 holds metal."
    assert l1["valueCodeableConcept"]["text"] == "Osteoporosis" and "dataAbsentReason" not in l1
    assert {one["code"]["coding"][0]["code"] for one in (l1, t12)} == {"bmd-category"}
    text = (out / "fhir.json").read_text()
    assert "ndetermin" not in text and "ithheld" not in text


def test_areal_density_has_its_own_code_and_unit(
    study: Study,
    exported: Exported,
    assess: Callable[..., Assessment],
    as_areal: Callable[[Assessment], Assessment],
) -> None:
    given = study()
    out = exported(given, Wanted(fhir=True), as_areal(assess(read(given))))
    found = resources(out)
    l1 = by_site(found)[SNOMED_CODES[Level.L1]]
    assert l1["code"]["coding"][0]["code"] == "abmd"
    assert (l1["valueQuantity"]["value"], l1["valueQuantity"]["code"]) == (0.8, "g/cm2")
    interval = l1["component"][0]
    assert interval["code"]["coding"][0]["code"] == "abmd-interval"
    assert (interval["valueRange"]["low"]["value"], interval["valueRange"]["high"]["value"]) == (0.7049, 0.9)
    said = of_kind(found, "DiagnosticReport")[0]["conclusion"]
    assert "0.800 g/cm2 (95% interval 0.70 to 0.90), mean of L1 and L2" in said
    t12 = by_site(found)[SNOMED_CODES[Level.T12]]
    assert "valueQuantity" not in t12

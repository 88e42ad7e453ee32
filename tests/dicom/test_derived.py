"""Images that hold other numbers than plain CT's, told by their headers."""

import pytest

from trabecula.dicom.derived import why_not_hounsfield


@pytest.mark.parametrize(
    "description",
    [
        "Calcium Suppressed 50",
        "MONO40",
        "MonoE 40 keV",
        "Water (Iodine)",
        "IODINE(WATER)",
        "Virtual Non Contrast",
        "virtual unenhanced",
        "VNCa",
        "Iodine Map",
        "MD Iodine",
        "Z Effective",
        "Electron Density",
        "Uric Acid",
        "thin MIP",
        "Abd_VUE",
    ],
)
def test_a_derived_image_is_known_by_its_description(description):
    assert why_not_hounsfield(["ORIGINAL", "PRIMARY", "AXIAL"], description, "HU")


@pytest.mark.parametrize(
    ("image_type", "description"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], "Abdomen monophasic 120kV"),
        (["DERIVED", "SECONDARY", "PROCESSED"], ""),
        (["DERIVED", "SECONDARY", "REFORMATTED"], "sag mpr bone, iodine contrast"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "VIRTUAL COLONOSCOPY SUPINE"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "ABD W IODINE"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "CALCIUM SCORING"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "oral water, W/O IODINE"),
        (["DERIVED", "PRIMARY", "VOLUME", "ENERGY_PROP_WT"], "Mixed 120 kV"),
    ],
)
def test_plain_ct_is_not_taken_for_something_derived(image_type, description):
    assert why_not_hounsfield(image_type, description, "HU") is None

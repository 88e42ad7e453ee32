"""The codes that say what was found: SNOMED CT, DICOM and UCUM where they have one, a private scheme where not.

No standard concept was found for volumetric BMD by quantitative CT (those of LOINC are for DXA), nor for what
withholds a vertebra, so that these stand in a scheme of our own, declared in every object that uses it.
"""

import uuid

from pydicom import Dataset
from pydicom.sr.coding import Code

from trabecula.anatomy import SNOMED_CODES, Level
from trabecula.quantity import AREAL_BMD, VBMD_HA, VBMD_K2HPO4, Category, Quantity

SCHEME = "99TRABECULA"
SCHEME_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'urn:trabecula:codes').int}"

VOLUMETRIC_BMD = Code("vbmd", SCHEME, "Volumetric bone mineral density, K2HPO4-equivalent")
QUANTITY_CODES = {
    VBMD_K2HPO4.key: VOLUMETRIC_BMD,
    VBMD_HA.key: Code("vbmd-ha", SCHEME, "Volumetric bone mineral density, HA-equivalent"),
    AREAL_BMD.key: Code("abmd", SCHEME, "Areal bone mineral density, estimated from CT"),
}
INTERVAL_CODES = {
    VBMD_K2HPO4.key: Code("vbmd-interval", SCHEME, "95% interval of volumetric bone mineral density"),
    VBMD_HA.key: Code("vbmd-interval", SCHEME, "95% interval of volumetric bone mineral density"),
    AREAL_BMD.key: Code("abmd-interval", SCHEME, "95% interval of areal bone mineral density"),
}
BMD_CATEGORY = Code("bmd-category", SCHEME, "Bone mineral density category")
WITHHELD_BECAUSE = Code("withheld-because", SCHEME, "Bone mineral density withheld because")
DOUBTED_BECAUSE = Code("doubted-because", SCHEME, "Result doubted because")
DECIDES_CATEGORY = Code("decides-category", SCHEME, "Vertebra decides the category")

MG_PER_MM2 = Code("mm2", "UCUM", "mm2")
CM3 = Code("mg/cm3", "UCUM", "mg/cm3")
MM2 = Code("mm2", "UCUM", "mm2")
CM3 = Code("cm3", "UCUM", "cm3")
RATIO = Code("1", "UCUM", "no units")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")

UPPER_UNCERTAINTY = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
LOWER_UNCERTAINTY = Code("371885007", "SCT", "-, range of lower measurement uncertainty")

LUMBAR_SPINE = Code("122496007", "SCT", "Lumbar spine")
CATEGORIES = {
    Category.NORMAL: Code("17621005", "SCT", "Normal"),
    Category.OSTEOPENIA: Code("312894000", "SCT", "Osteopenia"),
    Category.OSTEOPOROSIS: Code("64859006", "SCT", "Osteoporosis"),
    Category.UNDETERMINED: Code("82334004", "SCT", "Indeterminate"),
}
"""SNOMED CT concept of each category."""

PROBABILITIES: dict[Category, Code] = {
    category: Code(f"p-{category}", SCHEME, f"Probability of {category} by a classifier")
    for category in CATEGORIES
    if category is not Category.UNDETERMINED
}
"""What a classifier says of each category; no standard concept was found."""


def quantity_code(quantity: Quantity) -> Code:
    """What was measured."""
    return QUANTITY_CODES[quantity.key]


def interval_code(quantity: Quantity) -> Code:
    """Its 95% interval."""
    return INTERVAL_CODES[quantity.key]


def unit_code(quantity: Quantity) -> Code:
    """Its unit; ours are written as UCUM writes them."""
    return Code(quantity.unit, "UCUM", quantity.unit)


def decimals(quantity: Quantity) -> int:
    """One more than a reader is shown, so that a program that rounds again rounds right."""
    return quantity.digits + 1


def vertebra_code(level: Level) -> Code:
    """The vertebra as a body structure of SNOMED CT; just a vertebra where no code of its own is known to us."""
    if level not in SNOMED_CODES:
        return Code("51282000", "SCT", "Vertebra")
    region = "lumbar" if level.is_lumbar else "thoracic"
    return Code(SNOMED_CODES[level], "SCT", f"{level} {region} vertebra")


def reason_code(code: str) -> Code:
    """A reason code of ours as a coded concept; its meaning is the code in words, at most 64 characters."""
    return Code(code, SCHEME, code.replace("-", " ").capitalize()[:64])


def declared_scheme() -> Dataset:
    """The item of CodingSchemeIdentificationSequence that says whose the private codes are."""
    item = Dataset()
    item.CodingSchemeDesignator = SCHEME
    item.CodingSchemeUID = SCHEME_UID
    item.CodingSchemeName = "Trabecula, bone density from CT"
    item.CodingSchemeResponsibleOrganization = "Trabecula"
    return item

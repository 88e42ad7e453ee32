"""Scanners as the headers of their files name them; needs no DICOM library."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Machine:
    """A scanner family as its headers name it; kernels from smooth to sharp."""

    manufacturer: str
    model: str
    software: str
    kernels: tuple[str, str, str]
    image_type: tuple[str, ...]
    filter_type: str
    scan_options: str
    # Not in the text of a machine: the identifiers of its series are made of that, and those of a machine that was
    # never named must stay as they are.
    station: str = field(default="", repr=False)  # the name of one scanner at its site


# Spelling of vendors, kernels and image types as in public CT collections (TCGA-OV, CPTAC-PDA, CRLM).
MACHINES = {
    "ge": Machine(
        manufacturer="GE MEDICAL SYSTEMS",
        model="LightSpeed VCT",
        software="07MW18.4",
        kernels=("SOFT", "STANDARD", "BONE"),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        filter_type="BODY FILTER",
        scan_options="HELICAL MODE",
    ),
    "siemens": Machine(
        manufacturer="SIEMENS",
        model="SOMATOM Definition AS",
        software="syngo CT 2014A",
        kernels=("B30f", "B40f", "B70f"),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"),
        filter_type="FLAT",
        scan_options="SPI",
    ),
    "canon": Machine(
        manufacturer="TOSHIBA",
        model="Aquilion ONE",
        software="V4.74ER001",
        kernels=("FC08", "FC13", "FC30"),
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        filter_type="LARGE",
        scan_options="HELICAL_CT",
    ),
}

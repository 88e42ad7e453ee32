"""Which images hold numbers other than the attenuation of the whole beam, by what their headers say of them.

Words are read in their context: "VIRTUAL NON CONTRAST" is a calculation, "VIRTUAL COLONOSCOPY" an examination;
"IODINE (WATER)" is a map of iodine, "W IODINE" a scan with contrast medium.
"""

import re
from typing import Any

from trabecula.dicom.headers import text, words

# values of ImageType: PS3.3 C.8.15.3.8 and C.8.15.3.11 (VMI, MAT_..., EFF_ATOMIC_NUM, ...), and vendors' own
_NOT_HU_TYPE = re.compile(
    r"MONO(?!C|S|P)|VMI|VNC|VNCA|VUE$|MAT_|MATERIAL|MD$|GSI$|Z_?EFF|EFF_|EFFECTIVE|ELECTRON|RHO|CA_?SUPP|CALCIUM|VNCA"
    r"|IODINE|WATER|URIC|(?:M(AX|IN)?_?|THICK_?)IP$|MAXIMUM$|MINIMUM$|VRT|SUBTRACT|STD_DEV|DIVISION|MULTIPLIC|QUANTITY"
    r"|SCREEN|DOSE|RGB|PBV|PERFUSION|CBF|CBV|MTT|VIRTUAL"
)
_NOT_HU_DESCRIPTION = re.compile(
    r"""
      \b\d{2,3}\s?kev\b | \bmono\s?\+?\s?\d{2,3}\b | \bmono\s?(?:e\b|energ|chrom|\+|plus) | \bmonoe?\d{2,3}
    | \bvue\b(?!\W?pacs) | \b(?:vnc|vnca|vmi|mip|minip|vrt|z\s?eff|pbv)\b
    | \bvirtual(?:ly)?\W*(?:non|un|mono|native|unenhanced|calcium)
    | \b(?:calcium|ca|bone|water|iodine)\W*(?:supp?r?(?:ess\w*)?|remov\w*|subtract\w*)\b
    | \bnon\W?calcium\b | \bcalcium\W*\(
    | \b(?:iodine|water|calcium|ca|fat|hap|hydroxyapatite|uric\W?acid|gadolinium|blood|i)\s*\(\s*\w+  # two materials
    | \biodine\W*(?:map|no\b|density|overlay|conc|image|quant|\[|only) | \bmd\W*iodine | ^\W*iodine\W*$
    | \b(?:electron|material)\W?density\b | \beffective\W?z\b | \bz\W?(?:eff(?:ective)?|map)\b
    | \buric\W?acid\b | \bsubtract | \bdigital\W?subtraction | \bperfused\W?blood
    """,
    re.IGNORECASE | re.VERBOSE,
)


def why_not_hounsfield(image_type: Any, description: Any, rescale_type: Any) -> str | None:
    """The word by which an image says that its numbers are not plain CT numbers, or None."""
    unit = (text(rescale_type) or "HU").upper()
    if unit not in ("HU", "US"):  # US: unspecified
        return unit
    for word in words(image_type):
        if _NOT_HU_TYPE.match(word):
            return word
    said = re.sub(r"[_^]", " ", text(description) or "")
    found = _NOT_HU_DESCRIPTION.search(said)
    return found.group() if found else None

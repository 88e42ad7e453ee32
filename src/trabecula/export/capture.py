"""The overlays side by side as a Secondary Capture, for viewers that show nothing else."""

from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from trabecula.export.series import TRANSFER_SYNTAX, NewSeries, finished, nameless

SERIES = NewSeries(9004, "overlays")
HEADING_PX = 44


def secondary_capture(pictures: list[bytes], heading: str, instance: Dataset) -> Dataset:
    """An RGB picture of the study that ``instance`` belongs to. ``pictures`` are PNGs, ``heading`` one line above."""
    made = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=nameless(instance),
        pixel_array=side_by_side(pictures, heading),
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "F"),  # emptied below: two planes side by side have none
        transfer_syntax_uid=TRANSFER_SYNTAX,
        **SERIES.arguments(),
    )
    made["PatientOrientation"].value = None
    made.BodyPartExamined = "LSPINE"
    return finished(made, instance)


def side_by_side(pictures: list[bytes], heading: str) -> NDArray[Any]:
    """(rows, columns, 3) uint8: the pictures from left to right on black, under the heading."""
    opened = [Image.open(BytesIO(png)).convert("RGB") for png in pictures]
    width, height = sum(one.width for one in opened), max(one.height for one in opened)
    whole = Image.new("RGB", (width, height + HEADING_PX))
    left = 0
    for one in opened:
        whole.paste(one, (left, HEADING_PX))
        left += one.width
    size = HEADING_PX * 0.55
    while size > 8 and ImageFont.load_default(size).getlength(heading) > width - 16:
        size -= 1
    ImageDraw.Draw(whole).text((8, HEADING_PX / 2), heading, "white", ImageFont.load_default(size), "lm")
    return np.asarray(whole)

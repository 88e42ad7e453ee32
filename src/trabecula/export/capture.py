"""The overlays side by side as a Secondary Capture, for viewers that show nothing else."""

import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from trabecula.export.series import TRANSFER_SYNTAX, NewSeries, finished, nameless
from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.records import Assessment
from trabecula.report.verdict import Verdict

SERIES = NewSeries(9004, "overlays")
TEXT_PX, LINE_PX, MARGIN_PX = 19, 25, 8
LAST_LETTER, PUNCTUATION = "\u024f", ("\u2010", "\u205f")
"""Of those that Pillow's own font can draw: Latin."""

WIDE, CLOSING = "\u2e80-\u9fff\uff00-\uffef", "\u3001\u3002\u300b\u300d\u201d\uff01\uff09\uff0c\uff1a\uff1b\uff1f"
PIECE = re.compile(rf"\s*(?:[{WIDE}]|[^\s{WIDE}]+)[{CLOSING}]*")
"""What a line is never broken within: a word, or a Chinese character with the punctuation that closes it."""


def heading_of(assessment: Assessment, language: str = DEFAULT_LANGUAGE) -> list[str]:
    """What stands above the pictures: the verdict, what to check first, that nobody has verified it.

    In English where no font is installed that holds the language's letters.
    """
    words = Verdict(assessment, language)
    verdict = words.sentences([words.say("sentence", words=words.headline()), *words.fractures(), words.crossing()])
    told = [verdict, words.check_first(), f"Trabecula. {words.use()} {words.say('unverified')}"]
    drawn = language == DEFAULT_LANGUAGE or font_holding(told) is not None
    return told if drawn else heading_of(assessment)


def font_holding(told: Sequence[str]) -> ImageFont.FreeTypeFont | ImageFont.ImageFont | None:
    """A font with every letter of it: Pillow's own for Latin, else an installed one; None where there is none."""
    letters = set("".join(told))
    if all(one <= LAST_LETTER or PUNCTUATION[0] <= one <= PUNCTUATION[1] for one in letters):
        return ImageFont.load_default(TEXT_PX)
    path = _installed("".join(sorted(one for one in letters if one > "~")))
    return None if path is None else ImageFont.truetype(path, TEXT_PX)


@cache
def _installed(letters: str) -> str | None:
    """The file of an installed font with these letters, as fontconfig tells it, by which the PDF is set too."""
    wanted = " ".join(f"{ord(one):x}" for one in letters)
    try:
        command = ["fc-list", "--format", "%{file}\n", f":charset={wanted}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return min(found.split("\n")[:-1], default=None)


def secondary_capture(pictures: list[bytes], heading: Sequence[str], instance: Dataset) -> Dataset:
    """An RGB picture of the study that ``instance`` belongs to. ``pictures`` are PNGs, ``heading`` is set above."""
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


def side_by_side(pictures: list[bytes], heading: Sequence[str]) -> NDArray[Any]:
    """(rows, columns, 3) uint8: the pictures from left to right on black, under the heading's paragraphs."""
    opened = [Image.open(BytesIO(png)).convert("RGB") for png in pictures]
    width, height = sum(one.width for one in opened), max(one.height for one in opened)
    font = font_holding(heading) or ImageFont.load_default(TEXT_PX)
    lines = [line for paragraph in heading for line in broken(paragraph, font.getlength, width - 2 * MARGIN_PX)]
    top = LINE_PX * len(lines) + 2 * MARGIN_PX
    whole = Image.new("RGB", (width, height + top))
    left = 0
    for one in opened:
        whole.paste(one, (left, top))
        left += one.width
    drawing = ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        drawing.text((MARGIN_PX, MARGIN_PX + LINE_PX * (number + 0.5)), line, "white", font, "lm")
    return np.asarray(whole)


def broken(paragraph: str, length: Callable[[str], float], width: float) -> list[str]:
    """A paragraph in lines of at most ``width``, broken between words or Chinese characters; what is longer than that
    has a line of its own."""
    lines: list[str] = []
    for piece in PIECE.findall(" ".join(paragraph.split())):
        if lines and length(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece.strip())
    return lines

"""What the counting network says of each vertebral body: the questions, their answers, and where they stand.

The network answers for every voxel of a body at half its resolution; the answers are read at the body's middle. A
radiologist counts by them: does a rib join this body, right and left, and is it a long one; is this the body of the
first rib, of the neck, of the sacrum; and, as the weakest evidence, which name its looks suggest.
"""

from enum import IntEnum


class Rib(IntEnum):
    """What joins a side of a body."""

    NONE = 0
    SHORT = 1  # below SHORT_RIB_MM along its arc
    LONG = 2


SHORT_RIB_MM = 60.0
"""Twelfth ribs below this are hypoplastic; long ones reach the side of the trunk."""


class Part(IntEnum):
    """Where in the spine a body belongs, as its own looks and neighbours show it."""

    NECK = 0
    FIRST_RIB = 1  # the body of T1: the first rib, short, flat and strongly bent, joins it
    TRUNK = 2  # any free body below
    TRANSITIONAL = 3  # free in part: broad transverse processes join the sacrum
    SACRUM = 4  # the first segment of the sacrum


LOOKS: tuple[str, ...] = (
    "neck", *(f"T{k}" for k in range(1, 13)), *(f"L{k}" for k in range(1, 6)), "S1",
)  # fmt: skip
"""What a body's looks can be: one of the neck, or one of these names."""

MIDDLE = 0
RIB_RIGHT = slice(1, 1 + len(Rib))
RIB_LEFT = slice(RIB_RIGHT.stop, RIB_RIGHT.stop + len(Rib))
PART = slice(RIB_LEFT.stop, RIB_LEFT.stop + len(Part))
UPRIGHT = PART.stop
LOOK = slice(UPRIGHT + 1, UPRIGHT + 1 + len(LOOKS))
CHANNELS = LOOK.stop
"""The network's output channels: the logit of a body's middle, scores of the classes above, the logit of upright."""

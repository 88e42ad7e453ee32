"""The regions of an assessment as the exports number and name them."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from trabecula.anatomy import Level
from trabecula.records import Assessment

OHIF_OUTLINE = "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"


def segmented_levels(assessment: Assessment) -> tuple[Level, ...]:
    """The vertebrae that have a region, cranial first: segment n is the nth of them."""
    counts = np.zeros(256, np.intp)
    for plane in assessment.labels:  # np.unique of the whole takes half a second, and eight times its memory
        counts += np.bincount(plane.ravel(), minlength=256)
    return tuple(level for level in Level if counts[level.verse_id])


def tracking_identifier(level: Level) -> str:
    """The name under which a region is followed from one object to the next."""
    return f"Trabecula {level} trabecular region"


def place_identifier(level: Level, of_outline: bool) -> str:
    """The name under which the place is followed where a vertebra is read.

    OHIF lists an outline as a measurement only where its name begins as that of its own tool does.
    """
    return f"{OHIF_OUTLINE}:Trabecula {level}" if of_outline else f"Trabecula {level}"


def slice_of_each_frame(enhanced: Dataset) -> NDArray[np.intp]:
    """At which place of the grid as given, which runs along the normal, each frame lies."""
    cosines = enhanced.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    normal = np.cross(cosines[:3], cosines[3:])
    places = [
        frame.PlanePositionSequence[0].ImagePositionPatient for frame in enhanced.PerFrameFunctionalGroupsSequence
    ]
    along = np.asarray(places, float) @ normal
    return np.argsort(np.argsort(along))

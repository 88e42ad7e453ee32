"""The regions of an assessment as the exports number and name them."""

import numpy as np

from trabecula.anatomy import Level
from trabecula.records import Assessment


def segmented_levels(assessment: Assessment) -> tuple[Level, ...]:
    """The vertebrae that have a region, cranial first: segment n is the nth of them."""
    found = set(np.unique(assessment.labels).tolist())
    return tuple(level for level in Level if level.verse_id in found)


def tracking_identifier(level: Level) -> str:
    """The name under which a region is followed from one object to the next."""
    return f"Trabecula {level} trabecular region"


def site_identifier(level: Level) -> str:
    """The name under which a vertebra is followed that was read without a region."""
    return f"Trabecula {level}"

"""An assessment whose regions and pictures are known; no network is run."""

from collections.abc import Callable

import pytest

from toys.assessed import blocks_assessment, vertebra
from trabecula.records import Assessment, VertebraReading


@pytest.fixture
def blocks() -> Callable[..., Assessment]:
    """Makes the assessment: how the CT was given, and what its headers say."""
    return blocks_assessment


@pytest.fixture
def reading_of() -> Callable[..., VertebraReading]:
    return vertebra

"""Property tests draw the same examples every time, and a busy machine does not fail them; other kinds of answer."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings

from trabecula.anatomy import Level
from trabecula.quantity import AREAL_BMD, Category, Measurement
from trabecula.records import Assessment, Basis, Diagnosis

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

Turned = Callable[[Assessment], Assessment]
SHARES = {Category.OSTEOPOROSIS: 0.72, Category.OSTEOPENIA: 0.25, Category.NORMAL: 0.03}


def turned(made: Assessment, diagnosis: Diagnosis, classified: bool = False) -> Assessment:
    vertebrae = tuple(
        one
        if one.withheld
        else replace(one, density=diagnosis.density, probabilities=SHARES if classified else None, reasons=())
        for one in made.readings.vertebrae
    )
    return replace(made, readings=replace(made.readings, vertebrae=vertebrae), diagnosis=diagnosis)


@pytest.fixture
def as_classifier() -> Turned:
    """The same scan as a network of three classes reads it: osteoporosis, and no density anywhere."""
    found = Diagnosis(Category.OSTEOPOROSIS, Basis.CLASSIFIER, None, SHARES, (Level.L1, Level.L2))
    return lambda made: turned(made, found, classified=True)


@pytest.fixture
def as_areal() -> Turned:
    """The same scan as a network of areal BMD reads it: osteopenia by its T-score."""
    density = Measurement(0.8, (0.7049, 0.9), AREAL_BMD)
    found = Diagnosis(Category.OSTEOPENIA, Basis.T_SCORE, density, {}, (Level.L1, Level.L2))
    return lambda made: turned(made, found)

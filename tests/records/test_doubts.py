"""Which doubt is checked first, in which order the others are told, and what an interval touches."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import category_shares
from trabecula.messages import DEFAULT_LANGUAGE, FOLDER, Phrase
from trabecula.quantity import QCT_BANDS, Category, Measurement
from trabecula.records import (
    Acquisition,
    Assessment,
    Basis,
    Calibration,
    Diagnosis,
    Effect,
    Readings,
    Reason,
    Scan,
    Spine,
    VertebraReading,
    reason,
)
from trabecula.records.doubts import WEIGHT, check_first, reach, weighed
from trabecula.volume import Orientation, Volume

NAMES = reason("level-uncertain", probability=0.5)
OF_HEADER = reason("contrast-agent-recorded")
CONTRAST = reason("contrast-medium.header", rise=12.0, rise_sd=4.0)
DEPENDS = reason("category-depends-on-names", Effect.NOTE, others=(Phrase("word-normal"),))
LEFT_OUT = reason("files-left-out", Effect.NOTE, kinds=())
FOCUS = reason("dense-focus", level=Level.L1, volume_cm3=1.0)
FRACTURED = reason(
    "vertebral-fracture",
    level=Level.L1,
    grade=1,
    lost=0.3,
    place=Phrase("height-middle"),
    height_mm=15.0,
    expected_mm=22.0,
)


def assessed(*reasons: Reason, l1: tuple[Reason, ...] = (), t12: tuple[Reason, ...] = ()) -> Assessment:
    """L1 and L2 decide, T12 is measured; ``reasons`` are of the whole."""
    density = Measurement(104.76, (90.0, 119.5))
    said = {Level.T12: t12, Level.L1: l1, Level.L2: ()}
    return Assessment(
        "by hand",
        Scan(Volume(np.zeros((3, 3, 3), np.float32), np.eye(4)), Orientation(), Acquisition("nifti"), reasons),
        Spine((), 1.0),
        None,
        Calibration(Phrase("rung-default"), 1.422, 0.0, 0.07),
        Readings(
            tuple(
                VertebraReading(k, (0.0, 0.0, 0.0), 9000.0, 149.0, 40.0, density, reasons=v) for k, v in said.items()
            ),
            Phrase("method-network", {"error_sd": 10.3}),
        ),
        Diagnosis(Category.OSTEOPENIA, Basis.BANDS, density, {Category.OSTEOPENIA: 1.0}, (Level.L1, Level.L2)),
    )


def test_every_reason_has_a_weight_once() -> None:
    import tomllib

    keys = tomllib.loads((FOLDER / f"{DEFAULT_LANGUAGE}.toml").read_text(encoding="utf-8"))["reasons"]
    assert {key.partition(".")[0] for key in keys} <= set(WEIGHT)
    assert len(set(WEIGHT)) == len(WEIGHT)


@pytest.mark.parametrize("given_in", list(itertools.permutations((LEFT_OUT, CONTRAST, NAMES))))
def test_doubts_are_told_by_weight_in_whatever_order_they_were_found(given_in: tuple[Reason, ...]) -> None:
    told = weighed(assessed(*given_in))
    assert (told.first, told.doubts, told.notes) == (NAMES, (CONTRAST,), (LEFT_OUT,))


def test_nothing_is_told_twice() -> None:
    told = weighed(assessed(OF_HEADER, CONTRAST, CONTRAST, NAMES))
    assert told.reasons == (NAMES, CONTRAST)
    assert weighed(assessed(OF_HEADER)).reasons == (OF_HEADER,)  # nothing else says it


def test_a_doubt_of_a_vertebra_that_decides_may_come_first_and_one_of_another_does_not() -> None:
    assert check_first(assessed(CONTRAST, l1=(FOCUS,))) == FOCUS
    assert check_first(assessed(CONTRAST, t12=(FOCUS,))) == CONTRAST
    assert check_first(assessed(t12=(FOCUS,))) is None
    assert check_first(assessed(l1=(FRACTURED,))) is None  # a finding, told with the verdict


def test_that_the_category_depends_on_the_names_is_a_doubt_where_the_names_are_in_doubt() -> None:
    assert weighed(assessed(DEPENDS)).notes == (DEPENDS,)
    told = weighed(assessed(DEPENDS, NAMES))
    assert (told.first, told.doubts, told.notes) == (NAMES, (DEPENDS,), ())


def test_a_note_alone_is_nothing_to_check() -> None:
    assert check_first(assessed(LEFT_OUT)) is None


@given(value=st.floats(20.0, 220.0), below=st.floats(1.0, 60.0), above=st.floats(1.0, 60.0))
def test_what_an_interval_touches_is_what_its_ends_and_its_middle_lie_in(
    value: float, below: float, above: float
) -> None:
    density = Measurement(value, (max(0.0, value - below), value + above))
    edges = [abs(end - cut) for end in density.interval for cut in QCT_BANDS.edges]
    category = QCT_BANDS.category(value)
    made = Diagnosis(category, Basis.BANDS, density, category_shares(density), (Level.L1, Level.L2))
    if min(edges) < 0.1:  # shares are kept with four digits
        return
    touched = {QCT_BANDS.category(at) for at in np.linspace(*density.interval, 400)}
    assert set(reach(made)) == touched
    assert reach(made) == tuple(sorted(reach(made), key=list(reversed(list(Category)[:3])).index))


def test_without_an_interval_nothing_is_said_to_be_touched() -> None:
    given_by = Diagnosis(Category.NORMAL, Basis.CLASSIFIER, None, {Category.NORMAL: 0.6, Category.OSTEOPENIA: 0.4}, ())
    assert reach(given_by) == (Category.NORMAL,)
    beside = replace(given_by, density=Measurement(119.0, (100.0, 130.0)))
    assert reach(beside) == (Category.NORMAL,)  # its probabilities are not those of the density
    nothing = Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, ())
    assert reach(nothing) == (Category.UNDETERMINED,)

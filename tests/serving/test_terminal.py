"""The result in words, of each kind of answer, safe to print whatever a header held."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
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
from trabecula.report.verdict import Verdict
from trabecula.serving.terminal import printable, summary
from trabecula.volume import Orientation, Volume

Turned = Callable[[Assessment], Assessment]


@pytest.fixture
def assessment() -> Assessment:
    """T12 withheld, L1 and L2 measured and used, L3 measured."""
    density = Measurement(104.76, (90.0, 119.4))
    metal = reason("metal", Effect.WITHHOLD, level=Level.T12, limit_hu=2000.0)
    levels = (Level.T12, Level.L1, Level.L2, Level.L3)
    measured = [VertebraReading(level, (0.0, 0.0, 0.0), 12000.0, 149.0, 40.0, density) for level in levels]
    measured[0] = replace(measured[0], density=None, reasons=(metal,), mean_hu=float("nan"))
    return Assessment(
        "by hand",
        Scan(Volume(np.zeros((3, 3, 3), np.float32), np.eye(4)), Orientation(), Acquisition("nifti")),
        Spine((), 1.0, (Reason("odd", "It looks\x1b[2J odd."),)),
        None,
        Calibration(Phrase("rung-default"), 1.422, 0.0, 0.07),
        Readings(tuple(measured), Phrase("method-network", {"error_sd": 10.3})),
        Diagnosis(Category.OSTEOPENIA, Basis.BANDS, density, {}, (Level.L1, Level.L2)),
    )


def headline(assessment: Assessment) -> str:
    return Verdict(assessment).headline()


def rows(assessment: Assessment) -> list[list[str]]:
    return [line.split() for line in summary(assessment).splitlines() if line.strip()]


def test_a_density_by_bands(assessment: Assessment) -> None:
    said = "Osteopenia: 104.8 mg/cm3 (95% interval 90 to 119), mean of L1 and L2, K2HPO4-equivalent"
    assert headline(assessment) == said
    found = rows(assessment)
    assert found[2][:3] == ["level", "BMD", "mg/cm3"]
    assert ["T12", "-", "-", "-", "40", "12.0", "withheld"] in found
    assert ["L1", "104.8", "90", "to", "119", "149", "40", "12.0"] in found
    assert ["L3", "104.8", "90", "to", "119", "149", "40", "12.0", "not", "used"] in found
    assert "T12 holds metal or cement (over 2000 HU). [metal]" in summary(assessment)
    assert "cannot be used to rule out" in summary(assessment)


def test_a_category_without_a_density(assessment: Assessment, as_classifier: Turned) -> None:
    made = as_classifier(assessment)
    shares = "(osteoporosis 72%, osteopenia 25%, normal 3%)"
    assert headline(made) == f"Osteoporosis or osteopenia: by a classifier of L1 and L2 {shares}"
    assert "ndetermined" not in summary(made) and "BMD mg/cm3" not in summary(made)
    assert ["L1", "osteoporosis", "72%", "149", "40", "12.0"] in rows(made)
    assert [row[0] for row in rows(made) if row[-1] == "withheld"] == ["T12"]


def test_areal_density(assessment: Assessment, as_areal: Turned) -> None:
    made = as_areal(assessment)
    assert headline(made) == "Osteopenia: 0.800 g/cm2 (95% interval 0.70 to 0.90), mean of L1 and L2, by T-score"
    assert ["L2", "0.800", "0.70", "to", "0.90", "149", "40", "12.0"] in rows(made)
    assert "mg/cm3" not in summary(made)


def test_a_classifier_that_also_measures_says_both(assessment: Assessment, as_classifier: Turned) -> None:
    made = as_classifier(assessment)
    made = replace(made, diagnosis=replace(made.diagnosis, density=Measurement(104.76, (90.0, 119.4))))
    assert headline(made) == (
        "Osteoporosis or osteopenia: by a classifier of L1 and L2 (osteoporosis 72%, osteopenia 25%, normal 3%),"
        " 104.8 mg/cm3 (95% interval 90 to 119), mean of L1 and L2, K2HPO4-equivalent"
    )


def test_what_was_read_without_regions_has_no_columns_for_them(assessment: Assessment, as_areal: Turned) -> None:
    made = as_areal(assessment)
    whole = tuple(
        replace(one, volume_mm3=0.0, mean_hu=float("nan"), sd_hu=float("nan")) for one in made.readings.vertebrae
    )
    made = replace(made, readings=replace(made.readings, vertebrae=whole))
    assert ["L2", "0.800", "0.70", "to", "0.90"] in rows(made)
    assert rows(made)[2] == ["level", "BMD", "g/cm2", "95%", "interval"]


def test_nothing_determined(assessment: Assessment) -> None:
    nothing = replace(assessment, diagnosis=Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, (Level.L1,)))
    assert headline(nothing) == "Undetermined"
    empty = replace(nothing, readings=replace(nothing.readings, vertebrae=()))
    assert "No vertebra could be measured." in summary(empty)


def test_what_a_header_says_does_not_drive_the_terminal(assessment: Assessment) -> None:
    assert "It looks?[2J odd. [odd]" in summary(assessment)
    assert printable("a\x07\u202eb\u4e2d") == "a??b\u4e2d"

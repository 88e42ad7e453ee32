"""The category of a classifier: which image it comes from, what a withheld vertebra does, what stands against it."""

from dataclasses import replace

import pytest

from trabecula.anatomy import Level
from trabecula.flow.diagnose.classifier import ClassifierDiagnosis
from trabecula.messages import Phrase
from trabecula.quantity import CATEGORIES, Category, Measurement
from trabecula.records import Basis, Effect, Joint, Readings, VertebraReading, reason

BOTH, FIRST = (Level.L1, Level.L2), (Level.L1,)
METAL = (reason("metal", Effect.WITHHOLD, level=Level.L2, limit_hu=2000.0),)


def shares(*values: float) -> dict[Category, float]:
    return dict(zip(CATEGORIES, values, strict=True))


def vertebra(level: Level, *values: float, bmd: float | None = None) -> VertebraReading:
    density = None if bmd is None else Measurement(bmd, (bmd - 10, bmd + 10), own_sd=5.0)
    return VertebraReading(level, (0.0, 0.0, 0.0), 12000.0, 140.0, 30.0, density, shares(*values) if values else None)


def readings(*vertebrae: VertebraReading, joint: Joint | None = None) -> Readings:
    return Readings(vertebrae, Phrase("method-classifier"), joint=joint)


def test_the_mean_of_the_vertebrae_and_the_density_beside_it() -> None:
    given = readings(vertebra(Level.L1, 0.2, 0.7, 0.1, bmd=110.0), vertebra(Level.L2, 0.6, 0.4, 0.0, bmd=104.0))
    found = ClassifierDiagnosis(BOTH)(given)
    assert (found.category, found.basis, found.levels_used) == (Category.OSTEOPENIA, Basis.CLASSIFIER, BOTH)
    assert found.probabilities == pytest.approx(shares(0.4, 0.55, 0.05))
    assert found.density is not None and found.density.value == pytest.approx(107.0)
    assert found.reasons == ()
    assert found.candidates == (Category.OSTEOPENIA, Category.NORMAL)  # 55% alone is no headline


def test_a_density_in_another_band_is_said() -> None:
    given = readings(vertebra(Level.L1, 0.1, 0.8, 0.1, bmd=70.0), vertebra(Level.L2, 0.1, 0.8, 0.1, bmd=72.0))
    (said,) = ClassifierDiagnosis(BOTH)(given).reasons
    assert (said.code, said.effect) == ("category-against-density", Effect.DOUBT)
    assert "osteoporosis" in said.message.lower()


def test_both_in_one_image_come_first() -> None:
    joint = Joint(BOTH, shares(0.05, 0.05, 0.9))
    given = readings(vertebra(Level.L1, 0.9, 0.1, 0.0), vertebra(Level.L2), joint=joint)
    found = ClassifierDiagnosis(BOTH, alone=FIRST)(given)
    assert (found.category, found.levels_used, found.density) == (Category.OSTEOPOROSIS, BOTH, None)


def test_l1_answers_alone_where_there_is_no_joint_image_and_says_so() -> None:
    found = ClassifierDiagnosis(BOTH, alone=FIRST)(readings(vertebra(Level.L1, 0.9, 0.1, 0.0)))
    assert (found.category, found.levels_used) == (Category.NORMAL, FIRST)
    assert [(one.code, one.effect) for one in found.reasons] == [("one-vertebra-alone", Effect.NOTE)]


def test_a_withheld_vertebra_is_in_no_category() -> None:
    second = replace(vertebra(Level.L2, 0.0, 0.0, 1.0), reasons=METAL)
    given = readings(vertebra(Level.L1, 0.9, 0.1, 0.0), second, joint=Joint(BOTH, shares(0.0, 0.0, 1.0)))
    assert ClassifierDiagnosis(BOTH, alone=FIRST)(given).levels_used == FIRST
    undetermined = ClassifierDiagnosis(BOTH)(given)
    assert (undetermined.category, undetermined.probabilities) == (Category.UNDETERMINED, {})
    assert [one.code for one in undetermined.reasons] == ["too-few-vertebrae"]

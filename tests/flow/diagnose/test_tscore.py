"""T-scores of areal BMD: the WHO's closed ends, the sex that decides, and nothing where nobody tells it."""

import pytest

from trabecula.anatomy import Level
from trabecula.flow.diagnose.tscore import TScoreDiagnosis
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, Category, Measurement
from trabecula.records import Basis, Effect, Readings, VertebraReading, reason

LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
DIAGNOSE = TScoreDiagnosis(LEVELS, {"F": (1.0, 0.1), "M": (1.1, 0.1)})


def readings(sex: str | None, *values: float | None) -> Readings:
    metal = (reason("metal", Effect.WITHHOLD, level=Level.L1, limit_hu=2000.0),)
    vertebrae = tuple(
        VertebraReading(
            level,
            (0.0, 0.0, 0.0),
            0.0,
            140.0,
            30.0,
            None if value is None else Measurement(value, (value - 0.1, value + 0.1), AREAL_BMD, 0.06),
            reasons=metal if value is None else (),
        )
        for level, value in zip(LEVELS, values, strict=False)
    )
    return Readings(vertebrae, Phrase("method-axial", {"error_sd": 0.06}), sex=sex)


@pytest.mark.parametrize(
    ("areal_bmd", "sex", "category"),
    [
        (0.75, "F", Category.OSTEOPOROSIS),  # T = -2.5 belongs to osteoporosis
        (0.7501, "F", Category.OSTEOPENIA),
        (0.8999, "F", Category.OSTEOPENIA),
        (0.9, "F", Category.NORMAL),  # T = -1.0 to normal
        (0.9, "M", Category.OSTEOPENIA),
        (0.8, None, Category.UNDETERMINED),  # osteopenia in women, osteoporosis in men
        (0.7, None, Category.OSTEOPOROSIS),
        (1.2, "O", Category.NORMAL),
    ],
)
def test_the_category_of_an_areal_bmd(areal_bmd: float, sex: str | None, category: Category) -> None:
    assert DIAGNOSE.category(areal_bmd, sex) is category


def test_the_mean_of_what_there_is_with_its_t_score() -> None:
    found = DIAGNOSE(readings("F", 0.8, None, 0.9))
    assert (found.category, found.basis, found.levels_used) == (
        Category.OSTEOPENIA,
        Basis.T_SCORE,
        (Level.L1, Level.L3),
    )
    assert found.density is not None and found.density.value == pytest.approx(0.85)
    low, high = found.density.interval
    assert (high - low) / 2 == pytest.approx(1.96 * 0.06)  # two images of one person err alike: no root of two
    (said,) = found.reasons
    assert (said.code, said.effect) == ("t-score", Effect.NOTE) and "-1.5" in said.message
    assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-3)


def test_without_the_sex_there_is_a_number_and_no_category_where_it_matters() -> None:
    found = DIAGNOSE(readings(None, 0.8, 0.8))
    assert found.category is Category.UNDETERMINED and found.density is not None
    assert [one.code for one in found.reasons] == ["sex-unknown"]
    assert DIAGNOSE(readings(None, 0.6, 0.6)).category is Category.OSTEOPOROSIS


def test_without_the_sex_a_wide_interval_is_no_certainty() -> None:
    found = DIAGNOSE(readings(None, 0.84, 0.84))  # T = -1.6 in women, -2.6 in men
    assert found.category is Category.UNDETERMINED
    found = DIAGNOSE(readings(None, 0.87, 0.87))  # osteopenia in both, with an interval from 0.75 to 0.99
    assert found.category is Category.OSTEOPENIA and not any(one.code == "t-score" for one in found.reasons)
    women, men = (DIAGNOSE(readings(sex, 0.87, 0.87)).probabilities for sex in ("F", "M"))
    for category, share in found.probabilities.items():
        assert share == pytest.approx((women[category] + men[category]) / 2, abs=1e-3)
    assert len(found.candidates) > 1


def test_one_vertebra_is_too_few() -> None:
    found = DIAGNOSE(readings("F", 0.8, None, None, None))
    assert (found.category, found.density) == (Category.UNDETERMINED, None)
    assert [one.code for one in found.reasons] == ["too-few-vertebrae"]

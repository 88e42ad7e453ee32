"""The bands, their closed ends, who stands in for whom, and how sure it is."""

from dataclasses import replace

import pytest

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import BandDiagnosis, category_shares
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, QCT_BANDS, Category, Measurement, Quantity
from trabecula.records import Basis, Effect, Readings, VertebraReading, reason

DIAGNOSE = BandDiagnosis()


def vertebra(level: Level, bmd: float | None, half: float = 15.0) -> VertebraReading:
    density = None if bmd is None else Measurement(bmd, (bmd - half, bmd + half))
    reasons = (reason("metal", Effect.WITHHOLD, level=level, limit_hu=2000.0),) if bmd is None else ()
    return VertebraReading(level, (0.0, 0.0, 0.0), 12000.0, 140.0, 30.0, density, reasons=reasons)


def readings(**bmd_by_level: float | None) -> Readings:
    vertebrae = tuple(vertebra(Level(name), bmd) for name, bmd in bmd_by_level.items())
    return Readings(vertebrae, Phrase("method-network", {"error_sd": 10.0}))


@pytest.mark.parametrize(
    ("bmd", "expected"),
    [
        *((0.0, "osteoporosis"), (79.999, "osteoporosis"), (80.0, "osteopenia"), (80.001, "osteopenia")),
        *((119.999, "osteopenia"), (120.0, "osteopenia"), (120.001, "normal"), (250.0, "normal")),
    ],
)
def test_the_closed_ends_of_the_bands(bmd: float, expected: str) -> None:
    assert QCT_BANDS.category(bmd) == expected
    assert DIAGNOSE(readings(L1=bmd, L2=bmd)).category == expected


def test_the_mean_of_l1_and_l2_though_t12_is_there() -> None:
    result = DIAGNOSE(readings(T12=300.0, L1=70.0, L2=94.0))
    assert result.density is not None and result.density.value == pytest.approx(82)
    assert (result.basis, result.determined) == (Basis.BANDS, True)
    assert (result.category, result.levels_used, result.reasons) == ("osteopenia", (Level.L1, Level.L2), ())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"T12": 100.0, "L1": None, "L2": 50.0}, Level.L2),
        ({"T12": 100.0, "L1": 50.0, "L2": None}, Level.L1),
        ({"T12": 100.0, "L1": 50.0}, Level.L1),
    ],
)
def test_t12_stands_in_and_says_for_whom(given: dict[str, float | None], kept: Level) -> None:
    result = DIAGNOSE(readings(**given))
    assert result.levels_used == (Level.T12, kept)
    assert result.density is not None
    assert result.density.value == pytest.approx((100 / 1.04 + 50) / 2)  # T12 lies 4% above the lumbar mean
    (reason,) = result.reasons
    missing = {Level.L1: "L2", Level.L2: "L1"}[kept]
    assert reason.code == "substitute-level"
    assert f"In place of {missing}, which could not be measured, the category rests on T12." in reason.message


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({}, ()),
        ({"T12": 100.0}, (Level.T12,)),  # one stand-in for two is no lumbar density
        ({"T12": 100.0, "L1": None, "L2": None}, (Level.T12,)),
        ({"T12": None, "L1": 100.0, "L2": None}, (Level.L1,)),
        ({"L1": 100.0}, (Level.L1,)),
        ({"T11": 100.0, "L1": 100.0, "L5": 100.0}, (Level.L1,)),
    ],
)
def test_fewer_than_two_vertebrae_give_no_category(given: dict[str, float | None], used: tuple[Level, ...]) -> None:
    result = DIAGNOSE(readings(**given))
    assert (result.category, result.density, result.determined) == (Category.UNDETERMINED, None, False)
    assert not any(result.decided_by(level) for level in Level)
    assert result.probabilities == {}
    assert result.levels_used == used
    assert [reason.code for reason in result.reasons] == ["too-few-vertebrae"]
    assert f"measurable: {', '.join(used) or 'none'}" in result.reasons[0].message


def test_without_a_substitute_none_stands_in() -> None:
    result = replace(DIAGNOSE, substitutes=())(readings(T12=100.0, L1=100.0))
    assert result.category == "undetermined"
    assert "T12" not in result.reasons[0].message


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"L1": 90.0, "L3": 110.0}, (Level.L1, Level.L3)),
        ({"L1": 90.0, "L3": None, "L4": 110.0}, (Level.L1, Level.L4)),
        ({"L1": None, "L2": None, "L3": 90.0, "L4": 110.0}, (Level.L3, Level.L4)),
    ],
)
def test_lower_lumbar_levels_stand_in_as_they_are(given: dict[str, float | None], used: tuple[Level, ...]) -> None:
    result = DIAGNOSE(readings(**given))
    assert result.levels_used == used
    assert result.density is not None and result.density.value == pytest.approx(100)
    assert [one.code for one in result.reasons] == ["substitute-level"]
    assert f"rests on {used[-1]}." in result.reasons[0].message or len(given) == 4


def test_a_mean_of_fewer_levels_than_the_recipe_takes_says_so() -> None:
    lumbar = (Level.L1, Level.L2, Level.L3, Level.L4)
    of_four = BandDiagnosis(levels=lumbar, substitutes=())
    partly = of_four(readings(L1=90.0, L2=None, L3=110.0))
    assert partly.density is not None and partly.density.value == pytest.approx(100)
    assert [one.code for one in partly.reasons] == ["fewer-levels"]
    assert "L1, L3 alone" in partly.reasons[0].message
    assert not of_four(readings(L1=90.0, L2=95.0, L3=105.0, L4=110.0)).reasons


@pytest.mark.parametrize(
    ("bmd", "half", "candidates"),
    [
        (60.0, 10.0, ["osteoporosis"]),
        (100.0, 25.0, ["osteopenia"]),
        (118.0, 20.0, ["osteopenia", "normal"]),
        (123.0, 20.0, ["osteopenia", "normal"]),
        (78.0, 20.0, ["osteoporosis", "osteopenia"]),
        (100.0, 90.0, ["osteoporosis", "osteopenia", "normal"]),
        (200.0, 30.0, ["normal"]),
    ],
)
def test_in_the_grey_zone_every_candidate_is_named(bmd: float, half: float, candidates: list[str]) -> None:
    one = vertebra(Level.L1, bmd, half)
    found = DIAGNOSE(replace(readings(), vertebrae=(one, replace(one, level=Level.L2))))
    assert list(found.candidates) == candidates
    assert found.category in found.candidates
    assert sum(found.probabilities[one] for one in found.candidates) >= 0.8


def test_nothing_determined_has_no_grey_zone() -> None:
    assert DIAGNOSE(readings(L1=100.0)).candidates == (Category.UNDETERMINED,)


@pytest.mark.parametrize("bmd", [5.0, 60.0, 80.0, 100.0, 120.0, 180.0])
def test_probabilities_sum_to_one_and_the_likeliest_is_the_category(bmd: float) -> None:
    result = DIAGNOSE(readings(L1=bmd, L2=bmd))
    assert set(result.probabilities) == {"normal", "osteopenia", "osteoporosis"}
    assert sum(result.probabilities.values()) == pytest.approx(1, abs=2e-4)
    assert min(result.probabilities.values()) >= 0
    assert result.probabilities[result.category] >= max(result.probabilities.values()) - 0.01


def test_on_the_boundary_it_is_even() -> None:
    assert category_shares(Measurement(80.0, (60.0, 100.0)))[Category.OSTEOPOROSIS] == pytest.approx(0.5)
    assert category_shares(Measurement(120.0, (100.0, 140.0)))[Category.NORMAL] == pytest.approx(0.5)


def test_probabilities_are_those_of_the_normal_distribution() -> None:
    # One standard deviation below 80: 84.13% lie under it.
    assert category_shares(Measurement(70.0, (50.4, 89.6)))[Category.OSTEOPOROSIS] == pytest.approx(0.8413, abs=1e-4)


def test_averaging_narrows_what_each_vertebra_errs_by_alone() -> None:
    both = [
        replace(vertebra(level, 100.0), density=Measurement(100.0, (80.4, 119.6), own_sd=6.0))
        for level in (Level.L1, Level.L2)
    ]
    found = DIAGNOSE(replace(readings(), vertebrae=tuple(both))).density
    # 10 of it all, 6 of it one's own: 8 is shared, and 6 / sqrt 2 is left of the rest.
    assert found is not None
    assert found.interval[1] - 100 == pytest.approx(1.96 * (8**2 + 6**2 / 2) ** 0.5)
    assert found.own_sd == pytest.approx(6 / 2**0.5)


def test_averaging_does_not_narrow_what_all_share() -> None:
    two = replace(readings(), vertebrae=(vertebra(Level.L1, 90.0, 18.0), vertebra(Level.L2, 110.0, 22.0)))
    result = DIAGNOSE(two)
    assert result.density is not None and result.density.interval == pytest.approx((80.0, 120.0))


def test_the_interval_ends_at_zero() -> None:
    result = DIAGNOSE(readings(L1=10.0, L2=10.0))
    assert result.density is not None and result.density.interval == pytest.approx((0.0, 25.0))


def test_another_quantity_is_never_held_against_the_bands_of_qct() -> None:
    areal = replace(vertebra(Level.L1, None), density=Measurement(0.9, (0.8, 1.0), AREAL_BMD), reasons=())
    result = DIAGNOSE(replace(readings(), vertebrae=(areal, replace(areal, level=Level.L2))))
    assert (result.category, result.levels_used) == (Category.UNDETERMINED, ())


def test_a_quantity_is_known_by_what_it_is_not_by_which_object_it_is() -> None:
    """Readings come back from worker processes as copies."""
    same = Quantity("vbmd-k2hpo4", "mg/cm3", 1, "K2HPO4")
    l1 = replace(vertebra(Level.L1, None), density=Measurement(100.0, (85.0, 115.0), same), reasons=())
    assert DIAGNOSE(replace(readings(L2=100.0), vertebrae=(l1, vertebra(Level.L2, 100.0)))).levels_used == ("L1", "L2")

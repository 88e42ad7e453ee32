"""Control charts: figures worked by hand, false alarms as rare as published, drifts found."""

from pathlib import Path

import numpy as np
import pytest

from toys.program import Program
from trabecula.acceptance.charts import LAMBDA, LIMIT, Chart, Observed, chart_of
from trabecula.acceptance.drift import Sample, alarms_of, population_charts, share_charts


def chart(values: list[float], baseline: int = 4, error: float = 1.0) -> Chart:
    return chart_of("x", "u", [Observed(f"{n}", value, error) for n, value in enumerate(values)], baseline)


def test_the_average_and_its_limits_are_those_of_the_formula() -> None:
    made = chart([-0.5, 0.5, -0.5, 0.5, 2.0, 2.0])
    assert made.centre == 0.0
    first, second = made.points[4], made.points[5]
    assert first.ewma == pytest.approx(0.2 * 2.0) and second.ewma == pytest.approx(0.2 * 2.0 + 0.8 * 0.4)
    own = LAMBDA / (2 - LAMBDA) * (1 - 0.8**4)
    assert second.ewma_half_width == pytest.approx(LIMIT * (own + 0.25 * (1 - 0.8**2) ** 2) ** 0.5)
    assert not any(one.alarm for one in made.points)


def test_a_lasting_shift_alarms_and_a_single_one_is_an_outlier() -> None:
    steady = [-0.5, 0.5] * 10
    shifted = chart([*steady, *[1.5] * 12], baseline=20)
    assert shifted.alarm is not None and shifted.alarm.alarm == "drift"
    first = shifted.first_alarm
    assert first is not None and 20 < int(first.when) < 32
    once = chart([*steady, 0.3, 5.0, 0.0], baseline=20)
    assert [bool(one.alarm) for one in once.points[-3:-1]] == [False, True]
    assert chart([*steady, *[4.0], *[-0.5, 0.5] * 10], baseline=20).alarm is None  # back in control


def test_the_run_in_control_is_about_as_long_as_published() -> None:
    """Without an error of the baseline, 3 sigma and lambda 0.2 run 560 points on average (Lucas and Saccucci 1990)."""
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(60):
        values = np.concatenate([np.tile([-1.0, 1.0], 250), rng.normal(0, 1.0, 1500)])
        made = chart(values.tolist(), baseline=500)
        alarms = [n for n, one in enumerate(made.points[500:]) if one.alarm == "drift"]
        runs.append(alarms[0] if alarms else 1500)
    assert 350 < np.mean(runs) < 700  # 521 where runs of mean 560 end at 1500


def test_a_short_baseline_alarms_hardly_more_often() -> None:
    rng = np.random.default_rng(1)
    alarmed = sum(any(one.alarm for one in chart(rng.normal(0, 1, 30).tolist(), 6).points) for _ in range(300))
    assert alarmed / 300 < 0.15  # 24 points of 560 would be 4% with a baseline that is known for certain


def test_too_few_points_say_so() -> None:
    assert "3 of 4" in chart([1.0, 2.0, 3.0]).note and chart([1.0, 2.0, 3.0]).points == ()


def people(months: int, each: int, shift_from: int = 10**6, shift: float = 0.0, refused: float = 0.1) -> list[Sample]:
    rng = np.random.default_rng(3)
    made = []
    for month in range(months):
        when = f"{2026 + month // 12}-{month % 12 + 1:02d}"
        for _ in range(each):
            if rng.random() < refused:
                made.append(Sample(when, "refused"))
                continue
            sex, age = str(rng.choice(["F", "M"])), float(rng.uniform(40, 85))
            density = 230 - 1.6 * age + (10 if sex == "M" else 0) + rng.normal(0, 28)
            density += shift if month >= shift_from else 0
            made.append(Sample(when, "done", "Maker One", sex, age, density, "vbmd-k2hpo4", rng.random() < 0.3))
    return made


def test_a_population_that_stays_does_not_alarm_and_one_that_drifts_does() -> None:
    assert alarms_of([*population_charts(people(18, 120)), *share_charts(people(18, 120))]) == []
    (told,) = alarms_of(population_charts(people(18, 120, shift_from=10, shift=-8.0)))
    assert "below its baseline since" in told and "Maker One" in told


def test_older_patients_are_no_drift() -> None:
    old = [one for one in people(18, 240) if one.month < "2027-01" or (one.age_years or 80) > 65]
    assert alarms_of(population_charts(old)) == []


def test_more_refusals_are_told() -> None:
    worse = people(10, 100) + [Sample("2026-11", "refused")] * 60 + [Sample("2026-11", "done", "x")] * 60
    (told,) = alarms_of(share_charts(worse)[:1])
    assert "refused" in told and "above" in told


def test_the_command_reads_a_batchs_table_and_its_exit_code_tells(trabecula: Program, tmp_path: Path) -> None:
    heads = "month,state,manufacturer,model,sex,age_years,density,quantity,doubts"
    rows = [
        f"{one.month},{one.state},{'Maker' if one.scanner else ''},{'One' if one.scanner else ''},{one.sex},"
        f"{'' if one.age_years is None else one.age_years},{'' if one.density is None else one.density},{one.quantity},"
        f"{'contrast-medium' if one.doubtful else ''}"
        for one in people(14, 60, shift_from=8, shift=-20.0)
    ]
    table = tmp_path / "studies.csv"
    table.write_text("\n".join([heads, *rows]) + "\n")
    ran = trabecula("drift", "--table", table, "--out", tmp_path / "out")
    assert ran.code == 1 and ran.out.startswith("ALARM  Density for age and sex, Maker One: below")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"charts.html", "charts.pdf", "charts.json"}
    assert trabecula("drift", "--out", tmp_path / "none").code == 2

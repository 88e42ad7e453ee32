"""A virtual DXA: its errors have the size that is published, and degeneration raises what it reads."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.virtual.drawn import DXA_LEVELS, LevelTruth
from trabecula.virtual.dxa import measure_dxa, young_person
from trabecula.virtual.findings import NOTHING, Findings
from trabecula.virtual.subject import Subject, sample_subject

TRUTH = {level: LevelTruth(120, 118, 130, 20_000, 30_000, mineral_g=12.0, projected_cm2=15.0) for level in DXA_LEVELS}
PERSON = replace(
    sample_subject(5),
    spine=tuple(replace(v, findings=NOTHING) for v in sample_subject(5).spine),
    aorta_calcification=0.0,
)


def with_lips(subject: Subject, level: Level, mm: float) -> Subject:
    lips = Findings(osteophyte_mm=mm)
    return replace(
        subject, spine=tuple(replace(v, findings=lips) if v.name == level.value else v for v in subject.spine)
    )


def measured(subject: Subject) -> float:
    found = measure_dxa(subject, TRUTH)
    assert found is not None
    assert found.exact_g_cm2 == pytest.approx(0.8)
    return found.measured_g_cm2


def test_errors_are_as_large_as_accuracy_and_precision_are_published() -> None:
    errors = np.array([measured(replace(PERSON, seed=seed)) / 0.8 - 1 for seed in range(4000)])
    assert errors.mean() == pytest.approx(0, abs=0.004)
    assert errors.std() == pytest.approx(np.hypot(0.06, 0.017), rel=0.05)
    assert measured(PERSON) == measured(PERSON)


def test_osteophytes_and_a_calcified_aorta_raise_what_is_read() -> None:
    bare = measured(PERSON)
    assert measured(with_lips(PERSON, Level.L3, 10.0)) / bare == pytest.approx(1.05)
    assert measured(with_lips(PERSON, Level.T11, 10.0)) == bare
    assert measured(replace(PERSON, aorta_calcification=1.0)) / bare == pytest.approx(1.01)


def test_what_lacks_a_vertebra_is_not_measured() -> None:
    assert measure_dxa(PERSON, {level: true for level, true in TRUTH.items() if level is not Level.L4}) is None


def test_the_young_are_young_of_both_sexes_and_nobody_else() -> None:
    people = [young_person(sex, index) for sex in "FM" for index in range(20)]
    assert all(20 <= person.age_years < 30 for person in people)
    assert [person.sex for person in people] == ["F"] * 20 + ["M"] * 20
    assert len({person.seed for person in people}) == 40

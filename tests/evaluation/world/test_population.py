"""The sampled population has the densities that were asked for, and those of published ones as far as they agree."""

import numpy as np
import pytest

from trabecula.evaluation.world.population import (
    PRIOR_SD,
    Population,
    by_age,
    figure,
    l1_slope_hu,
    osteoporosis_share,
)


@pytest.fixture(scope="module")
def people() -> Population:
    return Population.sampled(700)


@pytest.mark.parametrize("sex", ["F", "M"])
def test_density_by_age_is_what_was_asked_for(people: Population, sex: str) -> None:
    for _, prior, mean, sd in by_age(people, sex, 5):
        assert mean == pytest.approx(prior, abs=3 * PRIOR_SD / np.sqrt(700 / 14) + 1)
        assert sd == pytest.approx(PRIOR_SD, rel=0.35)


def test_density_is_lost_with_age_as_in_published_ct(people: Population) -> None:
    # Jang 2019: 2.5 HU a year.
    assert -3.0 < l1_slope_hu(people) < -1.5


def test_women_are_more_often_osteoporotic(people: Population) -> None:
    women, men = (osteoporosis_share(people, sex) for sex in "FM")
    assert 0.1 < men < women < 0.4


def test_the_slope_is_taken_out_of_the_spread() -> None:
    age = np.linspace(20, 90, 4000)
    bmd = 144 - 8 * (age - 50) + np.random.default_rng(0).normal(0, 10, 4000)
    falling = Population(age, np.ones(4000, bool), bmd, 144 - 8 * (age - 50))
    row = next(r for r in by_age(falling, "F", 5) if r[0] == 50)
    assert row[2] == pytest.approx(144, abs=2)
    assert row[3] == pytest.approx(10, rel=0.1)
    assert l1_slope_hu(falling) == pytest.approx(-8 * 1.422)


def test_the_figure_shows_both_sexes(people: Population) -> None:
    axes = figure(people).axes
    assert [a.get_title() for a in axes] == ["Virtual women", "Virtual men"]
    assert {t.get_text() for t in axes[0].get_legend().get_texts()} >= {"China Biobank"}

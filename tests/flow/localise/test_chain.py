"""From boxes to the most credible chain of vertebrae, on boxes whose truth is known."""

import numpy as np
import pytest

from trabecula.anatomy import LEVELS, Level
from trabecula.flow.localise.naming import PITCH_MM, Candidate, best_chain, name_spine, naming_probability

SPACING_MM = (2.0, 0.8, 0.5)
MIDDLE_X = 200.0


def height_mm(level: Level) -> float:
    """The height of a vertebra's middle in a spine of mean pitch, S1 at 50 mm."""
    return 50 + sum(PITCH_MM[above] for above in LEVELS[LEVELS.index(level) : -1])


def box_at(z_mm: float, x: float, **votes: float) -> Candidate:
    z = z_mm / SPACING_MM[0]
    scores = np.array([votes.get(level.value, 0.0) for level in LEVELS])
    return Candidate((z - 6, z + 6), (x - 40, x + 40), scores)


def vertebra(level: Level, score: float = 0.9) -> Candidate:
    return box_at(height_mm(level), MIDDLE_X, **{level.value: score})


def names(chain: list[tuple[Candidate, int]]) -> list[str]:
    return [LEVELS[index].value for _, index in chain]


SPINE = [vertebra(level) for level in LEVELS]


def test_a_whole_spine_is_named_cranial_first_whatever_the_order_of_the_boxes() -> None:
    shuffled = [SPINE[i] for i in np.random.default_rng(1).permutation(len(SPINE))]
    chain = best_chain(shuffled, SPACING_MM)
    assert names(chain) == [level.value for level in LEVELS]
    assert [c.z for c, _ in chain] == sorted((c.z for c, _ in chain), reverse=True)
    assert naming_probability(chain) > 0.99


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_vertebrae_keep_their_names(count: int) -> None:
    assert names(best_chain(SPINE[5 : 5 + count], SPACING_MM)) == ["L1", "L2", "L3"][:count]


def test_nothing_gives_no_chain() -> None:
    assert best_chain([], SPACING_MM) == []
    assert best_chain([box_at(100, MIDDLE_X, L3=0.01)], SPACING_MM) == []


@pytest.mark.parametrize("missed", ["T11", "L1", "L4"])
def test_a_missed_vertebra_is_skipped_and_then_placed_midway(missed: str) -> None:
    seen = [vertebra(level) for level in LEVELS if level.value != missed]
    assert names(best_chain(seen, SPACING_MM)) == [level.value for level in LEVELS if level.value != missed]
    boxes, _ = name_spine(seen, SPACING_MM)
    assert [box.level for box in boxes] == list(LEVELS)
    placed = next(box for box in boxes if box.level.value == missed)
    assert placed.centre_zx[0] * SPACING_MM[0] == pytest.approx(height_mm(Level(missed)), abs=4)
    assert placed.centre_zx[1] == pytest.approx(MIDDLE_X)
    assert placed.confidence <= 0.5


def test_two_missed_neighbours_are_skipped_and_not_invented() -> None:
    kept = [level for level in LEVELS if level not in (Level.L1, Level.L2)]
    boxes, _ = name_spine([vertebra(level) for level in kept], SPACING_MM)
    assert [box.level for box in boxes] == kept


def test_of_a_vertebra_seen_twice_one_box_is_kept() -> None:
    again = box_at(height_mm(Level.L2) + 6, MIDDLE_X + 4, L2=0.4)
    chain = best_chain([*SPINE, again], SPACING_MM)
    assert names(chain) == [level.value for level in LEVELS]
    assert all(candidate is not again for candidate, _ in chain)


@pytest.mark.parametrize("votes", [{"L5": 0.7}, {"S1": 0.9}, {"L4": 0.5, "L5": 0.4}])
def test_a_false_box_in_a_hip_stays_out(votes: dict[str, float]) -> None:
    hip = box_at(20.0, MIDDLE_X + 90 / SPACING_MM[2], **votes)
    chain = best_chain([*SPINE, hip], SPACING_MM)
    assert names(chain) == [level.value for level in LEVELS]
    assert all(candidate is not hip for candidate, _ in chain)


def test_of_two_boxes_at_one_height_the_one_in_line_is_kept() -> None:
    spine = [vertebra(level) for level in LEVELS]
    spine[LEVELS.index(Level.L4)] = vertebra(Level.L4, 0.4)
    beside = box_at(height_mm(Level.L4), MIDDLE_X + 60 / SPACING_MM[2], L4=0.95)
    chain = best_chain([*spine, beside], SPACING_MM)
    assert names(chain) == [level.value for level in LEVELS]
    assert all(candidate is not beside for candidate, _ in chain)


def test_a_faint_vertebra_between_two_sure_ones_is_kept() -> None:
    spine = [vertebra(level) for level in LEVELS]
    spine[LEVELS.index(Level.L3)] = vertebra(Level.L3, 0.02)
    assert names(best_chain(spine, SPACING_MM)) == [level.value for level in LEVELS]


def test_neighbours_outvote_a_box_that_is_off_by_one() -> None:
    spine = [vertebra(level) for level in LEVELS]
    spine[LEVELS.index(Level.L2)] = box_at(height_mm(Level.L2), MIDDLE_X, L3=0.7, L2=0.1)
    chain = best_chain(spine, SPACING_MM)
    assert names(chain) == [level.value for level in LEVELS]
    assert naming_probability(chain) > 0.9


def test_a_spine_that_leans_like_a_scoliosis_is_followed() -> None:
    sway = 12 * np.sin(np.arange(len(LEVELS)) / 2) / SPACING_MM[2]
    spine = [
        box_at(height_mm(level), MIDDLE_X + float(lean), **{level.value: 0.8})
        for level, lean in zip(LEVELS, sway, strict=True)
    ]
    assert names(best_chain(spine, SPACING_MM)) == [level.value for level in LEVELS]


@pytest.mark.parametrize("size", [0.85, 1.15])
def test_small_and_tall_people_keep_their_names(size: float) -> None:
    spine = [box_at(size * height_mm(level), MIDDLE_X, **{level.value: 0.6}) for level in LEVELS]
    assert names(best_chain(spine, SPACING_MM)) == [level.value for level in LEVELS]


def test_an_ambiguous_chain_has_a_low_probability() -> None:
    def torn(level: Level, own: float, below: float) -> Candidate:
        return box_at(height_mm(level), MIDDLE_X, **{level.value: own, LEVELS[LEVELS.index(level) + 1].value: below})

    middle = LEVELS[3:8]
    even = best_chain([torn(level, 0.45, 0.45) for level in middle], SPACING_MM)
    assert naming_probability(even) < 0.6
    sure = best_chain([torn(level, 0.8, 0.05) for level in middle], SPACING_MM)
    assert naming_probability(sure) > 0.95
    assert 0 < naming_probability(even) < naming_probability(sure) <= 1


def test_a_box_says_how_sure_it_is_of_being_this_vertebra() -> None:
    faint = [vertebra(level, 0.5) for level in LEVELS]
    boxes, _ = name_spine(faint, SPACING_MM)
    expected = round(0.5 * naming_probability(best_chain(faint, SPACING_MM)), 3)
    assert [box.confidence for box in boxes] == [expected] * len(LEVELS)

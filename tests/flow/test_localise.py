"""From boxes to a named spine, on boxes whose truth is known; the way from scan to projection; a head is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trabecula.anatomy import LEVELS, Level
from trabecula.errors import Refusal
from trabecula.flow.body import body_mask, pool
from trabecula.flow.localise import CANVAS, _window_tops, gather, localise
from trabecula.flow.naming import PITCH_MM, Candidate, _boxes, best_chain, naming_probability
from trabecula.records import Acquisition, Scan
from trabecula.volume import Grid, Orientation, Volume

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
    chain = best_chain([vertebra(level) for level in LEVELS if level.value != missed], SPACING_MM)
    assert names(chain) == [level.value for level in LEVELS if level.value != missed]
    boxes = _boxes(chain, 1.0)
    assert [box.level for box in boxes] == list(LEVELS)
    placed = next(box for box in boxes if box.level.value == missed)
    assert placed.centre_zx[0] * SPACING_MM[0] == pytest.approx(height_mm(Level(missed)), abs=4)
    assert placed.centre_zx[1] == pytest.approx(MIDDLE_X)
    assert placed.confidence <= 0.5


def test_two_missed_neighbours_are_skipped_and_not_invented() -> None:
    chain = best_chain([vertebra(level) for level in LEVELS if level not in (Level.L1, Level.L2)], SPACING_MM)
    assert [box.level.value for box in _boxes(chain, 1.0)] == [v.value for v in LEVELS if v.value not in ("L1", "L2")]


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
    chain = best_chain(SPINE, SPACING_MM)
    assert [box.confidence for box in _boxes(chain, 0.5)] == [0.45] * len(LEVELS)


def row(z: float, label: int, score: float, x: float = 100.0) -> list[float]:
    return [x - 15, z - 9, x + 15, z + 9, label, score]


def test_what_the_detector_says_of_one_place_is_gathered() -> None:
    l1, l2 = LEVELS.index(Level.L1) + 1, LEVELS.index(Level.L2) + 1
    found = gather(np.array([row(50, l1, 0.3), row(52, l2, 0.6), row(51, l2, 0.5), row(75, l2, 0.2)]))
    assert len(found) == 2
    box, scores = found[0]
    np.testing.assert_array_equal(box, row(52, 0, 0)[:4])  # the best one's place
    assert scores[l1 - 1] == pytest.approx(0.3)
    assert scores[l2 - 1] == pytest.approx(0.6)  # the larger of 0.6 and 0.5, not their sum
    assert found[1][1].sum() == pytest.approx(0.2)


def test_boxes_side_by_side_are_two_vertebrae() -> None:
    assert len(gather(np.array([row(50, 5, 0.9), row(50, 5, 0.8, x=150.0)]))) == 2
    assert gather(np.zeros((0, 6))) == []


def volume_of(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Volume:
    return Volume(hu.astype(np.float32), Grid.axial((0, 0, 0), hu.shape, spacing_mm).affine)


def testpooling_takes_means_over_about_2_mm_and_drops_what_is_over() -> None:
    hu = np.random.default_rng(0).normal(0, 100, (9, 11, 13))
    pooled, factors = pool(volume_of(hu, (1.0, 0.7, 0.66)))
    assert factors == (2, 3, 3)
    assert pooled.shape == (4, 3, 4)
    assert pooled[1, 2, 3] == pytest.approx(hu[2:4, 6:9, 9:12].mean(), abs=1e-3)


def test_thick_slices_are_notpooled() -> None:
    hu = np.random.default_rng(0).normal(0, 100, (4, 6, 8))
    pooled, factors = pool(volume_of(hu, (5.0, 2.0, 2.0)))
    assert factors == (1, 1, 1)
    np.testing.assert_allclose(pooled, hu, atol=1e-3)


@pytest.mark.parametrize("shape", [(6, 80, 90), (5, 81, 91)])
def test_the_body_is_kept_and_the_table_is_not(shape: tuple[int, int, int]) -> None:
    _, y, x = np.indices(shape)
    body = ((x - 45) / 35) ** 2 + ((y - 32) / 22) ** 2 < 1
    table = (y >= 64) & (y < 70) & (x > 15) & (x < 75)
    hu = np.where(body, 40, np.where(table, 300, -1000)).astype(np.float32)
    mask = body_mask(hu)
    assert mask.shape == shape
    assert mask[body].all()
    assert not mask[table].any()


def test_bone_and_lung_inside_the_body() -> None:
    _, y, x = np.indices((6, 80, 90))
    hu = np.where(((x - 45) / 35) ** 2 + ((y - 40) / 28) ** 2 < 1, 40, -1000).astype(np.float32)
    spine = ((x - 45) / 8) ** 2 + ((y - 50) / 6) ** 2 < 1
    hu[spine] = 400
    assert body_mask(hu)[spine].all()


def test_air_alone_holds_no_body() -> None:
    assert not body_mask(np.full((4, 20, 20), -1000, np.float32)).any()


@given(st.integers(1, 3000))
def test_every_row_is_seen_and_a_vertebra_at_a_windows_end_is_whole_in_the_next(rows: int) -> None:
    tops = _window_tops(rows)
    assert tops[0] == 0
    assert tops[-1] == max(0, rows - CANVAS[0])
    assert all(0 < below - above <= CANVAS[0] // 2 for above, below in pairwise(tops))


def test_a_head_is_refused() -> None:
    z, y, x = np.indices((70, 84, 70)) * 3.0 - np.array([105, 126, 105]).reshape(3, 1, 1, 1)
    reach = np.sqrt((z / 95) ** 2 + (y / 100) ** 2 + (x / 78) ** 2)
    hu = np.select([reach < 0.86, reach < 0.94, reach < 1], [35.0, 900.0, 30.0], -1000.0)
    hu += np.random.default_rng(0).normal(0, 5, hu.shape)
    scan = Scan(volume_of(hu, (3.0, 3.0, 3.0)), Orientation(), Acquisition("nifti"))
    with pytest.raises(Refusal) as refused:
        localise(scan, "niu2023-localiser")
    assert refused.value.code == "no-vertebrae-found"
    assert "lower thoracic or lumbar spine" in refused.value.message


def test_air_alone_is_refused() -> None:
    scan = Scan(volume_of(np.full((40, 60, 60), -1000.0), (3.0, 3.0, 3.0)), Orientation(), Acquisition("nifti"))
    with pytest.raises(Refusal) as refused:
        localise(scan, "niu2023-localiser")
    assert refused.value.code == "no-vertebrae-found"

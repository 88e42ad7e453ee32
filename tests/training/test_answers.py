"""How far two runs of a network are apart, in what their outputs mean."""

import numpy as np
import pytest

from trabecula.flow.localise.evidence import CHANNELS, LOOKS, MIDDLE, PART
from trabecula.training.answers import answers_apart, within
from trabecula.view import Bins, Classes, Evidence, Number

INFINITE = float("inf")


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def test_a_density_is_what_the_bins_expect() -> None:
    head = Bins(0.0, 100.0, 2)
    shares = [np.array([[0.0, logit(share)]]) for share in (0.25, 0.253, 0.5)]  # 25, 25.3 and 50 mg/cm3
    (apart,) = answers_apart(head, [(shares[0],)] * 2, [(shares[0],), (shares[1],)]).values()
    assert apart == pytest.approx(0.3)
    assert within(answers_apart(head, [(shares[0],)], [(shares[1],)]))
    assert not within(answers_apart(head, [(shares[0],)], [(shares[2],)]))


def test_a_number_is_in_its_own_unit() -> None:
    head = Number("abmd", scale=2.0)
    assert answers_apart(head, [(np.array([[2.0]]),)], [(np.array([[2.02]]),)])["abmd"] == pytest.approx(0.01)


def test_a_classifier_is_held_to_its_probabilities() -> None:
    head = Classes(("a", "b"))
    found, true = np.array([[0.0, logit(0.6)]]), np.array([[0.0, logit(0.65)]])
    assert answers_apart(head, [(found,)], [(true,)]) == {"probability": pytest.approx(0.05)}


def test_masks_are_held_to_each_other_by_their_dice_over_all_inputs() -> None:
    head = Classes(("background", "bone"))
    first = np.zeros((1, 2, 4, 5, 5))
    first[:, 1, :2] = 1.0  # 50 voxels of bone
    second = first.copy()
    second[:, 1, 0, 0, 0] = -1.0  # and one of them lost
    apart = answers_apart(head, [(first,), (first,)], [(first,), (second,)])
    assert apart == {"dice_lost": pytest.approx(1 - 2 * 99 / 199)}
    assert answers_apart(head, [(first,)], [(first + 1e-6,)]) == {"dice_lost": 0.0}


@pytest.mark.parametrize("head", [Classes(("above", "L1", "L2")), Evidence(LOOKS, (), (), ())])
def test_names_count_where_a_body_is_seen_and_nowhere_else(head: Classes | Evidence) -> None:
    channels = 4 if isinstance(head, Classes) else CHANNELS
    named = 2 if isinstance(head, Classes) else PART.start
    true = np.zeros((1, channels, 2, 2, 2))
    true[:, MIDDLE] = logit(0.01)
    far = true.copy()
    far[0, named, 0, 0, 0] = 5.0
    assert answers_apart(head, [(far,)], [(true,)]) == {"probability": 0.0}
    for run in (far, true):
        run[0, MIDDLE, 0, 0, 0] = logit(0.9)
    assert answers_apart(head, [(far,)], [(true,)])["probability"] > 0.3


def boxes(*rows: tuple[float, int, float]) -> tuple[np.ndarray, ...]:
    return (
        np.array([[at, at, at + 10, at + 10] for at, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([label for _, label, _ in rows]),
        np.array([score for _, _, score in rows]),
    )


def test_sure_boxes_are_matched_by_label_and_place_in_any_order() -> None:
    head = Classes(("background", "L1", "L2"))
    found, true = boxes((5.25, 1, 0.9), (50, 2, 0.8), (70, 2, 0.1)), boxes((50, 2, 0.8), (5, 1, 0.905))
    assert answers_apart(head, [found], [true]) == {"box_pixels": 0.25, "probability": pytest.approx(0.005)}
    assert answers_apart(head, [true], [boxes((50, 2, 0.8))])["box_pixels"] == INFINITE
    assert answers_apart(head, [boxes((50, 2, 0.8))], [true])["box_pixels"] == INFINITE


def test_what_is_not_finite_is_not_alike() -> None:
    broken = np.array([[np.nan]])
    assert not within(answers_apart(Number(), [(broken,)], [(np.array([[1.0]]),)]))

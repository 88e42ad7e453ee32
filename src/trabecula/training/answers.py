"""How far the answers of two runs of a network are apart, in what the answers mean, and how far they may be.

A raw output says little: a score of 12 instead of 12.1 changes nothing, and near a tie .01 changes a class. So weights
that are stored smaller are held to what is read off the outputs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trabecula.flow.localise.evidence import LOOK, PART, RIB_LEFT, RIB_RIGHT, UPRIGHT
from trabecula.quantity import AREAL_BMD, VBMD_HA, VBMD_K2HPO4
from trabecula.view import Bins, Classes, Evidence, Head, Number

BOUNDS: Mapping[str, float] = {
    VBMD_K2HPO4.key: 0.5,  # mg/cm3: a twentieth of the best network's error
    VBMD_HA.key: 0.5,
    AREAL_BMD.key: 0.003,  # g/cm2: a third of what DXA itself repeats to
    "probability": 0.01,
    "dice_lost": 0.002,  # of each class's mask against the other's
    "box_pixels": 0.5,
}
"""What may change at most, by what it is; a change of another sort is none of these networks'."""

SEEN, SURE = 0.3, 0.5
"""From this probability on a body's middle, from this score on a detector's box is an answer."""

Outputs = Sequence[NDArray[Any]]


def within(apart: Mapping[str, float]) -> bool:
    """Whether no answer is further apart than its bound."""
    return all(value <= BOUNDS[name] for name, value in apart.items())


def answers_apart(head: Head, found: Sequence[Outputs], true: Sequence[Outputs]) -> dict[str, float]:
    """The largest differences of what two runs answer to the same inputs, named and in the units of ``BOUNDS``.

    Infinite where one answers what the other does not.
    """
    if len(true[0]) == 3:
        return _boxes_apart(found, true)
    one, other = (np.concatenate([np.asarray(outputs[0], np.float64) for outputs in run]) for run in (found, true))
    if isinstance(head, Bins | Number):
        values = [np.array([head.value(scores) for scores in run]) for run in (one, other)]
        return {head.quantity: _largest(values[0] - values[1])}
    if isinstance(head, Evidence):
        groups = [RIB_RIGHT, RIB_LEFT, PART, slice(UPRIGHT, UPRIGHT + 1), LOOK]
        return {"probability": _at_bodies_apart(one, other, groups)}
    if one.ndim == 2:
        return {"probability": _largest(_probabilities(one) - _probabilities(other))}
    if one.shape[1] == len(head.names) + 1:  # the first channel is the logit of a body's middle
        return {"probability": _at_bodies_apart(one, other, [slice(1, None)])}
    return {"dice_lost": _dice_lost(one, other, head)}


def _at_bodies_apart(one: NDArray[Any], other: NDArray[Any], groups: Sequence[slice]) -> float:
    """Of the middles' probability wherever a body is seen, and there of every question's answers."""
    middles = [_probabilities(run[:, :1]) for run in (one, other)]
    seen = np.maximum(*middles)[:, 0] >= SEEN
    apart = [_largest((middles[0] - middles[1])[:, 0][seen])]
    for group in groups:
        first, second = (_probabilities(run[:, group]) for run in (one, other))
        apart.append(_largest(np.moveaxis(first - second, 1, -1)[seen]))
    return max(apart)


def _probabilities(scores: NDArray[Any]) -> NDArray[Any]:
    """Softmax over axis 1; of a single channel, how probable it is."""
    if scores.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-np.clip(scores, -500, 500))))
    exponent = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))


def _dice_lost(one: NDArray[Any], other: NDArray[Any], head: Classes) -> float:
    """The most that a class's masks, over all inputs, fall short of a Dice of 1."""
    first, second = one.argmax(axis=1), other.argmax(axis=1)
    lost = 0.0
    for index in range(len(head.names)):
        sizes = int((first == index).sum()) + int((second == index).sum())
        if sizes:
            lost = max(lost, 1 - 2 * int(((first == index) & (second == index)).sum()) / sizes)
    return lost


def _boxes_apart(found: Sequence[Outputs], true: Sequence[Outputs]) -> dict[str, float]:
    """Of a detector's boxes, labels and scores: each sure box of either run has one of its label near by."""
    pixels = scores = 0.0
    for one, other in zip(found, true, strict=True):
        for (boxes, labels, sure), (boxes_2, labels_2, sure_2) in ((one, other), (other, one)):
            for box, label, score in zip(boxes, labels, sure, strict=True):
                if score < SURE:
                    continue
                same = np.flatnonzero(labels_2 == label)
                if not len(same):
                    return {"box_pixels": float("inf"), "probability": float("inf")}
                away = np.abs(boxes_2[same] - box).max(axis=1)
                nearest = same[away.argmin()]
                pixels = max(pixels, float(away.min()))
                scores = max(scores, abs(float(sure_2[nearest]) - float(score)))
    return {"box_pixels": pixels, "probability": scores}


def _largest(difference: NDArray[Any]) -> float:
    if not difference.size:
        return 0.0
    largest = float(np.abs(difference).max())
    return largest if np.isfinite(largest) else float("inf")

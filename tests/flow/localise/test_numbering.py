"""Counting: from what bodies show to names, as a radiologist would argue."""

from collections.abc import Sequence

import numpy as np
import pytest

from trabecula.flow.localise.evidence import LOOKS, Part, Rib
from trabecula.flow.localise.numbering import (
    NAMED,
    NAMED_CONFUSION,
    PITCH_MM,
    Confusion,
    Naming,
    Shown,
    anatomies,
    name_chain,
    smoothed,
)
from trabecula.volume import Float64

CONFUSION = Confusion(
    smoothed(np.eye(3) * 200, 0.03),
    smoothed(np.eye(5) * 200, 0.03),
    smoothed(sum(np.eye(len(LOOKS), k=k) * w for k, w in ((0, 60.0), (1, 15.0), (-1, 15.0))), 0.05),
    NAMED_CONFUSION,
)
THORAX, LUMBAR = [f"T{k}" for k in range(1, 13)], [f"L{k}" for k in range(1, 6)]


def counted(
    ribs: Sequence[Rib | tuple[Rib, Rib]],
    first_rib: bool = False,
    sacrum: bool = False,
    pitches: Sequence[float] | None = None,
    looks: Sequence[str] = (),
    named: Sequence[str] = (),
    projected: Sequence[str] = (),
) -> Naming:
    """Names for bodies of which is known which ribs join them, and whether the ends are the landmarks."""
    pairs = [one if isinstance(one, tuple) else (one, one) for one in ribs]
    n = len(pairs)
    parts = np.full(n, Part.TRUNK)
    if first_rib:
        parts[0] = Part.FIRST_RIB
    if sacrum:
        parts[-1] = Part.SACRUM
    look = np.full((n, len(LOOKS)), 1 / len(LOOKS))
    for row, name in enumerate(looks):
        look[row] = np.eye(len(LOOKS))[LOOKS.index(name)]
    right, left = (np.eye(3)[[pair[side] for pair in pairs]] for side in (0, 1))
    distances = np.full(n - 1, 30.0) if pitches is None else np.array(pitches)
    others = (_called(named, n), _called(projected, n))
    return name_chain(Shown(right, left, np.eye(5)[parts], look, others), distances, CONFUSION)


def _called(names: Sequence[str], n: int) -> Float64:
    """What another network calls each of n bodies; nothing where it names none."""
    told = np.full((n, len(NAMED)), 1 / len(NAMED))
    for row, name in enumerate(names):
        told[row] = np.eye(len(NAMED))[NAMED.index(name)]
    return told


def pitches(names: Sequence[str]) -> list[float]:
    return [PITCH_MM[name] for name in names[:-1]]


def test_a_chest_is_counted_from_the_first_rib() -> None:
    names = [*THORAX, "L1", "L2"]
    naming = counted([Rib.LONG] * 12 + [Rib.NONE] * 2, first_rib=True, pitches=pitches(names))
    assert list(naming.names) == names
    assert min(naming.probabilities) > 0.98


def test_the_last_rib_and_the_sacrum_agree_on_an_abdomen() -> None:
    names = ["T10", "T11", "T12", *LUMBAR, "S1"]
    naming = counted([Rib.LONG] * 3 + [Rib.NONE] * 6, sacrum=True, pitches=pitches(names))
    assert list(naming.names) == names
    assert min(naming.probabilities) > 0.98


def test_networks_that_err_as_a_whole_leave_a_doubt_however_many_bodies_they_name() -> None:
    names, lower = ["T11", "T12", *LUMBAR], ["T12", *LUMBAR, "S1"]
    unsure = [Rib.LONG, Rib.SHORT, *[Rib.NONE] * 5]
    misled = counted(unsure, pitches=pitches(names), named=lower)
    assert list(misled.names) == names
    righted = counted(unsure, pitches=pitches(names), named=lower, projected=names)
    assert list(righted.names) == names
    together = counted(unsure, pitches=pitches(names), named=names, projected=names)
    assert min(misled.probabilities) < 0.9 < min(together.probabilities)


def test_looks_one_too_low_do_not_outvote_the_ribs() -> None:
    names = ["T8", "T9", "T10", "T11", "T12", "L1"]
    naming = counted([Rib.LONG] * 5 + [Rib.NONE], looks=["T9", "T10", "T11", "T12", "L1", "L2"], pitches=pitches(names))
    assert list(naming.names) == names


def test_ribs_that_seem_to_join_a_body_of_the_neck_are_no_thirteenth_pair() -> None:
    names = ["C7", *THORAX, *LUMBAR, "S1"]
    seen = [*[Rib.LONG] * 12, Rib.SHORT, *[Rib.NONE] * 6]
    looks = ["above"] * 8 + ["T8", "T9", "T10", "T11", "T12", *LUMBAR, "S1"]
    naming = counted(seen, sacrum=True, pitches=pitches(names), named=looks, projected=looks)
    assert list(naming.names) == names


def test_names_by_the_last_rib_alone_are_no_surer_than_it_is_that_people_have_twelve_pairs() -> None:
    names = ["T10", "T11", "T12", "L1", "L2", "L3"]
    seen = [Rib.LONG] * 3 + [Rib.NONE] * 3
    naming = counted(seen, pitches=pitches(names), looks=names, named=names, projected=names)
    assert list(naming.names) == names
    assert 0.9 < min(naming.probabilities) < 0.997 < naming.share(ribs="twelve") + naming.share(ribs="eleven")


def test_a_stretch_without_landmarks_has_no_sure_name() -> None:
    assert min(counted([Rib.NONE] * 3, pitches=[36.0, 37.0]).probabilities) < 0.6
    assert min(counted([Rib.LONG] * 3, pitches=[24.0, 25.0]).probabilities) < 0.6


def test_a_missed_body_is_told_by_the_distance() -> None:
    names = ["T11", "T12", "L2", "L3", "L4", "L5", "S1"]
    distances = [28.0, 31.0 + 34.0, 36.0, 37.0, 37.0, 33.0]
    naming = counted([Rib.LONG] * 2 + [Rib.NONE] * 5, sacrum=True, pitches=distances)
    assert list(naming.names) == names


@pytest.mark.parametrize(
    ("ribs", "pairs", "names"),
    [
        ("eleven", 11, [*THORAX, "L1"]),
        ("twelve", 12, [*THORAX, "L1", "L2"]),
        ("thirteen", 13, [*THORAX, "T13", "L1"]),
    ],
)
def test_pairs_counted_from_the_first_tell_the_anatomy(ribs: str, pairs: int, names: list[str]) -> None:
    shown = [Rib.LONG] * pairs + [Rib.NONE] * (len(names) - pairs)
    naming = counted(shown, first_rib=True, pitches=pitches(names))
    assert list(naming.names) == names
    assert naming.share(ribs=ribs) > 0.6


def test_short_ribs_below_twelve_pairs_are_lumbar_ribs() -> None:
    ribs = [Rib.LONG] * 12 + [Rib.SHORT] + [Rib.NONE] * 5
    naming = counted(ribs, first_rib=True, sacrum=True, pitches=pitches([*THORAX, *LUMBAR, "S1"]))
    assert naming.names[12:14] == ("L1", "L2")
    assert naming.share(ribs="lumbar-rib") > 0.8


def test_six_free_bodies_between_ribs_and_sacrum_leave_a_doubt() -> None:
    naming = counted([Rib.LONG] * 3 + [Rib.NONE] * 7, sacrum=True)
    assert min(naming.probabilities) < 0.8


def test_six_lumbar_bodies_counted_from_the_first_rib_are_named() -> None:
    naming = counted(
        [Rib.LONG] * 12 + [Rib.NONE] * 7, first_rib=True, sacrum=True, pitches=pitches([*THORAX, *LUMBAR, "L6", "S1"])
    )
    assert naming.names[-2:] == ("L6", "S1")
    assert naming.share(lumbar=6) > 0.8


def test_the_prior_sums_to_everybody_and_twelve_pairs_are_the_rule() -> None:
    assert sum(a.prior for a in anatomies()) == pytest.approx(1.0)
    assert 0.9 < sum(a.prior for a in anatomies() if a.ribs == "twelve") < 0.96


def test_probabilities_of_anatomies_sum_to_one() -> None:
    naming = counted([Rib.LONG] * 4 + [Rib.NONE] * 2)
    assert sum(p for _, p in naming.anatomies) == pytest.approx(1.0)
    assert all(0 < p <= 1.0 + 1e-9 for p in naming.probabilities)


def test_smoothed_rates_are_rates_and_leave_room_for_what_is_real() -> None:
    rates = smoothed(np.diag([1000.0, 1000.0, 1000.0]), 0.03)
    assert rates.sum(axis=1) == pytest.approx(np.ones(3))
    assert rates.min() >= 0.01


def test_a_second_network_names_what_counting_cannot() -> None:
    free = [Rib.NONE] * 4
    alone = counted(free, pitches=pitches(LUMBAR[:4]))
    helped = counted(free, pitches=pitches(LUMBAR[:4]), named=LUMBAR[:4])
    assert list(helped.names) == LUMBAR[:4]
    assert min(helped.probabilities) > 0.9 > min(alone.probabilities)


def test_a_second_network_one_too_low_does_not_outvote_ribs_and_sacrum() -> None:
    names = ["T10", "T11", "T12", *LUMBAR, "S1"]
    shown = [Rib.LONG] * 3 + [Rib.NONE] * 6
    naming = counted(shown, sacrum=True, pitches=pitches(names), named=["T11", "T12", *LUMBAR, "S1", "S1"])
    assert list(naming.names) == names


def test_what_no_anatomy_explains_has_little_evidence() -> None:
    names = ["T9", "T10", "T11", "T12", *LUMBAR[:3]]
    upright = counted([Rib.LONG] * 4 + [Rib.NONE] * 3, pitches=pitches(names), named=names)
    turned = counted([Rib.NONE] * 3 + [Rib.LONG] * 4, pitches=pitches(names)[::-1], named=names[::-1])
    assert upright.evidence > turned.evidence + 1

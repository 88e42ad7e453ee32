"""What is made and said of a chain of bodies once it is named."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.localise.bodies import Body
from trabecula.flow.localise.counting import (
    _boxes,
    _without_names,
    evidence_said,
    findings_said,
    look_both_ways,
    lumbar_with_ribs,
    names_probability,
    shown_by,
    size_of,
)
from trabecula.flow.localise.evidence import LOOKS, PART, RIB_LEFT, RIB_RIGHT, Part, Rib
from trabecula.flow.localise.numbering import NAMED, PITCH_MM, Confusion, Naming, anatomies, name_chain, smoothed
from trabecula.records import Effect, VertebraBox
from trabecula.volume import Grid, Volume
from trabecula.weights import weights_named

SURE = Confusion(*(smoothed(np.eye(n) * 300, 0.03) for n in (3, 5, len(LOOKS), len(NAMED))))
THORAX, LUMBAR = [f"T{k}" for k in range(1, 13)], [f"L{k}" for k in range(1, 6)]


def body(name: str, rib: Rib, part: Part | None = None) -> Body:
    told = {"T1": Part.FIRST_RIB, "S1": Part.SACRUM}.get(name, Part.TRUNK) if part is None else part
    ribs = np.eye(3)[rib]
    return Body(np.zeros(3), 0.9, ribs, ribs, np.eye(5)[told], 1.0, np.full(len(LOOKS), 1 / len(LOOKS)))


def named(names: list[str], bearing: int, transitional: str = "") -> tuple[list[Body], Naming]:
    """A chain of these names whose first ``bearing`` bodies bear long ribs."""
    chain = [
        body(name, Rib.LONG if k < bearing else Rib.NONE, Part.TRANSITIONAL if name == transitional else None)
        for k, name in enumerate(names)
    ]
    return chain, name_chain(shown_by(chain), np.array([PITCH_MM[name] for name in names[:-1]]), SURE)


@pytest.mark.parametrize(
    ("names", "bearing", "said"),
    [
        (
            [*THORAX, *LUMBAR, "S1"],
            12,
            "12 pairs of ribs were counted from the first; the last is on T12, and 5",
        ),
        ([*THORAX, "L1"], 12, "12 pairs of ribs were counted from the first; the last is on T12."),
        (THORAX[:9], 9, "counted from the first ribs; the last ones were not found"),
        (["T11", "T12", *LUMBAR, "S1"], 2, "The last ribs are on T12; 5 bodies without ribs"),
        (["T11", "T12", "L1"], 2, "neither the first ribs nor the sacrum was found"),
        ([*LUMBAR, "S1"], 0, "counted from the sacrum"),
        (LUMBAR[1:4], 0, "rest on what the bodies look like"),
    ],
)
def test_the_evidence_is_said(names: list[str], bearing: int, said: str) -> None:
    chain, naming = named(names, bearing)
    told = evidence_said(chain, naming, 0.97)
    assert told.effect is Effect.NOTE
    assert said in told.message
    assert told.told("zh") != told.message
    assert "97%" in told.message


def test_bodies_of_a_kind_in_view_are_counted() -> None:
    chain, naming = named([*THORAX, "L1", "L2"], 12)
    assert "12 bodies with ribs, 2 lumbar ones" in evidence_said(chain, naming, 1.0).message


def test_an_unusual_numbering_and_a_transitional_vertebra_are_findings() -> None:
    thirteen = named([*THORAX, "T13", "L1", "L2"], 13)
    assert ["T13" in one.message for one in findings_said(*thirteen)] == [True]
    joined = findings_said(*named(["T11", "T12", *LUMBAR, "S1"], 2, "L5"))
    assert [one.code for one in joined] == ["transitional-vertebra"]
    assert findings_said(*named([*THORAX, *LUMBAR, "S1"], 12)) == ()


def test_a_body_with_ribs_is_lumbar_only_where_a_lumbar_rib_is_likelier() -> None:
    chain, naming = named(["T11", "T12", *LUMBAR, "S1"], 3)
    usual = sorted(naming.anatomies, key=lambda pair: pair[0].ribs != "twelve")
    plain = Naming(("T11", "T12", *LUMBAR, "S1"), (0.9,) * 8, tuple((a, float(a is usual[0][0])) for a in anatomies()))
    assert lumbar_with_ribs(chain, plain) == ("L1",)
    rib = next(a for a in anatomies() if a.ribs == "lumbar-rib")
    assert lumbar_with_ribs(chain, Naming(plain.names, plain.probabilities, ((rib, 1.0),))) == ()


def test_the_probability_is_that_of_the_least_sure_name_that_may_be_measured() -> None:
    naming = Naming(("T9", "T10", "T11", "L1"), (0.2, 0.9, 0.8, 0.95), ((anatomies()[0], 1.0),))
    assert names_probability(naming) == 0.8
    assert names_probability(Naming(("T5", "T6"), (0.4, 0.5), naming.anatomies)) == 0.4


def volume() -> Volume:
    return Volume(np.zeros((80, 20, 20), np.float32), Grid.axial((0.0, 0.0, 0.0), (80, 20, 20), (3.0, 3.0, 3.0)).affine)


def boxes_of(names: tuple[str, ...], heights_mm: list[float]) -> tuple[VertebraBox, ...]:
    chain = [body(name, Rib.NONE) for name in names]
    naming = Naming(names, (1.0,) * len(names), ((anatomies()[0], 1.0),))
    return _boxes(chain, np.array([[0.0, 0.0, z] for z in heights_mm]), naming, volume())


def test_one_missed_vertebra_lies_midway_between_its_neighbours() -> None:
    boxes = boxes_of(("T12", "L2"), [60.0, -8.0])
    assert [box.level for box in boxes] == [Level.T12, Level.L1, Level.L2]
    heights = [box.centre_zx[0] for box in boxes]
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2)
    assert boxes[1].confidence == pytest.approx(0.45)


def test_a_spine_without_names_keeps_its_lowest_vertebrae_and_no_sacrum() -> None:
    names = (*THORAX, *LUMBAR, "S1")
    unnamed = _without_names(boxes_of(names, [200.0 - 24 * k for k in range(len(names))]))
    assert len(unnamed) == 11
    assert [box.level.value for box in unnamed] == [f"unknown-{k}" for k in range(1, 12)]


def test_a_missed_vertebra_of_a_small_person_is_told_by_the_other_pitches() -> None:
    names = ["T11", "L1", "L2", "L3", "L4"]
    chain = [
        replace(body(name, Rib.LONG if name == "T11" else Rib.NONE), look=np.eye(len(LOOKS))[LOOKS.index(name)])
        for name in names
    ]
    pitches = 0.78 * np.array([PITCH_MM["T11"] + PITCH_MM["T12"], *(PITCH_MM[name] for name in names[1:-1])])
    places = np.column_stack([np.zeros(5), np.zeros(5), -np.concatenate([[0.0], np.cumsum(pitches)])])
    size = size_of(chain, places)
    assert size == pytest.approx(0.78, abs=0.05)
    assert list(name_chain(shown_by(chain), pitches / size, SURE).names) == names


def test_a_mirror_image_is_told_the_same_with_right_and_left_exchanged() -> None:
    weights = weights_named("house-counter")
    image = np.random.default_rng(3).random((32, *weights.view.shape[1:]), np.float32)
    mirrored = np.ascontiguousarray(np.roll(np.flip(image, 2), -1, 2))
    scores, other = (np.asarray(look_both_ways(one, weights, "f32")) for one in (image, mirrored))
    other = np.flip(other, 3)
    np.testing.assert_allclose(scores[RIB_RIGHT], other[RIB_LEFT], atol=1e-4)
    np.testing.assert_allclose(scores[PART], other[PART], atol=1e-4)
    assert np.abs(scores[RIB_RIGHT] - scores[RIB_LEFT]).max() > 0.01

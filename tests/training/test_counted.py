"""Torsos that the counting network learns from: what is true of a body stays true, however the torso is varied."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trabecula.anatomy import Level
from trabecula.cohort.case import Field, Known, Labelled
from trabecula.cohort.drawn import Drawn
from trabecula.errors import WrongUsage
from trabecula.flow.localise.evidence import (
    CHANNELS,
    LOOK,
    LOOKS,
    MIDDLE,
    PART,
    RIB_LEFT,
    RIB_RIGHT,
    UPRIGHT,
    Part,
    Rib,
)
from trabecula.training.samples import counted
from trabecula.training.tasks.counting import VIEW, confusion, counting_loss
from trabecula.volume import Grid, Volume

Shard = dict[str, NDArray[Any]]

HEIGHTS = {Level.T11: 84, Level.T12: 72, Level.L1: 60, Level.L2: 48, Level.L5: 24, Level.S1: 12}
RIBS = {Level.T11: (150.0, 150.0), Level.T12: (90.0, 30.0)}
SPINE_X, SPINE_Y = 56, 50
BODY_HU, RIGHT_HU = 300, 1500


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    """Bodies as boxes along a straight spine; on the right of each is a bright bead, 60 mm away."""
    hu = np.full((100, 80, 112), -1000, np.float32)
    body = np.zeros(hu.shape, np.uint8)
    for level, z in HEIGHTS.items():
        box = np.s_[z - 4 : z + 5, SPINE_Y - 5 : SPINE_Y + 6, SPINE_X - 6 : SPINE_X + 7]
        hu[box], body[box] = BODY_HU, level.verse_id
        hu[z - 2 : z + 3, SPINE_Y - 2 : SPINE_Y + 3, SPINE_X - 22 : SPINE_X - 17] = RIGHT_HU
    volume = Volume(hu, Grid.axial((0.0, 0.0, 0.0), (100, 80, 112), (3.0, 3.0, 3.0)).affine)
    places = {level: volume.to_lps(np.array([z, SPINE_Y, SPINE_X])) for level, z in HEIGHTS.items()}
    centres = {level: (float(x), float(y), float(z)) for level, (x, y, z) in places.items()}
    ribs = {level: RIBS.get(level, (0.0, 0.0)) for level in HEIGHTS}
    known = Known(centres_lps_mm=centres, ribs_mm=ribs, joined_to_sacrum=Level.L5, numbering="regular")
    return Labelled(volume, {"bodies": body}, known)


@pytest.fixture(scope="module")
def shard(labelled: Labelled) -> Shard:
    return dict(counted.cut(labelled))


def varied(shard: Shard, number: int, seed: int = 3) -> Iterator[counted.Sample]:
    rng = np.random.default_rng(seed)
    return (counted.vary_torso(shard, rng, VIEW) for _ in range(number))


def test_a_row_about_each_body(shard: Shard) -> None:
    rows = {int(row[0]): row for row in shard["about"]}
    t12 = rows[Level.T12.verse_id]
    assert t12[1:4] == pytest.approx([72, SPINE_Y, SPINE_X])
    assert t12[4:6] == pytest.approx([90, 30])
    assert [rows[level.verse_id][6] for level in HEIGHTS] == [0, 0, 0, 0, 1, 0]


def test_without_ribs_nothing_can_be_learnt(labelled: Labelled) -> None:
    with pytest.raises(WrongUsage) as refused:
        counted.cut(replace(labelled, known=replace(labelled.known, ribs_mm={})))
    assert refused.value.code == "ribs-unknown"


def test_answers_to_each_question(shard: Shard) -> None:
    table = counted.answer_table(shard["about"])
    right, left, part, upright, look = table[:, Level.T12.verse_id]
    assert (right, left, part, upright, LOOKS[look]) == (Rib.LONG, Rib.SHORT, Part.TRUNK, 1, "T12")
    assert table[counted.PART, Level.L5.verse_id] == Part.TRANSITIONAL
    assert table[counted.PART, Level.S1.verse_id] == Part.SACRUM
    assert (table[:, 0] == counted.UNASKED).all()


def test_looks_teach_no_names_in_people_numbered_unusually(labelled: Labelled) -> None:
    unusual = replace(labelled, known=replace(labelled.known, numbering="lumbarised"))
    table = counted.answer_table(counted.cut(unusual)["about"])
    assert (table[counted.LOOK] == counted.UNASKED).all()
    assert table[counted.RIGHT, Level.T11.verse_id] == Rib.LONG


def test_middles_lie_in_bodies_and_bodies_answer_alike(shard: Shard) -> None:
    seen = 0
    for made in varied(shard, 20):
        assert made.hu.shape == counted.PATCH
        assert made.near.shape == made.answers.shape[1:] == tuple(n // 2 for n in counted.PATCH)
        for z, y, x in np.argwhere(made.near > 0.93):
            assert made.answers[counted.UPRIGHT, z, y, x] != counted.UNASKED
            seen += 1
    assert seen > 3


def test_the_right_stays_the_right_whatever_is_mirrored(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    """T12 alone has a longer rib on one side; the beads are on that side, whichever way the sample was turned."""
    monkeypatch.setattr(counted, "field_of_view", lambda slices, *_: (0.0, float(slices)))
    told = 0
    for made in varied(shard, 40):
        right, left = made.answers[counted.RIGHT], made.answers[counted.LEFT]
        uneven = (right != left) & (right != counted.UNASKED)
        bright = np.argwhere(made.hu > 0.9 * made.hu.max())
        if not uneven.any() or made.hu.max() < BODY_HU or len(bright) < 20:
            continue
        spine_x = 2 * np.argwhere(made.answers[counted.UPRIGHT] == 1)[:, 2].mean()
        beads_on_low_side = bright[:, 2].mean() < spine_x
        assert beads_on_low_side == (right[uneven] == Rib.LONG).all()
        told += 1
    assert told > 5


def test_what_is_upside_down_teaches_nothing_else(shard: Shard) -> None:
    turned = [made for made in varied(shard, 60) if (made.answers[counted.UPRIGHT] == 0).any()]
    assert turned
    for made in turned:
        others = np.delete(made.answers, counted.UPRIGHT, axis=0)
        assert (others == counted.UNASKED).all()
        assert (made.near > 0.9).any()


def test_ribs_slope_otherwise_and_the_spine_stays(shard: Shard) -> None:
    hu = shard["hu"].astype(np.float32)
    middles = shard["about"][:, 1:4].astype(np.float64)
    moved = [counted._droop(hu, middles, np.random.default_rng(seed)) for seed in range(8)]
    spine = np.s_[:, :, SPINE_X - 12 : SPINE_X + 13]
    assert all(np.allclose(one[spine], hu[spine], atol=0.5) for one in moved)
    assert any(np.abs(one[:, :, :40] - hu[:, :, :40]).max() > 100 for one in moved)


def test_organs_move_and_bones_stay() -> None:
    hu = np.full((80, 6, 6), 20.0, np.float32)
    hu[:, 2, 2], hu[30:40, 4:] = 900.0, -800.0
    moved = [counted._shift_soft_tissue(hu, np.random.default_rng(seed)) for seed in range(12)]
    assert all((one[:, 2, 2] == 900).all() and (one < 140).sum() == (hu < 140).sum() for one in moved)
    lungs = [np.flatnonzero(one[:, 5, 5] < -500) for one in moved]
    assert {len(one) for one in lungs} == {10}
    apart = [abs(one[0] - 30) for one in lungs if one[0] != 30 and one[-1] - one[0] == 9]
    assert apart and all(10 <= mm <= 30 for mm in apart)


class Teacher(nn.Module):
    """Answers with what it was told."""

    def __init__(self, near: Tensor, answers: Tensor) -> None:
        super().__init__()
        self.device_of = nn.Parameter(torch.zeros(1))
        scores = torch.zeros(len(near), CHANNELS, *near.shape[1:])
        scores[:, MIDDLE] = torch.logit(near.clamp(1e-4, 1 - 1e-4))
        for question, channels in enumerate((RIB_RIGHT, RIB_LEFT, PART, slice(UPRIGHT, UPRIGHT + 1), LOOK)):
            for answer in range(channels.stop - channels.start):
                wanted = answers[:, question] == (1 if question == counted.UPRIGHT else answer)
                scores[:, channels.start + answer] = 12.0 * wanted - 6.0
        self.scores = scores

    def forward(self, image: Tensor) -> Tensor:
        return self.scores + 0 * self.device_of


def test_a_network_that_is_right_is_counted_as_right_and_loses_little(shard: Shard) -> None:
    rng = np.random.default_rng(5)
    parts = [counted.sample(shard, rng, VIEW) for _ in range(4)]
    image, near, answers = (torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True))
    teacher = Teacher(near, answers)
    counts = confusion(teacher, [(image, near, answers)])
    for table in counts.values():
        assert table.sum() > 0
        assert np.trace(table) == table.sum()
    wrong = Teacher(near, torch.where(answers == 2, 0, answers))
    assert counting_loss(teacher, (image, near, answers)) < 0.5 * counting_loss(wrong, (image, near, answers))


@pytest.mark.slow
def test_a_virtual_patient_is_cut_with_the_ribs_that_were_drawn() -> None:
    labelled = Drawn(100_001).labelled(Known(), ("bodies",), Field.COUNTED)
    shard = counted.cut(labelled)
    assert {int(row[0]) for row in shard["about"]} == {level.verse_id for level in labelled.known.ribs_mm}
    for row in shard["about"]:
        z, y, x = np.rint(row[1:4]).astype(int)
        inside = all(0 <= v < n for v, n in zip((z, y, x), shard["body"].shape, strict=True))
        if inside and shard["body"][z, y, x]:
            assert shard["body"][z, y, x] == int(row[0])

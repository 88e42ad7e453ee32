"""Masks of other programs: each vertebra by its own number, and a wrong numbering is told, never read as another."""

from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import USUAL_LEVELS, Level
from trabecula.cohort.labels import LABELS, read_labels
from trabecula.errors import WrongUsage


@pytest.mark.parametrize(("name", "l1", "l5", "c1"), [
    ("verse", 20, 24, 1), ("ctspine1k", 20, 24, 1), ("totalsegmentator", 31, 27, 50), ("totalsegmentator1", 22, 18, 41)
])  # fmt: skip
def test_each_numbering_names_the_lumbar_spine(name: str, l1: int, l5: int, c1: int) -> None:
    mask = np.array([0, l1, l5, c1], np.float32)
    assert LABELS[name].to_verse(mask, "m").tolist() == [0, 20, 24, 1]
    assert len(set(LABELS[name].verse_ids.values())) >= len(USUAL_LEVELS) - 1


def test_organs_in_a_mask_of_totalsegmentator_are_nothing() -> None:
    mask = np.array([1, 5, 26, 31, 117], np.float32)
    assert LABELS["totalsegmentator"].to_verse(mask, "m").tolist() == [0, 0, 26, 20, 0]


def test_a_mask_of_another_numbering_is_a_sentence() -> None:
    mask = np.array([26, 27, 28, 29, 30, 31], np.float32)  # TotalSegmentator's, taken for VerSe's
    with pytest.raises(WrongUsage, match=r"m\.nii\.gz holds 27, 29, 30, 31.*totalsegmentator") as refused:
        LABELS["verse"].to_verse(mask, "m.nii.gz")
    assert refused.value.code == "mask-numbering"


def test_a_numbering_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_text("label;level\n7;L1\n300;L2\n")
    ours = read_labels(tmp_path / "ours.csv")
    assert ours.to_verse(np.array([0, 7, 300, 8], np.float32), "m").tolist() == [0, 20, Level.L2.verse_id, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label,level\n7,L9\n", "Line 2"),
        ("label,level\n1,T12\n0,L1\n", "Line 3"),
        ("label,level\n1.5,L1\n", "Line 2"),
        ("7,L1\n8,L2\n", "columns label and level"),
        ("label,level\n7,L1\n7,L2\n", "label 7 twice"),
        ("", "no vertebra"),
    ],
)
def test_a_numbering_that_cannot_be_used_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "ours.csv").write_text(text)
    with pytest.raises(WrongUsage, match=words) as refused:
        read_labels(tmp_path / "ours.csv")
    assert refused.value.code == "labels-unusable"


def test_vertebrae_without_a_name_in_our_own_regions_are_nothing() -> None:
    assert LABELS["verse"].to_verse(np.array([Level.UNKNOWN_3.verse_id, 20], np.float32), "m").tolist() == [0, 20]

"""Lines that fit a terminal without a broken word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from trabecula.serving.wrapping import wrapped

WORDS = st.lists(st.text("abcdefgh[]().,:-", min_size=1, max_size=18), min_size=1, max_size=40)


@given(words=WORDS, indent=st.integers(0, 9), width=st.integers(24, 100))
def test_no_word_is_broken_and_none_is_lost(words: list[str], indent: int, width: int) -> None:
    lines = wrapped(" " * indent + " ".join(words), width).split("\n")
    assert " ".join(lines).split() == words
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.startswith(" " * indent) for line in lines)


def test_a_row_of_a_table_stays_whole_and_a_long_last_column_hangs() -> None:
    row = "  L1              106.8     88 to 125      177         43   9.2  not used"
    assert wrapped(row, 40) == row
    hanging = wrapped("  house   Osteopenia: 100.0 mg/cm3 (95% interval 94 to 107)", 36).split("\n")
    assert len(hanging) > 1 and all(line.startswith(" " * 10) for line in hanging[1:])


@pytest.mark.parametrize("width", [30, 40, 79])
def test_chinese_fits_by_the_places_it_takes_and_no_line_begins_with_a_stop(width: int) -> None:
    text = "  对比剂：门静脉期（概率 87%；最亮器官为 172 HU）。已为其在骨髓中的增加扣除 12 mg/cm³（1 SD 4）；差异更大。"
    lines = wrapped(text, width).split("\n")
    assert len(lines) > 1 and all(cell_len(line) <= width for line in lines)
    assert "".join(re.sub(r"\s", "", line) for line in lines) == re.sub(r"\s", "", text)
    assert not [line for line in lines if line.strip()[0] in "、。，：；）"]

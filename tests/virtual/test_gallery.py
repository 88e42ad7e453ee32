"""A contact sheet that can be judged by eye: as many people as asked for, with what they have written above."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from trabecula.errors import WrongUsage
from trabecula.virtual import gallery as sheet
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.subject import sample_subject


def test_a_sheet_shows_every_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "SPACING_MM", 3.0)
    monkeypatch.setattr(sheet, "PROTOCOL", replace(sheet.PROTOCOL, pixel_mm=3.0, thickness_mm=3.0, increment_mm=3.0))
    out, done = tmp_path / "new" / "sheet.png", []
    sheet.gallery(out, 2, 4, "a", done.append)
    assert done == [1, 2]
    picture = image.imread(out)[..., :3]
    halves = np.array_split(picture, 2, axis=1)
    for half in halves:
        assert 0.05 < (half < 0.3).all(axis=2).mean() < 0.9  # air and soft tissue
        blue = (half[..., 2] > 0.6) & (half[..., 0] < 0.5)  # outlines of every second body
        orange = (half[..., 0] > 0.7) & (half[..., 2] < 0.4) & (half[..., 1] < 0.85)
        assert blue.sum() > 20
        assert orange.sum() > 20


def test_a_caption_says_who_it_is_and_what_they_have() -> None:
    subject = sample_subject(4)
    spine = tuple(
        replace(v, findings=replace(NOTHING, fracture_anterior=0.3, osteophyte_mm=4.0) if v.name == "L1" else NOTHING)
        for v in subject.spine
    )
    words = sheet.caption(replace(subject, spine=spine))
    assert words.startswith(f"4: {subject.sex} {subject.age_years:.0f} y")
    assert words.endswith("fracture L1")
    assert sheet.caption(replace(subject, spine=tuple(replace(v, findings=NOTHING) for v in spine))).endswith(
        "no findings"
    )


@pytest.mark.parametrize(("number", "family", "code"), [(0, "a", "nothing-ordered"), (1, "c", "unknown-family")])
def test_wrong_orders_are_refused(tmp_path: Path, number: int, family: str, code: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        sheet.gallery(tmp_path / "sheet.png", number, 0, family, lambda n: None)
    assert refused.value.code == code
    assert not (tmp_path / "sheet.png").exists()


def test_a_sheet_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "_person", lambda axes, subject: None)
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(WrongUsage) as refused:
        sheet.gallery(taken / "sheet.png", 1, 0, "a", lambda n: None)
    assert refused.value.code == "output-unwritable"

"""An upload of slices kept as one zip: byte for byte, or left as it came."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from toys.synced import Synced
from trabecula.studies.packing import PACKED, drop, packed_upload


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Twelve files of smooth noise, as a CT's pixels are."""
    made = tmp_path / "study" / "ct"
    made.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        (made / f"{number:06d}").write_bytes(random.normal(40, 9, 20_000).astype("<i2").tobytes())
    return made


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_zip_is_safe_on_the_disk_before_the_files_go(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = Synced(monkeypatch)
    packed = packed_upload(given, tmp_path / "work")
    assert packed is not None and synced.lacks(packed) == [] and synced.knows(packed.parent)


def test_a_zip_holds_every_file_as_it_was_and_the_folder_goes_when_told(given: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in given.iterdir()}
    packed = packed_upload(given, tmp_path / "work")
    assert packed == given.parent / PACKED and given.is_dir()
    with zipfile.ZipFile(packed) as kept:
        assert {name: kept.read(name) for name in kept.namelist()} == before
        assert kept.namelist() == sorted(before)  # read again in the same order
    assert packed.stat().st_size < 0.7 * sum(map(len, before.values()))
    drop(given)
    assert names(given.parent) == [PACKED] and not names(tmp_path / "work")


@pytest.mark.parametrize("content", [os.urandom(50_000), bytes(200_000), b"PK\x03\x04" + bytes(90) + b"x" * 3000])
def test_what_is_packed_already_or_would_look_like_a_bomb_stays(given: Path, tmp_path: Path, content: bytes) -> None:
    for path in given.iterdir():
        path.write_bytes(content)
    assert packed_upload(given, tmp_path / "work") is None
    assert names(given.parent) == ["ct"] and not names(tmp_path / "work")


def test_a_full_disk_or_a_study_that_is_gone_leaves_what_there_is(given: Path, tmp_path: Path) -> None:
    assert packed_upload(given, tmp_path / "nowhere") is None
    assert packed_upload(given / "000000", tmp_path / "work") is None  # one file stays as it is
    assert len(names(given)) == 12 and names(given.parent) == ["ct"]
    drop(tmp_path / "gone")

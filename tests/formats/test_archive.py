"""Archives that lie about their names, their sizes or what they are."""

import zipfile
from io import BytesIO

import pytest

from trabecula.errors import Refusal
from trabecula.flow.read import read
from trabecula.formats.archive import unpacked
from trabecula.formats.budget import Budget


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(path, **limits):
    with pytest.raises(Refusal) as caught, unpacked(path, **limits):
        raise AssertionError("it was unpacked")
    return caught.value.code


def test_files_come_out_under_our_names_and_are_gone_afterwards(tmp_path):
    path = zipped(tmp_path / "a.zip", {"../../out": b"one", "/etc/two": b"two", "sub/": b"", "sub/three": b"three"})
    with unpacked(path) as files:
        assert sorted(file.read_bytes() for file in files) == [b"one", b"three", b"two"]
        folder = files[0].parent
        assert {file.parent for file in files} == {folder}
    assert not folder.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_the_folder_is_gone_when_the_reader_fails(tmp_path):
    folders = []
    with pytest.raises(KeyError), unpacked(zipped(tmp_path / "a.zip", {"a": b"1"})) as files:
        folders.append(files[0].parent)
        raise KeyError
    assert not folders[0].exists()


def test_bytes_are_counted_as_they_come(tmp_path):
    bomb = zipped(tmp_path / "bomb.zip", {"a": bytes(3 * 2**20), "b": bytes(3 * 2**20)})
    assert bomb.stat().st_size < 20_000
    assert refused(bomb, budget=Budget(disk_bytes=5 * 2**20)) == "archive-too-large"


def test_a_bomb_is_known_by_its_ratio(tmp_path):
    bomb = zipped(tmp_path / "bomb.zip", {str(n): bytes(100 * 2**20) for n in range(3)})
    assert refused(bomb) == "too-large"


def test_a_forged_size_is_not_believed(tmp_path):
    path = zipped(tmp_path / "forged.zip", {"a": bytes(3 * 2**20)})
    size = (3 * 2**20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    assert refused(path) == "archive-damaged"


def test_too_many_files(tmp_path):
    assert refused(zipped(tmp_path / "many.zip", {str(n): b"" for n in range(11)}), max_files=10) == "archive-too-large"


def test_a_zip_in_a_zip_stays_packed(tmp_path):
    inner = BytesIO()
    zipped(inner, {"a": b"1"})
    path = zipped(tmp_path / "outer.zip", {"inner": inner.getvalue(), "notes.txt": b"see inside"})
    with unpacked(path) as files:
        assert files[0].read_bytes() == inner.getvalue()
    with pytest.raises(Refusal) as caught:
        read(path)
    assert caught.value.code == "archive-nested"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_and_their_damage(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a", bytes(range(256)) * 40)
    with unpacked(path) as files:
        assert files[0].read_bytes() == bytes(range(256)) * 40
    whole = bytearray(path.read_bytes())
    whole[60:120] = b"\xaa" * 60
    path.write_bytes(whole)
    assert refused(path) == "archive-damaged"


def test_an_index_that_claims_to_be_huge(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a": b"1"})
    whole = bytearray(path.read_bytes())
    at = whole.find(b"PK\x05\x06")
    path.write_bytes(bytes(2**26) + whole[:at] + whole[at : at + 12] + (2**26).to_bytes(4, "little") + whole[at + 16 :])
    assert refused(path) == "archive-damaged"


def test_a_locked_zip(tmp_path):
    path = zipped(tmp_path / "locked.zip", {"a": b"1"})
    whole = bytearray(path.read_bytes())
    whole[whole.find(b"PK\x03\x04") + 6] |= 1
    whole[whole.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(whole)
    assert refused(path) == "archive-encrypted"


def test_a_damaged_zip(tmp_path):
    path = zipped(tmp_path / "cut.zip", {"a": b"12345" * 1000})
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(Refusal, match="cut short: its end is missing"), unpacked(path):
        pass
    path.write_bytes(whole[:40] + b"\0" * 20 + whole[60:])  # its end is there
    with pytest.raises(Refusal, match="damaged and cannot be opened"), unpacked(path):
        pass

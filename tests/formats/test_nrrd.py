"""NRRD in other units, with one more axis, in every space, with blanks where some programs leave them."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.errors import Refusal
from trabecula.formats.nrrd import read_nrrd
from trabecula.records import Scan

VALUES = np.random.default_rng(3).integers(-1000, 1500, (7, 8, 9)).astype("<i2")


def written(folder: Path, data: bytes | None = None, **changed: str | None) -> Path:
    fields = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "7 8 9",
        "space directions": "(2.5,0,0) (0,2,0) (0,0,3)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(-40,-30,100)",
    } | {key.replace("_", " "): value for key, value in changed.items()}
    lines = ["NRRD0005", *(f"{key}: {value}" for key, value in fields.items() if value is not None), "", ""]
    path = folder / "ct.nrrd"
    path.write_bytes("\n".join(lines).encode() + (VALUES.tobytes(order="F") if data is None else data))
    return path


def as_given(scan: Scan) -> NDArray[Any]:
    return scan.orientation.undo(scan.volume.hu)


def refused(path: Path) -> str:
    with pytest.raises(Refusal) as caught:
        read_nrrd(path)
    return caught.value.code


def test_plain(tmp_path: Path) -> None:
    scan = read_nrrd(written(tmp_path))
    np.testing.assert_array_equal(as_given(scan), VALUES)
    np.testing.assert_allclose(scan.volume.to_lps((0, 0, 0)), (-40, -30, 100))
    assert scan.reasons == ()


@pytest.mark.parametrize(
    ("unit", "factor"), [("m", 1e-3), ("cm", 0.1), ("um", 1e3), ("microns", 1e3), ("\u00b5m", 1e3), ("mm", 1), ("", 1)]
)
def test_units(tmp_path: Path, unit: str, factor: float) -> None:
    directions = " ".join(str(tuple(row)) for row in (np.diag([2.5, 2.0, 3.0]) * factor).tolist())
    origin = str(tuple((np.array([-40, -30, 100.0]) * factor).tolist()))
    path = written(tmp_path, space_directions=directions, space_origin=origin, space_units=" ".join([f'"{unit}"'] * 3))
    scan = read_nrrd(path)
    np.testing.assert_allclose(scan.volume.spacing_mm, (3, 2, 2.5))
    np.testing.assert_allclose(scan.volume.to_lps((0, 0, 0)), (-40, -30, 100))
    assert [reason.code for reason in scan.reasons] == ([] if factor == 1 else ["unit-of-length"])


@pytest.mark.parametrize("unit", ['"parsec" "parsec" "parsec"', '"mm" "mm" "cm"'])
def test_units_that_nobody_knows(tmp_path: Path, unit: str) -> None:
    assert refused(written(tmp_path, space_units=unit)) == "unit-unknown"


@pytest.mark.parametrize(
    ("sizes", "directions"),
    [
        ("1 7 8 9", "none (2.5,0,0) (0,2,0) (0,0,3)"),
        ("7 8 9 1", "(2.5,0,0) (0,2,0) (0,0,3) none"),
        ("7 8 1 9", "(2.5,0,0) (0,2,0) none (0,0,3)"),
    ],
)
def test_one_more_axis(tmp_path: Path, sizes: str, directions: str) -> None:
    scan = read_nrrd(written(tmp_path, dimension="4", sizes=sizes, space_directions=directions))
    np.testing.assert_array_equal(as_given(scan), VALUES)


def test_time_as_a_fourth_axis_of_the_space(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        dimension="4",
        sizes="7 8 9 1",
        space="left-posterior-superior-time",
        space_directions="(2.5,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)",
        space_origin="(-40,-30,100,0)",
    )
    np.testing.assert_array_equal(as_given(read_nrrd(path)), VALUES)


def test_two_volumes(tmp_path: Path) -> None:
    more = {"dimension": "4", "sizes": "2 7 8 9", "space_directions": "none (2.5,0,0) (0,2,0) (0,0,3)"}
    assert refused(written(tmp_path, **more)) == "not-three-dimensional"


@pytest.mark.parametrize(
    ("space", "signs"),
    [("LPS", (1, 1, 1)), ("right-anterior-superior", (-1, -1, 1)), ("RAS", (-1, -1, 1)), ("las", (1, -1, 1))],
)
def test_spaces(tmp_path: Path, space: str, signs: tuple[int, int, int]) -> None:
    origin = str(tuple((np.array([-40, -30, 100]) * signs).tolist()))
    directions = " ".join(str(tuple(row)) for row in (np.diag([2.5, 2.0, 3.0]) * signs).tolist())  # blanks after commas
    scan = read_nrrd(written(tmp_path, space=space, space_origin=origin, space_directions=directions))
    np.testing.assert_allclose(scan.volume.to_lps((0, 0, 0)), (-40, -30, 100))
    np.testing.assert_array_equal(scan.volume.hu, VALUES.transpose(2, 1, 0))


def test_big_endian_and_carriage_returns(tmp_path: Path) -> None:
    path = written(tmp_path, VALUES.astype(">i2").tobytes(order="F"), endian="big")
    head, _, data = path.read_bytes().partition(b"\n\n")
    path.write_bytes(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + data)
    np.testing.assert_array_equal(as_given(read_nrrd(path)), VALUES)


def test_bytes_to_skip(tmp_path: Path) -> None:
    data = VALUES.tobytes(order="F")
    np.testing.assert_array_equal(as_given(read_nrrd(written(tmp_path, b"x" * 11 + data, byte_skip="11"))), VALUES)
    np.testing.assert_array_equal(as_given(read_nrrd(written(tmp_path, b"x" * 11 + data, byte_skip="-1"))), VALUES)
    lines = read_nrrd(written(tmp_path, b"one\ntwo\n" + data, line_skip="2"))
    np.testing.assert_array_equal(as_given(lines), VALUES)


@pytest.mark.parametrize("at", [None, -1, -6, 40])
def test_checksum_of_gzip(tmp_path: Path, at: int | None) -> None:
    packed = bytearray(gzip.compress(VALUES.tobytes(order="F")))
    if at is None:
        np.testing.assert_array_equal(as_given(read_nrrd(written(tmp_path, bytes(packed), encoding="gzip"))), VALUES)
        return
    packed[at] ^= 0x55
    assert refused(written(tmp_path, bytes(packed), encoding="gzip")) == "file-unreadable"


def test_data_that_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert refused(written(tmp_path, b"", data_file="zero")) == "file-outside"

"""Bytes of small inputs changed at random: whatever is given ends in a scan or in a sentence with a code, soon.

A minute in all by default. For an hour:

    TRABECULA_FUZZ_SECONDS=900 .venv/bin/python -m pytest -s tests/formats/test_fuzz.py
"""

import gzip
import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from anomalies.scene import LPS_RAS, save, scene, set_hu
from trabecula.errors import TrabeculaError
from trabecula.flow.read import read
from trabecula.volume import Volume

SECONDS = float(os.environ.get("TRABECULA_FUZZ_SECONDS", "15"))
"""For each of the four kinds."""

LEAST_EXAMPLES = 21
"""Of each kind, however slow the machine."""

MAX_CPU_SECONDS_EACH = 20
TELLING = (
    b"\0",
    b"\xff",
    b"\x7f\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x80",
    b"SQ",
    b"\xfe\xff\x00\xe0",
    b"nan",
    b"-",
)
"""What breaks readers more often than chance: lengths, signs, delimiters."""


@dataclass(frozen=True)
class Change:
    """At a share of the file's length, or of its first 4 KB, where headers stand."""

    early: bool
    share: float
    kind: str
    piece: bytes

    def apply(self, raw: bytes) -> bytes:
        at = int(self.share * (min(len(raw), 4096) if self.early else len(raw)))
        if self.kind == "overwrite":
            return raw[:at] + self.piece + raw[at + len(self.piece) :]
        if self.kind == "insert":
            return raw[:at] + self.piece + raw[at:]
        if self.kind == "remove":
            return raw[:at] + raw[at + len(self.piece) :]
        if self.kind == "repeat":
            return raw[: at + 64] + raw[at:]
        return raw[:at]


changes = st.lists(
    st.builds(
        Change,
        early=st.booleans(),
        share=st.floats(0, 0.999),
        kind=st.sampled_from(("overwrite", "overwrite", "overwrite", "insert", "remove", "repeat", "cut")),
        piece=st.one_of(st.sampled_from(TELLING), st.binary(min_size=1, max_size=8)),
    ),
    min_size=1,
    max_size=6,
)


def small() -> Volume:
    """Five slices of the scene, coarse."""
    whole = scene().volume
    affine = whole.affine @ np.diag([1, 4, 4, 1.0])
    return Volume(np.ascontiguousarray(whole.hu[20:25, ::4, ::4]), affine)


def dicom(folder: Path) -> list[bytes]:
    """A series in each of several syntaxes; one slice of it is changed, or all alike."""
    volume, made = small(), []
    for syntax in (None, DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless):
        slices = scene().slices()[20:25]
        for one, hu in zip(slices, volume.hu, strict=True):
            set_hu(one, hu)
            one.PixelSpacing = [6.0, 6.0]
            if syntax == DeflatedExplicitVRLittleEndian:
                one.file_meta.TransferSyntaxUID = syntax
            elif syntax is not None:
                one.compress(syntax, generate_instance_uid=False)
        path = save(slices, folder / str(len(made)))
        made.append(zip_of([one.read_bytes() for one in sorted(path.iterdir())]))
    return made


def zip_of(files: list[bytes]) -> bytes:
    with BytesIO() as held:
        with zipfile.ZipFile(held, "w") as archive:
            for number, raw in enumerate(files):
                archive.writestr(str(number), raw)
        return held.getvalue()


def nifti(folder: Path) -> list[bytes]:
    volume, made = small(), []
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        image = kind(volume.hu.transpose(2, 1, 0).astype(np.int16), LPS_RAS @ volume.affine[:, [2, 1, 0, 3]])
        raw = image.to_bytes()
        made += [raw, gzip.compress(raw)]
    return made


def nrrd(folder: Path) -> list[bytes]:
    volume = small()
    x, y, z = volume.affine[:3, 2], volume.affine[:3, 1], volume.affine[:3, 0]
    lines = [
        "NRRD0005",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(map(str, volume.shape[::-1])),
        "space directions: " + " ".join(f"({','.join(map(str, along))})" for along in (x, y, z)),
        f"space origin: ({','.join(map(str, volume.affine[:3, 3]))})",
        "endian: little",
    ]
    data = volume.hu.astype("<i2").tobytes()
    heads = ["\n".join([*lines, f"encoding: {encoding}", "", ""]).encode() for encoding in ("raw", "gzip")]
    return [heads[0] + data, heads[1] + gzip.compress(data)]


def unpacked_series(raw: bytes, changed: list[Change], path: Path, which: int) -> None:
    """The files of a zip as a folder, one of them (or all, where ``which`` is 5) changed."""
    path.mkdir(exist_ok=True)
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        for number, name in enumerate(archive.namelist()):
            content = archive.read(name)
            (path / name).write_bytes(applied(content, changed) if which in (number, 5) else content)


def applied(raw: bytes, changed: list[Change]) -> bytes:
    for one in changed:
        raw = one.apply(raw)
    return raw


def must_end_well(path: Path) -> None:
    started = time.process_time()
    try:
        scan = read(path)
    except TrabeculaError as error:
        assert error.code and error.message
    else:
        assert np.isfinite(scan.volume.hu).all() and np.isfinite(scan.volume.affine).all()
        assert min(scan.volume.spacing_mm) > 0 and min(scan.volume.shape) >= 1
    assert time.process_time() - started < MAX_CPU_SECONDS_EACH


def fuzz(check: Callable[[int, list[Change]], None], choices: int) -> int:
    """Rounds of examples until the time is up; returns how many there were."""
    end, number, count = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end or count < LEAST_EXAMPLES:

        @seed(number)
        @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.integers(0, choices - 1), changes)
        def one_round(choice: int, changed: list[Change]) -> None:
            nonlocal count
            if time.monotonic() < end or count < LEAST_EXAMPLES:
                count += 1
                check(choice, changed)

        one_round()
        number += 1
    print(f"{count} examples")  # pytest -s shows it
    return count


def test_dicom(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    series = dicom(tmp_path / "made")

    def check(choice: int, changed: list[Change]) -> None:
        unpacked_series(series[choice % len(series)], changed, tmp_path / "ct", choice // len(series))
        must_end_well(tmp_path / "ct")

    assert fuzz(check, len(series) * 6) >= LEAST_EXAMPLES


@pytest.mark.parametrize(("make", "ending"), [(dicom, ".zip"), (nifti, ".nii.gz"), (nrrd, ".nrrd")])
def test_single_files(make: Callable[[Path], list[bytes]], ending: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    made = make(tmp_path / "made")
    path = tmp_path / f"ct{ending}"

    def check(choice: int, changed: list[Change]) -> None:
        path.write_bytes(applied(made[choice], changed))
        must_end_well(path)

    assert fuzz(check, len(made)) >= LEAST_EXAMPLES

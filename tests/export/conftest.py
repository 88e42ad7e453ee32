"""Assessments whose regions are known, on virtual and on real CTs; no network is run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from trabecula.anatomy import Level
from trabecula.export import codes
from trabecula.export.bundle import Wanted, prepare
from trabecula.flow.read import read
from trabecula.formats.given import on_given_grid
from trabecula.formats.opened import opened
from trabecula.messages import Phrase
from trabecula.quantity import Category, Measurement
from trabecula.records import (
    Assessment,
    Basis,
    Calibration,
    Diagnosis,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
)
from trabecula.report.folder import report
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

Edit = Callable[[pydicom.Dataset], None]
DENSITY = Measurement(104.76, (90.0, 119.5))
MIDDLES = {Level.T12: (20, 24, 22), Level.L1: (13, 22, 20), Level.L2: (6, 20, 18)}


def unchanged(dataset: pydicom.Dataset) -> None:
    pass


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small virtual study of soft tissue with bright blocks, each file edited first; returns its folder."""

    def make(edit: Edit = unchanged, position: str = "HFS") -> Path:
        hu = np.full((28, 48, 40), 40, np.float32)
        hu[:, :6] = hu[:, 36:] = -1000
        hu[1, 33, 4] = 900  # dense bone: without any, the values would be cut off to a window
        for z, y, x in MIDDLES.values():
            hu[z - 2 : z + 3, y - 4 : y + 5, x - 5 : x + 6] = 150 + np.arange(11) % 3
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = (3.0, 1.2, 1.5)
        affine[:, 3] = (-30, -28, 900, 1)
        header = StudyHeader(sex="F", age_years=67, slice_thickness_mm=3.0, patient_position=position)
        write_dicom(Volume(hu, affine), tmp_path / "ct", seed=5, header=header)
        for path in (tmp_path / "ct").iterdir():
            dataset = pydicom.dcmread(path)
            edit(dataset)
            dataset.save_as(path, enforce_file_format=True)
        return tmp_path / "ct"

    return make


def assessed(scan: Scan, labels: np.ndarray[Any, Any] | None = None) -> Assessment:
    """L1 and L2 measured and used, others withheld; ``labels`` (z, y, x) or the bright blocks of ``study``."""
    if labels is None:
        labels = np.zeros(scan.volume.shape, np.uint8)
        for level, (z, y, x) in MIDDLES.items():
            labels[z - 2 : z + 3, y - 4 : y + 5, x - 5 : x + 6] = level.verse_id
    vertebrae = tuple(vertebra(level, scan.volume, labels) for level in Level if (labels == level.verse_id).any())
    boxes = tuple(
        VertebraBox(one.level, 0.9, (z - 2, z + 2), (x - 5, x + 5))
        for one in vertebrae
        for z, _, x in [scan.volume.to_index(np.asarray(one.centroid_lps_mm))]
    )
    return Assessment(
        recipe="blocks",
        scan=scan,
        spine=Spine(boxes, 20.0),
        regions=Regions(labels, ()),
        calibration=Calibration(Phrase("rung-default"), 1.422, 0.0, 0.07),
        readings=Readings(vertebrae, Phrase("method-network", {"error_sd": 10.3})),
        diagnosis=Diagnosis(
            Category.OSTEOPENIA,
            Basis.BANDS,
            DENSITY,
            {Category.OSTEOPENIA: 0.95},
            (Level.L1, Level.L2),
            (Reason("t12-not-used", "T12 was not used."),),
        ),
        run={"version": "0", "seconds": {"read": 1.0}},
    )


def vertebra(level: Level, volume: Volume, labels: np.ndarray[Any, Any]) -> VertebraReading:
    mask = labels == level.verse_id
    x, y, z = volume.to_lps(np.argwhere(mask).mean(axis=0))
    hu, size = volume.hu[mask], float(mask.sum() * volume.voxel_volume_mm3)
    about = (level, (float(x), float(y), float(z)), size, float(hu.mean()), float(hu.std()))
    if level in (Level.L1, Level.L2):
        return VertebraReading(*about, DENSITY)
    metal = Reason("metal-in-or-beside-it", f"{level} holds metal.", effect=Effect.WITHHOLD)
    return VertebraReading(*about, None, reasons=(metal,))


@pytest.fixture(scope="session")
def assess() -> Callable[..., Assessment]:
    return assessed


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Reads ``given``, assesses it without a network and writes the result with the wanted exports."""

    def make(given: Path, wanted: Wanted, made: Assessment | None = None) -> Path:
        with opened(given) as held:
            export = prepare(held, read(given) if made is None else made.scan, wanted)
        result = assessed(export.scan) if made is None else replace(made, scan=export.scan)
        result = replace(result, run={**result.run, **export.run})
        return report(result, tmp_path / "out", partial(export.write, result)).parent

    return make


@pytest.fixture(scope="session")
def real_ct() -> tuple[Path, Assessment]:
    """A real CT and regions drawn by hand in it."""
    if "TRABECULA_REAL_CT" not in os.environ:
        pytest.skip("TRABECULA_REAL_CT does not name the folder of real CTs")
    folder = Path(os.environ["TRABECULA_REAL_CT"])
    given = folder / "crlm-ct-1006"
    scan = read(given)
    mask = nib.load(folder / "masks" / "crlm-ct-1006.nii.gz")
    drawn = np.asarray(mask.dataobj).astype(np.uint8)
    labels, affine_ras = on_given_grid(scan.volume.hu, scan.volume, scan.orientation)
    given_order = (2, 1, 0)  # masks are (column, row, slice), as regions.nii.gz is
    assert drawn.transpose(given_order).shape == labels.shape
    assert mask.affine[:, [2, 1, 0, 3]] == pytest.approx(affine_ras, abs=0.02)
    return given, assessed(scan, np.ascontiguousarray(scan.orientation.apply(drawn.transpose(given_order))))


def require(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed; tools/apt.sh installs it")
    return found


@pytest.fixture(name="require")
def require_fixture() -> Callable[[str], str]:
    return require


def complaints(path: Path) -> tuple[list[str], list[str]]:
    """What dciodvfy says: errors, and warnings without those of our own codes and of what the source is."""
    ran = subprocess.run([require("dciodvfy"), "-new", str(path)], capture_output=True, text=True, errors="replace")
    lines = (ran.stdout + ran.stderr).splitlines()
    theirs = (
        "DICOMDIR",
        "ProcedureCodeSequence",
        "PatientName",
        "StudyID",
        "EthnicGroup",
        "retired",
        codes.SCHEME,
        codes.SCHEME_UID,
    )
    errors = [line for line in lines if line.startswith("Error")]
    return errors, [line for line in lines if line.startswith("Warning") and not any(w in line for w in theirs)]


@pytest.fixture(name="complaints")
def complaints_fixture() -> Callable[[Path], tuple[list[str], list[str]]]:
    return complaints

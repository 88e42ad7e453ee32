"""What several rooms' tests share. Property tests draw the same examples each time; a busy machine fails none."""

import fcntl
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from toys.browser import chromium
from trabecula.anatomy import Level
from trabecula.formats.given import RAS_FROM_LPS
from trabecula.quantity import AREAL_BMD, Category, Measurement
from trabecula.records import Assessment, Basis, Diagnosis
from trabecula.serving.demo import PROTOCOL
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

for variable in ("TRABECULA_LANGUAGE", "LC_ALL", "LC_MESSAGES"):
    os.environ.pop(variable, None)
os.environ["LANG"] = "C.UTF-8"  # whatever the machine speaks; a test of another language says so

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


def made_once(folder: pytest.TempPathFactory, name: str, make: Callable[[], Any]) -> Any:
    """What ``make`` makes, by the first of the processes that run the tests; the others read it from the disk."""
    shared = folder.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    path = shared / f"{name}.pickle"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(pickle.dumps(make()))
        return pickle.loads(path.read_bytes())


def write_nifti(volume: Volume, path: Path) -> Path:
    """The volume as a NIfTI of whole HU."""
    affine_ras = (RAS_FROM_LPS @ volume.affine)[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(np.rint(volume.hu).astype(np.int16).transpose(2, 1, 0), affine_ras), path)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests of a process: Playwright starts no second one beside it."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> VirtualCt:
    """The demo's virtual patient from T9 to L5 in pixels twice as wide, so that everything is quick."""
    protocol = replace(PROTOCOL, pixel_mm=1.5)
    made: VirtualCt = made_once(
        tmp_path_factory, "virtual", lambda: scan_patient(sample_subject(0), protocol, Level.T9, Level.L5, 0)
    )
    return made


@pytest.fixture(scope="session")
def virtual_nifti(virtual: VirtualCt, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The virtual patient as a NIfTI."""
    return write_nifti(virtual.volume, tmp_path_factory.mktemp("virtual") / "ct.nii.gz")


@pytest.fixture(scope="session")
def cylinder() -> Volume:
    """A soft-tissue cylinder in air with a bright block where T12, L1 and L2 might be; 60 voxels of 3 mm each way."""
    z, y, x = np.ogrid[:60, :60, :60]
    hu = np.where((x - 30) ** 2 + (y - 30) ** 2 < 26**2, 40.0, -1000.0) + 0.0 * z
    for low in (8, 24, 40):
        hu[low : low + 10, 24:34, 24:36] = 140
        hu[low : low + 10, 24:34, 24:36:2] = 160
    hu[29, 20, 29] = 900  # dense bone: without any, the values would be cut off to a window
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]], affine[3, 3] = 3.0, 1.0
    return Volume(hu.astype(np.float32), affine)


@pytest.fixture(scope="session")
def cylinder_nifti(cylinder: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cylinder as a NIfTI."""
    return write_nifti(cylinder, tmp_path_factory.mktemp("cylinder") / "ct.nii.gz")


Turned = Callable[[Assessment], Assessment]
SHARES = {Category.OSTEOPOROSIS: 0.72, Category.OSTEOPENIA: 0.25, Category.NORMAL: 0.03}


def turned(made: Assessment, diagnosis: Diagnosis, classified: bool = False) -> Assessment:
    vertebrae = tuple(
        one
        if one.withheld
        else replace(one, density=diagnosis.density, probabilities=SHARES if classified else None, reasons=())
        for one in made.readings.vertebrae
    )
    return replace(made, readings=replace(made.readings, vertebrae=vertebrae), diagnosis=diagnosis)


@pytest.fixture
def as_classifier() -> Turned:
    """The same scan as a network of three classes reads it: osteoporosis, and no density anywhere."""
    found = Diagnosis(Category.OSTEOPOROSIS, Basis.CLASSIFIER, None, SHARES, (Level.L1, Level.L2))
    return lambda made: turned(made, found, classified=True)


@pytest.fixture
def as_areal() -> Turned:
    """The same scan as a network of areal BMD reads it: osteopenia by its T-score."""
    density = Measurement(0.8, (0.7049, 0.9), AREAL_BMD)
    found = Diagnosis(Category.OSTEOPENIA, Basis.T_SCORE, density, {}, (Level.L1, Level.L2))
    return lambda made: turned(made, found)

"""A calibration phantom scanned alone, and its certificate."""

from pathlib import Path

import numpy as np
import pydicom

from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Grid, Volume

RODS = ((-51.83, 1012.25), (-53.40, 1056.95), (58.88, 1103.57), (157.05, 1119.52), (375.83, 923.20))
HEADER = StudyHeader(sex="O", age_years=0, slice_thickness_mm=4.0)


def certificate(folder: Path) -> Path:
    text = "".join(f"[[rods]]\nk2hpo4_mg_cm3 = {k}\nwater_mg_cm3 = {w}\n" for k, w in RODS)
    path = folder / "model3.toml"
    path.write_text(f'name = "Model 3"\nserial = "0"\n{text}', encoding="utf-8")
    return path


def phantom_scan(folder: Path, slope: float = 1.38, with_rods: bool = True, name: str = "scan") -> Path:
    """A torso of water on a pad with five rods, as DICOM."""
    grid = Grid.axial((0.0, 0.0, 0.0), (24, 150, 170), (4.0, 2.0, 2.0))
    _, y, x = np.indices(grid.shape)
    back, left = (y - 60.0) * 2, (x - 84.5) * 2
    hu = np.full(grid.shape, -1000, np.float32)
    hu[(left / 120) ** 2 + (back / 80) ** 2 < 1] = 0
    hu[(np.abs(back - 100) < 15) & (np.abs(left) < 100)] = 15
    for n, (mineral, water) in enumerate(RODS if with_rods else ()):
        rod = np.hypot(back - 100, left - 34 * (n - 2)) < 9
        hu[rod] = water + (slope + 0.2174) * mineral + 2.0 - 999.6
    hu += np.random.default_rng(0).normal(0, 6, grid.shape).astype(np.float32)
    write_dicom(Volume(hu, grid.affine), folder / name, seed=int(slope * 1000), header=HEADER)
    for path in (folder / name).iterdir():
        with_station(path)
    return folder / name


def with_station(path: Path) -> None:
    made = pydicom.dcmread(path)
    made.StationName = "CT1"
    made.save_as(path)

"""How much memory reading takes above the volume that is read, for a CT of 512 x 512 x 300 given in many ways.

    .venv/bin/python benchmarks/read_memory.py

Each input is read in a process of its own; what that held at most, less what it held before and the volume itself, is
held to 512 MB. Exit status 1 where it is more. Simulated.
"""

import argparse
import gzip
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from anomalies.mutants import nrrd, virtual_volume  # noqa: E402
from anomalies.scene import LPS_RAS, renewed, save, scene, set_hu  # noqa: E402
from trabecula.errors import TrabeculaError  # noqa: E402
from trabecula.flow.read import read  # noqa: E402
from trabecula.formats.budget import MEMORY_BYTES, resident_bytes  # noqa: E402
from trabecula.volume import Float32, Volume  # noqa: E402

SIDE = 512
Slices = list[FileDataset]


def main() -> int:
    """Print a line for each input; exit status 1 where one takes more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=[], help="Words of the names of the inputs to read.")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(measured(options.read))
        return 0
    volume, most = ct(options.slices), 0.0
    print("| input | volume, MB | above it, MB | said |\n| --- | ---: | ---: | --- |", flush=True)
    for name, make in INPUTS.items():
        if options.only and not any(word in name for word in options.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = make(volume, Path(folder))
            ran = subprocess.run([sys.executable, __file__, "--read", str(path)], capture_output=True, text=True)
            line = ran.stdout.strip() or ran.stderr.strip()[-200:]
        print(f"| {name} | {line} |", flush=True)
        most = max(most, float(line.split("|")[1])) if ran.returncode == 0 else float("inf")
    return int(most * 2**20 > MEMORY_BYTES)


def measured(path: Path) -> str:
    """The volume's size, what reading took above it, and what was said of the scan."""
    before = resident_bytes()
    try:
        scan = read(path)
    except TrabeculaError as error:
        return f"0 | {(peak_bytes() - before) / 2**20:.0f} | refused `{error.code}`"
    size = scan.volume.hu.nbytes
    said = ", ".join(f"`{one.code}`" for one in scan.reasons)
    return f"{size / 2**20:.0f} | {(peak_bytes() - before - size) / 2**20:.0f} | {said}"


def peak_bytes() -> int:
    """The most that this process has held; ``getrusage`` would count what its parent held when it started it."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def ct(slices: int) -> Volume:
    """The virtual patient of the mutations on a finer grid, with a scanner's noise."""
    coarse = virtual_volume()
    shape = (slices, SIDE, SIDE)
    factors = [n / m for n, m in zip(shape, coarse.shape, strict=True)]
    hu = ndimage.zoom(coarse.hu, factors, order=1, grid_mode=True, mode="nearest")
    rng = np.random.default_rng(0)
    for one in hu:
        one += 8 * rng.standard_normal(one.shape, np.float32)
    return Volume(
        np.clip(np.rint(hu), -1024, 3000).astype(np.float32), coarse.affine @ np.diag([*(1 / np.array(factors)), 1])
    )


def slices_of(volume: Volume, tilt_degrees: float = 0.0) -> Slices:
    """The volume as DICOM slices, feet first; as a tilted gantry would place them, with the pixels as they are."""
    template = renewed(scene().slices()[:1] * volume.shape[0])
    step, row, column = volume.spacing_mm
    first, tilt = volume.to_lps(np.zeros(3)), np.radians(tilt_degrees)
    for number, (one, hu) in enumerate(zip(template, volume.hu, strict=True)):
        set_hu(one, hu)
        one.PixelSpacing, one.SliceThickness = [row, column], step
        one.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(tilt)), float(np.sin(tilt))]
        one.ImagePositionPatient = [round(float(c), 4) for c in first + [0, 0, number * step]]
    return template


def folder_of(change: Callable[[Slices], Slices] = lambda slices: slices, tilt: float = 0.0) -> Callable[..., Path]:
    """An input that is a DICOM folder."""
    return lambda volume, folder: save(change(slices_of(volume, tilt)), folder / "ct")


def compressed(syntax: str) -> Callable[..., Path]:
    """The folder in another transfer syntax."""

    def change(slices: Slices) -> Slices:
        for one in slices:
            if syntax == DeflatedExplicitVRLittleEndian:
                one.file_meta.TransferSyntaxUID = syntax
            else:
                one.compress(syntax, generate_instance_uid=False)
        return slices

    return folder_of(change)


def from_head(volume: Volume, folder: Path) -> Path:
    """Rows and columns negated: every axis is turned over."""
    slices = slices_of(volume)
    corner = volume.to_lps(np.array([0, SIDE - 1, SIDE - 1]))
    for one in slices:
        one.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        one.ImagePositionPatient = [round(float(corner[0]), 4), round(float(corner[1]), 4), one.ImagePositionPatient[2]]
    return save(slices, folder / "ct")


def sagittal(volume: Volume, folder: Path) -> Path:
    """Slices from right to left: axes are swapped."""
    turned = renewed(scene().slices()[:1] * SIDE)
    step, row, column = volume.spacing_mm
    for number, one in enumerate(turned):
        set_hu(one, volume.hu[::-1, :, number])
        one.PixelSpacing, one.SliceThickness = [step, row], column
        one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        one.ImagePositionPatient = [
            round(float(c), 4) for c in volume.to_lps(np.array([volume.shape[0] - 1, 0, number]))
        ]
    return save(turned, folder / "ct")


def cut_short(volume: Volume, folder: Path) -> Path:
    """Slices whose end is missing, one in sixty."""
    made = save(slices_of(volume), folder / "ct")
    for path in sorted(made.iterdir())[::60]:
        path.write_bytes(path.read_bytes()[:-1000])
    return made


def off_level(slices: Slices) -> Slices:
    """One slice without its intercept."""
    slices[40].RescaleIntercept = 0
    return slices


def torn(volume: Volume, folder: Path) -> Path:
    """Bytes more in the midst of a raw volume, and as many fewer at its end."""
    path = as_nifti(volume, folder)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2] = b"\0" * 64
    path.write_bytes(raw[:-64])
    return path


def zipped(make: Callable[..., Path]) -> Callable[..., Path]:
    """What another input holds, as a zip."""

    def packed(volume: Volume, folder: Path) -> Path:
        made = make(volume, folder)
        with zipfile.ZipFile(folder / "ct.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted(made.iterdir()) if made.is_dir() else [made]:
                archive.write(path, path.name)
        return folder / "ct.zip"

    return packed


def as_nifti(volume: Volume, folder: Path, name: str = "ct.nii", dtype: type = np.int16) -> Path:
    """Axes left, posterior, superior."""
    affine = LPS_RAS @ volume.affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(volume.hu.transpose(2, 1, 0).astype(dtype), affine), folder / name)
    return folder / name


def as_nrrd(volume: Volume, folder: Path) -> Path:
    """Packed."""
    (folder / "ct.nrrd").write_bytes(nrrd(volume, "gzip"))
    return folder / "ct.nrrd"


def painted(volume: Volume, folder: Path) -> Path:
    """Zeros around the body, as a program paints them."""
    hu: Float32 = np.where(ndimage.uniform_filter(volume.hu, (1, 9, 9)) < -850, np.float32(0), volume.hu)
    return as_nifti(Volume(hu, volume.affine), folder)


def packed_nifti(volume: Volume, folder: Path) -> Path:
    """Doubles, gzip."""
    plain = as_nifti(volume, folder, dtype=np.float64)
    packed = plain.with_suffix(".nii.gz")
    with plain.open("rb") as source, gzip.open(packed, "wb", 1) as sink:
        while part := source.read(2**24):
            sink.write(part)
    plain.unlink()
    return packed


INPUTS: dict[str, Callable[[Volume, Path], Path]] = {
    "DICOM": folder_of(),
    "DICOM, rows and columns negated": from_head,
    "DICOM, sagittal slices": sagittal,
    "gantry tilted by 12 degrees": folder_of(tilt=12.0),
    "gantry tilted by 25 degrees": folder_of(tilt=25.0),
    "two spacings": folder_of(lambda slices: slices[:150] + slices[150::2]),
    "one slice missing": folder_of(lambda slices: slices[:90] + slices[91:]),
    "20 slices missing": folder_of(lambda slices: slices[:90] + slices[110:]),
    "tilted, and one slice missing": folder_of(lambda slices: slices[:90] + slices[91:], tilt=12.0),
    "five slices cut short": cut_short,
    "one slice without its intercept": folder_of(off_level),
    "every slice twice": folder_of(lambda slices: [*slices, *renewed(slices)]),
    "DICOM, deflated": compressed(DeflatedExplicitVRLittleEndian),
    "DICOM, RLE": compressed(RLELossless),
    "DICOM, JPEG-LS": compressed(JPEGLSLossless),
    "DICOM, JPEG 2000": compressed(JPEG2000Lossless),
    "zip of DICOM": zipped(folder_of()),
    "zip of DICOM, two spacings": zipped(folder_of(lambda slices: slices[:150] + slices[150::2])),
    "NIfTI": as_nifti,
    "NIfTI of doubles, gzip": packed_nifti,
    "NIfTI, zeros around the body": painted,
    "NIfTI, torn": torn,
    "zip of a NIfTI": zipped(as_nifti),
    "NRRD, gzip": as_nrrd,
}

if __name__ == "__main__":
    sys.exit(main())

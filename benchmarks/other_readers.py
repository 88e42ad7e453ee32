"""One of the readers that others use, on many inputs: writes each volume that it makes and says what it said.

Runs in an environment of its own, that of ``benchmarks/bad_inputs.py --others``; the product needs none of these.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
NOT_ITS = "not its format"
Read = tuple[list[tuple[np.ndarray, np.ndarray]], str]


def main() -> int:
    """``other_readers.py READER FOLDER``: each line of FOLDER/inputs is a path; the answer to the first goes to
    FOLDER/READER/0.json, its volumes to FOLDER/READER/0-0.npz and so on, with ``hu`` and ``affine`` (LPS mm). Inputs
    that have an answer are passed over.
    """
    reader, folder = sys.argv[1], Path(sys.argv[2])
    out = folder / reader
    out.mkdir(exist_ok=True)
    for number, line in enumerate((folder / "inputs").read_text().splitlines()):
        answer = out / f"{number}.json"
        if answer.exists():
            continue
        answer.write_text(json.dumps({"raised": "ended without a word"}))  # what stands there if the process dies
        try:
            volumes, said = READERS[reader](Path(line))
        except Exception as error:
            answer.write_text(
                json.dumps({"raised": "not its format" if str(error) == NOT_ITS else type(error).__name__})
            )
            continue
        for place, (hu, affine) in enumerate(volumes):
            np.savez(out / f"{number}-{place}.npz", hu=hu.astype(np.float32), affine=affine)
        answer.write_text(json.dumps({"said": said}))
    return 0


def simpleitk(given: Path) -> Read:
    """The series reader as its documentation shows it; every series of a folder."""
    import SimpleITK

    if given.is_file():
        return [_of_image(SimpleITK.ReadImage(str(given)))], ""
    reader = SimpleITK.ImageSeriesReader()
    volumes = []
    for uid in reader.GetGDCMSeriesIDs(str(given)):
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(given), uid))
        volumes.append(_of_image(reader.Execute()))
    return volumes, ""


def _of_image(image) -> tuple[np.ndarray, np.ndarray]:
    import SimpleITK

    size = image.GetDimension()
    if size != 3:
        raise ValueError(f"{size} dimensions")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), affine


def dicom2nifti(given: Path) -> Read:
    """Every series of a folder, as it is; with its own checks."""
    import dicom2nifti as program

    if given.is_file():
        raise ValueError(NOT_ITS)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as told:
        program.convert_directory(str(given), folder, compression=False, reorient=False)
        return _niftis(Path(folder)), " ".join(str(one.message) for one in told)


def dcm2niix(given: Path) -> Read:
    """The program of this name, with its defaults."""
    if given.is_file():
        raise ValueError(NOT_ITS)
    binary = Path(sys.executable).parent / "dcm2niix"
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [binary, "-o", folder, "-f", "%s_%p", given], capture_output=True, text=True, errors="replace"
        )
        lines = (ran.stdout + ran.stderr).splitlines()
        return _niftis(Path(folder)), " ".join(
            line for line in lines if "warn" in line.lower() or "error" in line.lower()
        )


def nibabel(given: Path) -> Read:
    """The library that most Python programs read NIfTI with."""
    import nibabel as nib

    if not given.name.endswith((".nii", ".nii.gz")):
        raise ValueError(NOT_ITS)
    image = nib.load(given)
    return [(np.asarray(image.dataobj, np.float32), RAS_FROM_LPS @ image.affine)], ""


def _niftis(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    import nibabel as nib

    volumes = []
    for path in sorted(folder.rglob("*.nii*")):
        image = nib.load(path)
        volumes.append((np.asarray(image.dataobj, np.float32), RAS_FROM_LPS @ image.affine))
    return volumes


READERS = {"SimpleITK": simpleitk, "dicom2nifti": dicom2nifti, "dcm2niix": dcm2niix, "nibabel": nibabel}

if __name__ == "__main__":
    sys.exit(main())

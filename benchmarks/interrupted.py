"""Kills a screening at many moments, and lets its disks fill up at every size; prints a table.

    .venv/bin/python benchmarks/interrupted.py --moments 30 --sizes 20

The recipe is a stub that runs no network: what is tried is reading, unpacking, and the writing of all results with
``--dicom`` and ``--fhir``. Mounting small disks needs root.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from serving.interrupted import Place, disk_full, killed, packed_ct, small_disk, whole_run_seconds  # noqa: E402
from trabecula.volume import Volume  # noqa: E402

ALL = ("--dicom", "--fhir")
DISKS_KB = {"temporary": 1200, "results": 1600}
"""What a whole run needs of each is a little less."""


def main() -> int:
    """Print the table; exit status 1 where anything half-made was seen or stayed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--sizes", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = packed_ct(blocks(), Path(folder))
        wrong = kills(Path(folder), given, options.moments)
        for filled, most in DISKS_KB.items():
            wrong += full_disks(Path(folder), given, filled, most, options.sizes)
    print("\n".join(wrong))
    return int(bool(wrong))


def blocks() -> Volume:
    """A cylinder of soft tissue with the blocks that the stub measures; 60 voxels of 3 mm each way."""
    z, y, x = np.ogrid[:60, :60, :60]
    hu = np.where((x - 30) ** 2 + (y - 30) ** 2 < 26**2, 40.0, -1000.0) + 0.0 * z
    for low in (8, 24, 40):
        hu[low : low + 10, 24:34, 24:36] = 140
        hu[low : low + 10, 24:34, 24:36:2] = 160
    hu[29, 20, 29] = 900
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]], affine[3, 3] = 3.0, 1.0
    return Volume(hu.astype(np.float32), affine)


def kills(folder: Path, given: Path, moments: int) -> list[str]:
    """Half of the runs have an earlier result in their place."""
    seconds = whole_run_seconds(Place(given, folder / "first", folder / "temporary"), *ALL)
    wrong, under_way, kept = [], 0, 0
    for number in range(moments):
        place = Place(given, folder / f"results-{number}", folder / "temporary")
        if number % 2:
            (folder / "first" / "out").rename(place.out)
        under_way += killed(place, (number + 0.5) / moments * seconds, *ALL)
        complaint, left = place.complaint(), place.left_behind()
        wrong += [f"killed at {number}: {what}" for what in (complaint, left) if what]
        if number % 2:
            kept += place.out.exists()
            place.out.rename(folder / "first" / "out")
    print(f"Killed at {moments} moments, {under_way} of them under way; earlier results kept {kept} of {moments // 2};")
    return wrong


def full_disks(folder: Path, given: Path, filled: str, most_kb: int, sizes: int) -> list[str]:
    """A disk of each of so many sizes, from a single page to what is enough."""
    wrong, full = [], 0
    for number in range(sizes):
        kilobytes = 4 + (most_kb - 4) * number // max(1, sizes - 1)
        with small_disk(folder / "disk", kilobytes) as disk:
            folders = {name: folder / f"{name}-{filled}-{number}" for name in DISKS_KB} | {filled: disk / filled}
            was_full, complaint = disk_full(Place(given, **folders), *ALL)
        full += was_full
        wrong += [f"disk of {filled} of {kilobytes} KB: {complaint}"] if complaint else []
    print(f"disk of {filled} full at {full} of {sizes} sizes up to {most_kb} KB;")
    return wrong


if __name__ == "__main__":
    sys.exit(main())

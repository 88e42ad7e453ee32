"""Writes docs/results/bad-inputs.md: what each anomaly of the library gets from Trabecula and from other readers.

    python3 -m venv out/others
    out/others/bin/pip install simpleitk dicom2nifti dcm2niix nibabel
    .venv/bin/python benchmarks/bad_inputs.py --others out/others/bin/python

All inputs are made here, out of one virtual patient: nothing is downloaded. Results are simulated.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from anomalies.library import ANOMALIES, Anomaly, Right  # noqa: E402
from anomalies.scene import Errors, errors_of  # noqa: E402
from anomalies.test_anomalies import outcome, unmeasurable  # noqa: E402
from trabecula import __version__  # noqa: E402
from trabecula.errors import Refusal, TrabeculaError  # noqa: E402
from trabecula.flow.read import read  # noqa: E402
from trabecula.records import withholds  # noqa: E402

PAGE = ROOT / "docs" / "results" / "bad-inputs.md"
OTHERS = {"SimpleITK": "simpleitk", "dicom2nifti": "dicom2nifti", "dcm2niix": "dcm2niix", "nibabel": "nibabel"}
WRONG = "**wrong, silently**"


def main() -> int:
    """Write the page; exit status 1 where Trabecula's own answer to any is not right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--others", type=Path, help="Python of the environment that holds the other readers.")
    parser.add_argument(
        "--only", nargs="*", help="Words of the names of the anomalies to try; the page is not written."
    )
    options = parser.parse_args()
    chosen = [one for one in ANOMALIES if not options.only or any(word in one.name for word in options.only)]
    with tempfile.TemporaryDirectory() as folder:
        given = made(chosen, Path(folder))
        mine = [ours(one, path) for one, path in zip(chosen, given, strict=True)]
        theirs = [others(options.others, name, Path(folder), len(chosen)) for name in OTHERS]
    rows = [
        [str(one.row), one.name, " or ".join(sorted(one.right)), told, *(column[number] for column in theirs)]
        for number, (one, (told, _)) in enumerate(zip(chosen, mine, strict=True))
    ]
    print("\n".join(" | ".join(row) for row in rows))
    if not options.only:
        PAGE.write_text(page(rows, options.others), encoding="utf-8")
    return 0 if all(right for _, right in mine) else 1


def made(chosen: list[Anomaly], folder: Path) -> list[Path]:
    """Every input in a folder of its own, and the list of them."""
    given = []
    for number, one in enumerate(chosen):
        (folder / f"input-{number}").mkdir()
        given.append(one.make(folder / f"input-{number}"))
    (folder / "inputs").write_text("\n".join(map(str, given)) + "\n")
    return given


def ours(one: Anomaly, given: Path) -> tuple[str, bool]:
    """What Trabecula does with it, and whether that is right."""
    try:
        scan = read(given)
    except TrabeculaError as error:
        return f"refused `{error.code}`", isinstance(error, Refusal) and Right.REFUSE in one.right
    codes = ", ".join(f"`{reason.code}`" for reason in scan.reasons)
    if withholds(scan.reasons):
        return f"nothing measured: {codes}", Right.SAY in one.right
    errors = errors_of(scan.volume.hu, scan.volume.affine, unmeasurable(scan))
    if not errors.right:
        return f"{'wrong, with ' + codes if codes else WRONG} ({told(errors)})", False
    return f"right{': ' + codes if codes else ''}", outcome(scan) in one.right


def others(python: Path | None, name: str, folder: Path, count: int) -> list[str]:
    """What another reader does with every input, in one process; in a new one where an input ends it."""
    if python is None:
        return ["not tried"] * count
    answers = folder / name
    command = [str(python), str(ROOT / "benchmarks" / "other_readers.py"), name, str(folder)]
    for _ in range(count):
        subprocess.run(command, capture_output=True)
        if all((answers / f"{number}.json").exists() for number in range(count)):
            break
    return [_answer(answers, number) for number in range(count)]


def _answer(answers: Path, number: int) -> str:
    """One answer in words, by the best of the volumes that were made."""
    answer = json.loads((answers / f"{number}.json").read_text())
    if "raised" in answer:
        return answer["raised"] if " " in answer["raised"] else f"raised {answer['raised']}"
    volumes = [np.load(path) for path in sorted(answers.glob(f"{number}-*.npz"))]
    if not volumes:
        return "nothing written"
    volumes = [volume for volume in volumes if volume["hu"].ndim == 3]
    if not volumes:
        return "more than three dimensions"
    found = [errors_of(volume["hu"], volume["affine"]) for volume in volumes]
    errors = min(found, key=lambda one: (one.place_mm, abs(one.hu)))
    count = f", {len(volumes)} volumes" if len(volumes) > 1 else ""
    if errors.right:
        return f"right{count}{', warned' if answer['said'] else ''}"
    return f"{'wrong, warned' if answer['said'] else WRONG} ({told(errors)}{count})"


def told(errors: Errors) -> str:
    """The errors in few words."""
    place = "a bead is not found" if np.isinf(errors.place_mm) else f"{errors.place_mm:.1f} mm"
    return place if np.isinf(errors.hu) else f"{place}, {errors.hu:+.0f} HU"


def page(rows: list[list[str]], others: Path | None) -> str:
    """The page as Markdown."""
    heading = ["row", "input", "right", f"Trabecula {__version__}", *(_named(others, name) for name in OTHERS)]
    silent = {name: sum(WRONG in row[4 + place] for row in rows) for place, name in enumerate(OTHERS)}
    lines = [
        "# Bad inputs",
        "",
        "What archives hold, and what readers make of it. All inputs are made out of one virtual patient with beads"
        " beside the body: where a reader puts the beads tells how it placed the scan (right: within 1.5 mm, half a"
        " slice), what soft tissue reads tells how it scaled it (right: within 10 HU in every 3 mm of height)."
        " Simulated.",
        "",
        "The other readers are libraries, which do not judge whether a scan is fit to be measured: they are held to"
        " place and HU alone, without a word from them where either is off. dcm2niix and dicom2nifti read folders of"
        " DICOM, nibabel NIfTI; of several volumes the best is judged.",
        "",
        "Made by",
        "",
        "```sh",
        *(line.strip() for line in (__doc__ or "").splitlines() if line.startswith("    ")),
        "```",
        "",
        f"Silently wrong: Trabecula {sum(WRONG in row[3] for row in rows)} of {len(rows)}; "
        + ", ".join(f"{name} {number}" for name, number in silent.items())
        + ".",
        "",
        "| " + " | ".join(heading) + " |",
        "|" + " --- |" * len(heading),
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
        "",
        "OK: handled. FIX or LIMIT: a right result with a reason, or no density. REFUSE: no result, with a reason code."
        " The rows that need a body of their own (14, 24 to 28, 30) are screened in `tests/anomalies/test_bodies.py`;"
        " those of hostile files (32 to 34, 42) also in `tests/formats/test_bombs.py`, with their memory; 38 to 41 in"
        " `tests/studies` and `tests/serving`.",
    ]
    return "\n".join(lines) + "\n"


def _named(others: Path | None, name: str) -> str:
    if others is None:
        return name
    code = f"from importlib.metadata import version; print(version({OTHERS[name]!r}))"
    return f"{name} {subprocess.run([others, '-c', code], capture_output=True, text=True, check=True).stdout.strip()}"


if __name__ == "__main__":
    sys.exit(main())

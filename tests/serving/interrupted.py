"""Screening that is killed at some moment, or finds its disk full at some write; what it leaves is looked at."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

STUB_FOLDER = Path(__file__).parents[1] / "stub"
PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")


class Place:
    """A folder for results and one for temporary files, and the program with the recipe ``stub`` over them."""

    def __init__(self, given: Path, results: Path, temporary: Path) -> None:
        self.given, self.results, self.temporary = given, results, temporary
        for made in (results, temporary):
            made.mkdir(exist_ok=True)

    @property
    def out(self) -> Path:
        return self.results / "out"

    def start(self, *options: str, given: Path | None = None) -> "subprocess.Popen[str]":
        paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self.temporary)}
        command = [*PROGRAM, "screen", str(given or self.given), "--out", str(self.out), "--recipe", "stub", *options]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )

    def complaint(self) -> str | None:
        """What is wrong with what can be seen: a result is whole or not there, and nothing stands beside it."""
        seen = sorted(path.name for path in self.results.iterdir() if not path.name.startswith("."))
        if seen not in ([], ["out"]):
            return f"beside the result stands {seen}"
        if self.out.exists():
            record = self.out / "assessment.json"
            if not record.exists():
                return "a result without its record"
            named = json.loads(record.read_text())["run"]["files"]
            lacking = [name for name in named if not (self.out / name).exists()]
            return f"the result lacks {lacking}" if lacking else None
        return None

    def left_behind(self) -> list[str]:
        """Temporary and hidden files, once the next run has started: of an input that is refused at once."""
        letter = self.given.parent / "letter.txt"
        letter.write_text("Dear colleague")
        ran = self.start(given=letter)
        ran.communicate()
        assert ran.returncode == 3
        hidden = [path.name for path in self.results.iterdir() if path.name != "out"]
        return sorted(hidden + [path.name for path in self.temporary.iterdir()])


def packed_ct(volume: Volume, folder: Path) -> Path:
    """A zip of a DICOM series: it is unpacked to temporary files."""
    header = StudyHeader(sex="F", age_years=70, slice_thickness_mm=3.0)
    write_dicom(volume, folder / "ct", seed=1, header=header)
    with zipfile.ZipFile(folder / "ct.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted((folder / "ct").iterdir()):
            archive.write(path, path.name)
    return folder / "ct.zip"


def killed(place: Place, after_seconds: float, *options: str) -> bool:
    """Kills a run after so long, it and what it started; False where it had ended before."""
    ran = place.start(*options)
    try:
        ran.wait(timeout=after_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(ran.pid, signal.SIGKILL)
    ran.communicate()
    return ran.returncode == -signal.SIGKILL


def whole_run_seconds(place: Place, *options: str) -> float:
    """How long a run takes that nobody interrupts."""
    started = time.monotonic()
    ran = place.start(*options)
    _, told = ran.communicate()
    assert ran.returncode == 0, told
    return time.monotonic() - started


def disk_full(place: Place, *options: str) -> tuple[bool, str | None]:
    """Whether a run ended for want of room, and what is wrong with how it ended."""
    ran = place.start(*options)
    _, told = ran.communicate()
    if ran.returncode == 0:
        return False, place.complaint()
    said = any(code in told for code in ("[temporary-disk-full]", "[output-unwritable]"))
    if ran.returncode != 2 or not said or told.count("\n") != 1:
        return True, f"exit {ran.returncode}: {told[-200:]}"
    left = sorted(path.name for path in (*place.temporary.iterdir(), *place.results.iterdir()))
    return True, f"left behind: {left}" if left else None


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of so many KB mounted at ``folder``.

    Raises:
        PermissionError: only root may mount.
    """
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        raise PermissionError("a small disk cannot be mounted here: run as root, with the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)

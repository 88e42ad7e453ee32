"""Temporary files: none is left behind by a killed run, none of a living one is touched, a full disk is a sentence."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from trabecula.errors import WrongUsage
from trabecula.formats.scratch import (
    SET_ASIDE,
    clear_abandoned,
    libraries_write_here,
    locked_folder,
    scratch_folder,
    temporary_writes,
)

RUN = """
import time
from trabecula.formats.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "000000").write_bytes(bytes(100))
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def start(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=environment)
    assert run.stdout is not None
    return run, Path(run.stdout.readline().strip())


def test_a_killed_run_is_cleared_a_living_one_is_not(temporary: Path) -> None:
    (temporary / "trabecula-data").mkdir()
    (temporary / "trabecula-data" / "result").write_text("a person's own folder of such a name")
    living, its_own = start(temporary)
    killed, left = start(temporary)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (left / "000000").exists()
    with scratch_folder() as mine:
        assert not left.exists()
        assert mine.parent == temporary and (its_own / "000000").exists()
    assert not mine.exists()
    living.kill()
    living.communicate()
    with scratch_folder():
        pass
    assert [path.name for path in temporary.iterdir()] == ["trabecula-data"]


def test_what_a_killed_run_set_aside_is_put_back(tmp_path: Path) -> None:
    for name, there in (("one", False), ("two", True)):
        with locked_folder(tmp_path, ".made-") as folder:
            kept = tmp_path / f".made-{name}"
            shutil.copytree(folder, kept)
        (kept / SET_ASIDE / name).mkdir(parents=True)
        (kept / SET_ASIDE / name / "result").write_text("earlier")
        if there:
            (tmp_path / name).mkdir()
            (tmp_path / name / "result").write_text("new")
    clear_abandoned(tmp_path, ".made-")
    assert (tmp_path / "one" / "result").read_text() == "earlier"
    assert (tmp_path / "two" / "result").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(temporary: Path, number: int) -> None:
    with pytest.raises(WrongUsage) as caught, scratch_folder(), temporary_writes():
        raise OSError(number, "full")
    assert caught.value.code == "temporary-disk-full"
    assert list(temporary.iterdir()) == []


def test_nowhere_to_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(WrongUsage) as caught, scratch_folder():
        raise AssertionError
    assert caught.value.code == "temporary-disk-unwritable"


def test_what_libraries_write_goes_into_a_folder_that_is_cleared(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    with libraries_write_here():
        (made,) = temporary.iterdir()
        assert Path(os.environ["TMPDIR"]) == made
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == made
    assert tempfile.gettempdir() == str(temporary) and "TMPDIR" not in os.environ
    assert list(temporary.iterdir()) == []

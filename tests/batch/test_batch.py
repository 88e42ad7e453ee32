"""A batch as it is run: whatever a study brings is a row, and whatever stops it, the same table comes in the end."""

import csv
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from toys.archive import free_port
from trabecula.batch.journal import Journal, schema, write_tables
from trabecula.batch.rows import COLUMNS
from trabecula.errors import WrongUsage
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

pytestmark = pytest.mark.slow
STUB_FOLDER = Path(__file__).parents[1] / "stub"
PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")
PATIENCE_SECONDS = 900


def started(given: Path, out: Path, hold: Path, *options: str) -> "subprocess.Popen[str]":
    paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TRABECULA_STUB_HOLD": str(hold)}
    command = [*PROGRAM, "batch", str(given), "--out", str(out), "--recipe", "stub", "--workers", "1", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


def ended(batch: "subprocess.Popen[str]") -> str:
    out, errors = batch.communicate(timeout=PATIENCE_SECONDS)
    assert batch.returncode == 0, errors
    return out


def until(holds: Callable[[], object]) -> None:
    last = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < last, "what was waited for never came"
        time.sleep(0.05)


def has_lines(path: Path, number: int) -> bool:
    return path.read_text().count("\n") >= number


def rows(out: Path) -> list[dict[str, str]]:
    """The table without what takes another time on each run."""
    with (out / "studies.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture
def studies(cylinder: Volume, cylinder_nifti: Path, tmp_path: Path) -> Path:
    """Seven entries: a NIfTI, two DICOM studies, one of them once more, what is damaged, what is no CT, nothing."""
    folder = tmp_path / "studies"
    folder.mkdir()
    shutil.copy(cylinder_nifti, folder / "a.nii.gz")
    for name, seed, sex in (("b", 1, "F"), ("c", 2, "M")):
        header = StudyHeader(sex=sex, age_years=60 + seed, slice_thickness_mm=3.0)
        write_dicom(cylinder, folder / name, seed=seed, header=header)
    shutil.copytree(folder / "b", folder / "d")
    (folder / "e.nii.gz").write_bytes(cylinder_nifti.read_bytes()[:5000])
    (folder / "f.txt").write_text("no CT")
    (folder / "g").mkdir()
    return folder


def test_every_study_is_a_row_and_kills_change_nothing(studies: Path, tmp_path: Path) -> None:
    hold, whole, killed = tmp_path / "hold", tmp_path / "whole", tmp_path / "killed"
    said = ended(started(studies, whole, hold))
    assert "7 studies: 4 done, 3 refused." in said
    told = rows(whole)
    assert [row["state"] for row in told] == ["done"] * 3 + ["duplicate"] + ["refused"] * 3
    assert list(told[0]) == [name for name in COLUMNS if name != "seconds"]
    assert told[3]["message"].endswith("as study 2.")
    assert all(row["code"] and row["message"] for row in told[3:])
    assert (told[1]["sex"], told[1]["age_years"], told[1]["category"]) == ("F", "61", "osteopenia")
    assert float(told[1]["density_l1"]) == pytest.approx(100, abs=1)  # 150 HU at 1.5 HU for each mg/cm3
    assert parquet.read_table(whole / "studies.parquet").column_names == list(COLUMNS)
    page = (whole / "index.html").read_text()
    assert "<svg" in page and "women, 60 to 69" in page and str(studies) not in page

    journal = killed / "rows.jsonl"
    for lines in (0, 2):
        batch = started(studies, killed, hold)
        if lines == 0:
            hold.touch()
            until(lambda: journal.exists())
            time.sleep(1.0)
        else:
            until(partial(has_lines, journal, lines))
        os.killpg(batch.pid, signal.SIGKILL)
        batch.communicate()
        hold.unlink(missing_ok=True)
    with journal.open("a") as file:
        file.write('{"number": 7, "na')  # as a loss of power may leave it
    ended(started(studies, killed, hold))
    assert rows(killed) == rows(whole)
    assert "nothing to do" in ended(started(studies, killed, hold)) or rows(killed) == rows(whole)


def test_a_second_batch_is_told_in_its_language_and_a_killed_one_bars_nobody(
    cylinder_nifti: Path, tmp_path: Path
) -> None:
    (tmp_path / "studies").mkdir()
    shutil.copy(cylinder_nifti, tmp_path / "studies" / "a.nii.gz")
    out, hold = tmp_path / "out", tmp_path / "hold"
    hold.touch()
    first = started(tmp_path / "studies", out, hold)
    until(lambda: (out / "rows.jsonl").exists())
    second = started(tmp_path / "studies", out, hold, "--language", "de")
    told = second.communicate(timeout=PATIENCE_SECONDS)[1]
    assert second.returncode == 2 and first.poll() is None
    assert f"[output-in-use]: Ein anderer Lauf schreibt gerade in {out}." in told
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    hold.unlink()
    assert "1 study: 1 done." in ended(started(tmp_path / "studies", out, hold))


def test_a_table_with_missing_paths_and_a_worker_that_dies(cylinder_nifti: Path, tmp_path: Path) -> None:
    table, hold, out = tmp_path / "table.csv", tmp_path / "hold", tmp_path / "out"
    shutil.copy(cylinder_nifti, tmp_path / "one.nii.gz")
    table.write_text("path;name\none.nii.gz;first\nnowhere.nii.gz;second\n;third\n")
    hold.touch()
    batch = started(table, out, hold, "--deidentify")

    waits = tmp_path / "hold.pid"
    for _ in range(2):  # the first time it is tried once more, elsewhere
        until(lambda: waits.exists() and waits.read_text())
        worker = int(waits.read_text())
        waits.unlink()
        os.kill(worker, signal.SIGKILL)
    ended(batch)
    told = rows(out)
    assert [(row["state"], row["code"]) for row in told] == [
        ("failed", "worker-killed"),
        ("failed", "input-missing"),
        ("failed", "input-missing"),
    ]
    assert {row["input"] for row in told} == {""}
    hold.unlink()
    ended(started(table, out, hold, "--deidentify"))  # what failed is tried again
    assert [row["state"] for row in rows(out)] == ["done", "failed", "failed"]


def test_a_scheduler_that_is_gone_is_told_and_the_batch_goes_on_without_it(
    cylinder_nifti: Path, tmp_path: Path
) -> None:
    given, out, hold, port = tmp_path / "given", tmp_path / "out", tmp_path / "hold", free_port()
    given.mkdir()
    for name in ("a", "b"):
        shutil.copy(cylinder_nifti, given / f"{name}.nii.gz")
    address = ("--scheduler", f"tcp://127.0.0.1:{port}")
    nobody = started(given, out, hold, *address)
    assert "scheduler does not answer" in " ".join(nobody.communicate(timeout=PATIENCE_SECONDS)[1].split())
    assert nobody.returncode == 2

    paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    more = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TRABECULA_STUB_HOLD": str(hold)}
    dask, quiet = (sys.executable, "-m", "dask"), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], env=more, **quiet
    )
    worker = subprocess.Popen(
        [*dask, "worker", address[1], "--nthreads", "1", "--no-nanny", "--no-dashboard"], env=more, **quiet
    )
    hold.touch()
    try:
        joined = f"from distributed import Client; Client({address[1]!r}, timeout=900).wait_for_workers(1)"
        subprocess.run([sys.executable, "-c", joined], check=True, capture_output=True)
        batch = started(given, out, hold, *address)
        until(lambda: (tmp_path / "hold.pid").exists() or batch.poll() is not None)
        scheduler.kill()
        errors = batch.communicate(timeout=PATIENCE_SECONDS)[1]
        assert batch.returncode != 0 and "The scheduler is gone" in " ".join(errors.split())
    finally:
        hold.unlink(missing_ok=True)
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    ended(started(given, out, hold))
    assert [row["state"] for row in rows(out)] == ["done", "done"]


def test_a_full_disk_is_a_sentence_and_the_rows_are_taken_up_again(cylinder_nifti: Path, tmp_path: Path) -> None:
    given, out, hold = tmp_path / "given", tmp_path / "out", tmp_path / "hold"
    given.mkdir()
    shutil.copy(cylinder_nifti, given / "a.nii.gz")
    table = pa.table({name: pa.array([], one.type) for name, one in zip(COLUMNS, schema(), strict=True)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ended(started(given, out, hold))
    whole = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))  # no file can be written that is any larger
    try:
        with pytest.raises(WrongUsage) as told:
            write_tables(table, "<html>" * 100, out)
        journal = Journal(tmp_path / "other")
        with pytest.raises(WrongUsage) as kept:
            journal.keep([({"number": 1, "key": "a" * 200}, "order")])
        journal.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {told.value.code, kept.value.code} == {"output-unwritable"}
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == whole
    again = Journal(tmp_path / "other")
    assert again.numbers() == {}  # the part of a line that found room is no row
    again.close()
    (out / "index.html.part").write_text("<html")  # killed while the page was written
    ended(started(given, out, hold))
    assert len(rows(out)) == 1
    assert not (out / "index.html.part").exists()

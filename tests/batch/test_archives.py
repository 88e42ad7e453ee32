"""Studies from archives: a real Orthanc by C-MOVE and by DICOMweb, and archives that say nothing."""

import csv
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from toys.archive import Archive, free_port, orthanc
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

pytestmark = pytest.mark.slow
STUB_FOLDER = Path(__file__).parents[1] / "stub"
PROGRAM = (sys.executable, "-c", "from trabecula.serving.cli import main; main()")
PATIENCE_SECONDS = 900


def batch(given: Path, out: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    paths = [str(STUB_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [*PROGRAM, "batch", str(given), "--out", str(out), "--recipe", "stub", "--workers", "1", *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TRABECULA_STUB_HOLD": str(out.parent / "hold")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE_SECONDS)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "studies.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def local(cylinder: Volume, tmp_path: Path) -> list[Path]:
    """Two studies as folders."""
    for name, seed, sex in (("a", 1, "F"), ("b", 2, "M")):
        header = StudyHeader(sex=sex, age_years=60 + seed, slice_thickness_mm=3.0)
        write_dicom(cylinder, tmp_path / "ct" / name, seed=seed, header=header)
    return sorted((tmp_path / "ct").iterdir())


@pytest.fixture
def own_port() -> int:
    return free_port()


@pytest.fixture
def archive(local: list[Path], own_port: int, tmp_path: Path) -> Iterator[Archive]:
    """Holds both studies, and knows where to send."""
    known = {"us": ["BATCH", "127.0.0.1", own_port]}
    with orthanc(tmp_path / "orthanc", DicomModalities=known) as running:
        for folder in local:
            for path in folder.iterdir():
                running.ask("/instances", path.read_bytes(), "POST")
        yield running


def pacs(name: str, port: int, own_port: int, seconds: float = 60) -> str:
    return (
        f'[[source]]\nname = "{name}"\ntitle = "ORTHANC"\nhost = "127.0.0.1"\nport = {port}\n'
        f'own_title = "BATCH"\nown_port = {own_port}\nseconds_silent = {seconds}\n'
    )


def dicomweb(name: str, port: int, seconds: float = 60) -> str:
    return f'[[source]]\nname = "{name}"\ndicomweb = "http://127.0.0.1:{port}/dicom-web"\nseconds_silent = {seconds}\n'


@contextmanager
def never_answers() -> Iterator[int]:
    """A port that takes connections and says nothing; its number."""
    ending = threading.Event()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        listening.settimeout(0.2)
        held: list[socket.socket] = []

        def hold() -> None:
            while not ending.is_set():
                try:
                    held.append(listening.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            ending.set()
            thread.join()
            for line in held:
                line.close()


Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Path:
        (tmp_path / "sources.toml").write_text(text)
        return tmp_path / "sources.toml"

    return write


def test_both_ways_give_the_same_rows_as_the_folder(
    archive: Archive, local: list[Path], own_port: int, written: Written, tmp_path: Path
) -> None:
    ways = {
        "folder": '[[source]]\nname = "here"\npath = "ct"\n',
        "pacs": pacs("pacs", archive.dicom, own_port),
        "web": dicomweb("web", archive.http),
    }
    tables = {}
    for way, text in ways.items():
        ran = batch(written(text), tmp_path / way)
        assert ran.returncode == 0, ran.stderr
        assert "2 studies: 2 done." in ran.stdout
        assert not (tmp_path / way / "incoming").exists()
        about = ("number", "name", "input", "key", "seconds")
        tables[way] = sorted(
            tuple(value for name, value in row.items() if name not in about) for row in rows(tmp_path / way)
        )
    assert tables["folder"] == tables["pacs"] == tables["web"]
    studies = {str(pydicom.dcmread(next(folder.iterdir())).StudyInstanceUID) for folder in local}
    assert {row["name"] for row in rows(tmp_path / "pacs")} == studies


def test_an_archive_that_says_nothing_is_a_row_and_the_rest_goes_on(
    local: list[Path], written: Written, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with never_answers() as port:
        known = dicomweb("known", port, 0.5) + 'studies = ["1.2.1", "1.2.2", "1.2.3", "1.2.4"]\n'
        text = pacs("mute", port, free_port(), 0.5) + known + '[[source]]\nname = "here"\npath = "ct"\n'
        text += pacs("gone", free_port(), free_port(), 0.5)
        ran = batch(written(text), out)
    assert ran.returncode == 0, ran.stderr
    told = [(row["state"], row["code"]) for row in rows(out)]
    assert told == [("failed", "archive-silent")] * 5 + [("done", "")] * 2 + [("failed", "archive-silent")]
    assert ran.stderr.count("known does not answer") == 1  # once, though it holds four studies
    assert "2 more studies of it were not asked for" in ran.stderr


def test_what_is_wrong_in_the_file_is_said(written: Written, tmp_path: Path) -> None:
    for text, said in (
        ('[[source]]\nname = "x"\n', "give one of: path;"),
        ('[[source]]\nname = "x"\npath = "ct"\nporrt = 1\n', "source.1.porrt"),
        (2 * '[[source]]\nname = "x"\npath = "ct"\n', "'x' is given twice"),
        (pacs("x", 104, 11113) + pacs("y", 104, 11113), "own_port '11113' is given twice"),
        ("[[source]\n", "is no TOML"),
    ):
        ran = batch(written(text), tmp_path / "out")
        assert ran.returncode == 2 and said in " ".join(ran.stderr.split()), ran.stderr

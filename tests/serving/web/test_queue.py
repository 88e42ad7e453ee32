"""Many uploads at once, and a server that is killed: order, memory, and nothing finished is lost."""

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from trabecula.studies.orders import GIB

from .conftest import PATIENCE_SECONDS, Server, Start, until

UPLOADS = 20


def about(process_id: int, name: str) -> str:
    """A file of a process under /proc; empty once the process is gone.

    A process may end between the finding of its file and the opening (FileNotFoundError), or between the opening and
    the reading (ProcessLookupError).
    """
    try:
        return Path(f"/proc/{process_id}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def family(process_id: int) -> list[int]:
    """A process and all that it started, threads included."""
    found = [process_id]
    for task in list(Path(f"/proc/{process_id}/task").glob("*")):
        for child in about(process_id, f"task/{task.name}/children").split():
            found += family(int(child))
    return found


def memory_bytes(process_id: int) -> int:
    """What a server and its worker hold at this moment."""
    pages = [about(one, "statm").split() for one in family(process_id)]
    return sum(int(counts[1]) for counts in pages if counts) * os.sysconf("SC_PAGE_SIZE")


def jobs_done(server: Server) -> list[int]:
    """The jobs in the order in which the worker ended them."""
    return [int(line.split()[4]) for line in server.log.splitlines() if " worker job " in line]


class Watcher(threading.Thread):
    """Looks at the page and at the memory all the while; notes how many studies were under way at each look."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.ending = server, threading.Event()
        self.peak_bytes = 0
        self.active: list[int] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.server.url, timeout=PATIENCE_SECONDS) as client:
            while not self.ending.wait(0.3):
                self.peak_bytes = max(self.peak_bytes, memory_bytes(self.server.process.pid))
                assert client.get("/").status_code == 200
                self.active.append(len(client.get("/queue").json()["active"]))


@pytest.mark.slow
def test_twenty_uploads_at_once_finish_in_order_in_bounded_memory(start: Start, cylinder_nifti: Path) -> None:
    server = start()
    watcher = Watcher(server)
    watcher.start()
    try:
        with ThreadPoolExecutor(UPLOADS) as pool:
            studies = list(pool.map(lambda _: server.upload(cylinder_nifti), range(UPLOADS)))
        assert len(set(studies)) == UPLOADS
        assert [server.wait(study) for study in studies] == ["done"] * UPLOADS
    finally:
        watcher.ending.set()
        watcher.join()
    until(lambda: len(jobs_done(server)) == UPLOADS)  # the log's last line comes after the study's state
    assert jobs_done(server) == list(range(1, UPLOADS + 1))  # first come, first served
    assert watcher.peak_bytes < 4 * GIB
    assert len([count for count in watcher.active if count]) > 1  # the page answered while studies were under way
    told = {
        json.dumps([json.loads(_assessment(server, study))[key] for key in ("vertebrae", "diagnosis")])
        for study in studies
    }
    assert len(told) == 1  # the same scan gives the same figures, twenty times


def _assessment(server: Server, study: str) -> str:
    return (server.data / "studies" / study / "version-1" / "assessment.json").read_text()


def test_a_killed_server_loses_nothing_and_goes_on(start: Start, cylinder_nifti: Path) -> None:
    server = start()
    finished = server.upload(cylinder_nifti, label="finished")
    assert server.wait(finished) == "done"
    before = server.client.get(f"/studies/{finished}/versions/1/files/assessment.json").content
    server.hold.touch()
    under_way, waiting = (server.upload(cylinder_nifti, label=label) for label in ("under way", "waiting"))
    until(lambda: server.state(under_way)["state"] == "running")
    (server.data / "incoming" / ("0" * 32)).mkdir()
    (server.data / "work" / "left-behind").write_text("unpacked slices")
    started = family(server.process.pid)
    server.kill()
    until(lambda: not any(_alive(one) for one in started if one != server.process.pid))  # a worker ends with its server

    again = start()
    assert again.client.get(f"/studies/{finished}/versions/1/files/assessment.json").content == before
    assert list((again.data / "incoming").iterdir()) == [] and not (again.data / "work" / "left-behind").exists()
    again.hold.unlink()
    assert [again.wait(study) for study in (finished, under_way, waiting)] == ["done"] * 3


def test_a_scan_that_brings_the_worker_down_twice_is_given_up_and_the_next_goes_on(
    start: Start, cylinder_nifti: Path
) -> None:
    server = start()
    server.hold.touch()
    bad, good = server.upload(cylinder_nifti), server.upload(cylinder_nifti)
    first = _kill_worker(server, bad)
    _kill_worker(server, bad, but_not=first)
    assert server.wait(bad) == "failed"
    page = server.client.get(f"/studies/{bad}").text
    assert "worker-lost" in page and "brought the worker process down twice" in page
    server.hold.unlink()
    assert server.wait(good) == "done"


def test_corrections_come_before_waiting_scans(start: Start, cylinder_nifti: Path) -> None:
    server = start()
    first = server.upload(cylinder_nifti)
    assert server.wait(first) == "done"
    server.hold.touch()
    scans = [server.upload(cylinder_nifti) for _ in range(2)]
    until(lambda: server.state(scans[0])["state"] == "running")
    fields = {"csrf": server.csrf(), "version": "1", "exclude-L2": "other", "by": "reader two", "shift": "yes"}
    answer = server.client.post(f"/studies/{first}/corrections", data=fields)
    assert answer.headers["location"] == f"/studies/{first}/versions/2"
    assert "another cause" in server.client.get(answer.headers["location"]).text  # told at once
    server.hold.unlink()
    assert server.wait_for_files(first) == "ready"
    assert [server.wait(scan) for scan in scans] == ["done", "done"]
    until(lambda: len(jobs_done(server)) == 4)
    assert jobs_done(server) == [1, 2, 4, 3]
    regions = [server.client.get(f"/studies/{first}/versions/{n}/files/regions.nii.gz").content for n in (1, 2)]
    assert all(regions)


def _worker(server: Server) -> int | None:
    return next((one for one in family(server.process.pid)[1:] if _alive(one)), None)


def _kill_worker(server: Server, study: str, but_not: int | None = None) -> int:
    """Kills the worker while it is at a study; one that was killed before is not meant."""
    until(lambda: server.state(study)["state"] == "running" and _worker(server) not in (None, but_not))
    worker = _worker(server)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    until(lambda: not _alive(worker))
    return worker


def _alive(process_id: int) -> bool:
    state = about(process_id, "stat").rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def test_ctrl_c_ends_server_and_worker_without_a_traceback(start: Start, cylinder_nifti: Path) -> None:
    server = start()
    server.wait(server.upload(cylinder_nifti))  # the worker is at rest
    reached = family(server.process.pid)
    assert len(reached) > 1
    for process_id in reversed(reached):  # a terminal tells every process
        os.kill(process_id, signal.SIGINT)
    server.process.wait(PATIENCE_SECONDS)
    assert "Traceback" not in server.log

"""Many uploads at once, and a server that is killed: order, memory, and nothing finished is lost."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from trabecula.studies.orders import GIB

from .conftest import RESULT_SECONDS, Server, Start

UPLOADS = 20
PAGE_SECONDS = 1.0


def family(process_id: int) -> list[int]:
    """A process and all that it started."""
    found = [process_id]
    for task in Path(f"/proc/{process_id}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def memory_bytes(process_id: int) -> int:
    """What a server and its worker hold at this moment."""
    total = 0
    for one in family(process_id):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except FileNotFoundError:
            continue
    return total


class Watcher(threading.Thread):
    """Looks at the page and at the memory all the while."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.ending = server, threading.Event()
        self.peak_bytes = 0
        self.seconds: list[float] = []
        self.finished: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.server.url, timeout=60) as client:
            while not self.ending.wait(0.3):
                self.peak_bytes = max(self.peak_bytes, memory_bytes(self.server.process.pid))
                started = time.monotonic()
                assert client.get("/").status_code == 200
                self.seconds.append(time.monotonic() - started)


@pytest.mark.slow
def test_twenty_uploads_at_once_finish_in_order_in_bounded_memory(start: Start, ct: Path) -> None:
    server = start()
    watcher = Watcher(server)
    watcher.start()
    try:
        with ThreadPoolExecutor(UPLOADS) as pool:
            studies = list(pool.map(lambda _: server.upload(ct), range(UPLOADS)))
        assert len(set(studies)) == UPLOADS
        for study in studies:
            assert server.wait(study, UPLOADS * RESULT_SECONDS) == "done"
    finally:
        watcher.ending.set()
        watcher.join()
    done = [line.split()[4] for line in server.log.splitlines() if " worker job " in line]
    assert done == [str(number) for number in range(1, UPLOADS + 1)]  # first come, first served
    assert watcher.peak_bytes < 4 * GIB
    quick = sorted(watcher.seconds)
    assert quick[len(quick) // 2] < PAGE_SECONDS / 2 and quick[int(0.95 * len(quick))] < PAGE_SECONDS
    documents = {
        json.dumps(
            [
                json.loads((server.data / "studies" / study / "version-1" / "assessment.json").read_text())[key]
                for key in ("vertebrae", "diagnosis")
            ]
        )
        for study in studies
    }
    assert len(documents) == 1  # the same scan gives the same figures, twenty times


def test_a_killed_server_loses_nothing_and_goes_on(start: Start, ct: Path) -> None:
    server = start()
    finished = server.upload(ct, label="finished")
    assert server.wait(finished) == "done"
    before = server.client.get(f"/studies/{finished}/versions/1/files/assessment.json").content
    under_way, waiting = server.upload(ct, label="under way"), server.upload(ct, label="waiting")
    until = time.monotonic() + RESULT_SECONDS
    while server.state(under_way)["state"] != "running":
        assert time.monotonic() < until
        time.sleep(0.02)
    (server.data / "incoming" / ("0" * 32)).mkdir()
    (server.data / "work" / "left-behind").write_text("unpacked slices")
    started = family(server.process.pid)
    server.kill()
    _until_gone([one for one in started if one != server.process.pid])

    again = start()
    assert again.client.get(f"/studies/{finished}/versions/1/files/assessment.json").content == before
    assert list((again.data / "incoming").iterdir()) == [] and not (again.data / "work" / "left-behind").exists()
    assert [again.wait(study) for study in (finished, under_way, waiting)] == ["done"] * 3


def test_a_scan_that_brings_the_worker_down_twice_is_given_up_and_the_next_goes_on(start: Start, ct: Path) -> None:
    server = start()
    bad, good = server.upload(ct), server.upload(ct)
    for attempt in (1, 2):
        until = time.monotonic() + RESULT_SECONDS
        while server.log.count("is started again") < attempt - 1 or server.state(bad)["state"] != "running":
            assert time.monotonic() < until, server.log
            time.sleep(0.02)
        worker = family(server.process.pid)[1]
        os.kill(worker, signal.SIGKILL)
        _until_gone([worker])
    assert server.wait(bad) == "failed"
    page = server.client.get(f"/studies/{bad}").text
    assert "worker-lost" in page and "brought the worker process down twice" in page
    assert server.wait(good) == "done"


def test_corrections_come_before_waiting_scans(start: Start, ct: Path) -> None:
    server = start()
    first = server.upload(ct)
    assert server.wait(first) == "done"
    scans = [server.upload(ct) for _ in range(2)]
    fields = {"csrf": server.csrf(), "version": "1", "exclude-L2": "other", "by": "reader two", "shift": "yes"}
    answer = server.client.post(f"/studies/{first}/corrections", data=fields)
    assert answer.headers["location"] == f"/studies/{first}/versions/2"
    assert "another cause" in server.client.get(answer.headers["location"]).text  # told at once
    assert server.wait_for_files(first) == "ready"
    assert server.state(scans[1])["state"] != "done"
    assert [server.wait(scan) for scan in scans] == ["done", "done"]
    regions = [server.client.get(f"/studies/{first}/versions/{n}/files/regions.nii.gz").content for n in (1, 2)]
    assert all(regions)


def _until_gone(process_ids: list[int], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while any(_alive(one) for one in process_ids):
        assert time.monotonic() < until, "the worker outlived its server"
        time.sleep(0.05)


def _alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

"""What a person waits for at the web page, what it costs and what it weighs, in a real browser, as a Markdown table.

Usage: web.py CT [--runs 5]

A server is started over an empty folder and the CT (a DICOM folder, or a file) uploaded and screened once; then its
page is opened anew by browsers that have never seen it, and corrected, as often as asked for. Seconds on the clock
depend on how busy the machine is; processor seconds (all processes of the browser and of the server) hardly do. A
browser without a graphics card draws: with one, the viewer is quicker. Needs chromium (tools/apt.sh).
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PROGRAM = "from trabecula.serving.cli import main; main()"
WAIT_MS = 600_000
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    browser_program = shutil.which("chromium")
    if browser_program is None:
        sys.exit("chromium is not installed: bash tools/apt.sh")
    found: defaultdict[str, list[float]] = defaultdict(list)
    with serving() as (url, data), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=list(FLAGS))
        study = uploaded(browser, url, given.ct, found)
        sent = size_of(given.ct)
        found["storage, times the upload"].append(size_of(data / "studies") / sent)
        for _ in range(given.runs):
            measured(browser, url, study, found)
        browser.close()
        found[f"storage with {given.runs + 1} versions"].append(size_of(data / "studies") / sent)
    print("| | median | least | most |\n| --- | ---: | ---: | ---: |")
    for name, values in found.items():
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")


def uploaded(browser: Browser, url: str, ct: Path, found: dict[str, list[float]]) -> str:
    """A CT sent by hand; returns the address of its study when its result is there."""
    page = browser.new_context().new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    started = time.perf_counter()
    page.locator("#folder" if ct.is_dir() else "#files").set_input_files(ct)
    page.wait_for_url("**/studies/*")
    sent = time.perf_counter()
    page.wait_for_selector("#viewer[data-drawn]")
    found["upload, s"].append(sent - started)
    found["result after the upload, viewer drawn, s"].append(time.perf_counter() - sent)
    study = page.url
    page.context.close()
    time.sleep(3)  # the worker packs what was sent
    return study


def measured(browser: Browser, url: str, study: str, found: dict[str, list[float]]) -> None:
    """The first page and the study's page in a browser that has never seen them; a correction."""

    def timed(name: str, act: Callable[[], object]) -> None:
        before, started = used_seconds(), time.perf_counter()
        act()
        found[f"{name}, s"].append(time.perf_counter() - started)
        found[f"{name}, processor s"].append(used_seconds() - before)

    def first() -> None:
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached")

    page = browser.new_context().new_page()
    page.set_default_timeout(WAIT_MS)
    timed("first page ready for use", first)
    page.context.close()

    cold = browser.new_context().new_page()
    cold.set_default_timeout(WAIT_MS)
    timed("study page drawn, cold", lambda: (cold.goto(study, wait_until="commit"), drawn(cold)))
    found["study page before the CT, MB"].append(cold.evaluate(WEIGHT, False) / 1e6)
    found["CT and regions for the viewer, MB"].append(cold.evaluate(WEIGHT, True) / 1e6)
    cold.locator("#correct summary").click()
    cold.locator("#correction input[name=confirm]").check()
    cold.locator("#by").fill("benchmark")

    def correct() -> None:
        before = cold.url
        cold.locator("#correction button").click()
        cold.wait_for_url(lambda now: now != before)
        drawn(cold)

    timed("correction to regions drawn", correct)
    cold.wait_for_selector("#files[data-files=ready]", state="attached")
    cold.context.close()


WEIGHT = """of_ct => performance.getEntries().filter(one => one.transferSize && /\\.nii$/.test(one.name) === of_ct)
  .reduce((sum, one) => sum + one.transferSize, 0)"""


PAINTED = """() => new Promise((done) => requestAnimationFrame(() => { trabecula.viewer.nv.gl.finish(); done(); }))"""


def drawn(page: Page) -> None:
    """Waits for what was drawn."""
    page.wait_for_selector("#viewer[data-drawn]")
    page.evaluate(PAINTED)


def used_seconds() -> float:
    """Processor seconds of every process that this one has started, and of those that these have."""
    parents: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS

    def ours(process: int) -> bool:
        while process in parents:
            process = parents[process][0]
            if process == os.getpid():
                return True
        return False

    return sum(seconds for process, (_, seconds) in parents.items() if ours(process))


def size_of(path: Path) -> int:
    """The bytes of a file, or of all in a folder."""
    return sum(one.stat().st_size for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())


@contextmanager
def serving() -> Iterator[tuple[str, Path]]:
    """A server over an empty folder, and that folder."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", PROGRAM, "serve", "--data", folder, "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not answers(url):
                time.sleep(0.1)
            yield url, Path(folder)
        finally:
            process.terminate()
            process.wait()


def answers(url: str) -> bool:
    """Whether the server is there."""
    try:
        with urllib.request.urlopen(f"{url}/health") as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


if __name__ == "__main__":
    main()

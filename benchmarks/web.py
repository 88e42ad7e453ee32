"""Seconds that a person waits for the web page, in a real browser, as a Markdown table.

Usage: web.py CT [--runs 3]

A server is started over an empty folder; the CT (a DICOM folder, or a file) is uploaded and screened, each time anew. A
browser without a graphics card draws: with one, the viewer is quicker. Needs chromium (tools/apt.sh).
"""

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PROGRAM = "from trabecula.serving.cli import main; main()"
WAIT_MS = 600_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    browser_program = shutil.which("chromium")
    if browser_program is None:
        sys.exit("chromium is not installed: bash tools/apt.sh")
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=list(FLAGS))
        runs = [measured(browser.new_context().new_page(), url, given.ct) for _ in range(given.runs)]
        browser.close()
    print("| | median, s | longest, s |\n| --- | ---: | ---: |")
    for name in runs[0]:
        seconds = [run[name] for run in runs]
        print(f"| {name} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |")


def measured(page: Page, url: str, ct: Path) -> dict[str, float]:
    """One visit: the page, the upload, the result, the viewer."""
    started = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("html[data-ready]", state="attached")
    ready = time.perf_counter()
    page.locator("#folder" if ct.is_dir() else "#files").set_input_files(ct)
    page.wait_for_url("**/studies/*", timeout=WAIT_MS)
    uploaded = time.perf_counter()
    page.wait_for_selector("#viewer", timeout=WAIT_MS)
    told = time.perf_counter()
    page.wait_for_selector("#viewer[data-drawn]", timeout=WAIT_MS)
    page.locator("#gl").screenshot()  # waits for what was drawn
    return {
        "first page ready for use": ready - started,
        "upload": uploaded - ready,
        "result after the upload": told - uploaded,
        "viewer drawn after the result": time.perf_counter() - told,
    }


@contextmanager
def serving() -> Iterator[str]:
    """A server over an empty folder."""
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
            yield url
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

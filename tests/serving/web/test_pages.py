"""The page as a person uses it, in a real browser on a virtual patient; pixels are looked at."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from .conftest import PATIENCE_SECONDS, Server, end, launch

WAIT_MS = 1000 * PATIENCE_SECONDS
expect.set_options(timeout=60_000)


class Watched:
    """A page, and everything it asked for or complained of."""

    def __init__(self, browser: Browser, server: Server, **context: object) -> None:
        self.context = browser.new_context(viewport={"width": 1400, "height": 950}, **context)  # type: ignore[arg-type]
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)  # a busy machine is slow, and no test is to fail for that
        self.server = server
        self.addresses: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)

    def _console(self, message: object) -> None:
        if getattr(message, "type", "") in ("error", "warning"):
            text = str(getattr(message, "text", ""))
            if "GPU stall" not in text and "GL Driver Message" not in text:  # the software renderer's own
                self.complaints.append(text)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the default recipe."""
    started = launch(tmp_path_factory.mktemp("web") / "data")
    yield started
    end(started)


@pytest.fixture(scope="module")
def watched(browser: Browser, server: Server, virtual_nifti: Path) -> Iterator[Watched]:
    """The virtual patient uploaded by hand and screened; its study page is open."""
    seen = Watched(browser, server)
    page = seen.page
    page.goto(server.url)
    page.locator("#label").fill("Phantom A")
    page.locator("#files").set_input_files(virtual_nifti)
    page.wait_for_url("**/studies/*")
    expect(page.locator("h1")).to_have_text("Phantom A")
    expect(page.locator("#stages li")).to_have_count(8)
    expect(page.locator("#stages .now")).not_to_have_count(0, timeout=WAIT_MS)
    page.wait_for_selector("#viewer[data-drawn]", timeout=WAIT_MS)
    yield seen
    seen.context.close()


def picture(page: Page) -> NDArray[np.int16]:
    """What the viewer draws, without the names over it, (row, column, RGB)."""
    page.evaluate("for (const id of ['marks', 'readout']) document.getElementById(id).hidden = true")
    shot_png = page.locator("#gl").screenshot()
    page.evaluate("for (const id of ['marks', 'readout']) document.getElementById(id).hidden = false")
    with Image.open(io.BytesIO(shot_png)) as shot:
        return np.asarray(shot.convert("RGB")).astype(np.int16)


def drawn(page: Page) -> None:
    """Waits until the viewer has drawn what it was told to: software takes its time."""
    before = picture(page)
    for _ in range(100):
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        now = picture(page)
        if np.array_equal(before, now):
            return
        before = now


def coloured(pixels: NDArray[np.int16]) -> float:
    """The share of pixels that are bluer or greener than grey: the region of T12, not T11's or the amber crosshair."""
    red, green, blue = np.moveaxis(pixels[10:-10, 10:-10], 2, 0)
    return float(((np.maximum(green, blue) - red) > 25).mean())


def test_the_viewer_draws_the_ct_and_the_regions(watched: Watched) -> None:
    page = watched.page
    assert page.get_attribute("#viewer", "data-drawn") != "failed"
    shown = picture(page)
    grey = shown[np.ptp(shown, axis=2) < 12]
    assert grey.std() > 20  # a CT has bone, soft tissue and air; an empty canvas has one colour
    with_regions = coloured(shown)
    assert with_regions > 0.002
    page.locator("#gl").focus()
    page.keyboard.press("o")
    drawn(page)
    assert coloured(picture(page)) < 0.05 * with_regions
    page.keyboard.press("o")
    drawn(page)
    assert coloured(picture(page)) == pytest.approx(with_regions, rel=0.1)


def soon(page: Page, holds: Callable[[], bool]) -> bool:
    """Whether it holds within some seconds: software draws when it can."""
    for _ in range(25):
        if holds():
            return True
        page.wait_for_timeout(200)
    return holds()


def test_rows_and_keys_lead_to_the_vertebrae(watched: Watched) -> None:
    page = watched.page
    rows = page.locator("#vertebrae tr[data-level]")
    levels = [rows.nth(i).get_attribute("data-level") for i in range(rows.count())]
    page.locator("#vertebrae .jump").first.click()
    assert page.get_attribute("#viewer", "data-at") == levels[0]
    first = picture(page)
    page.locator("#gl").focus()
    page.keyboard.press("n")
    assert soon(page, lambda: page.get_attribute("#viewer", "data-at") == levels[1])
    assert soon(page, lambda: bool((np.abs(picture(page) - first).max(axis=2) > 30).mean() > 0.03))  # another slice
    page.keyboard.press("p")
    assert page.get_attribute("#viewer", "data-at") == levels[0]


def test_a_jump_lands_in_the_region_of_its_vertebra(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("button", name="Axial").click()
    page.get_by_role("button", name="T12").click()
    assert soon(page, lambda: coloured(picture(page)) > 0.005)  # an axial slice through T12 shows its cyan region
    page.get_by_role("button", name="T11").click()
    assert soon(page, lambda: coloured(picture(page)) == 0)  # one through T11 shows an orange one
    page.get_by_role("button", name="All", exact=True).click()


def crosshair(pixels: NDArray[np.int16], axis: int) -> float:
    """Where the amber line stands that runs along the other axis: its column (axis 1) or row (axis 0)."""
    amber = (pixels[20:-20, 20:-20, 0] - pixels[20:-20, 20:-20, 2]) > 60
    along = amber.mean(axis=1 - axis)
    return float(np.flatnonzero(along > 0.8 * along.max()).mean())


def test_arrow_keys_move_the_way_they_point(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("button", name="Coronal").click()
    page.get_by_role("button", name="T12").click()
    page.locator("#gl").focus()
    drawn(page)
    places = [(crosshair(picture(page), 1), crosshair(picture(page), 0))]
    for key in ("ArrowLeft", "ArrowUp"):
        for _ in range(6):
            page.keyboard.press(key)
        drawn(page)
        places.append((crosshair(picture(page), 1), crosshair(picture(page), 0)))
    page.get_by_role("button", name="All", exact=True).click()
    assert places[1][0] < places[0][0] - 3 and places[1][1] == pytest.approx(places[0][1], abs=2)
    assert places[2][1] < places[1][1] - 3 and places[2][0] == pytest.approx(places[1][0], abs=2)


def test_windows_and_views_change_the_picture(watched: Watched) -> None:
    page = watched.page
    bone = picture(page)
    page.get_by_role("button", name="Soft tissue").click()
    drawn(page)
    soft = picture(page)
    assert np.abs(soft - bone).mean() > 4
    assert page.get_by_role("button", name="Soft tissue").get_attribute("aria-pressed") == "true"
    page.locator("#gl").focus()
    page.keyboard.press("b")
    page.keyboard.press("5")
    drawn(page)
    assert page.get_by_role("button", name="3-D").get_attribute("aria-pressed") == "true"
    assert picture(page).std() > 10
    page.keyboard.press("1")


def test_the_whole_ct_can_be_shown(watched: Watched) -> None:
    page = watched.page
    page.evaluate("document.getElementById('viewer').removeAttribute('data-drawn')")
    page.locator("#source").select_option("overview.nii")
    page.wait_for_selector("#viewer[data-drawn]", timeout=WAIT_MS)
    assert page.get_attribute("#viewer", "data-drawn") != "failed"
    assert picture(page).std() > 20


def test_downloads_are_what_was_found(watched: Watched) -> None:
    page = watched.page
    shown = page.locator("#bmd").inner_text()
    with page.expect_download() as caught:
        page.get_by_role("link", name="All figures, JSON").click()
    assert caught.value.suggested_filename == "study-1-version-1-assessment.json"
    found = json.loads(Path(caught.value.path()).read_text())
    assert f"{found['diagnosis']['bmd_mg_cm3']:.1f}" == shown
    with page.expect_download() as caught:
        page.get_by_role("link", name="Report, PDF").click()
    assert Path(caught.value.path()).read_bytes().startswith(b"%PDF-")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Open the report").click()
    opened.value.wait_for_load_state()
    assert shown in opened.value.locator("body").inner_text()
    opened.value.close()


def test_a_correction_is_computed_at_once_and_the_original_stays(watched: Watched) -> None:
    page = watched.page
    study = page.url.partition("/versions")[0]
    before = page.locator("#bmd").inner_text()
    page.locator("#correct summary").click()
    page.get_by_label("Leave out L1").select_option("fracture")
    page.locator("#by").fill("reader one")
    page.get_by_role("button", name="Keep as a new version").click()
    page.wait_for_url("**/versions/2")
    expect(page.locator("#vertebrae tr[data-level=L1]")).to_contain_text("withheld")
    expect(page.locator("#vertebrae tr[data-level=T12]")).to_contain_text("used")
    expect(page.locator(".versions")).to_contain_text("reader one")
    expect(page.get_by_role("link", name="Report, PDF")).to_be_visible(timeout=WAIT_MS)
    after = page.locator("#bmd").inner_text()
    assert after != before
    with page.expect_download() as caught:
        page.get_by_role("link", name="All figures, JSON").click()
    found = json.loads(Path(caught.value.path()).read_text())
    assert f"{found['diagnosis']['bmd_mg_cm3']:.1f}" == after
    assert found["diagnosis"]["levels_used"] == ["T12", "L2"]
    assert "excluded-by-reader" in json.dumps(found["vertebrae"])
    page.goto(f"{study}/versions/1")
    expect(page.locator("#bmd")).to_have_text(before)
    expect(page.locator(".notice")).to_contain_text("earlier version")
    page.goto(study)
    expect(page.locator("#bmd")).to_have_text(after)


def test_a_refused_scan_says_why_and_what_to_do(browser: Browser, server: Server, not_hounsfield: Path) -> None:
    seen = Watched(browser, server)
    seen.page.goto(server.url)
    seen.page.locator("#files").set_input_files(not_hounsfield)
    seen.page.wait_for_selector(".refused", timeout=WAIT_MS)
    text = seen.page.locator(".refused").inner_text()
    assert "not-hounsfield-units" in text and "Export the CT without rescaling its values." in text
    seen.page.goto(server.url)
    expect(seen.page.locator("tbody tr").first).to_contain_text("not-hounsfield-units")
    seen.context.close()


def test_the_list_is_searched_and_sorted(watched: Watched, not_hounsfield: Path) -> None:
    page, server = watched.page, watched.server
    server.wait(server.upload(not_hounsfield, label="Phantom B"))
    page.goto(f"{server.url}/?sort=label&order=up")
    labels = page.locator("tbody th a").all_inner_texts()
    assert labels == sorted(labels) and {"Phantom A", "Phantom B"} <= set(labels)
    page.get_by_role("searchbox").fill("phantom b refused")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("tbody th a")).to_have_text(["Phantom B"])
    assert page.url.endswith("/?words=phantom+b+refused&sort=label&order=up")  # a link that can be kept


def test_the_cohort_shows_categories_and_the_published_means(watched: Watched) -> None:
    page = watched.page
    page.goto(f"{watched.server.url}/cohort")
    expect(page.locator("main")).to_contain_text("PMC7988599")
    expect(page.locator("main")).to_contain_text("acquisition-unknown")
    assert page.locator(".plot .mean").count() == 2


def test_everything_can_be_reached_by_keyboard(watched: Watched) -> None:
    page = watched.page
    page.goto(watched.server.url)
    reached = []
    for _ in range(18):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the content"
    assert {"folder", "files", "label", "words"} <= set(reached)


def test_filters_are_chosen_by_the_keyboard_alone(watched: Watched) -> None:
    page = watched.page
    page.goto(watched.server.url)
    page.locator(".filters summary").press("Enter")
    page.locator("#seek-state").focus()
    for state in ("active", "to-check"):
        with page.expect_navigation(url=f"**state={state}*"):
            page.keyboard.press("ArrowDown")
        expect(page.locator("#seek-state")).to_be_focused()
    page.locator("#since").focus()
    with page.expect_navigation(url="**since=2026-02-02*"):
        page.keyboard.type("02022026")  # in any order of day and month
    expect(page.locator("#since")).to_be_focused()


def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser: Browser, watched: Watched) -> None:
    small = Watched(browser, watched.server, color_scheme="dark")
    small.page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/cohort", _first_result(watched)):
        small.page.goto(watched.server.url + path)
        assert small.page.evaluate("document.documentElement.scrollWidth") <= 390
    small.context.close()


def _first_result(watched: Watched) -> str:
    page = watched.page
    page.goto(f"{watched.server.url}/?sort=bmd")
    return str(page.locator("tbody th a").first.get_attribute("href"))


def test_no_request_left_the_machine_and_nothing_was_complained_of(watched: Watched) -> None:
    elsewhere = [url for url in watched.addresses if not url.startswith((watched.server.url, "data:", "blob:"))]
    assert len(watched.addresses) > 20
    assert elsewhere == []
    assert watched.complaints == []


def test_a_real_ct_dropped_as_a_folder(browser: Browser, server: Server, real_ct: Path) -> None:
    seen = Watched(browser, server)
    page = seen.page
    page.goto(server.url)
    page.locator("#folder").set_input_files(real_ct)
    page.wait_for_selector("#viewer[data-drawn]", timeout=WAIT_MS)
    assert coloured(picture(page)) > 0.002
    expect(page.locator("h1")).to_have_text(re.compile(r"Study \d+"))
    expect(page.locator(".answer")).to_contain_text("contrast-medium")
    with page.expect_download() as caught:
        page.get_by_role("link", name="DICOM: SEG, SR, PDF, picture").click()
    with zipfile.ZipFile(caught.value.path()) as packed:
        assert set(packed.namelist()) == {"seg.dcm", "sr.dcm", "report.dcm", "capture.dcm"}
    assert seen.complaints == []
    seen.context.close()

"""The viewer on a real CT, screened once: names, places, ruler, brush; pixels are looked at after every correction."""

import gzip
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from trabecula.anatomy import Level
from trabecula.palette import colour_of

from .conftest import PATIENCE_SECONDS, Server, end, launch, until

WAIT_MS = 1000 * PATIENCE_SECONDS
CORONAL, SAGITTAL, AXIAL = 1, 2, 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the default recipe."""
    started = launch(tmp_path_factory.mktemp("web") / "data")
    yield started
    end(started)


@pytest.fixture(scope="module")
def study(server: Server, real_ct: Path) -> str:
    """A real CT of 52 slices, portal venous, screened."""
    slices = sorted((real_ct.parent / "crlm-ct-1006").iterdir())
    made = server.upload(*slices, label="real")
    assert server.wait(made) == "done"
    return f"/studies/{made}"


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server, study: str) -> Iterator[Page]:
    """Its page at 1400 px, drawn."""
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    opened.goto(server.url + study, wait_until="commit")
    opened.wait_for_selector("#viewer[data-drawn]")
    yield opened
    context.close()


def level_of(page: Page, level: str) -> int:
    """Its place among the measured levels."""
    found = page.evaluate("level => trabecula.viewer.measured.findIndex(mark => mark.level === level)", level)
    assert found >= 0
    return int(found)


def point_of(page: Page, level: str, plane: int) -> tuple[float, float]:
    """Where the middle of a body is drawn in a plane, in pixels of the page."""
    script = """([i, plane]) => { const v = trabecula.viewer, mark = v.measured[i];
      return v.project(v.tiles().find(tile => tile.axCorSag === plane), mark.middle); }"""
    at = page.evaluate(script, [level_of(page, level), plane])
    box = page.locator("#gl").bounding_box()
    assert box is not None
    return box["x"] + at["x"], box["y"] + at["y"]


def pixel(page: Page, at: tuple[float, float]) -> np.ndarray[Any, Any]:
    """The median colour of the CT with its regions about a point, the crosshair aside."""
    x, y = at
    shot = page.screenshot(clip={"x": x - 7, "y": y - 7, "width": 15, "height": 15})
    with Image.open(io.BytesIO(shot)) as picture:
        return np.median(np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(float), axis=0)


def is_of(colour: np.ndarray[Any, Any], level: str) -> bool:
    """Whether a pixel has the tint of a level's colour: the same channels above and below its mean."""
    own = np.array([int(colour_of(Level(level))[i : i + 2], 16) for i in (1, 3, 5)], float)
    tint, wanted = colour - colour.mean(), own - own.mean()
    long = float(np.linalg.norm(tint))
    return long > 12 and float(tint @ wanted) / (long * float(np.linalg.norm(wanted))) > 0.95


def show(page: Page, level: str) -> None:
    page.evaluate("i => { document.querySelectorAll('#vertebrae .jump')[i].click(); }", level_of(page, level))
    expect(page.locator("#viewer")).to_have_attribute("data-at", level)
    page.wait_for_timeout(400)


def test_names_stand_beside_their_bodies_and_regions_have_their_colours(page: Page) -> None:
    for level in ("T12", "L1", "L2"):
        show(page, level)
        assert is_of(pixel(page, point_of(page, level, AXIAL)), level)
        name = page.locator(f'.mark[data-level="{level}"][data-plane="{CORONAL}"]')
        box = name.bounding_box()
        x, y = point_of(page, level, CORONAL)
        assert box is not None and abs(box["y"] + box["height"] / 2 - y) < 6 and 5 < box["x"] - x < 120
        swatch = page.locator(f'tr[data-level="{level}"] .swatch').evaluate(
            "one => getComputedStyle(one).backgroundColor"
        )
        own = tuple(int(colour_of(Level(level))[i : i + 2], 16) for i in (1, 3, 5))
        assert swatch == "rgb({}, {}, {})".format(*own)


def test_no_quarter_of_the_viewer_is_dead(page: Page) -> None:
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    shot = page.screenshot(clip={"x": box["x"], "y": box["y"], "width": box["width"], "height": box["height"]})
    with Image.open(io.BytesIO(shot)) as picture:
        grey = np.asarray(picture.convert("L")).astype(float)
    empty = page.evaluate("[...trabecula.viewer.nv.opts.backColor].slice(0, 3).map(one => Math.round(255 * one))")
    assert (np.abs(grey - np.dot(empty, [0.299, 0.587, 0.114])) < 2).mean() < 0.2  # nothing is drawn there


def test_a_body_in_the_picture_selects_its_row_and_a_row_its_body(page: Page) -> None:
    show(page, "L1")
    for level in ("L3", "T12"):
        page.mouse.click(*point_of(page, level, CORONAL))
        expect(page.locator("#viewer")).to_have_attribute("data-at", level)
        expect(page.locator("#vertebrae tr.here")).to_have_attribute("data-level", level)
    show(page, "L2")
    assert "L2" in page.locator("#where").inner_text()


def test_hu_and_place_under_the_pointer_are_those_of_the_ct(page: Page, server: Server, study: str) -> None:
    show(page, "L2")
    page.mouse.move(*point_of(page, "L2", AXIAL))
    expect(page.locator("#readout")).to_have_attribute("data-hu", re.compile(r"-?\d+"))
    told = page.locator("#readout").evaluate("one => ({...one.dataset})")
    mm = np.array([float(one) for one in told["mm"].split(",")])
    with server.client.stream("GET", f"{study}/view/spine.nii") as answer:
        image = nib.Nifti1Image.from_bytes(gzip.decompress(b"".join(answer.iter_raw())))
    index = np.linalg.inv(image.affine) @ [*mm, 1]
    around = [np.floor(index[:3]).astype(int), np.rint(index[:3]).astype(int), np.ceil(index[:3]).astype(int)]
    values = {int(np.asarray(image.dataobj)[tuple(one)]) for one in around}
    assert min(values) - 40 <= int(told["hu"]) <= max(values) + 40
    assert np.linalg.norm(mm - page.evaluate(f"trabecula.viewer.measured[{level_of(page, 'L2')}].middle")) < 4


def test_the_ruler_measures_millimetres_of_the_patient(page: Page) -> None:
    show(page, "L1")
    (x0, y0), (x1, y1) = (point_of(page, level, SAGITTAL) for level in ("L1", "L3"))
    page.locator("#rule").click()
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=3)
    page.mouse.up()
    first, last = (
        np.array(page.evaluate(f"trabecula.viewer.measured[{level_of(page, level)}].middle")) for level in ("L1", "L3")
    )
    length = float(page.locator("#length").get_attribute("data-mm") or 0)
    assert length == pytest.approx(float(np.linalg.norm((last - first)[1:])), abs=1.5)  # within the sagittal plane
    page.locator("#rule").click()
    expect(page.locator("#length")).to_have_text("")


def test_the_whole_ct_in_full_detail_is_made_ready_and_drawn(page: Page) -> None:
    page.evaluate("document.getElementById('viewer').removeAttribute('data-drawn')")
    page.locator("#source").select_option("ct.nii")
    page.wait_for_selector("#viewer[data-drawn]")
    assert page.get_attribute("#viewer", "data-drawn") != "failed"
    assert page.evaluate("trabecula.viewer.nv.volumes[0].dimsRAS[1]") == 512
    page.evaluate("document.getElementById('viewer').removeAttribute('data-drawn')")
    page.locator("#source").select_option("spine.nii")
    page.wait_for_selector("#viewer[data-drawn]")


def test_a_region_outlined_anew_is_shown_at_once_and_measured(page: Page, server: Server, study: str) -> None:
    show(page, "L2")
    before = page.locator("tr[data-level=L2]").inner_text()
    page.locator("#outline").click()
    expect(page.locator("#viewer")).to_have_attribute("data-outlining", "L2")
    x, y = point_of(page, "L2", AXIAL)
    assert is_of(pixel(page, (x, y)), "L2")  # what is drawn has the level's colour
    whole = float(page.locator("#outlining").get_attribute("data-mm3") or 0)
    page.get_by_role("button", name="Eraser").click()
    page.locator("#pen-size").fill("19")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 1, y)
    page.mouse.up()
    assert float(page.locator("#outlining").get_attribute("data-mm3") or 0) < whole - 300
    assert not is_of(pixel(page, (x, y)), "L2")
    page.locator("#undo").click()
    assert float(page.locator("#outlining").get_attribute("data-mm3") or 0) == whole
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.up()
    page.locator("#keep-outline").click()
    expect(page.locator("#outline-told")).to_contain_text("reader-unnamed")  # and what was drawn is still there
    page.locator("#outline-by").fill("ada")
    page.locator("#keep-outline").click()
    page.wait_for_url("**/versions/2")
    page.wait_for_selector("#viewer[data-drawn]")
    assert (
        server.client.get(f"{study}/versions/1/labels.nii").content
        != server.client.get(f"{study}/versions/2/labels.nii").content
    )
    page.wait_for_selector("#files[data-files=ready]", state="attached")
    page.wait_for_selector("#viewer[data-drawn]")
    expect(page.locator(".versions")).to_contain_text("L2 was outlined anew.")
    row = page.locator("tr[data-level=L2]").inner_text()
    assert row != before and "withheld" not in row
    show(page, "L2")
    assert not is_of(pixel(page, point_of(page, "L2", AXIAL)), "L2")  # a hole where it was erased


def test_after_a_correction_the_region_under_the_pointer_has_its_new_name_and_colour(page: Page, study: str) -> None:
    show(page, "T12")
    assert is_of(pixel(page, point_of(page, "T12", AXIAL)), "T12")
    place = page.evaluate(f"trabecula.viewer.measured[{level_of(page, 'T12')}].middle")
    page.locator("#correct summary").click()
    page.get_by_label("Name of T12").select_option("L1")
    page.locator("#by").fill("bob")
    with page.expect_navigation(url="**/versions/*"):
        page.get_by_role("button", name="Keep as a new version").click()
    page.wait_for_selector("#files[data-files=ready]", state="attached")
    page.wait_for_selector("#viewer[data-drawn]")
    show(page, "L1")
    assert np.allclose(page.evaluate(f"trabecula.viewer.measured[{level_of(page, 'L1')}].middle"), place)
    assert is_of(pixel(page, point_of(page, "L1", AXIAL)), "L1")


@pytest.mark.parametrize("width", [390, 1024, 1400, 1920])
def test_nothing_is_cut_off_at_any_width(browser: Browser, server: Server, study: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    narrow = context.new_page()
    narrow.set_default_timeout(WAIT_MS)
    for path in ("/", "/cohort", "/tokens", study):
        narrow.goto(server.url + path, wait_until="domcontentloaded")
        assert narrow.evaluate("document.documentElement.scrollWidth") <= width
    narrow.goto(server.url, wait_until="domcontentloaded")
    for part in (
        "tbody th a",
        "td[data-name=State]",
        "td[data-name=Category]",
        "td[data-name=BMD]",
        "td[data-name=Patient]",
    ):
        box = narrow.locator(f".studies {part}").first.bounding_box()
        assert box is not None and box["width"] > 20 and box["x"] >= 0 and box["x"] + box["width"] <= width
    context.close()


AXE = Path(__file__).parent / "vendor" / "axe.js"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, server: Server, study: str, scheme: Any) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed; tools/niivue.sh installs it")
    context = browser.new_context(viewport={"width": 1400, "height": 950}, color_scheme=scheme)
    judged = context.new_page()
    judged.set_default_timeout(WAIT_MS)
    found: dict[str, list[str]] = {}
    outlining = f"{study}?"
    for path in (
        "/",
        "/?state=to-check&words=x",
        study,
        outlining,
        f"{study}/again",
        "/cohort",
        "/tokens",
        "/login",
        "/nowhere",
    ):
        judged.goto(server.url + path, wait_until="domcontentloaded")
        if path in (study, outlining):
            judged.wait_for_selector("#viewer[data-drawn]")
            judged.locator("#correct summary" if path == study else "#outline").click()
        if path == outlining:
            judged.wait_for_selector("#viewer[data-outlining]")
            judged.locator("#keep-outline").click()  # without a name: what it says is judged too
            expect(judged.locator("#outline-told")).to_contain_text("reader-unnamed")
        judged.evaluate(AXE.read_text())
        told = judged.evaluate("axe.run({ resultTypes: ['violations'] })")
        found[path] = [
            f"{one['id']}: {one['nodes'][0]['html'][:160]}"
            for one in told["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    context.close()
    assert {path: said for path, said in found.items() if said} == {}


def test_a_browser_without_webgl_says_so_and_still_corrects(browser: Browser, server: Server, study: str) -> None:
    flags = ["--no-sandbox", "--disable-3d-apis"]
    blind = browser.browser_type.launch(executable_path=shutil.which("chromium"), args=flags)
    opened = blind.new_page()
    opened.set_default_timeout(WAIT_MS)
    opened.goto(server.url + study, wait_until="domcontentloaded")
    expect(opened.locator("#viewer-status")).to_contain_text("needs a browser with WebGL 2", timeout=WAIT_MS)
    opened.locator("#correct summary").click()
    opened.locator("#correction select[name^=exclude]:not([disabled])").first.select_option("other")
    opened.locator("#by").fill("carol")
    opened.get_by_role("button", name="Keep as a new version").first.click()
    opened.wait_for_url("**/versions/*")
    expect(opened.locator(".versions")).to_contain_text("carol")
    blind.close()


def test_a_study_takes_less_room_than_its_upload(server: Server, study: str, real_ct: Path) -> None:
    folder = server.data / study.strip("/")
    until(lambda: server.state(study.rpartition("/")[2])["files"] == "ready")
    sent = sum(path.stat().st_size for path in (real_ct.parent / "crlm-ct-1006").iterdir())
    lasting = [*(path for path in folder.glob("*") if path.is_file()), *folder.glob("view/[sl]*")]
    kept = sum(path.stat().st_size for path in [*lasting, *(folder / "version-1").rglob("*")])
    assert kept < 0.8 * sent  # of the smallest CT there is here, with its outlines

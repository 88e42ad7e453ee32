"""OHIF's own build in Chromium on Orthanc's DICOMweb, one origin: what a reader sees of our objects.

Seven vertebrae of different HU, so that a measurement on the wrong slice or in the wrong place shows.
"""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from toys.archive import orthanc
from toys.origin import one_origin
from trabecula.anatomy import Level
from trabecula.export.bundle import Wanted, prepare
from trabecula.flow.read import read
from trabecula.formats.opened import opened
from trabecula.quantity import Measurement
from trabecula.records import Assessment
from trabecula.report.folder import report
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

BUILD = Path(__file__).parent / "vendor" / "ohif"
LEVELS = [Level[name] for name in ("T11", "T12", "L1", "L2", "L3", "L4", "L5")]
PATIENCE_SECONDS = 900
"""For what must come: no test depends on when."""

STEP, HALF = 9, (3, 6, 8)
BEYOND = 2
"""Pixels: the ellipse that spreads as a block does reaches beyond its sides."""

PAGE_WIDTH, PAGE_HEIGHT = 1400, 900

SOURCE = {
    "friendlyName": "archive",
    "name": "archive",
    **dict.fromkeys(("qidoRoot", "wadoRoot", "wadoUriRoot"), "/dicom-web"),
    "qidoSupportsIncludeField": False,
    "imageRendering": "wadors",
    "thumbnailRendering": "wadors",
    "enableStudyLazyLoad": True,
    "supportsFuzzyMatching": False,
    "supportsWildcard": True,
    "bulkDataURI": {"enabled": True},
    "singlepart": "video",  # Orthanc renders no PDF: the viewer takes it as bulk data
}
CONFIG = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "archive",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "archive",
            "configuration": SOURCE,
        }
    ],
}


def density(number: int) -> Measurement:
    return Measurement(85.5 + 5 * number, (75.0 + 5 * number, 96.0 + 5 * number))


def mean_hu(number: int) -> int:
    return 110 + 12 * number


def seven_blocks(folder: Path) -> Path:
    """A CT of soft tissue with a block for each of seven vertebrae, T11 on top, each of its own HU."""
    hu = np.full((STEP * 7 + 4, 96, 96), 40, np.float32)
    hu[:, :6] = hu[:, 90:] = -1000
    hu[1, 80, 4] = 900  # dense bone: without any, the values would be cut off to a window
    for number in range(7):
        hu[block(number, BEYOND)] = mean_hu(number)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = (3.0, 1.5, 1.5)  # square, as CT's are: OHIF 3.13 misplaces outlines on others
    affine[:, 3] = (-72, -72, 900, 1)
    write_dicom(
        Volume(hu, affine), folder / "ct", seed=5, header=StudyHeader(sex="F", age_years=67, slice_thickness_mm=3.0)
    )
    return folder / "ct"


def block(number: int, beyond: int = 0) -> tuple[slice, slice, slice]:
    """The region of a vertebra (z, y, x), or its bone, which reaches further in the plane."""
    z, y, x = STEP * (7 - number) - 3, 54 - number, 44 + number
    return (
        slice(z - HALF[0], z + HALF[0] + 1),
        slice(y - HALF[1] - beyond, y + HALF[1] + 1 + beyond),
        slice(x - HALF[2] - beyond, x + HALF[2] + 1 + beyond),
    )


def seven_measured(given: Path, assess: Callable[..., Assessment]) -> Assessment:
    scan = read(given)
    labels = np.zeros(scan.volume.shape, np.uint8)
    for number, level in enumerate(LEVELS):
        labels[block(number)] = level.verse_id
    made = assess(scan, labels)
    vertebrae = tuple(
        replace(one, density=density(LEVELS.index(one.level)), reasons=()) for one in made.readings.vertebrae
    )
    return replace(made, readings=replace(made.readings, vertebrae=vertebrae))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, assess: Callable[..., Assessment]) -> Path:
    """The study and its result as DICOM."""
    folder = tmp_path_factory.mktemp("ohif")
    given = seven_blocks(folder)
    with opened(given) as held:
        made = seven_measured(given, assess)
        export = prepare(held, made.scan, Wanted(dicom=True))
    return report(made, folder / "out", partial(export.write, made)).parent


@pytest.fixture(scope="module")
def page(out: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """OHIF with the study open."""
    if not BUILD.exists():
        pytest.skip("OHIF is not installed; tools/ohif.sh installs it")
    config = f"window.config = {json.dumps(CONFIG)};"
    with orthanc(tmp_path_factory.mktemp("archive") / "orthanc") as archive:
        for path in sorted(out.parent.glob("ct/*")) + sorted((out / "dicom").iterdir()):
            archive.ask("/instances", path.read_bytes(), "POST")
        with one_origin(BUILD, config, archive.http) as url:
            opened_page = browser.new_page(viewport={"width": PAGE_WIDTH, "height": PAGE_HEIGHT})
            opened_page.set_default_timeout(1000 * PATIENCE_SECONDS)
            opened_page.add_init_script(
                "try { localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour'])) } catch {}"
            )
            study = pydicom.dcmread(out / "dicom" / "sr.dcm").StudyInstanceUID
            opened_page.goto(f"{url}/viewer?StudyInstanceUIDs={study}", wait_until="commit")
            yield opened_page


def series(page: Page, description: str) -> Locator:
    return page.locator('[data-cy^="study-browser-thumbnail"]').filter(has_text=description).first


def colours(page: Page) -> np.ndarray:
    """The pixels of the viewport that are no grey, (n, 3): what is drawn over the CT."""
    box = page.locator('[data-cy="viewport-pane"]').first.bounding_box()
    assert box is not None
    inner = {"x": box["x"] + 60, "y": box["y"] + 120, "width": box["width"] - 120, "height": box["height"] - 180}
    with Image.open(io.BytesIO(page.screenshot(clip=inner))) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    return pixels[np.ptp(pixels, axis=1) > 40]


def test_seven_measurements_are_listed_with_density_and_hu_and_jumped_to(page: Page) -> None:
    series(page, "bone density").dblclick()
    page.get_by_text("continue tracking measurements").wait_for()
    page.get_by_role("button", name="Yes").click()
    page.locator('[data-cy="trackedMeasurements-btn"]').click()
    page.get_by_text("Measurements (7)").wait_for()
    rows = page.locator('[data-cy="data-row-title"]')
    listed = rows.all_inner_texts()
    assert listed == [
        f"{level}: {density(n).value:.1f} mg/cm3 (95% interval {75 + 5 * n} to {96 + 5 * n}), {mean_hu(n)} HU"
        for n, level in enumerate(LEVELS)
    ]
    for number in (6, 0, 2):
        rows.nth(number).click()
        drawn = page.locator('[data-cy="viewport-pane"] svg g[data-annotation-uid] text')
        drawn.filter(has_text=f"Mean: {mean_hu(number)} HU").wait_for()  # as OHIF itself reads it from the pixels
        (outline,) = page.locator('[data-cy="viewport-pane"] svg.svg-layer > path').all()
        assert len(re.findall(r"[ML] ", outline.get_attribute("d") or "")) > 20


def test_the_seven_segments_are_drawn(page: Page) -> None:
    series(page, "trabecular regions").dblclick()
    page.get_by_text("open this Segmentation").wait_for()
    page.get_by_role("button", name="Yes").click()
    page.locator('[data-cy="panelSegmentation-btn"]').click()
    names = [f"{level} trabecular bone" for level in LEVELS]
    found = []
    for name in names:
        row = page.locator('[data-cy="data-row"]').filter(has_text=name)
        row.click()
        found.append(np.median(colour_drawn(page, found), axis=0))
    apart = [np.abs(one - other).max() for n, one in enumerate(found) for other in found[:n]]
    assert len(found) == 7 and min(apart) > 25, found


def colour_drawn(page: Page, before: list[np.ndarray]) -> np.ndarray:
    """The colour in the viewport, as soon as it is none of those seen before."""
    last = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < last:
        seen = colours(page)
        if len(seen) > 300:
            middle = np.median(seen, axis=0)
            if all(np.abs(middle - one).max() > 25 for one in before):
                return seen
        page.wait_for_timeout(100)
    raise AssertionError("the segment is not drawn")


def test_the_report_opens_as_pdf(page: Page, out: Path) -> None:
    series(page, "Trabecula report").dblclick()
    shown = page.locator('object[type="application/pdf"]')
    shown.wait_for()
    script = "async e => Array.from(new Uint8Array(await (await fetch(e.data)).arrayBuffer()))"
    assert bytes(shown.evaluate(script)).rstrip(b"\0") == (out / "report.pdf").read_bytes()


def test_the_overlays_are_shown(page: Page) -> None:
    series(page, "overlays").dblclick()
    page.get_by_text("Trabecula overlays").last.wait_for()
    assert len(colour_drawn(page, [])) > 300

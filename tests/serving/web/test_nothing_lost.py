"""What a person did stays: through a login that ended, a look before an upload, a page loaded anew."""

import resource
import sqlite3
import subprocess
import zipfile
from pathlib import Path

import pydicom
import pytest
from playwright.sync_api import Browser, Page, expect

from trabecula.serving.demo import PROTOCOL
from trabecula.virtual.study import header_of, write_dicom
from trabecula.virtual.subject import sample_subject
from trabecula.volume import Volume

from .conftest import PATIENCE_SECONDS, PROGRAM, Server, Start, until
from .test_viewer import AXIAL, point_of

WAIT_MS = 1000 * PATIENCE_SECONDS
PASSWORD = "correct horse battery"


def log_in(page: Page) -> None:
    page.locator("#name").fill("ada")
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def logged_in(server: Server, browser: Browser) -> Page:
    """A page on which Ada is logged in; before her nobody had to."""
    adding = [*PROGRAM, "serve", "--data", str(server.data), "--add-user", "ada"]
    subprocess.run(adding, input=f"{PASSWORD}\n".encode(), check=True)
    page = browser.new_context(viewport={"width": 1400, "height": 950}).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{server.url}/login")
    log_in(page)
    page.wait_for_url(f"{server.url}/")
    return page


def end_logins(server: Server) -> None:
    with sqlite3.connect(server.data / "trabecula.sqlite") as database:
        database.execute("DELETE FROM logins")


def log_in_beside(page: Page, server: Server, link: str) -> None:
    """Follows a link to the login, which opens beside the page."""
    with page.context.expect_page() as opened:
        page.locator(link).click()
    log_in(opened.value)
    opened.value.wait_for_url(f"{server.url}/")


def test_a_login_that_ended_while_choosing_loses_nothing(
    start: Start, browser: Browser, cylinder_nifti: Path, tmp_path: Path
) -> None:
    server = start()
    study = server.upload(cylinder_nifti, label="typed")
    assert server.wait(study) == "done"
    page = logged_in(server, browser)
    page.goto(f"{server.url}/studies/{study}", wait_until="domcontentloaded")
    page.locator("#correct summary").click()
    page.get_by_label("Leave out L2").select_option("fracture")
    end_logins(server)
    page.get_by_role("button", name="Keep as a new version").first.click()
    expect(page.locator("#correct-told")).to_contain_text("Your login has ended", timeout=WAIT_MS)
    assert page.get_by_label("Leave out L2").input_value() == "fracture"
    log_in_beside(page, server, "#correct-told a")
    page.get_by_role("button", name="Keep as a new version").first.click()
    page.wait_for_url("**/versions/2")
    expect(page.locator(".versions")).to_contain_text("L2 was left out")
    page.context.close()


def test_a_login_that_ended_while_outlining_loses_nothing(start: Start, browser: Browser, cylinder_nifti: Path) -> None:
    server = start()
    study = server.upload(cylinder_nifti, label="drawn")
    assert server.wait(study) == "done"
    page = logged_in(server, browser)
    page.goto(f"{server.url}/studies/{study}", wait_until="domcontentloaded")
    page.wait_for_selector("#viewer[data-drawn]")
    page.locator("#vertebrae .jump", has_text="L1").click()
    page.locator("#outline").click()
    page.get_by_role("button", name="Eraser").click()
    bar = page.locator("#outlining")
    whole = bar.get_attribute("data-mm3")
    end_logins(server)
    page.mouse.click(*point_of(page, "L1", AXIAL))  # drawn on after the login has ended
    drawn = bar.get_attribute("data-mm3")
    assert drawn != whole
    page.locator("#keep-outline").click()
    expect(page.locator("#outline-told")).to_contain_text("Your login has ended", timeout=WAIT_MS)
    assert bar.get_attribute("data-mm3") == drawn
    log_in_beside(page, server, "#outline-told a")
    page.locator("#keep-outline").click()
    page.wait_for_url("**/versions/2")
    expect(page.locator(".versions")).to_contain_text("L1 was outlined anew.", timeout=WAIT_MS)
    page.context.close()


def test_choices_outlive_a_page_that_is_loaded_anew(server: Server, browser: Browser, cylinder_nifti: Path) -> None:
    study = server.upload(cylinder_nifti, label="kept")
    assert server.wait(study) == "done"
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{server.url}/studies/{study}", wait_until="domcontentloaded")
    page.locator("#correct summary").click()
    page.get_by_label("Leave out L1").select_option("hardware")
    page.reload(wait_until="domcontentloaded")
    expect(page.get_by_label("Leave out L1")).to_have_value("hardware")
    page.close()


def test_of_two_readers_at_once_the_later_is_told_and_keeps_theirs(
    server: Server, browser: Browser, cylinder_nifti: Path
) -> None:
    study = server.upload(cylinder_nifti, label="both")
    assert server.wait(study) == "done"
    readers = []
    for who, level in (("ada", "L1"), ("bob", "L2")):
        page = browser.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(f"{server.url}/studies/{study}", wait_until="domcontentloaded")
        page.locator("#correct summary").click()
        page.get_by_label(f"Leave out {level}").select_option("fracture")
        page.locator("#by").fill(who)
        readers.append(page)
    first, second = readers
    first.get_by_role("button", name="Keep as a new version").first.click()
    first.wait_for_url("**/versions/2")
    first.evaluate("window.same = true")
    first.wait_for_selector("#files[data-files=ready]", state="attached")  # its files come without another page
    assert first.evaluate("window.same") and first.get_by_role("link", name="All figures, JSON").is_visible()
    second.get_by_role("button", name="Keep as a new version").first.click()
    told = second.get_by_role("alert").filter(has_text="ada has kept version 2 meanwhile")  # a screen reader says it
    expect(told).to_be_visible(timeout=WAIT_MS)
    assert second.get_by_label("Leave out L2").input_value() == "fracture"
    second.get_by_label("Keep mine as a further version all the same").check()
    second.get_by_role("button", name="Keep as a new version").first.click()
    second.wait_for_url("**/versions/3")
    for words in ("L1 was left out (fractured).", "L2 was left out (fractured)."):
        expect(second.locator(".versions")).to_contain_text(words)
    for page in readers:
        page.close()


def test_a_disk_that_is_full_while_a_region_is_kept_loses_nothing(
    server: Server, browser: Browser, cylinder_nifti: Path
) -> None:
    study = server.upload(cylinder_nifti, label="full")
    assert server.wait(study) == "done"
    page = browser.new_page(viewport={"width": 1400, "height": 950})
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{server.url}/studies/{study}", wait_until="domcontentloaded")
    page.wait_for_selector("#viewer[data-drawn]")
    page.locator("#vertebrae .jump", has_text="L1").click()
    page.locator("#outline").click()
    page.get_by_role("button", name="Eraser").click()
    bar = page.locator("#outlining")
    whole = bar.get_attribute("data-mm3")
    page.mouse.click(*point_of(page, "L1", AXIAL))
    drawn = bar.get_attribute("data-mm3")
    assert drawn != whole
    page.locator("#outline-by").fill("ada")
    limit, process = resource.RLIMIT_FSIZE, server.process.pid
    before = resource.prlimit(process, limit)
    resource.prlimit(process, limit, (100, before[1]))  # the server can write no file that is any larger
    try:
        page.locator("#keep-outline").click()
        expect(page.locator("#outline-told")).to_contain_text("disk-full", timeout=WAIT_MS)
    finally:
        resource.prlimit(process, limit, before)
    assert bar.get_attribute("data-mm3") == drawn and server.state(study)["latest"] == 1
    assert not list((server.data / "studies" / study).glob("*labels-2*"))
    page.locator("#keep-outline").click()
    page.wait_for_url("**/versions/2")
    expect(page.locator(".versions")).to_contain_text("L1 was outlined anew.", timeout=WAIT_MS)
    page.close()


@pytest.fixture(scope="module")
def two_studies(cylinder: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies, one of them of two series, and a file that is none."""
    folder = tmp_path_factory.mktemp("dropped")
    for seed in (0, 1):
        write_dicom(cylinder, folder / str(seed), seed=seed, header=header_of(sample_subject(seed), PROTOCOL))
    uid = pydicom.uid.generate_uid()
    (folder / "second").mkdir()
    for path in sorted((folder / "0").iterdir())[:20]:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SeriesNumber = uid, 9
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        dataset.save_as(folder / "second" / path.name)
    (folder / "readme.txt").write_text("no CT")
    return folder


def test_several_studies_are_shown_before_they_are_sent(server: Server, browser: Browser, two_studies: Path) -> None:
    page = browser.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(server.url, wait_until="domcontentloaded")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.locator("#folder").set_input_files(two_studies)
    shown = page.locator("#preview")
    expect(shown).to_contain_text("Studies found: 2", timeout=WAIT_MS)
    several = shown.locator("select", has_text="the program chooses the series")  # of the study with two series
    options = several.locator("option").all_inner_texts()
    assert options[0] == "the program chooses the series" and any("images: 60" in one for one in options)
    assert any(one.startswith("series 9 ·") and "images: 20" in one for one in options)
    several.select_option(label=next(one for one in options if "images: 60" in one))
    page.get_by_role("button", name="Upload (2)").click()
    expect(page.locator("#uploads a")).to_have_count(2, timeout=WAIT_MS)
    sent = [str(link.get_attribute("href")).rpartition("/")[2] for link in page.locator("#uploads a").all()]
    for one in sent:
        assert server.wait(one) == "done"
    until(lambda: all((server.data / "studies" / one / "ct.zip").exists() for one in sent))
    counts = [len(zipfile.ZipFile(server.data / "studies" / one / "ct.zip").namelist()) for one in sent]
    assert counts == [60, 60]  # the series that was chosen, and the other study; neither holds the text file
    page.close()

"""Every language in a real browser: no word is cut off, on a phone and on a desk."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from trabecula.messages import LANGUAGES, messages

from .conftest import PATIENCE_SECONDS, Server

WAIT_MS = 1000 * PATIENCE_SECONDS

# On a phone the cohort's tables may be scrolled.
PARTS = "button, .button, h1, h2, th, td, .badge, .research, .state, .scroll, label, summary"
CUT = """(parts) => [...document.querySelectorAll(parts)]
  .filter((one) => one.checkVisibility() && !one.matches(".shell, .away, :has(.shell)"))
  .filter((one) => innerWidth > 800 || !one.closest(".scroll") || one.closest(".study"))
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== "visible"
    || one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => `${one.tagName}.${one.className}: ${one.textContent.trim().slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def studies(server: Server, cylinder_nifti: Path, not_hounsfield: Path) -> list[str]:
    """One with a result and one that was refused."""
    made = [server.upload(cylinder_nifti, label="spoken"), server.upload(not_hounsfield, label="refused")]
    assert [server.wait(study) for study in made] == ["done", "refused"]
    server.wait_for_files(made[0])
    return [f"/studies/{study}" for study in made]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_is_cut_off_in_any_language(
    browser: Browser, server: Server, studies: list[str], language: str
) -> None:
    told = messages(language)
    done, refused = studies
    with browser.new_context(locale=language) as context:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        for path in ("/", "/cohort", "/tokens", "/login", refused, f"{done}/again", done):
            page.goto(server.url + path, wait_until="domcontentloaded")
            expect(page.locator("html")).to_have_attribute("lang", told["html-language"])
            if path == done:
                page.wait_for_selector("#viewer[data-drawn]")
                page.get_by_text(told["web-correct"], exact=True).click()
                expect(page.get_by_role("button", name=told["web-keep-version"], exact=True)).to_be_visible()
            for width in (390, 1400):
                page.set_viewport_size({"width": width, "height": 950})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                assert page.evaluate(CUT, PARTS) == [], (path, width)

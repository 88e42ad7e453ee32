"""The documentation site is built without a broken link or anchor, and fetches nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make docs`` builds it; strict, so that what is only a warning fails."""
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(made)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return made


def test_every_reader_has_a_page_and_the_root_pages_are_there(site: Path) -> None:
    named = ("radiologist", "radiographer", "researcher", "acceptance", "department", "operations")
    assert [name for name in named if not (site / "guides" / f"{name}.html").is_file()] == []
    for page in ("index.html", "architecture.html", "contributing.html", "changelog.html", "readme.html"):
        assert (site / page).is_file()


def test_files_that_pages_link_to_are_beside_them(site: Path) -> None:
    page = (site / "guides" / "department.html").read_text(encoding="utf-8")
    (link,) = re.findall(r'href="([^"]*rules\.toml[^"]*)"', page)
    assert (site / "guides" / link).resolve().read_bytes() == (ROOT / "deploy" / "rules.toml").read_bytes()


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)="(https?:[^"]*)"')
    found = {
        (path.name, address)
        for path in site.rglob("*.html")
        for address in fetched.findall(path.read_text(encoding="utf-8"))
    }
    assert found == set()

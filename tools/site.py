"""What ``mkdocs`` is told beside mkdocs.yml: pages that stand at the repository's root, and files that pages link to.

A link that leads out of docs/ is followed into the repository: the root's pages are part of the site, other files are
put beside it as they are. What is nowhere stays as it is, and the strict build fails on it.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {
    "README.md": "readme.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?(\))")
BESIDE = "repository"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The root's pages, and every file of the repository that a page links to."""
    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    wanted = {target for source in _sources() for target in _linked(source) if _beside(target)}
    for target in sorted(wanted):
        content = (ROOT / target).read_bytes()
        files.append(File.generated(config, str(_place(target)), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site has them."""
    source = next((one for one, made in ROOT_PAGES.items() if made == page.file.src_uri), f"docs/{page.file.src_uri}")
    here = PurePosixPath(page.file.src_uri).parent

    def moved(found: re.Match[str]) -> str:
        target = _target(source, found[2])
        if target is None:
            return found[0]
        there = os.path.relpath(_place(target), here)
        return f"{found[1]}{there}{found[3] or ''}{found[4]}"

    return LINK.sub(moved, markdown)


def _sources() -> list[str]:
    pages = [str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")]
    return [*ROOT_PAGES, *pages]


def _linked(source: str) -> list[str]:
    text = (ROOT / source).read_text(encoding="utf-8")
    return [target for found in LINK.finditer(text) if (target := _target(source, found[2])) is not None]


def _target(source: str, link: str) -> str | None:
    """What a page's link leads to, from the repository's root; None where there is nothing."""
    path = os.path.normpath(PurePosixPath(source).parent / link)
    return path if not path.startswith("..") and (ROOT / path).exists() else None


def _beside(target: str) -> bool:
    return not target.startswith("docs/") and target not in ROOT_PAGES and (ROOT / target).is_file()


def _place(target: str) -> PurePosixPath:
    """Where a file of the repository stands in the site's sources."""
    if target in ROOT_PAGES:
        return PurePosixPath(ROOT_PAGES[target])
    if target.startswith("docs/"):
        return PurePosixPath(target).relative_to("docs")
    return PurePosixPath(BESIDE, f"{target}.txt")

"""What the design promises and no single part can keep: small files, quick help, a core without torch, live links."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tools").rglob("*.py")])
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAX_FILE_LINES, MAX_FUNCTION_LINES = 450, 60


def modules_after(statement: str) -> set[str]:
    """The top-level packages that a new process has loaded once it ran ``statement``."""
    program = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_help_loads_nothing_heavy() -> None:
    heavy = {"openvino", "highdicom", "matplotlib", "scipy", "torch", "nibabel", "jinja2"}
    assert not heavy & modules_after("import trabecula.serving.cli")


def test_screening_loads_no_torch() -> None:
    loaded = modules_after(
        "import trabecula.screen, trabecula.recipes.niu2023, trabecula.flow.read, trabecula.flow.report"
    )
    assert "numpy" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_what_the_make_targets_of_the_readme_are_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        word
        for page in PAGES
        for call in re.findall(r"`?make ((?:[a-z]+ ?)+)", _commands(page))
        for word in call.split()
    }
    assert {"demo", "check", "test"} <= named <= targets


def _commands(page: Path) -> str:
    """The commands of a page: what stands in shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    return "\n".join(line.partition("#")[0] for block in blocks for line in block.splitlines())

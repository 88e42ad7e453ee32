"""What the design promises and no single part can keep: small files, quick help, a core without torch, live links."""

import ast
import re
import subprocess
import sys
from pathlib import Path

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
    parts = ("line", "recipes", "flow.read", "report.folder", "report.page", "report.figures")
    loaded = modules_after(f"import {', '.join(f'trabecula.{part}' for part in parts)}")
    assert "numpy" in loaded
    assert "torch" not in loaded


def test_files_are_small() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: number for path, number in lines.items() if number > MAX_FILE_LINES} == {}


def test_functions_are_small() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}, {node.end_lineno - node.lineno + 1} lines"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_links_between_pages_lead_somewhere() -> None:
    targets = [(page, to) for page in PAGES for to in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())]
    assert [f"{page.name}: {to}" for page, to in targets if not (page.parent / to).exists()] == []


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

"""The interface for programs: its names, that it is quick to import, and that the examples of its page run."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trabecula
from conftest import write_nifti
from trabecula.anatomy import Level
from trabecula.volume import Volume

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_names_are_those_that_are_promised() -> None:
    assert sorted(trabecula.__all__) == [
        *("Assessment", "Category", "Defect", "Level", "Measurement", "Refusal", "Scan", "TrabeculaError"),
        *("WrongUsage", "__version__", "compare", "load", "read", "screen", "table", "values", "vertebrae", "write"),
    ]
    for name in trabecula.__all__:
        assert getattr(trabecula, name) is not None and name in dir(trabecula)
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = trabecula.nothing_of_ours  # type: ignore[attr-defined]


def test_types_and_source_name_the_same() -> None:
    stub = Path(str(trabecula.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    assert set(re.findall(r" as (\w+)", stub)) == set(trabecula.__all__) - {"__version__"}


def test_the_page_names_every_argument() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("read", "screen", "write", "load", "table"):
        told = re.search(rf"`{name}\(([^`]*)\)`", text)
        assert told is not None
        (made,) = ast.parse(f"def told({told[1]}): ...").body
        assert isinstance(made, ast.FunctionDef)
        assert [one.arg for one in made.args.args] == [*inspect.signature(getattr(trabecula, name)).parameters]


def test_importing_it_loads_nothing_else_of_ours() -> None:
    loaded = "[name for name in sys.modules if name.startswith('trabecula.')]"
    program = f"import sys, trabecula; print(*{loaded}, 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.slow
def test_the_pages_three_examples_run(
    virtual_nifti: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the page's order, in one folder: the third reads what the first wrote."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ct.nii.gz").symlink_to(virtual_nifti)
    write_nifti(Volume(np.full((40, 40, 40), 35, np.float32), np.diag([3.0, 3.0, 3.0, 1.0])), tmp_path / "brain.nii.gz")
    assert len(EXAMPLES) == 3
    told = []
    for number, example in enumerate(EXAMPLES, 1):
        exec(compile(example, f"example {number}", "exec"), {"__name__": "__main__"})
        told.append(capsys.readouterr().out)
    assert "L1" in told[0] and "mg/cm3" in told[0] and (tmp_path / "out/case1/report.html").exists()
    assert told[1].startswith("1 results; {'brain.nii.gz': ")
    assert (tmp_path / "results.csv").read_text().count("\n") == 2
    assert told[2].startswith("case1 ") and told[2].split()[-1] == str(Level.L1)


def test_a_table_has_the_same_columns_in_every_row(cylinder: Volume) -> None:
    from toys.recipes import blocks, classifying
    from trabecula.records import Acquisition, Scan
    from trabecula.volume import Orientation

    scan = Scan(cylinder, Orientation(), Acquisition("nifti"))
    both = [trabecula.screen(scan, recipe) for recipe in (blocks(), classifying())]
    rows = trabecula.table(both)
    assert [row["name"] for row in rows] == ["1", "2"] and list(rows[0]) == list(rows[1])
    assert rows[0]["unit"] == "mg/cm3" and rows[1]["density"] is None
    each = trabecula.table({"a": both[0]}, by="vertebra")
    assert [row["level"] for row in each] == ["T12", "L1", "L2"] and each[0]["mean_hu"] is not None
    with pytest.raises(ValueError, match="'study' or 'vertebra'"):
        trabecula.table(both, by="patient")

"""The program in this process."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from toys.program import Program, Run
from toys.recipes import areal, blocks, classifying, nothing_found
from trabecula.recipes import RECIPES
from trabecula.serving import cli


@pytest.fixture
def trabecula(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    """The program in this process, with toy recipes more: of every kind, and one that finds nothing."""
    known = dict(RECIPES)
    for toy in (blocks(), replace(blocks(nothing_found), name="refusing"), classifying(), areal()):
        RECIPES[toy.name] = toy
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["trabecula", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return Run(ended.value.code, *capsys.readouterr())

    yield run
    RECIPES.clear()  # whatever a test did to them, in their order
    RECIPES.update(known)


@pytest.fixture(scope="module")
def ct(cylinder_nifti: Path) -> Path:
    return cylinder_nifti

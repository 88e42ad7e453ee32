"""Runs the command line as on a machine with torch, numpy, scipy, safetensors, onnx and typer alone.

Every other package that pyproject.toml names is refused at import, so this fails as that machine would.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

BARE = {"torch", "numpy", "scipy", "safetensors", "onnx", "typer", "rich", "pydantic"}  # typer brings the last two
MODULE = {"pillow": "PIL", "pynrrd": "nrrd", "scikit-learn": "sklearn", "python-multipart": "multipart"}


def blocked() -> set[str]:
    """Top-level modules of every dependency, of every extra, but the bare ones."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[><=~! ]", one, maxsplit=1)[0].lower() for one in needs} - BARE - {"trabecula"}
    # torch itself uses these where they are there, and has them among its own dependencies.
    return {MODULE.get(name, name.replace("-", "_")) for name in names} - {"jinja2"}


class Without:
    """A finder of modules that does not find those that are blocked."""

    def __init__(self, finder: Any, names: set[str]) -> None:
        self.finder, self.names = finder, names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return None if name.partition(".")[0] in self.names else self.finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)


if __name__ == "__main__":
    assert {"openvino", "nibabel", "pydicom", "matplotlib", "torchvision", "PIL"} <= blocked()
    sys.meta_path[:] = [Without(finder, blocked()) for finder in sys.meta_path]
    from trabecula.serving.cli import main

    main()

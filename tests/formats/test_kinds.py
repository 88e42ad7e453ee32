"""Paths that are no files: refused before anything is opened, for a pipe or a device would never end."""

import os
import socket
from pathlib import Path

import pytest

from trabecula.errors import WrongUsage
from trabecula.flow.read import read


def code(path: Path) -> str:
    with pytest.raises(WrongUsage) as caught:
        read(path)
    return caught.value.code


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/urandom"])
def test_devices(device: str, tmp_path: Path) -> None:
    (tmp_path / "link.nii.gz").symlink_to(device)
    assert code(Path(device)) == code(tmp_path / "link.nii.gz") == "input-no-file"


def test_a_pipe_and_a_socket(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        assert code(tmp_path / "pipe.dcm") == code(tmp_path / "socket") == "input-no-file"


def test_links_that_lead_nowhere_or_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    assert code(tmp_path / "broken") == code(tmp_path / "circle") == "input-missing"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_names_that_no_file_can_have(name: str) -> None:
    assert code(Path(name)) == "input-missing"

"""What lies in deploy/: as far as it can be held without a container or a running service."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
CONTAINER = DEPLOY / "Containerfile"
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))


def test_the_container_file_passes_hadolint() -> None:
    program = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([program, "--no-color", CONTAINER], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_what_the_container_file_names_is_there() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        assert [name for name in line.split()[:-1] if not (ROOT / name).exists()] == []
    (extras,) = re.findall(r"/source\[([a-z,]+)\]", text)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    tested = (ROOT / "tools" / "apt.sh").read_text(encoding="utf-8")
    of_text = re.findall(r"\b(?:libpango|libharfbuzz|fonts)[\w.-]+", text)
    assert of_text and [name for name in of_text if name not in tested] == []


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_unit(unit: str, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed; Debian has it")
    for path in DEPLOY.glob("trabecula-*"):  # a timer names its service
        text = path.read_text(encoding="utf-8").replace("/opt/trabecula/bin/trabecula", "/bin/true")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    ran = subprocess.run([program, "verify", "--man=no", tmp_path / unit], capture_output=True, text=True)
    ours = [line for line in ran.stderr.splitlines() if "trabecula" in line]
    assert (ran.returncode, ours) == (0, [])


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.endswith(".service")])
def test_the_commands_of_a_service_are_commands_of_ours(unit: str) -> None:
    from typer.main import get_command

    from trabecula.serving.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name, options in re.findall(r"bin/trabecula (\S+)(.*)$", (DEPLOY / unit).read_text(encoding="utf-8"), re.M):
        known = {option for one in commands[name].params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", options)) <= known

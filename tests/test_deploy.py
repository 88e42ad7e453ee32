"""What lies in deploy/: as far as it can be held without a container or a running service."""

import fnmatch
import json
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
GUIDE = ROOT / "docs" / "guides" / "department.md"
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))


def test_the_container_file_passes_hadolint() -> None:
    program = Path(sys.executable).with_name("hadolint")
    ran = subprocess.run([program, "--no-color", CONTAINER], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_what_the_container_file_names_is_there() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    assert [name for name in copied_by_the_container_file() if not (ROOT / name).exists()] == []
    (extras,) = re.findall(r"/source\[([a-z,]+)\]", text)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    tested = (ROOT / "tools" / "apt.sh").read_text(encoding="utf-8")
    of_text = re.findall(r"\b(?:libpango|libharfbuzz|fonts)[\w.-]+", text)
    assert of_text and [name for name in of_text if name not in tested] == []


def copied_by_the_container_file() -> list[str]:
    """What it takes from the source; not what a stage takes from another."""
    text = CONTAINER.read_text(encoding="utf-8")
    return [name for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for name in line.split()[:-1]]


def test_a_build_is_sent_what_the_container_file_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    sent = []
    for name in (path.name for path in ROOT.iterdir()):
        fits = [pattern for pattern in patterns if fnmatch.fnmatch(name, pattern.removeprefix("!"))]
        if fits and fits[-1].startswith("!"):  # the last that fits decides
            sent.append(name)
    assert sorted(sent) == sorted(copied_by_the_container_file())


def test_the_guide_builds_the_image_in_the_format_that_keeps_its_health_check() -> None:
    builds = re.findall(r"podman build .*", GUIDE.read_text(encoding="utf-8") + CONTAINER.read_text(encoding="utf-8"))
    assert len(builds) == 2 and [build for build in builds if "--format docker" not in build] == []


def test_the_group_inside_may_read_the_rules_as_the_guide_installs_them() -> None:
    (group,) = re.findall(r"groupadd --gid (\d+)", CONTAINER.read_text(encoding="utf-8"))
    assert f"install -D -m 0640 -g {group} deploy/rules.toml" in GUIDE.read_text(encoding="utf-8")


def test_a_command_without_a_folder_works_in_the_volume() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    assert re.findall(r"^WORKDIR (.+)$", text, re.M) == re.findall(r"^VOLUME (.+)$", text, re.M)


def test_the_health_check_asks_where_the_shipped_rules_answer() -> None:
    rules = tomllib.loads((DEPLOY / "rules.toml").read_text(encoding="utf-8"))["node"]
    text = CONTAINER.read_text(encoding="utf-8")
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +(\[.+\])$", text, re.MULTILINE)
    assert f"http://127.0.0.1:{rules['health_port']}/health" in json.loads(command)[-1]
    (exposed,) = re.findall(r"^EXPOSE (.+)$", text, re.MULTILINE)
    assert {str(rules["port"]), str(rules["health_port"])} <= set(exposed.split())


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

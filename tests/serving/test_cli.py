"""The command line as a person meets it: exit codes, one clear line for each failure, nothing half-written."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from toys.program import Program, Run
from trabecula.messages import LANGUAGES, messages
from trabecula.recipes import RECIPES
from trabecula.screening import STAGES


def test_a_result(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks")
    assert (ran.code, ran.err) == (0, "")
    assert "Osteopenia: 100.0 mg/cm3 (95% interval 94 to 107), mean of L1 and L2" in ran.out
    assert "Research use only. This result cannot be used to rule out low BMD." in ran.out
    assert "A header said ?[2J." in ran.out and "\x1b" not in ran.out
    assert ran.out.endswith(f"Report: {tmp_path / 'out' / 'report.html'}\n")
    found = json.loads((tmp_path / "out" / "assessment.json").read_text())
    assert [vertebra["level"] for vertebra in found["vertebrae"]] == ["T12", "L1", "L2"]
    assert tuple(found["run"]["seconds"]) == STAGES
    again = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--quiet")
    assert again == Run(0, f"{tmp_path / 'out' / 'report.html'}\n", "")


def test_a_report_in_another_language(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--language", "zh")
    assert ran.code == 0
    assert ran.out.startswith("骨量减少：100.0 mg/cm3（95% 区间 94 至 107），L1 和 L2 的平均值")
    assert "请先核对：NIfTI 文件不记录管电压" in ran.out and "报告：" in ran.out
    english = set(re.findall(r"\b[a-z]{4,}\b", ran.out.split("报告：")[0]))
    assert english <= {"said", "header", "unknown", "acquisition"}  # a code, and what a header says
    assert "骨量减少" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    refused = trabecula("screen", ct, "--out", tmp_path / "no", "--recipe", "blocks", "--language", "tlh")
    assert refused.code == 2
    offered = ", ".join(LANGUAGES)
    assert refused.err == f"Wrong usage [unknown-language]: There is no language 'tlh'. Choose among: {offered}.\n"


def test_a_refusal_in_another_language(trabecula: Program, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    ran = trabecula("screen", tmp_path / "letter.txt", "--out", tmp_path / "out", "--language", "zh")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        "已拒绝 [unknown-format]: 这不是 DICOM、zip、NIfTI 或 NRRD 文件。请提供 CT 序列所在的文件夹或此类文件。\n"
    )


def test_a_bundle_of_another_fhir(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    alone = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--fhir-version", "R5")
    assert (alone.code, "[fhir-version-alone]" in alone.err) == (2, True)
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--fhir", "--fhir-version", "R5")
    assert ran.code == 0
    assert "5.0.0" in (tmp_path / "out" / "fhir.json").read_text()
    refused = trabecula("screen", ct, "--out", tmp_path / "no", "--recipe", "blocks", "--fhir", "--fhir-version", "R9")
    assert (refused.code, refused.err) == (
        2,
        "Wrong usage [unknown-fhir-version]: There is no FHIR 'R9'. Choose among: R4, R5.\n",
    )


def test_a_terminal_sees_how_far_it_is(
    trabecula: Program, ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks")
    assert ran.code == 0
    assert "read" in ran.err and "done" in ran.err
    assert "\x1b" not in ran.out


def test_an_input_that_is_no_ct_is_refused(trabecula: Program, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    ran = trabecula("screen", tmp_path / "letter.txt", "--out", tmp_path / "out")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("Refused [unknown-format]: ") and ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_stage_may_refuse_too(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "refusing")
    assert ran == Run(3, "", "Refused [no-vertebrae-found]: No vertebra was found.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["screen", "{ct}", "--out", "{out}", "--recipe", "homoeopathy"], "unknown-recipe"),
        (["screen", "{ct}", "--out", "{ct}"], "output-unwritable"),
        (["screen", "{ct}", "--out", "{full}"], "output-not-empty"),
        (["screen", "{out}/nowhere", "--out", "{out}"], "input-missing"),
    ],
)
def test_wrong_usage(trabecula: Program, ct: Path, tmp_path: Path, arguments: list[str], code: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    given = [part.format(ct=ct, out=tmp_path / "out", full=tmp_path / "full") for part in arguments]
    ran = trabecula(*given)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"Wrong usage [{code}]: ") and ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert code != "unknown-recipe" or all(name in ran.err for name in RECIPES)


def test_a_command_that_is_not_whole(trabecula: Program) -> None:
    assert trabecula("screen").code == 2
    assert trabecula("scan").code == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_recipes_are_listed_in_each_language(trabecula: Program, language: str) -> None:
    ran = trabecula("recipes", "--language", language)
    text = messages(language)
    about = [text[f"about-{one['recipe']}"] for one in json.loads(trabecula("recipes", "--json").out)]
    assert ran.code == 0 and len(about) > 5 and [told for told in about if told not in ran.out] == []
    assert all(text[f"recipe-{kind}"] in ran.out for kind in ("follows", "measures", "levels"))


def test_recipes_in_a_language_that_is_not_there(trabecula: Program) -> None:
    ran = trabecula("recipes", "--language", "tlh")
    assert (ran.code, ran.out, "unknown-language" in ran.err) == (2, "", True)


def test_help_and_version(trabecula: Program) -> None:
    from trabecula import __version__

    assert trabecula("--version") == Run(0, f"trabecula {__version__}\n", "")
    helped = trabecula("--help")
    assert helped.code == 0 and all(command in helped.out for command in ("screen", "demo", "recipes"))


def test_help_loads_nothing_that_takes_long() -> None:
    program = (
        "import sys; from trabecula.serving.cli import main; sys.argv = ['trabecula', '--help']\n"
        "try: main()\nexcept SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in ran.stderr.split()}
    assert "typer" in loaded
    assert not loaded & {"numpy", "scipy", "openvino", "pydicom", "highdicom", "jinja2", "PIL", "torch", "fastapi"}


def test_ctrl_c_ends_in_a_line_and_without_a_traceback(tmp_path: Path) -> None:
    """Sent to the whole group, as a terminal does, once the workers are at it."""
    program = [sys.executable, "-c", "from trabecula.serving.cli import main; main()"]
    out = tmp_path / "cohort"
    ran = subprocess.Popen(
        [*program, "simulate", "-n", "6", "--out", str(out), "--protocol", "abdomen-thick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(out.glob(".*.part")):
        assert ran.poll() is None
        time.sleep(0.05)
    os.killpg(ran.pid, signal.SIGINT)
    said, errors = ran.communicate()
    assert ran.returncode == 130
    assert "Stopped." in errors and "Traceback" not in said + errors


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        program = [sys.executable, "-c", "from trabecula.serving.cli import main; main()"]
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [*program, "serve", "--data", str(tmp_path / "data"), "--port", port], capture_output=True, text=True
        )
    assert ran.returncode == 2
    assert port in ran.stderr and "in use" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.parametrize("debug", [False, True])
def test_a_defect_of_ours_names_no_patient(debug: bool, ct: Path, tmp_path: Path) -> None:
    program = """
import dataclasses
from trabecula.recipes import RECIPES
from trabecula.serving import cli
def broken(scan):
    raise LookupError("Doe^Jane")
RECIPES["broken"] = dataclasses.replace(RECIPES["house"], localise=broken)
cli.main()
"""
    arguments: list[Any] = ["screen", ct, "--out", tmp_path / "out", "--recipe", "broken", *["--debug"] * debug]
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ("Traceback" in ran.stderr) == debug
    assert list(tmp_path.iterdir()) == []
    if not debug:
        assert "LookupError in trabecula.line, line" in ran.stderr
        assert "Doe" not in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("wrong", "code", "names"),
    [
        (["-n", 0], "nothing-ordered", "order at least one"),
        (["-n", -3], "nothing-ordered", "-3"),
        (["--protocol", "brain"], "unknown-protocol", "abdomen-thick"),
        (["--format", "png"], "unknown-format", "nifti"),
        (["--rescan", "dose"], "unknown-rescan", "kernel"),
        (["--like", "smith1999"], "unknown-publication", "niu2023, fang2021, peng2023, pan2024, yasaka2020"),
        (["--like", "fang2021", "--share", 0], "share-unusable", "above 0 and up to 1"),
        (["--like", "fang2021", "--share", 1.5], "share-unusable", "1.5"),
        (["--like", "fang2021", "-n", 5, "--protocol", "abdomen"], "like-settles-it", "-n, --protocol"),
        (["--like", "fang2021", "--format", "png"], "unknown-format", "nifti"),
        (["--share", 0.5], "share-of-nothing", "--like"),
    ],
)
def test_a_wrong_order_is_told_in_one_line(
    wrong: list[object], code: str, names: str, trabecula: Program, tmp_path: Path
) -> None:
    ran = trabecula("simulate", "--out", tmp_path / "cohort", *wrong)
    assert ran.code == 2
    assert f"[{code}]" in ran.err and names in ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_cohort_does_not_go_where_something_else_lies(trabecula: Program, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    ran = trabecula("simulate", "-n", 1, "--out", tmp_path)
    assert (ran.code, "[output-not-empty]" in ran.err) == (2, True)
    ran = trabecula("simulate", "-n", 1, "--out", tmp_path / "holiday.txt" / "cohort")
    assert (ran.code, "[output-unwritable]" in ran.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]

"""A site's settings as defaults of the command line."""

import json
from pathlib import Path

import pytest

from toys.program import Program


def test_settings_are_defaults_and_the_command_line_comes_first(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    settings = tmp_path / "trabecula.toml"
    settings.write_text('[screen]\nrecipe = "blocks"\nfhir = true\nfhir-version = "R5"\nlanguage = "zh"\n')
    ran = trabecula("--config", settings, "screen", ct, "--out", tmp_path / "out")
    assert ran.code == 0 and ran.out.startswith("骨量减少")
    assert "5.0.0" in (tmp_path / "out" / "fhir.json").read_text()
    over = trabecula("--config", settings, "screen", ct, "--out", tmp_path / "two", "--language", "en")
    assert over.code == 0 and over.out.startswith("Osteopenia")


def test_a_version_of_fhir_in_the_settings_asks_for_no_fhir(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    settings = tmp_path / "trabecula.toml"
    settings.write_text('[screen]\nrecipe = "blocks"\nfhir-version = "R5"\n')
    ran = trabecula("--config", settings, "screen", ct, "--out", tmp_path / "out")
    assert ran.code == 0 and not (tmp_path / "out" / "fhir.json").exists()


@pytest.mark.parametrize(
    ("text", "code", "names"),
    [
        ("[scan]\n", "config-unknown", "screen"),
        ("[screen]\nrecipy = 'house'\n", "config-unknown", "recipe"),
        ("recipe = 'house'\n", "config-unknown", "recipe"),
        ("screen = 1\n", "config-unknown", "[screen]"),
        ("[screen\n", "config-unreadable", "line 1"),
    ],
)
def test_a_slip_in_the_settings_is_told(
    trabecula: Program, ct: Path, tmp_path: Path, text: str, code: str, names: str
) -> None:
    settings = tmp_path / "trabecula.toml"
    settings.write_text(text)
    ran = trabecula("--config", settings, "screen", ct, "--out", tmp_path / "out")
    assert (ran.code, f"[{code}]" in ran.err, names in ran.err) == (2, True, True)
    assert not (tmp_path / "out").exists()


def test_a_result_for_programs(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--json")
    assert (ran.code, ran.err) == (0, "")
    told = json.loads(ran.out)
    assert told == json.loads((tmp_path / "out" / "assessment.json").read_text())
    assert told["check_first"]["code"] == "acquisition-unknown"
    assert told["diagnosis"]["reach"] == ["osteopenia"]


def test_a_refusal_for_programs(trabecula: Program, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear colleague")
    ran = trabecula("screen", tmp_path / "letter.txt", "--out", tmp_path / "out", "--json")
    assert ran.code == 3
    assert json.loads(ran.out)["refused"]["code"] == "unknown-format"


def test_the_report_is_opened(trabecula: Program, ct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda uri: bool(opened.append(uri)))
    ran = trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--open")
    assert opened == [(tmp_path / "out" / "report.html").as_uri()]
    assert "No browser could be opened" in ran.err  # the stand-in says so


def test_the_label_is_printed_and_names_no_file(trabecula: Program, ct: Path, tmp_path: Path) -> None:
    trabecula("screen", ct, "--out", tmp_path / "out", "--recipe", "blocks", "--label", "Ward 3 bed 7")
    assert "Ward 3 bed 7" in (tmp_path / "out" / "report.html").read_text()
    assert "Ward 3" not in (tmp_path / "out" / "assessment.json").read_text()
    assert not [path for path in (tmp_path / "out").rglob("*") if "ward" in path.name.lower()]


@pytest.mark.parametrize(("shell", "word"), [("bash", "--recipe ho"), ("zsh", "--recipe ho")])
def test_a_shell_completes_recipes(shell: str, word: str) -> None:
    import os
    import subprocess
    import sys

    line = f"trabecula screen {word}"
    asked = {"_TRABECULA_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": "3"}
    asked["_TYPER_COMPLETE_ARGS"] = line
    program = "import sys; sys.argv = ['trabecula']; from trabecula.serving.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True)
    assert "house" in ran.stdout, ran.stderr

"""The command line in the user's language: what is wrong with a call, and which language that is."""

import json
import re
from pathlib import Path

import pytest
import typer

from toys.program import Program
from trabecula.flow.calibrate.asynchronous import ControlChart, Profile
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, Phrase, messages
from trabecula.serving.spoken import language_asked
from trabecula.serving.terminal import control_chart
from trabecula.serving.usage import misunderstood

OUT = ["--out", "{here}/out"]
GONE = "{here}/gone"
NO_FILE = Phrase("cause-missing")


def meant(name: str) -> Phrase:
    return Phrase("did-you-mean", {"name": name})


WRONG: dict[str, tuple[list[str], str, dict[str, object]]] = {
    "no path": (["list", ""], "path-empty", {}),
    "no such input": (["screen", GONE, *OUT], "input-missing", {"path": GONE}),
    "no such option": (["screen", "--ou"], "unknown-option", {"name": "--ou", "cure": meant("--out")}),
    "no such command": (["scren"], "unknown-command", {"name": "scren", "cure": meant("screen")}),
    "nothing given": (["demo"], "value-not-given", {"name": "--out"}),
    "no value": (["demo", "--out"], "option-alone", {"option": "--out"}),
    "no number": (["demo", *OUT, "--seed", "x"], "value-unfit", {"name": "--seed", "cause": Phrase("value-whole")}),
    "too little": (
        ["demo", *OUT, "--seed", "-1"],
        "value-unfit",
        {"name": "--seed", "cause": Phrase("value-least", {"limit": "0"})},
    ),
    "too much": (["recipes", "house"], "too-many-arguments", {"extra": "house"}),
    "no cohort": (["evaluate", "house", GONE, *OUT], "cohort-missing", {"given": GONE}),
    "no patients": (["simulate", *OUT, "-n", "0"], "nothing-ordered", {"number": 0}),
    "no plan": (["accept", GONE, *OUT], "plan-unreadable", {"path": GONE, "cause": NO_FILE}),
    "nothing to chart": (["drift", *OUT], "nothing-to-chart", {}),
    "no batch": (["batch", GONE, *OUT], "batch-missing", {"path": GONE}),
    "no phantom": (["calibrate", "{here}", "--phantom", GONE], "phantom-file-unreadable", {"cause": NO_FILE}),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_call_is_told_in_the_language(
    wrong: str, language: str, trabecula: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", f"{language}.UTF-8")
    arguments, key, facts = WRONG[wrong]
    here = str(tmp_path)
    ran = trabecula(*(one.replace("{here}", here) for one in arguments))
    told = {name: one.replace("{here}", here) if isinstance(one, str) else one for name, one in facts.items()}
    said = f"{messages(language)['wrong-usage']} [{key}]: {Phrase(key, told).told(language)}"  # type: ignore[arg-type]
    assert (ran.code, ran.out, ran.err.split("\n")[0]) == (2, "", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_may_be_named_before_the_command_or_in_it(trabecula: Program, language: str) -> None:
    said = f"{messages(language)['wrong-usage']} [path-empty]"
    assert trabecula("--language", language, "list", "").err.startswith(said)
    assert trabecula("list", "", f"--language={language}").err.startswith(said)
    assert said in trabecula("--language", language, "calibrate", "", "--phantom", "p.toml").err


def test_a_path_that_may_not_be_read_is_told_without_typers_words() -> None:
    told = misunderstood(typer.BadParameter("Path '/ct.zip' is not readable.", param_hint="SCAN"))
    cause = Phrase("value-unreadable", {"path": "/ct.zip"})
    assert told is not None and told.phrase == Phrase("value-unfit", {"name": "SCAN", "cause": cause})


def test_where_help_is_stands_below_a_call_that_is_not_understood(trabecula: Program) -> None:
    ran = trabecula("users", "role", "--language", "de")
    assert ran.err.startswith("Falscher Aufruf [unknown-option]: ") and ran.err.endswith("users role --help\n")


@pytest.mark.parametrize(
    ("arguments", "environment", "language"),
    [
        ([], {}, "en"),
        ([], {"LANG": "de_AT.UTF-8"}, "de"),
        ([], {"LANG": "C.UTF-8"}, "en"),
        ([], {"LANG": "zh_CN", "LC_ALL": "es_ES"}, "es"),
        ([], {"LANG": "de_DE", "LC_ALL": "C"}, "en"),
        ([], {"LANG": "de_DE", "LC_MESSAGES": "pl_PL"}, "en"),
        ([], {"LANG": "de_DE", "TRABECULA_LANGUAGE": "zh"}, "zh"),
        (["list", "--language", "es"], {"LANG": "de_DE", "TRABECULA_LANGUAGE": "zh"}, "es"),
        (["list", "--language=es"], {"LANG": "de_DE"}, "es"),
        (["list", "--language", "tlh"], {"LANG": "de_DE"}, "de"),
        (["list", "--language"], {}, "en"),
    ],
)
def test_the_language_is_that_of_the_option_else_of_the_machine(
    arguments: list[str], environment: dict[str, str], language: str
) -> None:
    assert language_asked(arguments, environment) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_control_chart_is_told_in_the_language(language: str) -> None:
    profiles = tuple(Profile(f"2026-01-0{day}", "QRM", 1.0, 2.0, 3.0, 4.0) for day in range(1, 3))
    told = control_chart(ControlChart(profiles, None, None), language)
    assert messages(language)["chart-no-limits"] in told and "2026-01-02" in told
    out = control_chart(ControlChart(profiles, 1.5, (1.2, 1.8)), language)
    assert Phrase("chart-out-of-control", {"low": 1.2, "high": 1.8}).told(language) in out
    assert language == DEFAULT_LANGUAGE or not re.search(r"\b(measured|slope|offset|Limits)\b", told + out)


def test_a_program_is_told_the_same_in_every_language(trabecula: Program, tmp_path: Path) -> None:
    ran = trabecula("screen", tmp_path / "gone", "--out", tmp_path / "out", "--json", "--language", "de")
    assert json.loads(ran.out)["refused"]["message"].startswith("There is no file or folder")
    assert ran.err.startswith("Falscher Aufruf [input-missing]: Es gibt keine Datei")

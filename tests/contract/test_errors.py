"""What every error keeps to, in every language: one line with its code, its own exit code, whole after a pickle."""

import pickle
from dataclasses import replace

import pytest

from trabecula.errors import Refusal, TrabeculaError, WrongUsage, refusal
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, Phrase, messages
from trabecula.recipes import RECIPES
from trabecula.records import Scan, Spine
from trabecula.serving import cli

PHRASE = Phrase("archive-too-large.files", {"number": 7, "most": 5})


def kinds_below(kind: type[TrabeculaError]) -> list[type[TrabeculaError]]:
    return [kind, *(inner for one in kind.__subclasses__() for inner in kinds_below(one))]


KINDS = kinds_below(TrabeculaError)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
every_language = pytest.mark.parametrize("language", LANGUAGES)


def made(kind: type[TrabeculaError]) -> TrabeculaError:
    return kind("some-code", PHRASE.told(), PHRASE)


@every_kind
@every_language
def test_it_is_told_in_one_line_with_its_code(kind: type[TrabeculaError], language: str) -> None:
    line = made(kind).line(language)
    assert line.isprintable()
    assert line == f"{messages(language)[kind.kind]} [some-code]: {PHRASE.told(language)}"


@every_kind
def test_what_a_header_said_can_neither_break_the_line_nor_drive_a_terminal(kind: type[TrabeculaError]) -> None:
    assert kind("some-code", "A header said:\n\x1b[2J\r\u202e.").line().isprintable()


@every_kind
@every_language
def test_without_a_sentence_in_the_language_it_is_told_in_english(kind: type[TrabeculaError], language: str) -> None:
    error = kind("some-code", "Only a command line can cause this.")
    assert error.line(language) == error.line(DEFAULT_LANGUAGE)
    assert made(kind).line("no-such-language") == made(kind).line(DEFAULT_LANGUAGE)


@every_kind
def test_it_comes_back_from_another_process_as_it_was(kind: type[TrabeculaError]) -> None:
    back = pickle.loads(pickle.dumps(made(kind)))
    assert type(back) is kind
    assert [back.line(language) for language in LANGUAGES] == [made(kind).line(language) for language in LANGUAGES]


def test_the_kinds_and_their_exit_codes() -> None:
    codes = {(kind.kind, kind.exit_code) for kind in KINDS}  # a kind of refusal is a refusal
    assert codes == {("failed", 1), ("wrong-usage", 2), ("refused", 3), ("defect", 1)}


@every_kind
@every_language
def test_the_command_line_prints_it_and_ends_with_its_code(
    kind: type[TrabeculaError],
    language: str,
    cylinder_nifti: object,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(scan: Scan) -> Spine:
        raise made(kind)

    monkeypatch.setitem(RECIPES, "failing", replace(RECIPES["house"], localise=fails))
    given = ["screen", str(cylinder_nifti), "--out", f"{tmp_path}/out", "--recipe", "failing", "--language", language]
    monkeypatch.setattr("sys.argv", ["trabecula", *given])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == kind.exit_code
    assert capsys.readouterr() == ("", made(kind).line(language) + "\n")


def test_a_refusal_keeps_its_facts_across_processes() -> None:
    back = pickle.loads(pickle.dumps(refusal("archive-too-large.files", number=7, most=5)))
    assert isinstance(back, Refusal) and not isinstance(back, WrongUsage)
    assert back.code == "archive-too-large"
    assert "7" in back.told("zh") and back.told("zh") != back.told("en")

"""Messages in every language: the same keys, the same facts, and none that nobody says."""

import ast
import re
import tomllib
from pathlib import Path
from string import Formatter

import pytest

from trabecula.anatomy import Level
from trabecula.dicom.planes import LeftOut
from trabecula.messages import DEFAULT_LANGUAGE, FOLDER, LANGUAGES, Phrase, joined, messages, plural_form
from trabecula.recipes import RECIPES, TO_TRAIN
from trabecula.records import Effect, Reason, reason, withholds

SOURCE = Path(__file__).resolve().parents[1] / "src"
TEMPLATES = [SOURCE / "trabecula" / "report" / "templates", SOURCE / "trabecula" / "serving" / "web" / "templates"]
MAKERS = ("reason", "refusal", "wrong_usage", "failure", "defect")
CALLS = [
    (f"{path.relative_to(SOURCE)}:{node.lineno}", node)
    for path in sorted(SOURCE.rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS
]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def words_in_source() -> tuple[set[str], tuple[str, ...]]:
    """Every string written out in the program, and what stands before a value in those that are made: "view-"."""
    nodes = [node for path in SOURCE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    whole = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    heads = {
        node.values[0].value
        for node in nodes
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant)
    }
    return whole, tuple(head for head in heads if re.fullmatch("([a-z]+-)+", str(head)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_stands_in_two_tables(language: str) -> None:
    tables = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    assert sum(map(len, tables.values())) == len(messages(language))


def test_english_chinese_german_and_spanish_are_there() -> None:
    assert {"en", "zh", "de", "es"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_file_of_messages_is_all_that_a_language_takes(language: str) -> None:
    told = reason("cut-by-view", level=Level.UNKNOWN_1).told(language)
    assert messages(language)["level-unnamed"].format(number=1) in told
    assert messages(language)["language-name"] and messages(language)["html-language"].startswith(language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same_with_the_same_facts(language: str) -> None:
    english, other = messages(DEFAULT_LANGUAGE), messages(language)
    assert list(other) == list(english)
    assert {key: placeholders(text) for key, text in other.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {DEFAULT_LANGUAGE}))
def test_nothing_is_left_in_english(language: str) -> None:
    english, other = messages(DEFAULT_LANGUAGE), messages(language)
    # A word or two may be the same in another language, "Patient", and so may the names of the categories.
    same = {text for key, text in english.items() if key.startswith("word-") and other[key] == text}
    words = {
        key: len([word for word in re.findall(r"[^\W\d]+", re.sub(r"{.*?}", "", text)) if word not in same])
        for key, text in english.items()
    }
    assert [key for key in other if other[key] == english[key] and words[key] > 2] == []


def test_every_sentence_is_given_the_facts_it_names() -> None:
    assert len(CALLS) > 250
    given = {place: {keyword.arg for keyword in call.keywords} for place, call in CALLS}
    assert given == {place: placeholders(messages(DEFAULT_LANGUAGE)[key_of(call)]) for place, call in CALLS}


def key_of(call: ast.Call) -> str:
    assert isinstance(call.args[0], ast.Constant)
    return str(call.args[0].value)


ERRORS = ("TrabeculaError", "WrongUsage", "Refusal", "Defect", "BadParameter", "UsageError")
SAID = ("print", "echo", "tell", "told")
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:]? [a-z]{2,}")


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def written(node: ast.expr) -> list[str]:
    """The strings that stand in the code, those with values in them whole."""
    whole = [one for one in ast.walk(node) if isinstance(one, ast.JoinedStr)]
    parts = {id(part) for one in whole for part in one.values}
    alone = [one for one in ast.walk(node) if isinstance(one, ast.Constant) and id(one) not in parts]
    made = ["".join(str(part.value) if isinstance(part, ast.Constant) else "5" for part in one.values) for one in whole]
    return made + [one.value for one in alone if isinstance(one.value, str)]


def literals(source: str, printed: bool) -> list[str]:
    """Sentences written in the code where people read them: given to an error, or printed."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    errors = [one for call in calls if name_of(call) in ERRORS for one in call.args]
    shown = [one for call in calls if printed and name_of(call) in SAID for one in call.args]
    return [text for one in (*errors, *shown) for text in written(one) if SENTENCE.search(text)]


def test_no_sentence_for_people_stands_in_the_code() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): told
        for path in SOURCE.rglob("*.py")
        if (told := literals(path.read_text(), printed="serving" in path.parts))
    }
    # What a site's physicist signs is written in English only.
    assert set(found) <= {"trabecula/serving/accept.py"}, found


@pytest.mark.parametrize(
    "line",
    [
        'raise WrongUsage("path-empty", "A path is empty.")',
        'raise Defect("web-missing", f"Run {name} to go on")',
        'raise typer.BadParameter("no such file")',
        'print(f"{number} studies were screened")',
    ],
)
def test_a_sentence_that_comes_back_is_found(line: str) -> None:
    assert literals(line, printed=True)


def test_every_kind_of_file_left_out_has_its_words() -> None:
    assert {f"left-out-{kind}" for kind in LeftOut} <= set(messages(DEFAULT_LANGUAGE))


def test_every_message_is_said_somewhere() -> None:
    whole, heads = words_in_source()
    pages = "".join(path.read_text() for folder in TEMPLATES for path in folder.glob("*.html"))
    said = whole | set(re.findall(r'"([a-z-]+)"', pages))
    assert [key for key in messages(DEFAULT_LANGUAGE) if key not in said and not key.startswith(heads)] == []


def test_a_reason_is_told_in_each_language() -> None:
    cut = reason("cut-by-view", level=Level.L3)
    assert (cut.code, cut.message) == ("cut-by-view", "L3 is cut by the end of the scan.")
    assert cut.told("en") == cut.message
    assert cut.told("zh") == "L3 被扫描范围的边缘截断。"


def test_a_reason_doubts_unless_it_is_said_to_withhold() -> None:
    doubt, note = reason("oblique", degrees=9.0), reason("lossy-compression", Effect.NOTE)
    cut = reason("cut-by-view", Effect.WITHHOLD, level=Level.L3)
    assert (doubt.effect, note.effect, cut.effect) == (Effect.DOUBT, Effect.NOTE, Effect.WITHHOLD)
    assert withholds((note, doubt, cut)) and not withholds((note, doubt)) and not withholds(())
    assert Reason("any", "A sentence.").effect is Effect.DOUBT


def test_a_variant_keeps_the_code() -> None:
    assert reason("thick-slices.voxels", length_mm=5.0).code == "thick-slices"


def test_lists_nested_phrases_and_unnamed_levels_are_told_too() -> None:
    kinds = (Phrase("left-out-localizer", {"number": 2}), Phrase("left-out-not-ct", {"number": 1}))
    left = reason("files-left-out", kinds=kinds)
    assert left.message.endswith("left out: 2 localizers, 1 not CT.")
    assert left.told("zh") == "以下文件不属于该 CT，未予读取：定位像 2 个、非 CT 图像 1 个。"
    few = reason("too-few-vertebrae", needed=2, levels=("L1", "L2"), measurable=())
    assert few.message.endswith("measurable: none.") and few.told("zh").endswith("可测量：无。")
    assert reason("cut-by-view", level="unknown-3").told("zh").startswith("未定节段 3 ")


def test_what_a_header_says_is_never_read_as_a_placeholder() -> None:
    assert "kernel {0} {x!r} is" in reason("sharp-kernel", kernel="{0} {x!r}").message


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_that_agrees_with_a_number_has_a_form_for_every_number(language: str) -> None:
    told, form = messages(language), plural_form(language)
    forms = 1 + max(form(number) for number in range(200))
    for key, sentence in told.items():
        for _, name, how, _ in Formatter().parse(sentence):
            if name is not None and how and "|" in how:
                assert len(how.split("|")) == forms and not key.startswith("web-js-"), (key, how)


MANY = {
    "en": r"(vertebrae|slices|bodies|studies|images|days|minutes|years|doubts|localizers|pairs|dimensions|bytes"
    r"|patients|of 1 slices (are|were|hold))",
    "de": r"(Schichten|Studien|Bilder|Tage|Minuten|Jahre|Rippenpaare|Dimensionen|Bytes|Patienten"
    r"|von 1 Schichten (fehlen|wurden|haben))",
    "es": r"(vértebras|cortes|cuerpos|estudios|imágenes|días|minutos|años|dudas|localizadores|pares|dimensiones)",
}
NEVER_ONE = {"several-images", "several-studies"}


@pytest.mark.parametrize("language", MANY)
def test_one_of_anything_is_told_as_one(language: str) -> None:
    told = messages(language)
    limits = dict.fromkeys(("most", "least", "seconds"), 9)
    said = [
        Phrase(key, dict.fromkeys(placeholders(told[key]), 1) | limits).told(language) for key in set(told) - NEVER_ONE
    ]
    assert [one for one in said if re.search(rf"(?<!of )(?<!von )(?<!de )\b1 (\w+ )?{MANY[language]}\b", one)] == []


def test_words_agree_with_numbers_and_with_lists() -> None:
    needs = {number: reason("too-few-vertebrae", needed=number, levels=("L1",), measurable=()) for number in (1, 2)}
    assert "needs 1 measurable vertebra among" in needs[1].message and "2 measurable vertebrae" in needs[2].message
    assert "requiere 1 vértebra medible entre" in needs[1].told("es") and "1 messbaren" in needs[1].told("de")
    one, three = (Phrase("change-confirmed", {"levels": joined(levels)}) for levels in (("L1",), ("T12", "L1", "L2")))
    assert str(one) == "L1 was confirmed as the right name"
    assert three.told("es") == "se confirmaron los nombres de T12, L1 y L2"


def test_no_probability_is_told_as_certain() -> None:
    found = {share: reason("level-uncertain", probability=share) for share in (0.001, 0.6, 0.9996)}
    assert "(probability under 1%)" in found[0.001].message and "(probability 60%)" in found[0.6].message
    assert "概率 超过 99%" in found[0.9996].told("zh")
    said = [text for code in LANGUAGES for text in messages(code).values()]
    assert [text for text in said if "{probability:." in text] == []


def test_a_language_of_three_forms_is_a_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = "n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2"
    polish = (
        f"""[web]\nplural-form = "{rule}"\nfound = "{{number}} {{number:kość|kości|kości}}: {{number:ma|mają|ma}}"\n"""
    )
    (tmp_path / "pl.toml").write_text(polish, encoding="utf-8")
    monkeypatch.setattr("trabecula.messages.FOLDER", tmp_path)
    told = [Phrase("found", {"number": number}).told("pl") for number in (1, 3, 5, 12, 22)]
    assert told == ["1 kość: ma", "3 kości: mają", "5 kości: ma", "12 kości: ma", "22 kości: mają"]


def test_every_recipe_is_described() -> None:
    described = {key.removeprefix("about-") for key in messages("en") if key.startswith("about-")}
    assert described == set(RECIPES) | set(TO_TRAIN)


def test_what_the_readme_calls_things_on_the_page_they_are_called_there() -> None:
    section = (SOURCE.parent / "README.md").read_text().partition("## The web page")[2].partition("\n## ")[0]
    named = re.findall(r"\*([A-Z][^*]+|with a doubt)\*", section.partition("| screen |")[2])
    told = set(messages("en").values())
    assert len(named) >= 12 and [name for one in named for name in [one] if name not in told] == []

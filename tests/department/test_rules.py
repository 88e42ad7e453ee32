"""The rules file: what is wrong in it is told by line, key and cure; series are let through as it says."""

from dataclasses import replace
from pathlib import Path

import pytest

from trabecula.department.facts import SeriesFacts, followed, lets_through, never_screened
from trabecula.department.rules import Rules, read_rules
from trabecula.errors import WrongUsage

EXAMPLE = Path(__file__).parents[2] / "deploy" / "rules.toml"
SERIES = SeriesFacts((Path("a"), Path("b")), 100, 2.5, "b40f", "abdomen", ("ct abdomen",), 67.0, None)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return read_rules(EXAMPLE)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('recipe = "house"', 'recipe = "hose"', "rule[1].recipe: there is no recipe 'hose'; did you mean 'house'?"),
        ('destinations = ["pacs"]', 'destinations = ["pax"]', "rule[1].destinations: there is no destination 'pax'"),
        (
            'senders = ["CT1", "PACS"]',
            'senders = ["CT2"]',
            "rule[1].senders: there is no peer or source 'CT2'; did you mean 'CT1'?",
        ),
        (
            "slice_thickness_mm_most = 5.0",
            "slice_thicknes_mm_most = 5.0",
            "rule[2].slice_thicknes_mm_most: this key is",
        ),
        (
            "slice_thickness_mm_most = 3.0",
            'slice_thickness_mm_most = "3"',
            "rule[1].slice_thickness_mm_most: a number is needed.",
        ),
        ("quiet_seconds = 60.0", "quiet_seconds = 0.0", "node.quiet_seconds: a number above 0 is needed."),
        ('addresses = ["10.20.30.0/24"]', 'addresses = ["10.20.30"]', "peer[1].addresses: '10.20.30' is no address"),
        ('title = "CT1"', 'title = "A TITLE OF SEVENTEEN"', "peer[1].title: at most 16 letters fit here."),
        ("undetermined = false", "undetermined = maybe", "is no TOML"),
        (
            'language = "en"',
            'language = "fr"',
            "node.language: there is no language 'fr'; choose among: de, en, es, zh.",
        ),
        (
            'answer = ["sr"]',
            'answer = ["sr", "fhir"]',
            "rule[2].answer[2]: only these are possible here: 'seg', 'sr', 'pdf', 'capture'.",
        ),
        ("[retry]", "[rety]", "rety: this key is not known; did you mean 'retry'?"),
    ],
)
def test_a_mistake_is_told_with_line_key_and_cure(tmp_path: Path, before: str, after: str, said: str) -> None:
    text = EXAMPLE.read_text()
    assert text.count(before) == 1
    line = text[: text.index(before)].count("\n") + 1
    (tmp_path / "rules.toml").write_text(text.replace(before, after))
    with pytest.raises(WrongUsage) as refused:
        read_rules(tmp_path / "rules.toml")
    assert refused.value.code == "rules-wrong"
    assert refused.value.message.startswith(f"rules.toml, line {line}")
    assert said in refused.value.message


@pytest.mark.parametrize(("table", "key"), [("peer", "title"), ("destination", "name"), ("rule", "name")])
def test_a_name_given_twice_is_told(tmp_path: Path, table: str, key: str) -> None:
    text = EXAMPLE.read_text()
    first = text[text.index(f"[[{table}]]") :]
    first = first[: first.index("\n\n")]
    (tmp_path / "rules.toml").write_text(f"{text}\n{first}\n")
    with pytest.raises(WrongUsage, match=f"{table}.*{key}: {table}.{key} '.*' is given twice; each needs its own"):
        read_rules(tmp_path / "rules.toml")


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[[peer]]\ntitle = "A"\n[[destination]]\nname = "x"\n[[rule]]\nname = "r"\n')
    with pytest.raises(WrongUsage, match=r"line 3, destination\[1\]: give either title, host and port"):
        read_rules(tmp_path / "rules.toml")


SOURCE = '[[source]]\nname = "archive"\ndicomweb = "https://pacs.example.org/dicom-web"\n'


def test_a_source_is_a_sender_for_the_rules(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace('senders = ["CT1", "PACS"]', 'senders = ["archive"]')
    (tmp_path / "rules.toml").write_text(f"{text}\n{SOURCE}")
    rules = read_rules(tmp_path / "rules.toml")
    found = followed(rules, "archive", [SERIES])
    assert found is not None and found.rule.name == "abdomen and chest, thin"
    commented = [line.removeprefix("# ") for line in EXAMPLE.read_text().splitlines()]
    first = commented.index(next(line for line in commented if line.startswith("[[source]]")))
    shown = "\n".join(commented[first : commented.index("", first)])
    (tmp_path / "rules.toml").write_text(f"{EXAMPLE.read_text()}\n{shown}\n")
    assert read_rules(tmp_path / "rules.toml").source[0].days == 2


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (SOURCE.replace("archive", "CT1"), "source[1].name: 'CT1' is the title of a peer"),
        (2 * SOURCE, "source[2].name: source.name 'archive' is given twice"),
        (
            f"{SOURCE}every_second = 5.0\n",
            "source[1].every_second: this key is not known; did you mean 'every_seconds'?",
        ),
        (
            f'{SOURCE.replace("https", "http")}tls.ca = "ca.pem"\n',
            "source[1]: tls is given, so dicomweb has to begin with https.",
        ),
    ],
)
def test_what_is_wrong_with_a_source_is_told(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "rules.toml").write_text(f"{EXAMPLE.read_text()}\n{written}")
    with pytest.raises(WrongUsage) as refused:
        read_rules(tmp_path / "rules.toml")
    assert said in refused.value.message


def test_nothing_that_could_come_is_told(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    peers = text[text.index("[[peer]]") : text.index("# [[source]]")]
    bare = text.replace(peers, "").replace('senders = ["CT1", "PACS"]\n', "")
    (tmp_path / "rules.toml").write_text(bare)
    with pytest.raises(WrongUsage, match="nothing could come"):
        read_rules(tmp_path / "rules.toml")


def test_the_first_rule_that_fits_is_followed(rules: Rules) -> None:
    found = followed(rules, "CT1", [SERIES])
    assert found is not None and found.rule.name == "abdomen and chest, thin"
    thick = replace(SERIES, slice_thickness_mm=5.0)
    found = followed(rules, "CT1", [thick, SERIES])
    assert found is not None and found.rule.name == "abdomen and chest, thin"
    found = followed(rules, "CT1", [thick])
    assert found is not None and found.rule.name == "what is left, for research"
    assert followed(rules, "CT1", [replace(SERIES, slice_thickness_mm=8.0)]) is None


@pytest.mark.parametrize(
    "other",
    [
        replace(SERIES, slice_thickness_mm=None),
        replace(SERIES, kernel="b70f"),
        replace(SERIES, body_part="head"),
        replace(SERIES, age_years=49.0),
        replace(SERIES, age_years=None),
        replace(SERIES, slices=2),
    ],
)
def test_what_a_rule_does_not_let_through(rules: Rules, other: SeriesFacts) -> None:
    assert lets_through(rules.rule[0], SERIES)
    assert not lets_through(rules.rule[0], other)


def test_what_is_never_screened(rules: Rules) -> None:
    assert never_screened(rules.never, "CT1", [SERIES]) == ""
    assert never_screened(rules.never, "CT1", [replace(SERIES, age_years=12.0)]) == "never-age"
    assert never_screened(rules.never, "CT1", [replace(SERIES, descriptions=("daily qa",))]) == "never-description"


def test_addresses_and_networks(rules: Rules) -> None:
    scanner = rules.peer[0]
    assert scanner.at("10.20.30.77")
    assert scanner.at("::ffff:10.20.30.77")
    assert not scanner.at("10.20.31.1")
    assert not scanner.at("fe80::1%eth0")


def test_pauses_grow_to_a_limit(rules: Rules) -> None:
    assert [rules.retry.after(tries) for tries in (1, 2, 3, 8, 9, 1000)] == [5, 10, 20, 640, 900, 900]

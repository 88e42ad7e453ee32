"""Writes docs/reasons.md: every reason code in the source, with what it says. ``--check`` only compares.

What each says is looked up in the message files: a sentence in the code would be in one language only.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reasons.md"
MAKERS = [ROOT / "src" / "trabecula" / name for name in ("records/__init__.py", "errors.py", "studies/sentences.py")]
ENGLISH = tomllib.loads((ROOT / "src" / "trabecula" / "messages" / "en.toml").read_text(encoding="utf-8"))
WEB = {key.removeprefix("web-"): text for key, text in ENGLISH["web"].items()}
MESSAGES = {
    "reason": ENGLISH["reasons"],
    "refusal": ENGLISH["refusals"],
    "wrong_usage": ENGLISH["usage"],
    "failure": ENGLISH["failures"],
    "defect": ENGLISH["defects"],
    "wrong": WEB,
    "cannot": WEB,
}
RAISED = {
    "refusal": "Refusal",
    "wrong_usage": "WrongUsage",
    "failure": "TrabeculaError",
    "defect": "Defect",
    "wrong": "WrongUsage",
    "cannot": "TrabeculaError",
}
MADE_BY = {RAISED[name]: name for name in ("refusal", "wrong_usage", "failure", "defect")} | {"Reason": "reason"}
OUTCOMES = {
    "Refusal": "Refused: no result, exit code 3",
    "WrongUsage": "Wrong usage: exit code 2",
    "Defect": "A defect of ours: exit code 1",
    "TrabeculaError": "The machine cannot: exit code 1",
    "reason": "Noted in the result, on the whole of it or on one vertebra",
}


def main() -> int:
    """Write the page, or with ``--check`` say whether it is up to date."""
    page = render()
    if sys.argv[1:] == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == page:
            return 0
        print("docs/reasons.md is not what the source says: run make format", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page)
    return 0


def render() -> str:
    """The page as Markdown."""
    found: dict[str, dict[str, set[str]]] = {outcome: defaultdict(set) for outcome in OUTCOMES}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for outcome, code, said in reasons(ast.parse(path.read_text()), path):
            found[outcome][code].add(said)
    parts = [
        "# Reason codes",
        "",
        "Made from the source by `make format`; an ellipsis stands for a value. Codes are stable, sentences are not.",
    ]
    for outcome, heading in OUTCOMES.items():
        if found[outcome]:
            parts += ["", f"## {heading}", "", "| code | says |", "| --- | --- |"]
            parts += [f"| `{code}` | {'<br>'.join(sorted(said))} |" for code, said in sorted(found[outcome].items())]
    return "\n".join(parts) + "\n"


def reasons(tree: ast.AST, path: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, code and sentence of every reason raised or noted in a module.

    Raises:
        SystemExit: a code is not written out where it is used, so that nobody could search for it; or a reason is
            made without the message files, so that nobody could read it in another language.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id in MADE_BY:
            if path in MAKERS:
                continue
            maker = MADE_BY[node.func.id]
            sys.exit(f"{path}:{node.lineno}: write {maker}(key, ...) and the sentence into messages/*.toml")
        if node.func.id not in MESSAGES:
            continue
        key = node.args[0] if node.args else None
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
            sys.exit(f"{path}:{node.lineno}: write the reason code out as a plain string")
        told = MESSAGES[node.func.id]
        if key.value not in told:
            sys.exit(f"{path}:{node.lineno}: messages/en.toml has no sentence for {key.value}")
        yield RAISED.get(node.func.id, node.func.id), key.value.partition(".")[0], escaped(shown(told[key.value]))


def shown(sentence: str) -> str:
    """A sentence without its facts; of words that agree with a number, the last, which most numbers take."""
    return re.sub(r"{(?:[^}]*\|([^}]*)|.*?)}", lambda found: found.group(1) or "...", sentence)


def escaped(words: str) -> str:
    """Words as they may stand in a table of Markdown."""
    return words.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())

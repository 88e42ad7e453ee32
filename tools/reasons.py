"""Writes docs/reasons.md: every reason code in the source, with what it says. ``--check`` only compares.

What the message files tell is looked up there; what only a command line can cause stands where it is raised.
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
MESSAGES = {"reason": ENGLISH["reasons"], "refusal": ENGLISH["refusals"], "wrong": WEB, "cannot": WEB}
MESSAGES["wrong_usage"] = ENGLISH["terminal"]
RAISED = {"refusal": "Refusal", "wrong": "WrongUsage", "wrong_usage": "WrongUsage", "cannot": "TrabeculaError"}
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
        if path in MAKERS:
            continue
        if node.func.id == "Reason":
            sys.exit(f"{path}:{node.lineno}: write reason(key, ...) and the sentence into messages/*.toml")
        if node.func.id not in (*OUTCOMES, *MESSAGES):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords} | dict(
            zip(("key",) if node.func.id in MESSAGES else ("code", "message"), node.args, strict=False)
        )
        code = given.get("key", given.get("code"))
        if not (isinstance(code, ast.Constant) and isinstance(code.value, str)):
            sys.exit(f"{path}:{node.lineno}: write the reason code out as a plain string")
        told = MESSAGES.get(node.func.id)
        outcome = RAISED.get(node.func.id, node.func.id)
        if told is None:
            yield outcome, code.value, sentence(given.get("message"))
        elif code.value in told:
            yield outcome, code.value.partition(".")[0], escaped(shown(told[code.value]))
        else:
            sys.exit(f"{path}:{node.lineno}: messages/en.toml has no sentence for {code.value}")


def sentence(message: ast.expr | None) -> str:
    """The words of a string or an f-string, an ellipsis for each value; empty where it is made elsewhere."""
    if isinstance(message, ast.Constant):
        words = str(message.value)
    elif isinstance(message, ast.JoinedStr):
        words = "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in message.values)
    else:
        words = "*(made of parts)*"
    return escaped(words)


def shown(sentence: str) -> str:
    """A sentence without its facts; of words that agree with a number, the last, which most numbers take."""
    return re.sub(r"{(?:[^}]*\|([^}]*)|.*?)}", lambda found: found.group(1) or "...", sentence)


def escaped(words: str) -> str:
    """Words as they may stand in a table of Markdown."""
    return words.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())

"""Puts every file of messages into the order of en.toml; ``--check`` only compares. What lacks a sentence is listed.

A sentence is translated by a line anywhere in its table; comments stand at the top.
"""

import re
import sys
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "src" / "trabecula" / "messages"
LINE = re.compile(r'"?([A-Za-z0-9_.-]+)"? = ')


def main() -> int:
    """Write the files, or say which are not in order; 1 where a language lacks a sentence or is out of order."""
    english = (FOLDER / "en.toml").read_text(encoding="utf-8")
    bad = 0
    for path in sorted(FOLDER.glob("*.toml")):
        own = path.read_text(encoding="utf-8")
        ordered, missing = in_order(english, own)
        bad += len(missing)
        for key in missing:
            print(f"{path.name} lacks {key}", file=sys.stderr)
        if ordered == own:
            continue
        if sys.argv[1:] == ["--check"]:
            bad += 1
            print(f"{path.name} is not in the order of en.toml: run make format", file=sys.stderr)
        else:
            path.write_text(ordered, encoding="utf-8")
    return int(bad > 0)


def in_order(english: str, own: str) -> tuple[str, list[str]]:
    """A language's file with its own sentences at the places of the English ones, and the keys that it lacks."""
    lines = {found.group(1): line for line in own.split("\n") if (found := LINE.match(line))}
    tables = tomllib.loads(own)
    assert sum(map(len, tables.values())) == len(lines), "a sentence takes one line"
    top = own[: own.index("[")]
    made, missing = [], []
    for line in english[english.index("[") :].split("\n"):
        found = LINE.match(line)
        if found is None:
            made.append(line)
        elif found.group(1) in lines:
            made.append(lines[found.group(1)])
        else:
            missing.append(found.group(1))
    return top + "\n".join(made), missing


if __name__ == "__main__":
    sys.exit(main())

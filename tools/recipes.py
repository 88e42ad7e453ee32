"""Writes src/trabecula/recipes/listing.json, which ``trabecula recipes`` shows. ``--check`` only compares."""

import json
import sys

from trabecula.recipes.listing import LISTING, listing


def main() -> int:
    """Write the list, or with ``--check`` say whether it is up to date."""
    text = json.dumps(listing(), indent=1, ensure_ascii=False) + "\n"
    if sys.argv[1:] == ["--check"]:
        if LISTING.exists() and LISTING.read_text(encoding="utf-8") == text:
            return 0
        print("recipes/listing.json is not what the recipes say: run make format", file=sys.stderr)
        return 1
    LISTING.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

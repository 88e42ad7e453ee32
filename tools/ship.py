"""Puts trained weights where Trabecula has its own: python tools/ship.py RUN/weights [NAME ...]

Copies the ONNX files and their manifest entries; those of other names stay as they are.
"""

import json
import shutil
import sys
from pathlib import Path

from trabecula.weights import FOLDER, MANIFEST


def main() -> None:
    """Copies what is named, or all there is."""
    source = Path(sys.argv[1])
    made, shipped = (json.loads((folder / MANIFEST).read_text(encoding="utf-8")) for folder in (source, FOLDER))
    for name in sys.argv[2:] or list(made):
        shutil.copy(source / made[name]["file"], FOLDER / made[name]["file"])
        shipped[name] = made[name]
        print(f"{name}: {made[name]['bytes'] / 1e6:.2f} MB")
    text = json.dumps(shipped, indent=1, sort_keys=True) + "\n"
    (FOLDER / MANIFEST).write_text(text, encoding="utf-8")
    print(f"{sum(path.stat().st_size for path in FOLDER.glob('*.onnx')) / 1e6:.1f} MB in all")


if __name__ == "__main__":
    main()

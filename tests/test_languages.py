"""The order of the files of messages."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[1] / "tools" / "languages.py"


def test_every_file_of_messages_is_whole_and_in_the_order_of_the_english_one() -> None:
    ran = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")

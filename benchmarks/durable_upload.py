"""What it costs that an upload is safe on the disk before it is acknowledged: seconds from its first byte to its last.

    PYTHONPATH=src python benchmarks/durable_upload.py --files 300 --kib 514 --runs 7

Each run takes one upload through the server's own receiver twice, in turns: as it is, and with fsync left out. The
folder is on the disk that TMPDIR names.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

from trabecula.serving.web.uploads import receive
from trabecula.studies.folders import Folders
from trabecula.studies.orders import Limits
from trabecula.studies.store import Upload
from trabecula.studies.tables import Study

PIECE_BYTES = 65536
"""As uvicorn hands them on."""


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--kib", type=int, default=514)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    body = body_of(asked.files, asked.kib * 1024)
    found: dict[str, list[float]] = {"safe_s": [], "not_safe_s": []}
    for _ in range(asked.runs):
        for name, values in found.items():
            values.append(seconds(body, safe=name == "safe_s"))
    told = {name: [round(one(values), 2) for one in (min, statistics.median, max)] for name, values in found.items()}
    print(json.dumps({**vars(asked), **told, "load": round(os.getloadavg()[0], 1)}))


def body_of(files: int, size: int) -> bytes:
    """A multipart upload of so many files."""
    head = '--xyz\r\nContent-Disposition: form-data; name="files"; filename="a.dcm"\r\n\r\n'
    return b"".join(head.encode() + os.urandom(size) + b"\r\n" for _ in range(files)) + b"--xyz--\r\n"


def seconds(body: bytes, safe: bool) -> float:
    """How long one upload takes, its files already in memory."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), PIECE_BYTES):
            yield body[start : start + PIECE_BYTES]

    def enqueue(upload: Upload) -> Study:
        return Study(id=upload.id)

    with tempfile.TemporaryDirectory() as made:
        folders = Folders(Path(made))
        folders.prepare()
        os.sync()  # what others have left to write
        started = time.monotonic()
        taken = receive("multipart/form-data; boundary=xyz", 0, pieces(), folders, Limits(), lambda told: None, enqueue)
        if safe:
            asyncio.run(taken)
        else:
            with mock.patch("os.fsync"):
                asyncio.run(taken)
        return time.monotonic() - started


if __name__ == "__main__":
    main()

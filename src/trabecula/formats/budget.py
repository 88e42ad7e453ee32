"""What reading one input may cost beyond the volume itself, counted as it grows by whoever reads a part of it."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

from trabecula.errors import Refusal, refusal
from trabecula.formats.scratch import scratch_folder

MEMORY_BYTES = 512 * 2**20
HEADER_BYTES = 128 * 2**10
"""Parsed headers of an ordinary slice stay below this; a folder of many honest files may hold so much for each."""

FREE_PARTS, PARTS_PER_FILE, BYTES_PER_PART = 100_000, 2_000, 256
"""Reads that parsing headers may take: two or three an element, 200 to 400 an ordinary slice. Of the many frames of an
enhanced CT each takes as many, but brings its pixels with it: one read for so many bytes of the files."""

CPU_SECONDS, CPU_SECONDS_PER_FILE = 20.0, 0.02
"""What parsing headers may take at last, whatever it is that takes so long: an ordinary slice takes 2 ms."""

DISK_BYTES = 4 * 2**30
RATIO_FREE_BYTES, MAX_RATIO = 256 * 2**20, 50
"""CTs pack 2 to 20 to 1, for they are noisy; deflated zeros, of which bombs are made, 1030 to 1."""


class OverBudget(Refusal):
    """The input as a whole is refused: going on with its other files would cost more still."""


class Budget:
    """Memory, time and temporary disk of one input.

    Memory is what the process really holds, so that no library can take it unseen; where the system does not tell,
    only what is unpacked is counted. Time is that of the reading thread at work, so that a slow disk costs nothing.
    """

    def __init__(
        self,
        files: int = 1,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
        seconds: float = CPU_SECONDS,
    ) -> None:
        self._memory_bytes, self._disk_bytes, self._seconds = memory_bytes, disk_bytes, seconds
        self._files = files
        self._volume_bytes = 0
        self._resident_bytes = resident_bytes()
        self._started = time.thread_time()
        self._folder = ExitStack()
        self._scratch: Path | None = None
        self._files_made = 0
        self._packed = self._unpacked = self._on_disk = 0
        self._parts = self._opened_bytes = 0
        self._archive_bytes: int | None = None

    def __enter__(self) -> "Budget":
        return self

    def __exit__(self, *raised: object) -> None:
        self._folder.close()

    def temporary_file(self) -> Path:
        """A path for a temporary file, gone with the budget's ``with``.

        Raises:
            WrongUsage: the disk of temporary files is full.
        """
        if self._scratch is None:
            self._scratch = self._folder.enter_context(scratch_folder())
        self._files_made += 1
        return self._scratch / f"{self._files_made:06d}"

    def expect_files(self, number: int) -> None:
        """An input of many files may take more time, and memory for their headers."""
        self._files = max(self._files, number)

    def expect_volume(self, number_bytes: int) -> None:
        """The volume itself is not counted."""
        self._volume_bytes += number_bytes

    def expect_headers(self, number_bytes: int) -> None:
        """A file of so many bytes is opened, whose headers will be read."""
        self._opened_bytes += number_bytes

    def inside_archive(self, number_bytes: int) -> None:
        """All files come out of an archive of so many bytes: headers that pack well count no more than that."""
        self._archive_bytes = number_bytes

    def parts(self, number: int) -> None:
        """So many reads were taken by headers.

        Raises:
            OverBudget: more than the headers of any CT take.
        """
        self._parts += number
        size = self._opened_bytes if self._archive_bytes is None else min(self._opened_bytes, self._archive_bytes)
        if self._parts > FREE_PARTS + PARTS_PER_FILE * self._files + size / BYTES_PER_PART:
            raise _over(refusal("too-large.parts"))

    def packed(self, number_bytes: int) -> None:
        """So many bytes of a compressed stream were taken in."""
        self._packed += number_bytes

    def unpacked(self, number_bytes: int) -> None:
        """So many came out of it.

        Raises:
            OverBudget: more than any CT gives.
        """
        self._unpacked += number_bytes
        if self._unpacked > max(RATIO_FREE_BYTES, MAX_RATIO * self._packed):
            raise _over(refusal("too-large.ratio", ratio=self._unpacked / max(self._packed, 1)))

    def on_disk(self, number_bytes: int) -> None:
        """So many bytes were written to temporary files.

        Raises:
            OverBudget: more than one study takes.
        """
        self._on_disk += number_bytes
        if self._on_disk > self._disk_bytes:
            raise _over(refusal("archive-too-large.bytes", limit_gib=self._disk_bytes / 2**30))

    def check(self) -> None:
        """Compare what was counted, memory held and time spent with what is allowed.

        Raises:
            OverBudget: one of them is used up.
        """
        self.parts(0)
        allowed = max(self._memory_bytes, HEADER_BYTES * self._files)
        if resident_bytes() - self._resident_bytes > allowed + self._volume_bytes:
            raise _over(refusal("too-large.memory", limit_mib=allowed / 2**20))
        seconds = self._seconds + CPU_SECONDS_PER_FILE * self._files
        if time.thread_time() - self._started > seconds:
            raise _over(refusal("too-slow", seconds=seconds))


def _over(made: Refusal) -> OverBudget:
    return OverBudget(made.code, made.message, made.phrase)


def resident_bytes() -> int:
    """What this process holds in memory; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

"""The bytes of a file from front to back, plain or gzip whatever its name says; checksums are always verified."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from trabecula.errors import refusal
from trabecula.formats.budget import Budget
from trabecula.records import Reason, reason
from trabecula.volume import Float32

GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 2**20
BLOCK_BYTES = 2**24
"""Numbers are converted in blocks of this size, so that no second volume is held beside the one that is filled."""

BLOCK_OF_TAPE_BYTES = 512
MAX_TRAILING_BYTES = 2**20
"""What may follow the declared numbers: some programs fill up their last block."""


class Stream:
    """Reads forward only. Of gzip every member is read, and each one's checksum and length compared with its end."""

    def __init__(self, file: BinaryIO, budget: Budget, compressed: bool) -> None:
        self._file, self._budget, self._compressed = file, budget, compressed
        self._inflater: Any = None
        self._packed = b""
        self.position = 0

    def read(self, number: int) -> bytes:
        """So many bytes, fewer at the end.

        Raises:
            zlib.error: gzip data are damaged, or their checksum is another one.
            EOFError: gzip data end early.
        """
        parts, wanted = [], number
        while wanted > 0 and (part := self._some(wanted)):
            parts.append(part)
            wanted -= len(part)
        read = b"".join(parts)
        self.position += len(read)
        return read

    def exactly(self, number: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: there are fewer.
        """
        read = self.read(number)
        if len(read) != number:
            raise EOFError("cut short")
        return read

    def skip(self, number: int) -> None:
        """Pass over so many bytes."""
        while number > 0:
            number -= len(self.exactly(min(number, CHUNK_BYTES)))

    def finish(self) -> int:
        """Read to the end, so that the last checksum is verified too; returns how many bytes are too many.

        Zeros that fill the last block of 512 bytes are not: some programs and all tapes write them.

        Raises:
            Refusal: much more follows than the header declares.
        """
        trailing, empty = 0, True
        while part := self.read(CHUNK_BYTES):
            trailing += len(part)
            empty = empty and not any(part)
            if trailing > MAX_TRAILING_BYTES:
                raise refusal("too-large.unpacked")
        return 0 if empty and self.position % BLOCK_OF_TAPE_BYTES == 0 else trailing

    def _some(self, most: int) -> bytes:
        if not self._compressed:
            return self._file.read(most)
        while True:
            if not self._packed:
                self._packed = self._file.read(CHUNK_BYTES)
                self._budget.packed(len(self._packed))
            if self._inflater is None:
                if not self._packed.startswith(GZIP_MAGIC):
                    return b""  # the end, or what pads the last member as tapes and some programs do
                self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            elif not self._packed:
                raise EOFError("gzip cut short")
            plain: bytes = self._inflater.decompress(self._packed, min(most, CHUNK_BYTES))
            self._budget.unpacked(len(plain))
            if self._inflater.eof:
                self._packed, self._inflater = self._inflater.unused_data, None
            else:
                self._packed = self._inflater.unconsumed_tail
            if plain:
                return plain


@contextmanager
def opened(path: Path, budget: Budget) -> Iterator[Stream]:
    """The file as a stream, gzip where it begins as such."""
    with path.open("rb") as file:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        yield Stream(file, budget, compressed)


def too_long(trailing_bytes: int) -> tuple[Reason, ...]:
    """The doubt about a file that goes on after its last number: bytes may have come in before, and moved the rest."""
    return (reason("file-longer", number=trailing_bytes),) if trailing_bytes else ()


def fill(given: Float32, stream: Stream, dtype: np.dtype[Any], slope: float = 1.0, intercept: float = 0.0) -> None:
    """Fill ``given`` (i, j, k), of which i runs fastest in the stream, with the stream's numbers in single precision.

    Raises:
        EOFError: there are too few.
    """
    rows = max(1, BLOCK_BYTES // (given.shape[0] * dtype.itemsize))
    for k in range(given.shape[2]):
        for j in range(0, given.shape[1], rows):
            block = given[:, j : j + rows, k]
            stored = np.frombuffer(stream.exactly(block.size * dtype.itemsize), dtype).reshape(block.shape, order="F")
            block[...] = stored if (slope, intercept) == (1.0, 0.0) else _scaled(stored, slope, intercept)


def _scaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[np.float64]:
    return np.asarray(stored.astype(np.float64) * slope + intercept)

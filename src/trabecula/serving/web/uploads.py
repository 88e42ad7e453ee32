"""Uploads as they come in, piece by piece onto the disk: never in memory, never under a name of theirs."""

import re
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from trabecula.errors import Refusal, TrabeculaError, failure, refusal
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES
from trabecula.studies.folders import SLICES, Folders
from trabecula.studies.orders import Limits
from trabecula.studies.room import is_full
from trabecula.studies.store import Upload
from trabecula.studies.tables import Study

KNOWN_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".zip", ".dcm", ".dicom", ".ima")
"""Of a single file, what reading it needs to know of its name; everything else of any name is thrown away."""

FIELD_BYTES, FIELDS, HEADER_BYTES = 4096, 20, 16 * 1024
BESIDE_FILES_BYTES = 10 * 2**20  # boundaries and headers of twenty thousand files
NEED_ROOM_FACTOR = 3  # the upload, its copy for the viewer, its results


class Receiver:
    """Takes the parts of one multipart upload: fields first, then files, into a folder of its own."""

    def __init__(self, boundary: bytes, folder: Path, limits: Limits, admit: Callable[[dict[str, str]], None]) -> None:
        """``admit`` is called with the fields before the first file is taken, and raises to turn the upload away."""
        self.folder, self.limits, self.admit = folder, limits, admit
        self.fields: dict[str, str] = {}
        self.files, self.bytes, self.fed = 0, 0, 0
        self.ending = ""
        self.complete = False
        self._headers: dict[str, str] = {}
        self._name, self._value, self._header_bytes = bytearray(), bytearray(), 0
        self._field: tuple[str, bytearray] | None = None
        self._file: BinaryIO | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._finished,
            },
        )

    def feed(self, piece: bytes) -> None:
        self.fed += len(piece)
        if self.fed > self.limits.upload_bytes + BESIDE_FILES_BYTES:  # whatever it is that comes
            raise too_large(self.limits)
        self._parser.write(piece)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._headers, self._name, self._value = {}, bytearray(), bytearray()
        self._header_bytes = 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._keep_header(self._name, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._keep_header(self._value, data[start:end])

    def _keep_header(self, held: bytearray, more: bytes) -> None:
        self._header_bytes += len(more)
        if self._header_bytes > HEADER_BYTES:
            raise refusal("upload-damaged")
        held += more

    def _header_end(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        field = options.get(b"name", b"").decode("latin-1")
        filename = options.get(b"filename")
        if filename is None:
            if len(self.fields) >= FIELDS:
                raise refusal("upload-damaged")
            self._field = (field, bytearray())
            return
        if self.files == 0:
            self.admit(self.fields)
            self.folder.mkdir(mode=0o700)
        if self.files >= self.limits.upload_files:
            raise refusal("too-many-files.upload", most=self.limits.upload_files)
        name = filename.decode("latin-1").lower()
        self.ending = next((ending for ending in KNOWN_ENDINGS if name.endswith(ending)), "")
        self._file = (self.folder / f"{self.files:06d}").open("xb")
        self.files += 1

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self._field[1].extend(data[start:end])
            if len(self._field[1]) > FIELD_BYTES:
                raise refusal("upload-damaged")
            return
        if self._file is not None:
            self.bytes += end - start
            if self.bytes > self.limits.upload_bytes:
                raise too_large(self.limits)
            self._file.write(data[start:end])

    def _end(self) -> None:
        if self._field is not None:
            self.fields[self._field[0]] = self._field[1].decode("utf-8", "replace")
            self._field = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _finished(self) -> None:
        self.complete = True


async def receive(
    content_type: str,
    declared_bytes: int,
    body: AsyncIterator[bytes],
    folders: Folders,
    limits: Limits,
    admit: Callable[[dict[str, str]], None],
    enqueue: Callable[[Upload], Study],
) -> Study:
    """Write an upload to disk and move it, once complete, into a study folder of its own and the queue.

    It is safe on the disk when this returns.

    Raises:
        Refusal: it is too large, empty or damaged.
        TrabeculaError: the disk has no room.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise refusal("upload-damaged")
    if declared_bytes > limits.upload_bytes + BESIDE_FILES_BYTES:
        raise too_large(limits)
    if shutil.disk_usage(folders.data).free < NEED_ROOM_FACTOR * declared_bytes:
        raise disk_full()
    study_id = uuid.uuid4().hex
    folder = folders.incoming / study_id
    receiver = Receiver(options[b"boundary"], folder, limits, admit)
    try:
        async for piece in body:
            receiver.feed(piece)
        if not receiver.complete:
            raise refusal("upload-damaged")
        if receiver.files == 0 or receiver.bytes == 0:
            raise refusal("upload-empty")
        return await run_in_threadpool(_kept, receiver, folders, _upload(study_id, receiver, limits), enqueue)
    except MultipartParseError as error:
        raise refusal("upload-damaged") from error
    except Exception as error:
        if isinstance(error, OSError) or is_full(error):
            raise disk_full() from error
        raise
    finally:
        with suppress(OSError):  # what a full disk did not take is written once more, and was told
            receiver.close()
        shutil.rmtree(folder, ignore_errors=True)


def _kept(receiver: Receiver, folders: Folders, upload: Upload, enqueue: Callable[[Upload], Study]) -> Study:
    arrived = receiver.folder if receiver.files > 1 else receiver.folder / "000000"
    with folders.settling(upload.id):
        try:
            folders.settle_in(arrived, upload.id, upload.given)
            return enqueue(upload)
        except Exception as error:
            if isinstance(error, OSError) or is_full(error):
                folders.remove(upload.id)  # nobody knows of the upload, and it needs the room
            raise


def _upload(study_id: str, receiver: Receiver, limits: Limits) -> Upload:
    language = receiver.fields.get("language", "")
    return Upload(
        id=study_id,
        given=SLICES if receiver.files > 1 else f"ct{receiver.ending}",
        label=clean_label(receiver.fields.get("label", ""), limits),
        by="",
        deidentify=receiver.fields.get("deidentify") == "yes",
        language=language if language in LANGUAGES else DEFAULT_LANGUAGE,
        recipe=receiver.fields.get("recipe") or None,
    )


def clean_label(text: str, limits: Limits) -> str:
    """A label as it is kept: one line of printable letters."""
    return re.sub(r"\s+", " ", "".join(letter if letter.isprintable() else " " for letter in text)).strip()[
        : limits.label_letters
    ]


def too_large(limits: Limits) -> Refusal:
    """More than one upload may take."""
    return refusal("upload-too-large", limit_gib=limits.upload_bytes / 2**30)


def disk_full() -> TrabeculaError:
    """No room on the server."""
    return failure("disk-full")

"""Uploads: every byte counted as it comes, no name believed, nothing half-received kept."""

import asyncio
import io
import os
import socket
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from python_multipart.exceptions import MultipartParseError

from toys.synced import Synced
from trabecula.errors import Refusal
from trabecula.serving.web.uploads import Receiver, clean_label, receive
from trabecula.studies.folders import Folders
from trabecula.studies.orders import Limits
from trabecula.studies.store import Upload
from trabecula.studies.tables import Study

from .conftest import Server, Start, until

BOUNDARY = b"xyz"


def body(*parts: tuple[str, str | None, bytes]) -> bytes:
    """A multipart body of (field, name of file or None, content)."""
    made = b""
    for field, name, content in parts:
        named = "" if name is None else f'; filename="{name}"'
        made += b"--xyz\r\n" + f'Content-Disposition: form-data; name="{field}"{named}'.encode() + b"\r\n\r\n"
        made += content + b"\r\n"
    return made + b"--xyz--\r\n"


def received(
    folder: Path, *parts: tuple[str, str | None, bytes], limits: Limits | None = None, step: int = 7
) -> Receiver:
    """The body fed in pieces of ``step`` bytes, so that every boundary is cut somewhere."""
    receiver = Receiver(BOUNDARY, folder, limits or Limits(), lambda fields: None)
    whole = body(*parts)
    try:
        for start in range(0, len(whole), step):
            receiver.feed(whole[start : start + step])
    finally:
        receiver.close()
    return receiver


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_files_are_numbered_whatever_they_are_called(tmp_path: Path, step: int) -> None:
    names = ["../../etc/passwd", "/abs.dcm", "C:\\x\\MEIER^ANNA.dcm", "a\x00b.dcm", "x" * 3000]
    parts = [("files", name.replace("\\", "\\\\"), f"content {i}\r\n--xy".encode()) for i, name in enumerate(names)]
    receiver = received(tmp_path / "in", ("label", None, "Phantom ä".encode()), *parts, step=step)
    assert receiver.complete and receiver.fields == {"label": "Phantom ä"}
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == [f"{i:06d}" for i in range(len(names))]
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert (tmp_path / "in" / "000003").read_bytes() == b"content 3\r\n--xy"


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("MEIER.nii.gz", ".nii.gz"),
        ("x.NII", ".nii"),
        ("a.zip", ".zip"),
        ("IM0001", ""),
        ("a.exe", ""),
        ("..nrrd", ".nrrd"),
    ],
)
def test_only_known_endings_are_kept(tmp_path: Path, name: str, ending: str) -> None:
    assert received(tmp_path / "in", ("files", name, b"1")).ending == ending


def test_bytes_and_files_are_counted(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="larger than") as refused:
        received(
            tmp_path / "a", ("files", "x", b"1" * 600), ("files", "y", b"1" * 600), limits=Limits(upload_bytes=1000)
        )
    assert refused.value.code == "upload-too-large"
    with pytest.raises(Refusal) as refused:
        received(tmp_path / "b", *[("files", "x", b"1")] * 3, limits=Limits(upload_files=2))
    assert refused.value.code == "too-many-files"
    with pytest.raises(Refusal) as refused:
        received(tmp_path / "c", ("label", None, b"1" * 5000))
    assert refused.value.code == "upload-damaged"


def test_fields_headers_and_junk_are_counted_too(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        received(tmp_path / "a", *[(f"field-{i}", None, b"1") for i in range(30)])
    assert refused.value.code == "upload-damaged"
    with pytest.raises((Refusal, MultipartParseError)):  # ours, or the parser's own limit: both are told alike
        received(tmp_path / "b", ("files", "x" * 20_000, b"1"), step=1000)
    receiver = Receiver(BOUNDARY, tmp_path / "c", Limits(upload_bytes=1000), lambda fields: None)
    receiver.feed(body(("label", None, b"1")))
    with pytest.raises(Refusal) as refused:
        for _ in range(12):
            receiver.feed(b"1" * 2**20)  # after the end of what was sent
    assert refused.value.code == "upload-too-large"


def test_who_may_not_upload_leaves_no_file(tmp_path: Path) -> None:
    def admit(fields: dict[str, str]) -> None:
        raise Refusal("no", "No.")

    receiver = Receiver(BOUNDARY, tmp_path / "in", Limits(), admit)
    with pytest.raises(Refusal):
        receiver.feed(body(("files", "x", b"1")))
    assert list(tmp_path.iterdir()) == []


def test_labels_are_one_printable_line() -> None:
    assert clean_label(" a\r\nb\x1b[31m  c ", Limits()) == "a b [31m c"
    assert len(clean_label("x" * 500, Limits())) == 80


@pytest.mark.parametrize(
    ("content_type", "content", "code", "status"),
    [
        ("multipart/form-data; boundary=xyz", b"nonsense", "upload-damaged", 422),
        ("multipart/form-data", b"nonsense", "upload-damaged", 422),
        ("application/json", b"{}", "upload-damaged", 422),
        ("multipart/form-data; boundary=xyz", body(("files", "x", b"1")), "form-expired", 403),
        ("multipart/form-data; boundary=xyz", b"--xyz--\r\n", "upload-empty", 422),
    ],
)
def test_damaged_uploads_are_told(server: Server, content_type: str, content: bytes, code: str, status: int) -> None:
    answer = server.client.post("/studies", content=content, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert list((server.data / "incoming").iterdir()) == []


def test_a_declared_size_beyond_the_limit_is_turned_away_before_it_is_sent(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(
            b"POST /studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\n"
            b"Content-Length: 99999999999\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_a_connection_that_breaks_leaves_nothing_behind(server: Server) -> None:
    token = server.csrf()
    part = body(("csrf", None, token.encode()), ("files", "x.dcm", b"1" * 200_000))
    cookie = f"trabecula={server.client.cookies['trabecula']}".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        line.sendall(
            b"POST /studies HTTP/1.1\r\nHost: localhost\r\nCookie: " + cookie + b"\r\n"
            b"Content-Type: multipart/form-data; boundary=xyz\r\n"
            + f"Content-Length: {2 * len(part)}\r\n\r\n".encode()
            + part[:150_000]
        )
        until(lambda: len(list((server.data / "incoming").iterdir())) == 1)
    until(lambda: not list((server.data / "incoming").iterdir()))
    assert list((server.data / "studies").iterdir()) == []


def test_a_zip_that_unpacks_to_too_much_is_refused(server: Server, tmp_path: Path) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for i in range(21_000):
            packed.writestr(str(i), b"")
    (tmp_path / "many.zip").write_bytes(held.getvalue())
    study = server.upload(tmp_path / "many.zip")
    assert server.wait(study) == "refused"
    assert "archive-too-large" in server.client.get(f"/studies/{study}").text
    assert list((server.data / "work").iterdir()) == []


def test_a_study_can_be_removed_for_good(server: Server, not_hounsfield: Path) -> None:
    study = server.upload(not_hounsfield)
    server.wait(study)
    assert (server.data / "studies" / study).exists()
    unsure = server.client.post(f"/studies/{study}/removal", data={"csrf": server.csrf()})
    assert unsure.json()["code"] == "removal-unconfirmed"
    assert (
        server.client.post(f"/studies/{study}/removal", data={"csrf": server.csrf(), "sure": "yes"}).status_code == 303
    )
    assert server.client.get(f"/studies/{study}").status_code == 404
    assert not (server.data / "studies" / study).exists()


DIES = """
import os, signal
from trabecula.studies.store import Store
def dies(*given, really=Store.{method}):
    {first}
    os.kill(os.getpid(), signal.SIGKILL)
Store.{method} = dies
"""
"""What a server does first that is to be killed between a study's folder and its row."""


@pytest.mark.parametrize("files", [1, 3])
def test_an_upload_that_a_kill_kept_from_the_queue_is_cleared_away_and_told(
    start: Start, cylinder_nifti: Path, files: int
) -> None:
    server = start(first=DIES.format(method="enqueue", first="pass"))
    with pytest.raises(httpx.TransportError):  # it was acknowledged to nobody
        server.upload(*[cylinder_nifti] * files)
    (left,) = (server.data / "studies").iterdir()
    again = start()
    assert not list((again.data / "studies").iterdir()) and not list((again.data / "unsettled").iterdir())
    assert f"the files of study {left.name} were removed" in again.log
    assert again.wait(again.upload(cylinder_nifti)) == "done"


def test_a_removal_that_was_killed_half_way_is_ended_and_what_nobody_knows_stays(
    start: Start, cylinder_nifti: Path
) -> None:
    server = start(first=DIES.format(method="remove", first="really(*given)"))
    study = server.upload(cylinder_nifti)
    assert server.wait(study) == "done"
    with pytest.raises(httpx.TransportError):
        server.client.post(f"/studies/{study}/removal", data={"csrf": server.csrf(), "sure": "yes"})
    assert (server.data / "studies" / study).is_dir()
    of_another_database = server.data / "studies" / ("f" * 32)
    of_another_database.mkdir()
    again = start()
    assert [one.name for one in (again.data / "studies").iterdir()] == [of_another_database.name]
    assert f"studies/{of_another_database.name} belongs to no study of the database" in again.log


@pytest.mark.parametrize("files", [1, 3])
def test_what_is_acknowledged_outlives_a_loss_of_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    synced, folders, seen = Synced(monkeypatch), Folders(tmp_path / "data"), list[list[str]]()
    folders.prepare()

    async def pieces() -> AsyncIterator[bytes]:
        whole = body(*[("files", f"{number}.dcm", os.urandom(5000)) for number in range(files)])
        for start in range(0, len(whole), 1000):
            yield whole[start : start + 1000]

    def enqueue(upload: Upload) -> Study:
        assert len(list(folders.study(upload.id).rglob("0*"))) == (files if files > 1 else 0)
        seen.append(
            synced.lacks(folders.study(upload.id)) + [folders.studies.name] * (not synced.knows(folders.studies))
        )
        return Study(id=upload.id)

    kind = "multipart/form-data; boundary=xyz"
    asyncio.run(receive(kind, 0, pieces(), folders, Limits(), lambda fields: None, enqueue))
    assert seen == [[]]

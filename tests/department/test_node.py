"""The node between real archives: what is sent is answered once, whatever is killed, down, late or rude meanwhile."""

import json
import os
import resource
import socket
import ssl
import struct
import subprocess
import threading
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import EncapsulatedPDFStorage, SegmentationStorage

from toys.archive import Archive, free_port, orthanc
from trabecula.studies.store import Store
from trabecula.studies.tables import open_database

from .conftest import CT, MakeNode, Node, connect, send, until

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def c_store(archive: Archive) -> str:
    return f'title = "ORTHANC"\nhost = "127.0.0.1"\nport = {archive.dicom}'


def objects(archive: Archive) -> list[str]:
    """The SOP classes of what it holds that we made."""
    held = [pydicom.dcmread(BytesIO(file)) for file in archive.held().values()]
    return sorted(str(one.SOPClassUID) for one in held if one.get("Manufacturer") == "Trabecula")


def test_an_archive_sends_and_is_answered_by_both_ways(make_node: MakeNode, slices: list[Path], tmp_path: Path) -> None:
    port = free_port()
    modality = {
        "DicomModalities": {"node": ["TRABECULA", "127.0.0.1", port]},
        "DicomAet": "SENDER",
    }
    with orthanc(tmp_path / "scanner", **modality) as scanner, orthanc(tmp_path / "pacs") as pacs:
        back = f'port = {scanner.dicom}\nhost = "127.0.0.1"'
        stow = f'stow = "http://127.0.0.1:{scanner.http}/dicom-web/studies"'
        node = make_node({"pacs": c_store(pacs), "web": stow}, back, port=port)
        for path in slices[:-6]:
            scanner.ask("/instances", path.read_bytes(), "POST", "application/dicom")
        (study,) = json.loads(scanner.ask("/studies"))
        scanner.ask("/modalities/node/store", study.encode(), "POST", "text/plain")
        until(lambda: len(objects(pacs)) == 4 and len(objects(scanner)) == 4)
        held = [pydicom.dcmread(BytesIO(file)) for file in pacs.held().values()]
        assert {SegmentationStorage, EncapsulatedPDFStorage} <= {one.SOPClassUID for one in held}
        assert {one.StudyInstanceUID for one in held} == {pydicom.dcmread(slices[0]).StudyInstanceUID}
        assert {str(one.PatientName) for one in held} == {"Secret^Person"}

        # The same again changes nothing; late slices make a second delivery.
        scanner.ask("/modalities/node/store", study.encode(), "POST", "text/plain")
        until(lambda: any(line["event"] == "study-unchanged" for line in node.log))
        assert len(objects(pacs)) == 4
        for path in slices[-6:]:
            scanner.ask("/instances", path.read_bytes(), "POST", "application/dicom")
        scanner.ask("/modalities/node/store", study.encode(), "POST", "text/plain")
        until(lambda: len(objects(pacs)) == 8 and len(objects(scanner)) == 8)
        (told,) = node.status()
        assert (told["delivery"], told["result"], told["waiting"]) == (2, "settled", 0)
        assert node.figure('trabecula_node_answers_accepted_total{destination="pacs"}') == 8

        # The scanner asks for a promise that what it sent is safe, and gets it.
        assert _commitment(scanner, [pydicom.dcmread(path).SOPInstanceUID for path in slices]) == "Success"
        assert _commitment(scanner, [pydicom.dcmread(slices[0]).SOPInstanceUID, "2.25.1"]) == "Failure"

        said = (tmp_path / "node.log").read_text()
        assert not [word for word in ("Secret", "4711", pydicom.dcmread(slices[0]).StudyInstanceUID) if word in said]


def _commitment(scanner: Archive, instances: list[str]) -> str:
    """Asks for a promise, and waits until it is given or refused."""
    wanted = {"DicomInstances": [{"SOPClassUID": CT, "SOPInstanceUID": str(one)} for one in instances]}
    body = json.dumps(wanted).encode()
    number = json.loads(scanner.ask("/modalities/node/storage-commitment", body, "POST", "application/json"))["ID"]
    until(lambda: json.loads(scanner.ask(f"/storage-commitment/{number}"))["Status"] != "Pending")
    return str(json.loads(scanner.ask(f"/storage-commitment/{number}"))["Status"])


def test_what_was_acknowledged_outlives_any_kill_and_is_answered_once(
    make_node: MakeNode, slices: list[Path], tmp_path: Path
) -> None:
    away = Archive(free_port(), free_port())
    node = make_node({"pacs": c_store(away)})

    # While slices come: every one that was acknowledged is on the disk.
    for killed_at in (1, 23):
        assoc, acknowledged = connect(node), []
        for number, path in enumerate(slices):
            if number == killed_at:
                threading.Timer(0.02, node.kill).start()
            status = assoc.send_c_store(pydicom.dcmread(path)) if assoc.is_established else pydicom.Dataset()
            if status.get("Status") != 0:
                break
            acknowledged.append(path)
        until(lambda: node.process is not None and node.process.poll() is not None)
        assert node.spooled() >= len(acknowledged)
        node.start()

    # After the last slice; while it waits in the queue; while it is being screened.
    node.hold.touch()
    assert send(node, slices) == len(slices)
    node.kill()
    assert node.spooled() == len(slices)
    node.rules.write_text(node.rules.read_text().replace("interrupted_seconds = 600.0", "interrupted_seconds = 1.0"))
    node.start()  # whether the node had noted that all had come, or not: now it takes it
    until(lambda: node.figure('trabecula_node_deliveries{state="queued"}') == 1)
    node.kill()
    node.start()
    node.hold.unlink()

    # While answers wait for an archive that is down; it comes, and has each object once.
    until(lambda: node.figure('trabecula_node_answers_waiting{destination="pacs"}') == 4)
    until(lambda: any(line["event"] == "destination-unreachable" for line in node.log))
    node.kill()
    node.start()
    with orthanc(tmp_path / "pacs", away) as pacs:
        until(lambda: len(objects(pacs)) == 4)
        until(lambda: node.figure('trabecula_node_deliveries{state="settled"}') == 1)
        assert send(node, slices) == len(slices)
        node.kill()
        node.start()
        until(lambda: any(line["event"] == "study-unchanged" for line in node.log))
        assert len(objects(pacs)) == 4
    assert node.status()[0]["delivery"] == 1


def test_a_study_that_was_broken_off_waits_until_it_is_sent_again_or_let_out(
    make_node: MakeNode, slices: list[Path]
) -> None:
    node = make_node({"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'})
    assoc = connect(node)
    for path in slices[:30]:
        assoc.send_c_store(pydicom.dcmread(path))
    assoc.abort()
    until(lambda: node.figure('trabecula_node_studies{state="quarantined"}') == 1)
    (told,) = node.status()
    assert (told["state"], told["delivery"]) == ("quarantined", None)
    assert "quarantined" in node.command("--status").stdout
    assert send(node, slices) == len(slices)
    until(lambda: node.figure('trabecula_node_deliveries{state="answering"}') == 1)

    other = [_of_another_study(path) for path in slices[:30]]
    assoc = connect(node)
    for dataset in other:
        assoc.send_c_store(dataset)
    assoc.abort()
    until(lambda: node.figure('trabecula_node_studies{state="quarantined"}') == 1)
    assert node.command("--release", "2").returncode == 0
    assert node.command("--release", "2").returncode == 2
    until(lambda: node.figure('trabecula_node_deliveries{state="answering"}') == 2)


def _of_another_study(path: Path) -> pydicom.Dataset:
    dataset = pydicom.dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.99", "2.25.98"
    dataset.SOPInstanceUID += ".1"
    dataset.SOPInstanceUID = (
        dataset.SOPInstanceUID[-60:].lstrip(".0") if len(dataset.SOPInstanceUID) > 64 else (dataset.SOPInstanceUID)
    )
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def test_strangers_and_giants_are_turned_away(make_node: MakeNode, slices: list[Path]) -> None:
    node = make_node({"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'})
    assert not connect(node, "STRANGER").is_established
    send(node, slices[:3])
    before = resident_bytes(node)

    with socket.create_connection(("127.0.0.1", node.port)) as line:  # the very first PDU declares 4 GiB
        _pour(line, struct.pack(">BBL", 1, 0, 2**32 - 1))
    assoc = connect(node)
    _pour(assoc.dul.socket.socket, struct.pack(">BBL", 4, 0, 2**32 - 1))  # as do later ones
    assoc.abort()
    assoc = connect(node)
    context = next(iter(assoc.accepted_contexts)).context_id
    fragment = struct.pack(">LBB", 16_002, context, 1) + b"\0" * 16_000  # a command that never ends
    _pour(assoc.dul.socket.socket, struct.pack(">BBL", 4, 0, len(fragment)) + fragment, 4_000)
    assoc.abort()
    until(lambda: {"pdu-too-long", "message-too-large"} <= {line.get("code") for line in node.log})
    until(lambda: node.figure("trabecula_node_message_bytes_held") == 0)
    assert resident_bytes(node) - before < 48 * 2**20
    assert send(node, slices[3:6]) == 3


@pytest.mark.parametrize("hard", [4096, 300])
def test_more_lines_than_there_is_room_for_are_told_to_come_back(
    make_node: MakeNode, slices: list[Path], hard: int
) -> None:
    """With few open files allowed, the bound is below the associations; with more, beyond the spare lines."""
    nobody = {"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'}
    limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (min(hard, 1024), hard))
    node = make_node(nobody, told="associations_per_minute = 100000\nassociations = 60", preexec_fn=limited)
    with ExitStack() as held:
        for _ in range(110):
            held.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        late = connect(node)
        told = late.acceptor.primitive
        assert late.is_rejected and told is not None
        assert (told.result, told.result_source, told.diagnostic) == (2, 3, 2)  # come back: the local limit
    until(lambda: "too-many-lines" in {line.get("code") for line in node.log})
    few = [line for line in node.log if line["event"] == "open-files-few"]
    assert [(line["allowed"], line["needed"]) for line in few] == ([] if hard > 1024 else [(300, 376)])
    said = node.command("--check", preexec_fn=limited).stdout
    assert ("Open files: 300 are allowed, 376 are needed" in said) == (hard == 300)
    until(lambda: node.figure("trabecula_node_associations") == 0)
    assert send(node, slices[:3]) == 3


def test_a_node_with_more_than_a_thousand_files_open_receives_and_answers(
    make_node: MakeNode, slices: list[Path], tmp_path: Path
) -> None:
    """Their library asks by select(), which takes no descriptor above 1,023: lines were closed without a word."""
    held = "import os, resource as r; r.setrlimit(r.RLIMIT_NOFILE, (2048, r.getrlimit(r.RLIMIT_NOFILE)[1])); "
    held += "held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]; "
    with orthanc(tmp_path / "pacs") as pacs:
        node = make_node({"pacs": c_store(pacs)}, before=held)
        assert send(node, slices) == len(slices)
        until(lambda: len(objects(pacs)) == 4)


def _pour(line: socket.socket, first: bytes, times: int = 1) -> None:
    """Sends as much as the other side takes, 64 MB at most."""
    line.settimeout(20)
    try:
        for _ in range(times):
            line.sendall(first)
        for _ in range(64):
            line.sendall(b"\0" * 2**20)
    except OSError:
        pass


def resident_bytes(node: Node) -> int:
    assert node.process is not None
    pages = int(Path(f"/proc/{node.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_tls_asks_for_a_certificate_of_the_authority_and_a_slow_handshake_holds_up_nobody(
    make_node: MakeNode, slices: list[Path], tmp_path: Path
) -> None:
    paths = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key")}
    asked = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(paths["key"]), "-out", str(paths["certificate"])]
    subprocess.run(["openssl", *asked, *names, *files], check=True, capture_output=True)
    lines = [f'{name} = "{path}"' for name, path in (*paths.items(), ("ca", paths["certificate"]))]
    node = make_node({"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'}, tls="\n".join(lines))

    def context(with_certificate: bool) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=str(paths["certificate"]))
        if with_certificate:
            made.load_cert_chain(paths["certificate"], paths["key"])
        return made

    with socket.create_connection(("127.0.0.1", node.port)):  # says nothing
        assert not connect(node).is_established
        with pytest.raises(OSError, match=r"certificate required|alert|reset|EOF"):
            _first_byte(node, context(False))
        assoc = connect(node, tls=context(True))
        assert assoc.is_established
        assert [assoc.send_c_store(pydicom.dcmread(path)).Status for path in slices[:3]] == [0, 0, 0]
        assoc.release()
    assert node.spooled() == 3


def _first_byte(node: Node, context: ssl.SSLContext) -> None:
    """Waits for what the node says first: an alert, where it wants a certificate."""
    with socket.create_connection(("127.0.0.1", node.port)) as line:
        line.settimeout(120)
        with context.wrap_socket(line, server_hostname="127.0.0.1") as secure:
            if not secure.recv(1):
                raise OSError("EOF")


def test_a_study_of_which_a_slice_was_refused_is_not_taken_as_whole(make_node: MakeNode, slices: list[Path]) -> None:
    node = make_node({"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'})
    assoc = connect(node)
    spoilt = pydicom.dcmread(slices[4])
    del spoilt.StudyInstanceUID
    statuses = [assoc.send_c_store(spoilt if n == 4 else pydicom.dcmread(path)).Status for n, path in enumerate(slices)]
    assoc.release()  # as if nothing had happened
    assert statuses.count(0) == len(slices) - 1 and statuses[4] == 0xC000
    until(lambda: [one["state"] for one in node.status()] == ["quarantined"])
    assert {"instance-unreadable", "instance-refused"} <= {line.get("code") for line in node.log}
    assert send(node, slices) == len(slices)
    until(lambda: [one["state"] for one in node.status()] == ["whole"])


def test_a_full_disk_acknowledges_nothing_and_is_over_when_there_is_room(
    make_node: MakeNode, slices: list[Path]
) -> None:
    node = make_node({"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'})
    node.end()
    text = node.rules.read_text()
    node.rules.write_text(text.replace("free_disk_mib = 100\n", "free_disk_mib = 1_000_000_000\n"))
    node.start()
    assert send(node, slices[:5]) == 0 and node.spooled() == 0 and node.status() == []
    assert "disk-full" in {line.get("code") for line in node.log}
    assert '"disk": false' in node.ask("/ready")[1]
    node.end()
    node.rules.write_text(text)
    node.start()
    assert send(node, slices[:12]) == 12
    until(lambda: [one["state"] for one in node.status()] == ["whole"])


def test_a_study_that_is_removed_takes_the_nodes_copy_with_it(make_node: MakeNode, slices: list[Path]) -> None:
    node = make_node({"pacs": f'title = "NOBODY"\nhost = "127.0.0.1"\nport = {free_port()}'})
    assert send(node, slices) == len(slices)
    until(lambda: node.figure('trabecula_node_deliveries{state="answering"}') == 1)
    store = Store(open_database(f"sqlite:///{node.data / 'trabecula.sqlite'}"))
    (study,) = store.studies()[0]
    assert store.remove(study.id)  # as the page does; its answer is still on its way, and ends with it
    until(lambda: node.figure('trabecula_node_deliveries{state="removed"}') == 1)
    assert node.spooled() == 0
    assert [(one["state"], one["result"], one["waiting"]) for one in node.status()] == [("whole", "removed", 0)]

    assert send(node, slices) == len(slices)  # sent again it is a study again
    until(lambda: node.figure('trabecula_node_deliveries{state="answering"}') == 1)
    assert node.status()[0]["delivery"] == 2 and node.spooled() == len(slices)
    store.engine.dispose()

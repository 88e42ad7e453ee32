"""What a destination has to say before an answer counts as accepted; real sockets, real certificates."""

import http.server
import json
import ssl
import subprocess
import threading
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toys.archive import free_port
from trabecula.department.deliver import Courier, Unreachable, Unwanted, answers, send
from trabecula.department.ledger import Ledger, Planned
from trabecula.department.rules import Destination, Peer, Rule, Rules, Tls
from trabecula.studies.folders import DICOM_ZIP, Folders
from trabecula.studies.tables import open_database
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

FAILED = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}}
STORED = {"00081199": {"vr": "SQ", "Value": [{}]}}


@pytest.fixture
def made(cylinder: Volume, tmp_path: Path) -> bytes:
    """Any object."""
    header = StudyHeader(sex="F", age_years=67, slice_thickness_mm=3.0)
    write_dicom(cylinder, tmp_path / "ct", seed=3, header=header)
    return next((tmp_path / "ct").iterdir()).read_bytes()


@contextmanager
def server(
    status: int, kind: str, body: bytes, secure: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Answers every request alike; its port, and what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "/login")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that will not have the certificate breaks off

    listening = Quiet(("127.0.0.1", 0), Handler)
    if secure is not None:
        listening.socket = secure.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield listening.server_address[1], asked
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def stow(port: int, scheme: str = "http", tls: Tls | None = None) -> Destination:
    return Destination(name="web", stow=f"{scheme}://127.0.0.1:{port}/studies", tls=tls)


@pytest.mark.parametrize(
    ("status", "kind", "body", "raised", "code"),
    [
        (200, "application/dicom+json", json.dumps(STORED).encode(), None, ""),
        (200, "application/dicom+json", json.dumps(FAILED).encode(), Unwanted, "instance-failed"),
        (200, "text/html", b"<form>Log in", Unreachable, "no-dicomweb"),
        (200, "application/dicom+json", b"{", Unreachable, "no-dicomweb"),
        (202, "application/dicom+json", b"{}", Unwanted, "http-202"),
        (302, "text/html", b"", Unreachable, "http-302"),
        (307, "text/html", b"", Unreachable, "http-307"),
        (503, "text/html", b"", Unreachable, "http-503"),
        (409, "application/dicom+json", b"{}", Unwanted, "http-409"),
    ],
    ids=["stored", "failed", "login", "broken", "some", "moved", "elsewhere", "busy", "conflict"],
)
def test_only_an_acceptance_is_one(
    made: bytes, status: int, kind: str, body: bytes, raised: type[Unreachable] | None, code: str
) -> None:
    with server(status, kind, body) as (port, asked):
        if raised is None:
            send(made, stow(port), "US")
        else:
            with pytest.raises(Unreachable) as refused:
                send(made, stow(port), "US")
            assert (type(refused.value), refused.value.code) == (raised, code)
    assert asked == ["POST /studies"]  # nothing is followed elsewhere


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Two pairs, each its own authority: one good, one whose time was over long ago."""
    folder, made = tmp_path_factory.mktemp("certificates"), {}
    for name, dates in (
        ("good", ["-days", "2"]),
        ("expired", ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]),
    ):
        pem, key = folder / f"{name}.pem", folder / f"{name}.key"
        request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", str(key)]
        subprocess.run([*request, "-out", str(folder / "asked.csr")], check=True, capture_output=True)
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:TRUE\n")
        signed = ["openssl", "x509", "-req", "-in", str(folder / "asked.csr"), "-signkey", str(key), "-out", str(pem)]
        if name == "expired":  # openssl x509 of Debian 12 takes no dates: 'ca' does
            _sign_with_dates(folder, key, pem)
        else:
            subprocess.run([*signed, "-extfile", str(folder / "names"), *dates], check=True, capture_output=True)
        made[name] = pem, key
    return made


def _sign_with_dates(folder: Path, key: Path, pem: Path) -> None:
    for name, text in (("index.txt", ""), ("serial", "01\n")):
        (folder / name).write_text(text)
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
    asked = ["-config", f"{folder}/ca.cnf", "-batch", "-selfsign", "-keyfile", str(key), "-in", f"{folder}/asked.csr"]
    more = ["-extfile", f"{folder}/names", "-notext", "-out", str(pem)]
    subprocess.run(["openssl", "ca", *asked, *dates, *more], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("shown", "trusted", "code"),
    [("good", "good", ""), ("expired", "expired", "certificate-expired"), ("good", "expired", "certificate-refused")],
    ids=["good", "expired", "of another"],
)
def test_a_certificate_that_is_no_good_is_told_as_such(
    made: bytes, certificates: dict[str, tuple[Path, Path]], shown: str, trusted: str, code: str
) -> None:
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(*certificates[shown])
    tls = Tls(ca=str(certificates[trusted][0]))
    with server(200, "application/dicom+json", b"{}", secure) as (port, _):
        web = stow(port, "https", tls)
        assert answers(web, "US") == code
        if code:
            with pytest.raises(Unreachable) as refused:
                send(made, web, "US")
            assert refused.value.code == code
            dicom = Destination(name="pacs", title="PACS", host="127.0.0.1", port=port, tls=tls)
            assert answers(dicom, "US") == code


def test_nobody_there_is_told(made: bytes) -> None:
    with pytest.raises(Unreachable) as refused:
        send(made, stow(free_port()), "US")
    assert refused.value.code == "no-connection"


def test_a_destination_that_is_away_for_an_hour_is_given_everything_once(
    made: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour is simulated, by the clock that the ledger reads; database, files and HTTP are real."""
    now = [1_000_000.0]
    monkeypatch.setattr("trabecula.department.ledger.time", types.SimpleNamespace(time=lambda: now[0]))
    folders, ledger = Folders(tmp_path), Ledger(open_database(f"sqlite:///{tmp_path / 'trabecula.sqlite'}"))
    for number in range(25):
        store_id = f"{number:032d}"
        folders.version(store_id, 1).mkdir(parents=True)
        with zipfile.ZipFile(folders.version(store_id, 1) / DICOM_ZIP, "w") as packed:
            for name in ("seg.dcm", "sr.dcm"):
                packed.writestr(name, made)
        ledger.receiving(str(number), "CT1")
        ledger.take(str(number))
        (study,) = ledger.studies("taking")
        ledger.plan(study, Planned("digest", store_id, "all", None, ("web",), (), ("one.dcm",)))
        ((take, _),) = ledger.takes("planned")
        ledger.queued(take.id)
        ledger.answer(take, ["seg.dcm", "sr.dcm"])

    def for_seconds(seconds: float, courier: Courier) -> int:
        """Tries whatever is due, second by second; how often there was something."""
        tries = 0
        for _ in range(int(seconds)):
            while courier.once():
                tries += 1
            now[0] += 1
        return tries

    rules = Rules(peer=[Peer(title="CT1")], destination=[stow(1)], rule=[Rule(name="all", destinations=["web"])])
    with server(503, "text/html", b"") as (port, asked):
        courier = Courier(stow(port), rules, ledger, folders)
        tries = for_seconds(3600, courier)
        assert len(asked) == tries and 8 <= tries <= 12  # 5, 10, 20 ... 640, 900, 900 seconds apart: nobody is flooded
        assert not courier.reachable and ledger.counts()[("waiting", "web")] == 50
    with server(200, "application/dicom+json", json.dumps(STORED).encode()) as (port, asked):
        for_seconds(rules.retry.most_seconds + 1, Courier(stow(port), rules, ledger, folders))
        assert len(asked) == 50
    assert {take.state for take, _ in ledger.takes()} == {"settled"}
    ledger.engine.dispose()

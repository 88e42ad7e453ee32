"""A PACS over TLS: a real Orthanc that wants a certificate, and what is said of certificates that are no good."""

import http.server
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from toys.archive import free_port, orthanc
from toys.certificates import Authority, Shown
from trabecula.batch.fetch import listed
from trabecula.batch.sources import archive_of, read_sources
from trabecula.errors import WrongUsage
from trabecula.virtual.study import StudyHeader, write_dicom
from trabecula.volume import Volume

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def hospital(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "hospital", "Hospital")


def pacs_settings(shown: Shown, hospital: Authority, own_port: int) -> dict[str, object]:
    us = {"AET": "BATCH", "Host": "127.0.0.1", "Port": own_port, "UseDicomTls": True}
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(shown.certificate),
        "DicomTlsPrivateKey": str(shown.key),
        "DicomTlsTrustedCertificates": str(hospital.ca),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {"us": us},
    }


def written(folder: Path, port: int, own_port: int, own: Shown, ca: Path) -> Path:
    """A file beside the certificates that it names."""
    told = {"certificate": own.certificate, "key": own.key, "ca": ca}
    lines = [f'{name} = "{os.path.relpath(path, folder)}"' for name, path in told.items()]
    (folder / "sources.toml").write_text(
        f'[[source]]\nname = "pacs"\ntitle = "ORTHANC"\nhost = "127.0.0.1"\nport = {port}\nown_title = "BATCH"\n'
        f"own_port = {own_port}\nseconds_silent = 20.0\n[source.tls]\n" + "\n".join(lines) + "\n"
    )
    return folder / "sources.toml"


def trouble(path: Path) -> tuple[str, str]:
    """Code and sentence of the one row that a source is when it cannot be listed."""
    (source,) = read_sources(path)
    (item,) = listed(source, 1)
    return item.trouble


def test_a_pacs_is_found_and_moves_over_tls_both_ways(hospital: Authority, cylinder: Volume, tmp_path: Path) -> None:
    header = StudyHeader(sex="F", age_years=61, slice_thickness_mm=3.0)
    write_dicom(cylinder, tmp_path / "ct", seed=1, header=header)
    own, own_port, others = hospital.issue("us"), free_port(), Authority(tmp_path / "others", "Others")
    settings = pacs_settings(hospital.issue("pacs"), hospital, own_port)
    with orthanc(tmp_path / "orthanc", **settings) as running:
        for path in (tmp_path / "ct").iterdir():
            running.ask("/instances", path.read_bytes(), "POST")
        (source,) = read_sources(written(tmp_path, running.dicom, own_port, own, hospital.ca))
        (item,) = listed(source, 1)
        assert item.trouble == ("", "")
        (tmp_path / "came").mkdir()
        with archive_of(source) as archive, socket.create_connection(("127.0.0.1", own_port)):  # which says nothing
            archive.fetch(item.study, tmp_path / "came")
        assert len(list((tmp_path / "came").iterdir())) == len(list((tmp_path / "ct").iterdir()))

        code, said = trouble(written(tmp_path, running.dicom, own_port, own, others.ca))
        assert code == "certificate-refused" and "tls.ca" in said
        code, said = trouble(written(tmp_path, running.dicom, own_port, others.issue("us"), hospital.ca))
        assert code == "own-certificate-refused" and "tls.certificate" in said


def test_a_certificate_whose_time_is_over_is_told(hospital: Authority, tmp_path: Path) -> None:
    settings = pacs_settings(hospital.issue("pacs", expired=True), hospital, free_port())
    with orthanc(tmp_path / "orthanc", **settings) as running:
        code, said = trouble(written(tmp_path, running.dicom, free_port(), hospital.issue("us"), hospital.ca))
    assert code == "certificate-expired"
    assert said == "The certificate that the archive pacs shows has expired. Have it renewed there."


def test_what_is_wrong_with_the_files_is_said_before_anything_is_asked(hospital: Authority, tmp_path: Path) -> None:
    own, stranger = hospital.issue("us"), hospital.issue("them")
    mixed = Shown(own.certificate, stranger.key)
    with pytest.raises(WrongUsage) as refused:
        read_sources(written(tmp_path, 104, 11113, mixed, hospital.ca))
    assert refused.value.code == "certificate-unusable" and "pacs.tls" in refused.value.message
    path = written(tmp_path, 104, 11113, own, hospital.ca)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("key")))
    with pytest.raises(WrongUsage, match="tls needs certificate and key"):
        read_sources(path)


@contextmanager
def dicomweb_server(shown: Shown) -> Iterator[int]:
    """One that holds nothing, over TLS; its port."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # whoever will not have the certificate breaks off

    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(shown.certificate, shown.key)
    listening = Quiet(("127.0.0.1", 0), Empty)
    listening.socket = secure.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield listening.server_address[1]
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("expired", "trusted", "code"),
    [(False, True, ""), (True, True, "certificate-expired"), (False, False, "certificate-refused")],
    ids=["good", "expired", "of another"],
)
def test_dicomweb_is_told_by_the_certificate_too(
    hospital: Authority, tmp_path: Path, expired: bool, trusted: bool, code: str
) -> None:
    ca = hospital.ca if trusted else Authority(tmp_path / "others", "Others").ca
    with dicomweb_server(hospital.issue("web", expired)) as port:
        (tmp_path / "sources.toml").write_text(
            f'[[source]]\nname = "web"\ndicomweb = "https://127.0.0.1:{port}/dicom-web"\ntls.ca = "{ca}"\n'
        )
        (source,) = read_sources(tmp_path / "sources.toml")
        found = listed(source, 1)
    assert [one.trouble[0] for one in found] == ([code] if code else [])

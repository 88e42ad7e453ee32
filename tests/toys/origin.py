"""A viewer's files and an archive's DICOMweb behind one address, as hospitals put them: a small reverse proxy."""

import http.client
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PASSED_ON = ("Accept", "Content-Type", "Host")
"""Orthanc makes the addresses in its answers from the Host header."""

CHUNK_BYTES = 2**20


@contextmanager
def one_origin(files: Path, config: str, archive_port: int) -> Iterator[str]:
    """The address at which ``files`` are served with ``config`` as app-config.js, and /dicom-web by the archive."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.startswith("/dicom-web/"):
                self._pass_on()
            elif self.path == "/app-config.js":
                self._answer(config.encode(), "text/javascript")
            else:
                path = files / self.path.partition("?")[0].lstrip("/")
                path = path if path.is_file() else files / "index.html"  # the viewer's own pages
                self._answer(path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

        def _pass_on(self) -> None:
            line = http.client.HTTPConnection("127.0.0.1", archive_port, timeout=300)
            try:
                headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
                line.request("GET", self.path, headers=headers)
                answer = line.getresponse()
                body = answer.read()
            finally:
                line.close()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

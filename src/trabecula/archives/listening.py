"""A DICOM server that makes TLS handshakes where nobody waits: a line that says nothing holds up no other."""

import socket
import ssl
from typing import Any, cast

from pynetdicom.ae import ApplicationEntity
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

HANDSHAKE_SECONDS = 10.0


class Handler(RequestHandler):
    """One association, from its TLS handshake on."""

    def handle(self) -> None:
        if self.shaken():
            super().handle()

    def shaken(self) -> bool:
        """Whether the line is fit to be spoken over; else it is closed."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(HANDSHAKE_SECONDS)
            try:
                self.request.do_handshake()
            except (OSError, ValueError):
                self.server.shutdown_request(self.request)
                return False
        self.request.settimeout(None)
        return True


class Server(ThreadedAssociationServer):
    """pynetdicom's own makes the handshake in the thread that accepts."""

    daemon_threads = True

    def __init__(
        self,
        ae: ApplicationEntity,
        address: Any,
        ae_title: str,
        contexts: Any,
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: Any = None,
        request_handler: type[Handler] = Handler,
    ) -> None:
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, request_handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        line, address = cast(socket.socket, self.socket).accept()
        if self.ssl_context is not None:
            line = self.ssl_context.wrap_socket(line, server_side=True, do_handshake_on_connect=False)
        return line, address

"""The server itself: whom it turns away, and what it tells them."""

import socket
import threading
from collections.abc import Iterator

import pytest
from pynetdicom.ae import ApplicationEntity

from trabecula.department.rules import Rules
from trabecula.department.transport import Server

RULES = {
    "node": {"associations": 1, "associations_per_minute": 3},
    "peer": [{"title": "SENDER"}],
    "destination": [{"name": "here", "stow": "http://127.0.0.1/studies"}],
    "rule": [{"name": "all", "destinations": ["here"]}],
}


@pytest.fixture
def server() -> Iterator[Server]:
    ae = ApplicationEntity("TRABECULA")
    ae.add_supported_context("1.2.840.10008.1.1")
    rules = Rules.model_validate(RULES)
    made = ae.make_server(("127.0.0.1", 0), server_class=Server, rules=rules, ended=lambda assoc: None)
    assert isinstance(made, Server)
    ae._servers.append(made)
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()


def test_who_calls_too_often_is_told_to_come_back_though_the_request_came_first(server: Server) -> None:
    lines = [socket.create_connection(server.server_address[:2]) for _ in range(3)]
    with socket.create_connection(server.server_address[:2]) as late:
        late.sendall(b"\x01\0" + bytes(70_000))  # closed unread, it would take the answer along
        late.settimeout(30)
        assert late.recv(100) == bytes.fromhex("03 00 00000004 00 02 03 01")  # PS3.8: transient, temporary congestion
        assert late.recv(100) == b""
    for line in lines:
        line.close()

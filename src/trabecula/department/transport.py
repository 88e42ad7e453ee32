"""DICOM's upper layer made safe for strangers: who may connect, and how much all of them may hold at a time.

pynetdicom reads what a peer declares: a PDU of 4 GiB is collected in memory. Here a PDU may be as long as was
negotiated, what has to stay in memory is counted over all associations, and pixels go to the disk as they come.
"""

import queue
import socket
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from trabecula.archives import listening
from trabecula.department.logs import warn
from trabecula.department.rules import NodeTable, Rules

KIB, MIB = 2**10, 2**20
LEAST_PDU_BYTES, MOST_PDU_BYTES = 16 * KIB, 256 * KIB
COPIES = 4
"""What a PDU is held as at a time: its bytes, its fields, the fragments of the message, one more while it is cut."""

MESSAGE_BYTES = 4 * MIB
"""The longest message that is not stored as an instance: a commitment of some 20,000 instances."""

WAITING_MESSAGES = 4
"""One is allowed: no association is granted an asynchronous window."""

LOOK_SECONDS, FEW = 0.001, 10
"""How often a line is looked at while there are few; with more, each is looked at less often."""

WAIT_SECONDS = 0.05
"""How long a message is waited for before it is seen whether the association has ended."""


class Memory:
    """One budget for what all associations hold in memory."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.held_bytes = limit_bytes, 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there is room for that much more; it counts from now on if so."""
        with self._lock:
            if self.held_bytes + size > self.limit_bytes:
                return False
            self.held_bytes += size
            return True

    def give(self, size: int) -> None:
        with self._lock:
            self.held_bytes -= size


def pdu_bytes(node: NodeTable) -> int:
    """The longest PDU to negotiate, so that every association at once stays within half of the memory."""
    share = node.memory_mib * MIB // 2 // COPIES // node.associations
    return max(LEAST_PDU_BYTES, min(MOST_PDU_BYTES, share))


def bounded_recv(line: AssociationSocket, limit_bytes: int, size: int) -> bytearray:
    """As ``AssociationSocket.recv``, in one piece, and not longer than was negotiated.

    Raises:
        OSError: the peer declares more; the association then ends.
    """
    if size > limit_bytes:
        warn("association-ended", code="pdu-too-long")
        raise OSError("longer than negotiated")
    held = bytearray(size)
    view, filled = memoryview(held), 0
    while filled < size:
        got = cast(socket.socket, line.socket).recv_into(view[filled:])
        if not got:
            break
        filled += got
    view.release()
    del held[filled:]
    return held


class BoundedMessages(DIMSEServiceProvider):
    """Messages that a peer sends in fragments, counted as they grow."""

    def __init__(self, assoc: Association, memory: Memory, instance_bytes: int) -> None:
        super().__init__(assoc)
        self.memory, self.instance_bytes = memory, instance_bytes
        self.in_memory = self.on_disk = 0
        self.made: set[Path] = set()

    def get_msg(self, block: bool = False) -> Any:
        """The next message; waited for, as a reactor that does not wait asks a thousand times a second."""
        try:
            return self.msg_queue.get(timeout=self.dimse_timeout if block else WAIT_SECONDS)
        except queue.Empty:
            return None, None

    def receive_primitive(self, primitive: P_DATA) -> None:
        size = sum(len(data) for _, data in primitive.presentation_data_value_list)
        stored = self.message is not None and self.message._data_set_file is not None
        if stored:
            self.on_disk += size
            if self.on_disk > self.instance_bytes:
                self._end("instance-too-large")
                return
        else:
            if self.in_memory + size > MESSAGE_BYTES or not self.memory.take(size):
                self._end("message-too-large")
                return
            self.in_memory += size
        if self.msg_queue.qsize() > WAITING_MESSAGES:
            self._end("window-exceeded")
            return
        try:
            super().receive_primitive(primitive)
        except OSError:  # the disk is full: nothing was acknowledged
            self._end("disk-full")
            return
        except Exception:
            self._end("message-malformed")
            return
        if self.message is None:
            self.give_back()
        elif self.message._data_set_path is not None:
            self.made.add(cast(Path, self.message._data_set_path))

    def give_back(self) -> None:
        """A message is whole, or its association has ended."""
        self.memory.give(self.in_memory)
        self.in_memory = self.on_disk = 0

    def clear(self) -> None:
        """Nothing of what was not received whole stays on the disk."""
        self.give_back()
        if self.message is not None and self.message._data_set_file is not None:
            self.message._data_set_file.close()
        for path in self.made:
            path.unlink(missing_ok=True)

    def _end(self, code: str) -> None:
        warn("association-ended", code=code)
        self.dul.event_queue.put("Evt19")  # as the library itself does with a message it cannot read: A-ABORT


class Rate:
    """How often an address may connect within a minute."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._seen: dict[str, deque[float]] = defaultdict(deque)

    def allows(self, address: str) -> bool:
        now = time.monotonic()
        if len(self._seen) > 10_000:  # addresses cost memory too
            self._seen = defaultdict(deque, {key: told for key, told in self._seen.items() if now - told[-1] < 60})
        told = self._seen[address]
        while told and now - told[0] > 60:
            told.popleft()
        if len(told) >= self.per_minute:
            return False
        told.append(now)
        return True


class Handler(listening.Handler):
    """One association from its TLS handshake to its end, of which ``ended`` is told exactly once."""

    server: "Server"

    def handle(self) -> None:
        if not self.shaken():
            warn("association-refused", code="tls-handshake")
            return
        self.request.settimeout(self.server.rules.node.idle_seconds)
        assoc = self._create_association()
        messages = BoundedMessages(assoc, self.server.memory, self.server.rules.node.instance_mib * MIB)
        assoc.dimse = messages
        line = cast(AssociationSocket, assoc.dul.socket)
        limit = self.server.ae.maximum_pdu_size + KIB
        line.recv = partial(bounded_recv, line, limit)  # type: ignore[method-assign]
        assoc.start()
        self.server.share_processor()
        assoc.join()
        messages.clear()
        self.server.ended(assoc)
        self.server.share_processor()


class Server(listening.Server):
    """Listens for peers of the rules; everybody else is turned away before a byte is read."""

    request_queue_size = 256

    def __init__(
        self,
        ae: ApplicationEntity,
        address: Any,
        ae_title: str,
        contexts: Any,
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: Any = None,
        *,
        rules: Rules,
        ended: Callable[[Association], None],
    ) -> None:
        self.rules, self.ended = rules, ended
        self.memory = Memory(rules.node.memory_mib * MIB // 2)
        self.rate = Rate(rules.node.associations_per_minute)
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, Handler)

    def share_processor(self) -> None:
        """pynetdicom looks at each line a thousand times a second; of a hundred, that is all that a core can do."""
        under_way = self.active_associations
        for assoc in under_way:
            assoc.dul._run_loop_delay = LOOK_SECONDS * max(1.0, len(under_way) / FEW)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        address = str(client_address[0])
        if not any(peer.at(address) for peer in self.rules.peer):
            warn("association-refused", code="address-unknown")
            return False
        if not self.rate.allows(address):
            warn("association-refused", code="too-often")
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        warn("association-ended", code="defect")

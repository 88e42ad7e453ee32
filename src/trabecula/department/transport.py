"""DICOM's upper layer made safe for strangers: who may connect, and how much all of them may hold at a time.

pynetdicom reads what a peer declares: a PDU of 4 GiB is collected in memory. Here a PDU may be as long as was
negotiated, what has to stay in memory is counted over all associations, and pixels go to the disk as they come. It
also asks by select(), which takes no file descriptor above 1,023 and ends the association there; here by poll().
"""

import queue
import resource
import select
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
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

SPARE_LINES = 32
"""Lines beyond the associations: whoever comes then is refused by the library itself, over TLS as well."""

FILES_A_LINE, FILES_BESIDE = 2, 192
"""Open files: a line's socket and the instance that it brings; database, log, worker, answers and health pages."""

REASONS = {"too-often": 1, "too-many-lines": 2}
"""Why a line is turned away, as PS3.8 table 9-21 has it: temporary congestion, the local limit is exceeded."""

LINGER_SECONDS, MOST_LINGERING = 2.0, 64
"""How long a line that is turned away is held: closed with its request unread, it would lose the refusal with it."""


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


def files_needed(node: NodeTable) -> int:
    """How many files the node may have open at a time."""
    return FILES_A_LINE * (node.associations + SPARE_LINES) + FILES_BESIDE


def open_files(wanted: int) -> int:
    """As many open files for this process as are wanted and the system allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return wanted if soft == resource.RLIM_INFINITY else soft


def lines_for(node: NodeTable) -> int:
    """How many lines may be open at a time: those of the associations and some to spare, as far as there are files."""
    wanted = files_needed(node)
    allowed = open_files(wanted)
    if allowed < wanted:
        warn("open-files-few", allowed=allowed, needed=wanted)
    return max(1, (min(allowed, wanted) - FILES_BESIDE) // FILES_A_LINE)


def ready(line: AssociationSocket) -> bool:
    """As ``AssociationSocket.ready``, whatever the number of the file descriptor."""
    if line.socket is None or not line._is_connected:
        return False
    try:
        look = select.poll()
        look.register(line.socket, select.POLLIN)
        found = look.poll(0)
        if any(event & select.POLLNVAL for _, event in found):
            raise OSError("closed")
        return bool(found) or (isinstance(line.socket, ssl.SSLSocket) and line.socket.pending() > 0)
    except (OSError, ValueError):
        line.event_queue.put("Evt17")  # as the library itself: the connection is closed
        return False


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
        self.lines, self.most_lines = 0, lines_for(rules.node)
        self._counting = threading.Lock()
        self._lingering: deque[tuple[float, socket.socket]] = deque()
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
        code = "" if self.rate.allows(address) else "too-often"
        code = code or ("" if self.lines < self.most_lines else "too-many-lines")
        if code:
            warn("association-refused", code=code)
            self._turn_away(request, code)
        return not code

    def _turn_away(self, line: socket.socket, code: str) -> None:
        """Says why in an A-ASSOCIATE-RJ (transient, by the provider); over TLS nothing can be said yet."""
        if isinstance(line, ssl.SSLSocket):
            return
        with suppress(OSError):
            held = line.dup()
            self._lingering.append((time.monotonic() + LINGER_SECONDS, held))
            held.setblocking(False)
            held.send(struct.pack(">BxLxBBB", 0x03, 4, 0x02, 0x03, REASONS[code]))
            held.shutdown(socket.SHUT_WR)

    def service_actions(self) -> None:
        """Several times a second, and after each line: what was turned away is let go."""
        super().service_actions()
        for _ in range(len(self._lingering)):
            until, line = self._lingering.popleft()
            try:
                gone = not line.recv(64 * KIB)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone or time.monotonic() > until or len(self._lingering) >= MOST_LINGERING:
                line.close()
            else:
                self._lingering.append((until, line))

    def process_request(self, request: Any, client_address: Any) -> None:
        self._count(1)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was to be had
            self._count(-1)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._counting:
            self.lines += more

    def server_close(self) -> None:
        super().server_close()
        while self._lingering:
            self._lingering.pop()[1].close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        warn("association-ended", code="defect")

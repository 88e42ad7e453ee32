"""The receiving side: C-ECHO, C-STORE and storage commitment. Nothing is acknowledged before it is safe on disk."""

import shutil
import threading
from typing import Any, cast

from pydicom import Dataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import _config, evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket
from sqlalchemy.exc import SQLAlchemyError

from trabecula.archives.tls import server_context
from trabecula.causes import cause_of
from trabecula.department.arrivals import Arrivals
from trabecula.department.commitment import Commitments
from trabecula.department.logs import tell, warn
from trabecula.department.rules import Rules
from trabecula.department.spool import Spool, key_of
from trabecula.department.transport import MIB, Server, pdu_bytes, ready
from trabecula.dicom.files import open_dataset
from trabecula.dicom.headers import written
from trabecula.errors import Refusal, place_of, wrong_usage
from trabecula.formats.budget import Budget
from trabecula.formats.damage import muted

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    *(ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless),
    *(JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless),
    *(JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL),
)
STORED = tuple(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
"""Every storage class, though CTs alone are screened: an archive that sends a whole study gives up at the first object
that is not taken, and its reports, or our own answers, come along."""

SUCCESS, OUT_OF_RESOURCES, NOT_OF_CLASS, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000
PROCESSING_FAILURE = 0x0110
REJECTED, BY_USER, TITLE_UNKNOWN = 0x01, 0x01, 0x03


class Intake:
    """Listens, and writes down what came."""

    def __init__(self, rules: Rules, spool: Spool, arrivals: Arrivals, commitments: Commitments) -> None:
        self.rules, self.spool, self.arrivals, self.commitments = rules, spool, arrivals, commitments
        self.server: Server | None = None
        self.thread: threading.Thread | None = None

    def start(self) -> tuple[str, int]:
        """Listens from now on; returns the address.

        Raises:
            WrongUsage: the address or a certificate cannot be used.
        """
        node = self.rules.node
        _config.STORE_RECV_CHUNKED_DATASET = True
        AssociationSocket.ready = property(ready)  # type: ignore[assignment, method-assign]  # of answers that we send too
        ae = ApplicationEntity(ae_title=node.title)
        ae.maximum_pdu_size = pdu_bytes(node)
        ae.maximum_associations = node.associations
        ae.acse_timeout, ae.dimse_timeout, ae.network_timeout = 30, node.idle_seconds, node.idle_seconds
        ae.require_called_aet = True
        for stored in STORED:
            ae.add_supported_context(stored, list(SYNTAXES))
        ae.add_supported_context(Verification)
        ae.add_supported_context(StorageCommitmentPushModel)
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_ECHO, lambda event: SUCCESS),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._commit),
        ]
        secure = None if node.tls is None else server_context(node.tls, "node.tls")
        try:
            server = ae.make_server(
                (node.host, node.port),
                ssl_context=secure,
                evt_handlers=handlers,  # type: ignore[arg-type]
                server_class=Server,
                rules=self.rules,
                ended=self._ended,
            )
        except OSError as error:
            raise wrong_usage("address-unusable.node", host=node.host, port=node.port, cause=cause_of(error)) from error
        assert isinstance(server, Server)
        self.server = server
        ae._servers.append(server)  # what start_server does, so that shutdown finds it
        self.thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="intake", daemon=True)
        self.thread.start()
        return server.server_address[:2]

    def stop(self) -> None:
        """Takes no new association, and ends those under way: their studies wait for their senders."""
        if self.server is not None:
            for assoc in self.server.active_associations:
                assoc.abort()
            self.server.shutdown()

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    @property
    def associations(self) -> int:
        return 0 if self.server is None else len(self.server.active_associations)

    # What peers ask

    def _requested(self, event: evt.Event) -> None:
        """A title from an address that is not its own is turned away."""
        assoc = event.assoc
        peer = self.rules.peer_titled(str(cast(Any, assoc.requestor.primitive).calling_ae_title).strip())
        if peer is None or not peer.at(str(assoc.requestor.address)):
            warn("association-refused", code="title-unknown")
            assoc.acse.send_reject(REJECTED, BY_USER, TITLE_UNKNOWN)
            assoc.kill()

    def _store(self, event: evt.Event) -> int:
        """Keeps an instance; a study of which one was refused is not taken as whole when its sender goes on."""
        try:
            status = self._kept(event)
        except (OSError, SQLAlchemyError):
            status = self._refused("disk-full", OUT_OF_RESOURCES)
        if status != SUCCESS:
            self.arrivals.refused(event.assoc)
        return status

    def _kept(self, event: evt.Event) -> int:
        path, request = event.dataset_path, cast(Any, event.request)
        if shutil.disk_usage(self.spool.folder).free < self.rules.node.free_disk_mib * MIB:
            return self._refused("disk-full", OUT_OF_RESOURCES)
        try:
            with muted("pydicom"), Budget(1) as budget:
                dataset = open_dataset(path, budget)
                study, instance = ("", "") if dataset is None else _uids(dataset)
        except (Refusal, OSError):
            study = instance = ""
        if not study or not instance:
            return self._refused("instance-unreadable", NOT_UNDERSTOOD)
        if instance != str(request.AffectedSOPInstanceUID):
            return self._refused("uid-differs", NOT_OF_CLASS)
        self.arrivals.begun(event.assoc, key_of(study), str(event.assoc.requestor.ae_title).strip())
        new = self.spool.keep(path, key_of(study), key_of(instance))
        self.arrivals.kept(event.assoc, key_of(study), new, path.stat().st_size)
        return SUCCESS

    def _refused(self, code: str, status: int) -> int:
        warn("instance-refused", code=code)
        return status

    def _ended(self, assoc: Association) -> None:
        broke_off = "sender-idle" if assoc.dul.idle_timer_expired() else "sender-broke-off"
        self.arrivals.ended(assoc, "" if assoc.is_released else broke_off)

    def _commit(self, event: evt.Event) -> tuple[int, Dataset | None]:
        title = str(event.assoc.requestor.ae_title).strip()
        try:
            status = self.commitments.ask(title, event.action_information, event.action_type)
        except Exception as error:  # the peer asks again
            status = PROCESSING_FAILURE
            warn("commitment-failed", code=type(error).__name__, place=place_of(error.__traceback__))
        tell("commitment-asked", status=status)
        return status, None


def _uids(dataset: Dataset) -> tuple[str, str]:
    return written(dataset, "StudyInstanceUID"), written(dataset, "SOPInstanceUID")

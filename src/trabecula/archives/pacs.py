"""A PACS: C-FIND finds, C-MOVE has it sent here."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    EnhancedCTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from trabecula.archives.address import PacsAddress, Search
from trabecula.archives.listening import Server
from trabecula.archives.tls import client_context, server_context, why_no_association
from trabecula.archives.trouble import disk_full, not_retrieved, unreachable
from trabecula.causes import cause_of
from trabecula.errors import TrabeculaError, failure, wrong_usage
from trabecula.messages import Phrase

SUCCESS, OUT_OF_RESOURCES, NOT_ASKED_FOR = 0x0000, 0xA700, 0xC001
PENDING = (0xFF00, 0xFF01)


class Pacs:
    """C-FIND and C-MOVE; what is moved comes to a storage SCP of our own, which takes only what was asked for."""

    def __init__(self, address: PacsAddress) -> None:
        self.address = address
        where = f"{address.name}.tls"
        self.asking = None if address.tls is None else client_context(address.tls, where)
        self.receiving = None if address.tls is None else server_context(address.tls, where)
        self.folders: dict[str, Path] = {}
        self.full = threading.Event()
        self.server: Any = None

    def start(self) -> None:
        ae = ApplicationEntity(self.address.own_title)
        for kind in (CTImageStorage, EnhancedCTImageStorage):
            ae.add_supported_context(kind, AllTransferSyntaxes)
        at = (self.address.own_host, self.address.own_port)
        try:
            server = ae.make_server(
                at,
                evt_handlers=[(evt.EVT_C_STORE, self._store)],
                ssl_context=self.receiving,
                server_class=Server,
            )
        except OSError as error:
            raise wrong_usage(
                "address-unusable.pacs", name=self.address.name, host=at[0], port=at[1], cause=cause_of(error)
            ) from error
        ae._servers.append(server)  # what start_server does, so that shutdown finds it
        self.server = server
        threading.Thread(target=server.serve_forever, args=(0.2,), name=self.address.name, daemon=True).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()

    def studies(self, search: Search) -> list[str]:
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""
        asked.ModalitiesInStudy = "CT"
        asked.StudyDate, asked.StudyDescription = search.study_date, search.description
        return sorted({str(one.StudyInstanceUID) for one in self._find(asked)})

    def fetch(self, study: str, folder: Path) -> None:
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "SERIES", study
        asked.SeriesInstanceUID, asked.Modality = "", "CT"
        series = [str(one.SeriesInstanceUID) for one in self._find(asked) if one.get("Modality", "CT") == "CT"]
        self.full.clear()
        self.folders[study] = folder
        try:
            for uid in series:
                self._move(study, uid)
        finally:
            del self.folders[study]
        if not any(folder.iterdir()):
            raise not_retrieved(self.address.name, Phrase("no-ct-of-study.pacs"))

    def _find(self, asked: Dataset) -> list[Dataset]:
        found = []
        with self._associated(StudyRootQueryRetrieveInformationModelFind) as assoc:
            for status, answer in assoc.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind):
                if "Status" not in status:
                    raise self._silent()
                if status.Status in PENDING and answer is not None:
                    found.append(answer)
                elif status.Status != SUCCESS:
                    raise failure("archive-refused.search", name=self.address.name, status=f"{status.Status:04x}")
        return found

    def _move(self, study: str, series: str) -> None:
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.SeriesInstanceUID = "SERIES", study, series
        model = StudyRootQueryRetrieveInformationModelMove
        with self._associated(model) as assoc:
            for status, _ in assoc.send_c_move(asked, self.address.own_title, model):
                if self.full.is_set():
                    raise disk_full(self.address.name)
                if "Status" not in status:
                    raise self._silent()
                if status.Status not in (*PENDING, SUCCESS):
                    raise not_retrieved(self.address.name, Phrase("move-ended", {"status": f"{status.Status:04x}"}))

    @contextmanager
    def _associated(self, model: UID) -> Iterator[Association]:
        ae = ApplicationEntity(self.address.own_title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = self.address.seconds_silent
        ae.add_requested_context(model)
        secure = None if self.asking is None else (self.asking, self.address.host)
        assoc = ae.associate(self.address.host, self.address.port, ae_title=self.address.title, tls_args=secure)
        if not assoc.is_established:
            _close(assoc)
        if assoc.is_rejected:
            raise failure("archive-refused", name=self.address.name, title=self.address.own_title)
        if not assoc.is_established:
            raise self._silent()
        try:
            yield assoc
        finally:
            if assoc.is_established:
                assoc.release()

    def _silent(self) -> TrabeculaError:
        address = self.address
        why = why_no_association(self.asking, address.host, address.port, address.seconds_silent)
        return unreachable(address.name, why, address.seconds_silent)

    def _store(self, event: evt.Event) -> int:
        folder = self.folders.get(str(event.dataset.get("StudyInstanceUID", "")))
        if folder is None:
            return NOT_ASKED_FOR
        try:
            name = UID(str(event.dataset.get("SOPInstanceUID", "")))
            if not name.is_valid:
                return NOT_ASKED_FOR
            (folder / f"{name}.dcm").write_bytes(event.encoded_dataset())
        except OSError:
            self.full.set()
            return OUT_OF_RESOURCES
        return SUCCESS


def _close(assoc: Association) -> None:
    """pynetdicom leaves the line open where the other side ends a handshake."""
    line = assoc.dul.socket
    if line is not None and line.socket is not None:
        line.socket.close()

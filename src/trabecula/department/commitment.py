"""Storage commitment (PS3.4, annex J): the promise that instances are safe here, given back until it is heard."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pynetdicom.ae import ApplicationEntity
from pynetdicom.presentation import build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from trabecula.department.logs import tell, warn
from trabecula.department.rules import Rules
from trabecula.department.spool import Spool, key_of, write_safely

REQUEST = 1
ALL_SAFE, SOME_FAILED = 1, 2
NO_SUCH_INSTANCE = 0x0112
SUCCESS, FAILURE, NO_SUCH_ACTION = 0x0000, 0x0110, 0x0123
KEPT_SECONDS = 7 * 24 * 3600.0


class Commitments:
    """Promises that are still to be told, each a file, so that none is forgotten."""

    def __init__(self, rules: Rules, spool: Spool, data: Path) -> None:
        self.rules, self.spool = rules, spool
        self.folder = data / "node" / "commitments"
        self._due: dict[Path, tuple[float, int]] = {}

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def ask(self, title: str, asked: Dataset, action: int | None) -> int:
        """Writes down what is asked of which peer; the status to answer with."""
        if action != REQUEST:
            return NO_SUCH_ACTION
        peer = self.rules.peer_titled(title)
        if peer is None or peer.port is None or peer.host is None:
            warn("commitment-refused", code="peer-without-address")
            return FAILURE
        wanted = [
            (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)) for one in asked.ReferencedSOPSequence
        ]
        told = {"title": title, "transaction": str(asked.TransactionUID), "wanted": wanted, "asked": time.time()}
        name = hashlib.sha256(f"{title} {asked.TransactionUID}".encode()).hexdigest()[:32]
        write_safely(self.folder / f"{name}.json", told)
        return SUCCESS

    def waiting(self) -> int:
        return len(list(self.folder.glob("*.json")))

    def tell_all(self) -> None:
        """Tries every promise that is due."""
        now = time.monotonic()
        for path in sorted(self.folder.glob("*.json")):
            due, attempts = self._due.get(path, (0.0, 0))
            if due > now:
                continue
            told = json.loads(path.read_bytes())
            if self._tell(told):
                path.unlink()
                self._due.pop(path, None)
                tell("commitment-told", instances=len(told["wanted"]))
            elif time.time() - told["asked"] > KEPT_SECONDS:
                path.unlink()
                warn("commitment-given-up", code="peer-unreachable")
            else:
                self._due[path] = (now + self.rules.retry.after(attempts + 1), attempts + 1)

    def _tell(self, told: dict[str, Any]) -> bool:
        peer = self.rules.peer_titled(told["title"])
        if peer is None or peer.host is None or peer.port is None:
            return False
        ae = ApplicationEntity(self.rules.node.title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
        ae.connection_timeout = 10
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        assoc = ae.associate(peer.host, peer.port, ae_title=peer.title, ext_neg=[role])
        if not assoc.is_established:
            return False
        try:
            report = self._report(told)
            event = SOME_FAILED if "FailedSOPSequence" in report else ALL_SAFE
            status, _ = assoc.send_n_event_report(
                report, event, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            return "Status" in status and status.Status == SUCCESS
        except (ValueError, RuntimeError):
            return False
        finally:
            assoc.release()

    def _report(self, told: dict[str, Any]) -> Dataset:
        safe: list[Dataset] = []
        failed: list[Dataset] = []
        for sop_class, instance in told["wanted"]:
            one = Dataset()
            one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = sop_class, instance
            if self.spool.holds(key_of(instance)):
                safe.append(one)
            else:
                one.FailureReason = NO_SUCH_INSTANCE
                failed.append(one)
        report = Dataset()
        report.TransactionUID = told["transaction"]
        if safe:
            report.ReferencedSOPSequence = safe
        if failed:
            report.FailedSOPSequence = failed
        return report

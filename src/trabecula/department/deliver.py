"""Answers on their way: each destination has a thread of its own, so that one that is down holds up no other."""

import http.client
import json
import ssl
import threading
import urllib.error
import urllib.request
import uuid
import zipfile
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from trabecula.archives.tls import client_context, why_no_association, why_unreachable
from trabecula.department.ledger import Ledger, Take
from trabecula.department.logs import tell, warn
from trabecula.department.rules import Destination, Rules
from trabecula.errors import place_of, wrong_usage
from trabecula.studies.folders import DICOM_ZIP, Folders

IDLE_SECONDS = 0.5
CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
SUCCESS, DUPLICATE = 0x0000, 0x0111
FAILED_SEQUENCE = "00081198"
ANSWER_BYTES = 2**20
WARNINGS = (0xB000, 0xB006, 0xB007)
"""Stored all the same: elements coerced, elements discarded, another class (PS3.4, table B.2-1)."""


class Unreachable(Exception):
    """The destination does not answer, or cannot take anything just now; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unwanted(Unreachable):
    """The destination answers, and will not have this very object."""


class Courier:
    """Takes to one destination what is due, until it is told to end."""

    def __init__(self, destination: Destination, rules: Rules, ledger: Ledger, folders: Folders) -> None:
        self.destination, self.rules, self.ledger, self.folders = destination, rules, ledger, folders
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"courier {destination.name}", daemon=True)
        self.reachable = True

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.thread.join(timeout=CONNECT_SECONDS)

    def _run(self) -> None:
        while not self.ending.is_set():
            try:
                if not self.once():
                    self.ending.wait(IDLE_SECONDS)
            except Exception as error:  # whatever it is, the others' answers and the next try go on
                place = place_of(error.__traceback__)
                warn("delivery-failed", destination=self.destination.name, code=type(error).__name__, place=place)
                self.ending.wait(self.rules.retry.first_seconds)

    def once(self) -> bool:
        """Tries the next answer that is due; False where none is."""
        found = self.ledger.due(self.destination.name)
        if found is None:
            return False
        answer, take = found
        name, attempts = self.destination.name, answer.attempts + 1
        try:
            send(object_in(self._folder(take), answer.file), self.destination, self.rules.node.title)
        except Unwanted as refused:
            self.ledger.refused(answer, refused.code, self.rules.retry.after(attempts))
            warn("answer-refused", destination=name, study=take.study, code=refused.code, attempts=attempts)
        except Unreachable as away:
            self.reachable = False
            self.ledger.postpone(answer, away.code, self.rules.retry.after(attempts))
            warn("destination-unreachable", destination=name, code=away.code, attempts=attempts)
        else:
            self.reachable = True
            self.ledger.accept(answer)
            tell("answer-accepted", destination=name, study=take.study, object=answer.file, attempts=attempts)
        return True

    def _folder(self, take: Take) -> Path:
        return self.folders.version(take.store_id, 1)


def names_in(version: Path) -> set[str]:
    """The DICOM objects of a result, by their names in its zip; none where none could be made."""
    try:
        with zipfile.ZipFile(version / DICOM_ZIP) as packed:
            return {Path(name).name for name in packed.namelist()}
    except (OSError, zipfile.BadZipFile):
        return set()


def object_in(version: Path, name: str) -> bytes:
    """A DICOM object of a result.

    Raises:
        Unwanted: it is not there any more.
    """
    try:
        with zipfile.ZipFile(version / DICOM_ZIP) as packed:
            (found,) = (one for one in packed.namelist() if Path(one).name == name)
            return packed.read(found)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise Unwanted("object-missing") from error


def require_usable(destination: Destination) -> None:
    """Find out at the start whether a destination's files can be read.

    Raises:
        WrongUsage: a certificate or the file with the Authorization header cannot.
    """
    if destination.tls is not None:
        client_context(destination.tls, f"[[destination]] {destination.name}")
    if destination.authorization_file is not None and not Path(destination.authorization_file).is_file():
        raise wrong_usage("authorization-missing", name=destination.name, path=destination.authorization_file)


def answers(destination: Destination, own_title: str) -> str:
    """Why a destination does not answer, as a code; empty where it does. DICOMweb servers have no echo: a search."""
    if destination.stow is not None:
        asked = urllib.request.Request(f"{destination.stow}?limit=1", headers=_authorized(destination))
        try:
            with _opener(destination).open(asked, timeout=CONNECT_SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            error.close()
            return f"http-{error.code}"
        except (OSError, http.client.HTTPException) as error:
            return why_unreachable(error)
    ae = ApplicationEntity(own_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = CONNECT_SECONDS
    ae.add_requested_context(Verification)
    assoc = _associate(ae, destination)
    if assoc.is_rejected:
        return "association-rejected"
    if not assoc.is_established:
        return _no_connection(destination)
    status = assoc.send_c_echo()
    assoc.release()
    return "" if "Status" in status and status.Status == SUCCESS else "no-answer"


def send(made: bytes, destination: Destination, own_title: str) -> None:
    """One object to one destination.

    Raises:
        Unwanted: it will not have this object.
        Unreachable: it does not answer.
    """
    if destination.stow is not None:
        _stow(made, destination)
    else:
        _store(made, destination, own_title)


def _store(made: bytes, destination: Destination, own_title: str) -> None:
    dataset = dcmread(BytesIO(made))
    ae = ApplicationEntity(own_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ANSWER_SECONDS
    ae.connection_timeout = CONNECT_SECONDS
    ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    assoc = _associate(ae, destination)
    if assoc.is_rejected:
        raise Unreachable("association-rejected")
    if not assoc.is_established:
        raise Unwanted("class-not-supported") if assoc.rejected_contexts else Unreachable(_no_connection(destination))
    try:
        status = assoc.send_c_store(dataset)
    except (ValueError, RuntimeError) as error:
        raise Unwanted("class-not-supported") from error
    finally:
        _end(assoc)
    code = int(status.Status) if "Status" in status else None
    if code is None:
        raise Unreachable("no-answer")
    if code in (SUCCESS, DUPLICATE, *WARNINGS):
        return
    if code >> 8 == 0xA7:
        raise Unreachable("out-of-resources")
    raise Unwanted(f"status-{code:04x}")


def _associate(ae: ApplicationEntity, destination: Destination) -> Association:
    assert destination.host is not None and destination.port is not None and destination.title is not None
    context = _secure(destination)
    secure = None if context is None else (context, destination.host)
    return ae.associate(destination.host, destination.port, ae_title=destination.title, tls_args=secure)


def _secure(destination: Destination) -> ssl.SSLContext | None:
    return None if destination.tls is None else client_context(destination.tls, f"[[destination]] {destination.name}")


def _authorized(destination: Destination) -> dict[str, str]:
    if destination.authorization_file is None:
        return {}
    return {"Authorization": Path(destination.authorization_file).read_text(encoding="utf-8").strip()}


def _end(assoc: Association) -> None:
    if assoc.is_established:
        assoc.release()


def _stow(made: bytes, destination: Destination) -> None:
    """STOW-RS (PS3.18, 10.5): the object as the one part of a multipart body."""
    mark = uuid.uuid4().hex
    parts = f"--{mark}\r\nContent-Type: application/dicom\r\n\r\n".encode() + made + f"\r\n--{mark}--\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={mark}',
        "Accept": "application/dicom+json",
        **_authorized(destination),
    }
    assert destination.stow is not None
    asked = urllib.request.Request(destination.stow, parts, headers, method="POST")
    try:
        with _opener(destination).open(asked, timeout=ANSWER_SECONDS) as answer:
            status, kind, said = answer.status, answer.headers.get_content_type(), answer.read(ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code < 400 or error.code in (401, 403, 404, 408, 429) or error.code >= 500:
            raise Unreachable(f"http-{error.code}") from error
        raise Unwanted(f"http-{error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(why_unreachable(error)) from error
    if status not in (200, 204):  # 202: some were refused, and there is but one
        raise Unwanted(f"http-{status}")
    if status == 200:
        _require_stored(kind, said)


def _require_stored(kind: str, said: bytes) -> None:
    """A 200 is an acceptance only where a DICOMweb server says it: a page that asks to log in is one too."""
    if "dicom" not in kind and kind not in ("application/json", "application/xml", "text/xml"):
        raise Unreachable("no-dicomweb")
    if "json" in kind:
        try:
            told = json.loads(said)
        except ValueError as error:
            raise Unreachable("no-dicomweb") from error
        told = told[0] if isinstance(told, list) and told else told
        if isinstance(told, dict) and told.get(FAILED_SEQUENCE, {}).get("Value"):
            raise Unwanted("instance-failed")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Elsewhere is not the destination: followed, a POST becomes a GET, whose 200 would be taken for an acceptance."""

    def redirect_request(self, *asked: object) -> None:
        return None


def _opener(destination: Destination) -> urllib.request.OpenerDirector:
    secure = urllib.request.HTTPSHandler(context=_secure(destination))
    return urllib.request.build_opener(_NoRedirect, secure)


def _no_connection(destination: Destination) -> str:
    assert destination.host is not None and destination.port is not None
    return why_no_association(_secure(destination), destination.host, destination.port, CONNECT_SECONDS)

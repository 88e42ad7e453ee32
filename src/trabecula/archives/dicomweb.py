"""DICOMweb: QIDO-RS finds, WADO-RS brings."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trabecula.archives.address import Search, WebAddress
from trabecula.archives.tls import client_context, why_unreachable
from trabecula.archives.trouble import disk_full, not_retrieved, unreachable
from trabecula.errors import wrong_usage
from trabecula.messages import Phrase

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
INSTANCES_OF_STUDY = "00201208"
DICOM = (("application/dicom", "*"),)


class DicomWeb:
    """An archive by QIDO-RS and WADO-RS."""

    def __init__(self, address: WebAddress) -> None:
        from dicomweb_client.api import DICOMwebClient
        from requests import Session

        self.address, session = address, Session()
        if address.tls is not None:
            client_context(address.tls, address.name)  # says what is wrong with the files
            session.trust_env = False  # REQUESTS_CA_BUNDLE would go before the authority named here
            session.verify = address.tls.ca or True
            if address.tls.certificate is not None and address.tls.key is not None:
                session.cert = (os.fspath(address.tls.certificate), os.fspath(address.tls.key))
        headers = {}
        if address.authorization_file is not None:
            headers["Authorization"] = _authorization(address)
        url = address.url.rstrip("/")
        self.client = DICOMwebClient(url, session=session, headers=headers, timeout=address.seconds_silent)
        self.client.set_http_retry_params(retry=False)

    def answers(self) -> None:
        """Raises TrabeculaError where a search is not answered."""
        with self._asking(Phrase("asked-search")):
            self.client.search_for_studies(limit=1)

    def studies(self, search: Search) -> list[str]:
        return sorted(self.listed(search))

    def listed(self, search: Search) -> dict[str, int | None]:
        """Study instance UIDs that the search finds, with how many instances each has, where that is told.

        Raises:
            TrabeculaError: as ``trouble`` tells them.
        """
        filters = {"ModalitiesInStudy": "CT"}
        filters |= {"StudyDate": search.study_date} if search.study_date else {}
        filters |= {"StudyDescription": search.description} if search.description else {}
        with self._asking(Phrase("asked-search")):
            found = _paged(STUDY, lambda offset: self.client.search_for_studies(search_filters=filters, offset=offset))
            return {study: _count(one) for study, one in found.items()}

    def instances(self, study: str) -> dict[str, set[str]]:
        """SOP instance UIDs of each CT series of a study.

        Raises:
            TrabeculaError: as ``trouble`` tells them.
        """
        with self._asking(Phrase("asked-search")):
            return {series: self._instances(study, series) for series in self._series(study)}

    def fetch(self, study: str, folder: Path) -> None:
        with self._asking(Phrase("asked-study")):
            series = self._series(study)
        self.fetch_series(study, series, folder)

    def _instances(self, study: str, series: str) -> set[str]:
        return set(_paged(INSTANCE, lambda offset: self.client.search_for_instances(study, series, offset=offset)))

    def _series(self, study: str) -> list[str]:
        only = {"Modality": "CT"}
        found = _paged(SERIES, lambda offset: self.client.search_for_series(study, search_filters=only, offset=offset))
        return list(found)

    def fetch_series(self, study: str, series: list[str], folder: Path) -> None:
        """Series of a study as files.

        Raises:
            TrabeculaError: as ``trouble`` tells them.
        """
        with self._asking(Phrase("asked-study")):
            for uid in series:
                for number, instance in enumerate(self.client.iter_series(study, uid, media_types=DICOM)):
                    instance.save_as(folder / f"{uid}-{number:05d}.dcm", enforce_file_format=True)
        if not any(folder.iterdir()):
            raise not_retrieved(self.address.name, Phrase("no-ct-of-study"))

    @contextmanager
    def _asking(self, what: Phrase) -> Iterator[None]:
        from requests import ConnectionError, HTTPError, RequestException, Timeout

        name, seconds = self.address.name, self.address.seconds_silent
        try:
            yield
        except HTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if status >= 500:
                raise unreachable(name, "", seconds, status) from error
            raise not_retrieved(name, Phrase("answered-http", {"what": what, "status": status})) from error
        except (ConnectionError, Timeout) as error:
            raise unreachable(name, why_unreachable(error), seconds) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full(name) from error
            raise unreachable(name, why_unreachable(error), seconds) from error
        except (RequestException, ValueError, KeyError, IndexError) as error:
            raise not_retrieved(name, Phrase("answered-otherwise", {"what": what})) from error


def _authorization(address: WebAddress) -> str:
    assert address.authorization_file is not None
    try:
        return address.authorization_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise wrong_usage("authorization-missing", name=address.name, path=str(address.authorization_file)) from error


def _paged(tag: str, ask: Callable[[int | None], list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """All that a search finds, by one of its UIDs."""
    found: dict[str, dict[str, Any]] = {}
    while True:
        told = {_value(one, tag): one for one in ask(len(found) or None)}
        if told.keys() <= found.keys():  # the end, or a server that knows no offset and says the same again
            return found
        found |= told


def _value(told: Mapping[str, Any], tag: str) -> str:
    return str(told[tag]["Value"][0])


def _count(told: Mapping[str, Any]) -> int | None:
    values = told.get(INSTANCES_OF_STUDY, {}).get("Value") or [None]
    return None if values[0] is None else int(values[0])

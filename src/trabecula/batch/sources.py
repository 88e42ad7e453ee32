"""Where a batch takes its studies from, as a TOML file says: folders, tables, a PACS, DICOMweb."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from trabecula.archives.address import Archive, PacsAddress, Port, Search, Title, Tls, WebAddress
from trabecula.archives.tls import client_context
from trabecula.causes import Unfit, cause_invalid, cause_of
from trabecula.errors import WrongUsage, wrong_usage
from trabecula.messages import Fact, Phrase


class Source(BaseModel):
    """One ``[[source]]``: a ``path``, a PACS (``title``, ``host``, ``port``) or a ``dicomweb`` address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    path: Path | None = None
    title: Title | None = None
    host: str | None = None
    port: Port | None = None
    own_title: Title = "TRABECULA"  # where the PACS sends: it must know this title, host and port
    own_host: str = "127.0.0.1"
    own_port: Port = 11113
    dicomweb: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    authorization_file: Path | None = None  # holds the Authorization header
    tls: Tls | None = None  # to a PACS and back; of DICOMweb the authority, and a certificate of ours
    study_date: str = ""  # 20240101-20241231
    description: str = ""  # of the study, with * and ?
    studies: list[str] = []  # study instance UIDs, instead of a search
    seconds_silent: Annotated[float, Field(gt=0, le=3600)] = 60.0

    @model_validator(mode="after")
    def _one_way(self) -> "Source":
        pacs = self.title is not None and self.host is not None and self.port is not None
        if sum((pacs, self.dicomweb is not None, self.path is not None)) != 1:
            raise Unfit("value-one-source")
        if pacs and self.tls is not None and (self.tls.certificate is None or self.tls.key is None):
            raise Unfit("value-tls-both")
        if self.dicomweb is not None and self.tls is not None and self.dicomweb.startswith("http:"):
            raise Unfit("value-https")
        return self

    @property
    def search(self) -> Search:
        return Search(self.study_date, self.description)


@contextmanager
def archive_of(source: Source) -> Iterator[Archive]:
    """The archive of a source, listening for what is sent where it is a PACS."""
    if source.dicomweb is not None:
        from trabecula.archives.dicomweb import DicomWeb

        address = WebAddress(source.name, source.dicomweb, source.seconds_silent, source.authorization_file, source.tls)
        yield DicomWeb(address)
        return
    from trabecula.archives.pacs import Pacs

    assert source.title is not None and source.host is not None and source.port is not None
    own = (source.own_title, source.own_host, source.own_port)
    pacs = Pacs(
        PacsAddress(source.name, source.title, source.host, source.port, *own, source.seconds_silent, source.tls)
    )
    pacs.start()
    try:
        yield pacs
    finally:
        pacs.stop()


class Sources(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[list[Source], Field(min_length=1)]


def read_sources(path: Path) -> list[Source]:
    """The sources of a TOML file; paths in it are meant from its folder.

    Raises:
        WrongUsage: ``sources-wrong``; the sentence names the key and the cure.
    """
    try:
        sources = Sources.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).source
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, "", Phrase("value-no-file", {"cause": cause_of(error)})) from error
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, "", cause_of(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(f"{one + 1}" if isinstance(one, int) else str(one) for one in first["loc"])
        raise _wrong(path, key, cause_invalid(first)) from error
    names = [one.name for one in sources]
    for name in names:
        if names.count(name) > 1:
            raise _wrong(path, "", Phrase("value-twice", {"name": name, "key": "source.name"}))
    ports = [one.own_port for one in sources if one.title is not None]
    for port in ports:
        if ports.count(port) > 1:
            raise _wrong(path, "", Phrase("value-twice", {"name": str(port), "key": "source.own_port"}))
    for one in sources:
        if one.authorization_file is not None and not one.authorization_file.is_file():
            raise _wrong(
                path, "authorization_file", Phrase("value-no-such-file", {"path": str(one.authorization_file)})
            )
        if one.tls is not None:  # what is wrong with it is said before anything is asked
            client_context(_beside(one.tls, path), f"{path.name}: {one.name}.tls")
    return [one.model_copy(update=_places(one, path)) for one in sources]


def _places(one: Source, path: Path) -> dict[str, object]:
    """The paths of a source as they are meant from the file's folder."""
    found: dict[str, object] = {} if one.path is None else {"path": path.parent / one.path}
    return found if one.tls is None else found | {"tls": _beside(one.tls, path)}


def _beside(tls: Tls, path: Path) -> Tls:
    return Tls(**{name: str(path.parent / file) for name, file in tls.model_dump(exclude_none=True).items()})


def _wrong(path: Path, key: str, cause: Fact) -> WrongUsage:
    return wrong_usage("sources-wrong", place=[path.name, *([key] if key else [])], cause=cause)

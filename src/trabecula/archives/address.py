"""Where an archive is, and by which certificates it is spoken to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Title = Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[A-Za-z0-9_. -]*[A-Za-z0-9_.-]$")]
"""An application entity title (PS3.5, AE): 16 characters, none of them a backslash or a control character."""

Port = Annotated[int, Field(ge=1, le=65535)]


class Tls(BaseModel):
    """Certificates, PEM. With ``ca`` the other side must show a certificate of that authority."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None


@dataclass(frozen=True)
class PacsAddress:
    """A PACS, and where it sends what is moved: it must know the own title, host and port."""

    name: str
    title: str
    host: str
    port: int
    own_title: str
    own_host: str
    own_port: int
    seconds_silent: float
    tls: Tls | None = None


@dataclass(frozen=True)
class WebAddress:
    """A DICOMweb server; the file holds the Authorization header."""

    name: str
    url: str
    seconds_silent: float
    authorization_file: Path | None = None
    tls: Tls | None = None


@dataclass(frozen=True)
class Search:
    """Which studies with a CT are asked for: of which days (20240101-20241231), described how (with * and ?)."""

    study_date: str = ""
    description: str = ""


class Archive(Protocol):
    """Where studies are asked for."""

    def studies(self, search: Search) -> list[str]:
        """Study instance UIDs that the search finds, in order.

        Raises:
            TrabeculaError: as ``trouble`` tells them.
        """

    def fetch(self, study: str, folder: Path) -> None:
        """The study's CT series as files.

        Raises:
            TrabeculaError: as ``trouble`` tells them.
        """

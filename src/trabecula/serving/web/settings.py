"""What ``trabecula serve`` was asked for, and where its files lie."""

import ipaddress
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from trabecula.errors import WrongUsage

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """What one upload, and the one worker, may take."""

    upload_bytes: int = 2 * GIB
    upload_files: int = 20_000
    label_letters: int = 80
    worker_bytes: int = 7 * GIB // 2  # of private memory; a larger scan is refused, the machine is not swamped
    job_seconds: int = 900
    attempts: int = 2  # a scan that brings the worker down twice is not tried again


@dataclass(frozen=True)
class Settings:
    """One running server: its private folder, its database, who may reach it."""

    data: Path
    database_url: str | None = None  # SQLite in the folder where None
    host: str = "127.0.0.1"
    port: int = 8000
    recipe: str | None = None
    behind_proxy: bool = False  # one that ends TLS; its X-Forwarded headers are then believed
    certificate: Path | None = None
    key: Path | None = None
    limits: Limits = Limits()

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'trabecula.sqlite'}"

    @property
    def beyond_this_machine(self) -> bool:
        """Whether others can reach it, so that everybody has to log in."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS, so that cookies are for TLS alone."""
        return self.behind_proxy or self.certificate is not None


class Folders:
    """The private folder: nobody else may read it, and no name in it comes from an upload."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.studies = data / "studies"
        self.incoming = data / "incoming"  # uploads under way
        self.work = data / "work"  # temporary files of the worker

    def prepare(self) -> None:
        """Make the folders, for the owner alone, and clear away what an earlier run left unfinished.

        Raises:
            WrongUsage: the folder cannot be written.
        """
        try:
            for unfinished in (self.incoming, self.work, *self.studies.glob("*/.trabecula-*")):
                shutil.rmtree(unfinished, ignore_errors=True)
            for folder in (self.data, self.studies, self.incoming, self.work):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise WrongUsage(
                "output-unwritable",
                f"{self.data} cannot be written: {(error.strerror or 'unknown cause').lower()}."
                " Name a folder where you may write, on a disk with room.",
            ) from error

    def study(self, study_id: str) -> Path:
        """The folder of a study; the name is one of ours."""
        if not (len(study_id) == 32 and study_id.isalnum() and study_id.isascii()):
            raise ValueError("not a study of ours")
        return self.studies / study_id

    def version(self, study_id: str, number: int) -> Path:
        return self.study(study_id) / f"version-{number}"


def secret_of(data: Path) -> bytes:
    """The server's own secret, made when it is first asked for and readable by its owner alone."""
    path = data / "secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        made = os.urandom(32)
        file.write(made)
    return made

"""What ``trabecula serve`` was asked for."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from trabecula.studies.orders import Limits, Orders


@dataclass(frozen=True)
class Settings:
    """One running server: its private folder, its database, who may reach it."""

    data: Path
    database_url: str | None = None  # SQLite in the folder where None
    host: str = "127.0.0.1"
    port: int = 8000
    recipe: str | None = None
    behind_proxy: bool = False  # one that ends TLS
    proxy: str = "127.0.0.1"  # its address: nobody else's X-Forwarded headers are believed
    certificate: Path | None = None
    key: Path | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'trabecula.sqlite'}"

    @property
    def backups(self) -> Path:
        """Where copies of the database go before it is changed."""
        return self.data / "backups"

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

    @property
    def orders(self) -> Orders:
        """What the worker is told."""
        return Orders(self.data, self.database, self.recipe, self.limits)


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

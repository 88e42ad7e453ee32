"""What the one worker is told, and what it may take."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """What one study may take."""

    upload_bytes: int = 2 * GIB
    upload_files: int = 20_000
    label_letters: int = 80
    worker_bytes: int = 7 * GIB // 2  # of private memory; a larger scan is refused, the machine is not swamped
    job_seconds: int = 900
    attempts: int = 2  # a scan that brings the worker down twice is not tried again


@dataclass(frozen=True)
class Orders:
    """Where a worker finds studies, which recipe it follows (the default one where None), and its limits."""

    data: Path
    database: str
    recipe: str | None
    limits: Limits = Limits()

    def to_line(self) -> str:
        """As one line of JSON; the database's address may hold a password."""
        return json.dumps(asdict(self), default=str) + "\n"


def orders_from(line: str) -> Orders:
    """Orders as ``to_line`` wrote them."""
    told = json.loads(line)
    return Orders(Path(told["data"]), told["database"], told["recipe"], Limits(**told["limits"]))

"""What a machine needs to screen, but for the numbers themselves: each look says what it saw, or the cure."""

import os
import shutil
import stat
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trabecula.errors import defect
from trabecula.messages import Phrase

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LEAST_FREE_MIB, LEAST_MEMORY_MIB, LEAST_OPEN_FILES = 2048, 2048, 1024
CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container or service what it may take."""


def packages() -> Phrase:
    """Whether every package is here in a version that this one takes; of extras, those of which any part is here.

    Raises:
        Defect: one is missing or too old.
    """
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(one) for one in metadata.requires("trabecula") or ()]
    except metadata.PackageNotFoundError as error:
        raise defect("not-installed") from error
    core = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [said for one in core if (said := _lacks(one))]
    for extra in metadata.metadata("trabecula").get_all("Provides-Extra") or ():
        of_it = [one for one in needed if one not in core and one.marker and one.marker.evaluate({"extra": extra})]
        if any(_version(one.name) for one in of_it):  # too old is wrong, absent is a choice
            wrong += [said for one in of_it if _version(one.name) and (said := _lacks(one))]
    if wrong:
        raise defect("packages-unfit", wrong=tuple(dict.fromkeys(wrong)))
    return Phrase("found-packages", {"number": len(core)})


def disk(data: Path | None) -> Phrase:
    """Whether there is room where studies and temporary files go.

    Raises:
        Defect: too little, or it cannot be written.
    """
    told = []
    for place in dict.fromkeys((data or Path.cwd(), Path(tempfile.gettempdir()))):
        there = place
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free // 2**20
        if free < LEAST_FREE_MIB or not os.access(there, os.W_OK):
            if os.access(there, os.W_OK):
                raise defect("disk-unfit", path=str(place), free=free, least=LEAST_FREE_MIB)
            raise defect("disk-unfit.not-allowed", path=str(place))
        told.append(Phrase("found-free", {"free": free, "path": str(place)}))
    return Phrase("list", {"words": tuple(told)})


def rights(data: Path) -> Phrase:
    """Whether nobody but its owner may read the private folder and what is most private in it.

    Raises:
        Defect: others may.
    """
    if not data.exists():
        return Phrase("found-no-folder")
    for path in (data, data / "studies", data / "secret", data / "node", data / "backups"):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise defect("folder-readable", path=str(path))
    return Phrase("found-private", {"path": str(data)})


def memory() -> Phrase:
    """Whether one study fits, in what the machine has free and in what a container or service may take.

    Raises:
        Defect: too little.
    """
    available, limited = available_mib(), limit_mib()
    least = available if limited is None else min(available, limited)
    if least < LEAST_MEMORY_MIB:
        if least == available:
            raise defect("memory-short", free=least, needed=LEAST_MEMORY_MIB)
        raise defect("memory-short.limit", free=least, needed=LEAST_MEMORY_MIB)
    limit = [] if limited is None else [Phrase("found-limit", {"free": limited})]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = [Phrase("found-memory", {"free": available}), *limit, Phrase("found-cores", {"number": cores})]
    return Phrase("list", {"words": tuple(told)})


def open_files() -> Phrase:
    """Whether a program may have as many files open as a page or a node with many senders needs.

    Raises:
        Defect: too few.
    """
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return Phrase("found-files-any")
    if hard < LEAST_OPEN_FILES:
        raise defect("open-files-few", allowed=hard, needed=LEAST_OPEN_FILES)
    return Phrase("found-files", {"number": hard})


def available_mib() -> int:
    """What the machine has free."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def limit_mib() -> int | None:
    """What is left of what this container or service may take; None where nothing is set (cgroup v2)."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::/")[2]
    except OSError:
        return None
    for folder in (CGROUP / own, CGROUP):
        try:
            most = (folder / "memory.max").read_text(encoding="ascii").strip()
            if most != "max":
                return (int(most) - int((folder / "memory.current").read_text(encoding="ascii"))) // 2**20
        except (OSError, ValueError):
            continue
    return None


def printable(language: str) -> Phrase:
    """Whether a PDF can be made in a language.

    Raises:
        Defect: the library that sets text, or a font, is missing.
    """
    from trabecula.export.pdf import require_fonts

    require_fonts(language)
    return Phrase("found-fonts")


def viewer() -> Phrase:
    """Whether the page's viewer was copied in, where the page is installed at all.

    Raises:
        Defect: it was not.
    """
    if find_spec("fastapi") is None:
        return Phrase("found-no-page")
    from trabecula.serving.web.app import VIEWER

    if not VIEWER.exists():
        raise defect("viewer-missing")
    return Phrase("found-viewer", {"size": VIEWER.stat().st_size / 2**20})


def database(data: Path | None, url: str | None) -> Phrase:
    """How the database stands to this version; it is read and left as it is.

    Raises:
        WrongUsage: it cannot be reached.
        Defect: it is of another version, or what keeps studies is not installed.
    """
    if any(find_spec(needed) is None for needed in ("sqlalchemy", "alembic")):
        raise defect("web-missing")
    from sqlalchemy import func, select

    from trabecula.studies.migrating import Standing, newest, standing_of
    from trabecula.studies.tables import Study, connect

    path = (data or Path()).resolve() / "trabecula.sqlite"
    if url is None and not path.exists():
        return Phrase("found-no-database")
    engine = connect(url or f"sqlite:///{path}")
    try:
        standing = standing_of(engine)
        if standing in (Standing.NEWER, Standing.STRANGE):
            raise defect("database-unfit")
        if standing is not Standing.CURRENT:
            return Phrase("found-old-database", {"kind": engine.dialect.name, "step": newest()})
        with engine.connect() as connection:
            number = connection.scalar(select(func.count()).select_from(Study))
    finally:
        engine.dispose()
    return Phrase("found-database", {"kind": engine.dialect.name, "step": newest(), "number": number or 0})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lacks(needed: "Requirement") -> Phrase | None:
    """What is wrong with a package; None where nothing is."""
    have = _version(needed.name)
    if have is None:
        return Phrase("package-lacks", {"name": needed.name})
    fits = needed.specifier.contains(have, prereleases=True)
    return None if fits else Phrase("package-old", {"name": needed.name, "have": have, "needed": str(needed.specifier)})

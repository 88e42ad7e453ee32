"""What a machine needs to screen, but for the numbers themselves: each look says what it saw, or the cure."""

import os
import shutil
import stat
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trabecula.errors import Defect

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LEAST_FREE_MIB, LEAST_MEMORY_MIB, LEAST_OPEN_FILES = 2048, 2048, 1024
CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container or service what it may take."""


def packages() -> str:
    """Whether every package is here in a version that this one takes; of extras, those of which any part is here.

    Raises:
        Defect: one is missing or too old.
    """
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(one) for one in metadata.requires("trabecula") or ()]
    except metadata.PackageNotFoundError as error:
        raise Defect(
            "not-installed", "Trabecula is not installed, and runs from its source. Run: pip install ."
        ) from error
    core = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [said for one in core if (said := _lacks(one))]
    for extra in metadata.metadata("trabecula").get_all("Provides-Extra") or ():
        of_it = [one for one in needed if one not in core and one.marker and one.marker.evaluate({"extra": extra})]
        if any(_version(one.name) for one in of_it):  # too old is wrong, absent is a choice
            wrong += [said for one in of_it if _version(one.name) and (said := _lacks(one))]
    if wrong:
        told = "; ".join(sorted(set(wrong)))
        raise Defect("packages-unfit", f"{told}. Install Trabecula again into a new environment.")
    return f"{len(core)} packages of the core, each new enough"


def disk(data: Path | None) -> str:
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
            raise Defect(
                "disk-unfit",
                f"{place} has {free} MiB free and {'can' if os.access(there, os.W_OK) else 'cannot'} be written;"
                f" {LEAST_FREE_MIB} MiB are needed. Make room, or name another place (--data, TMPDIR).",
            )
        told.append(f"{free} MiB free in {place}")
    return ", ".join(told)


def rights(data: Path) -> str:
    """Whether nobody but its owner may read the private folder and what is most private in it.

    Raises:
        Defect: others may.
    """
    if not data.exists():
        return "there is no folder yet; it is made for its owner alone"
    for path in (data, data / "studies", data / "secret", data / "node", data / "backups"):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Defect(
                "folder-readable", f"Others than its owner may read {path}. Run: chmod go= {path}, and ask who did."
            )
    return f"{data} is its owner's alone"


def memory() -> str:
    """Whether one study fits, in what the machine has free and in what a container or service may take.

    Raises:
        Defect: too little.
    """
    available, limited = available_mib(), limit_mib()
    least = available if limited is None else min(available, limited)
    if least < LEAST_MEMORY_MIB:
        cause = "are available" if least == available else "is this container's or service's limit"
        raise Defect(
            "memory-short",
            f"{least} MiB of memory {cause}; one study may take {LEAST_MEMORY_MIB}. End other programs, raise the"
            " limit, or give the machine more.",
        )
    limit = "" if limited is None else f", {limited} MiB left within the limit"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{available} MiB available{limit}, {cores} processor cores"


def open_files() -> str:
    """Whether a program may have as many files open as a page or a node with many senders needs.

    Raises:
        Defect: too few.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < LEAST_OPEN_FILES:
        raise Defect(
            "open-files-few",
            f"{hard} files may be open at a time; {LEAST_OPEN_FILES} are needed. Raise the limit: LimitNOFILE= of a"
            " systemd service, --ulimit nofile= of a container, ulimit -Hn in a shell.",
        )
    most = "any number" if hard == resource.RLIM_INFINITY else hard
    return f"{soft} at a time, {most} where more are asked for"


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


def printable(language: str) -> str:
    """Whether a PDF can be made in a language.

    Raises:
        Defect: the library that sets text, or a font, is missing.
    """
    from trabecula.export.pdf import require_fonts

    require_fonts(language)
    return "a PDF can be printed, every character has a font"


def viewer() -> str:
    """Whether the page's viewer was copied in, where the page is installed at all.

    Raises:
        Defect: it was not.
    """
    if find_spec("fastapi") is None:
        return "the web page is not installed"
    from trabecula.serving.web.app import VIEWER

    if not VIEWER.exists():
        raise Defect("viewer-missing", "The viewer NiiVue is not installed. Run: make web")
    return f"NiiVue, {VIEWER.stat().st_size / 2**20:.1f} MiB"


def database(data: Path | None, url: str | None) -> str:
    """How the database stands to this version; it is read and left as it is.

    Raises:
        WrongUsage: it cannot be reached.
        Defect: it is of another version, or what keeps studies is not installed.
    """
    if any(find_spec(needed) is None for needed in ("sqlalchemy", "alembic")):
        raise Defect("web-missing", "What keeps studies is not installed. Run: pip install trabecula[web]")
    from sqlalchemy import func, select

    from trabecula.studies.migrating import Standing, newest, standing_of
    from trabecula.studies.tables import Study, connect

    path = (data or Path()).resolve() / "trabecula.sqlite"
    if url is None and not path.exists():
        return "there is none yet; it is made at the first start"
    engine = connect(url or f"sqlite:///{path}")
    try:
        standing = standing_of(engine)
        if standing in (Standing.NEWER, Standing.STRANGE):
            raise Defect(
                "database-unfit", "The database is of a newer version, or none of ours. See: trabecula database status"
            )
        if standing is not Standing.CURRENT:
            return (
                f"{engine.dialect.name}, {standing.value}: brought to step {newest()} at the next start, a copy first"
            )
        with engine.connect() as connection:
            number = connection.scalar(select(func.count()).select_from(Study))
    finally:
        engine.dispose()
    return f"{engine.dialect.name}, step {newest()}, {number} studies"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lacks(needed: "Requirement") -> str:
    """What is wrong with a package; empty where nothing is."""
    have = _version(needed.name)
    if have is None:
        return f"{needed.name} is missing"
    fits = needed.specifier.contains(have, prereleases=True)
    return "" if fits else f"{needed.name} is {have}, needed is {needed.specifier}"

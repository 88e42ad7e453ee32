"""Databases of both kinds."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from trabecula.studies.store import Store
from trabecula.studies.tables import open_database


def postgresql_folder() -> Path | None:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))


@pytest.fixture(scope="package")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own, on a socket of its own."""
    programs = postgresql_folder()
    if programs is None:
        pytest.skip("postgresql is not installed; tools/apt.sh installs it")
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # it does not run as root
    as_owner = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="trabecula-pg-") as folder:
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data, port = f"{folder}/data", 5432  # names the socket

        def run(*command: str) -> None:
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **as_owner)  # type: ignore[call-overload]

        run(str(programs / "initdb"), "-D", data, "-U", "trabecula", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -p {port} -c fsync=off"
        run(str(programs / "pg_ctl"), "-D", data, "-o", options, "-w", "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql+psycopg://trabecula@/postgres?host={folder}&port={port}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'studies.sqlite'}"
        return
    server = request.getfixturevalue("postgresql")
    yield server
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A store over an empty database."""
    engine = open_database(url)
    yield Store(engine)
    engine.dispose()

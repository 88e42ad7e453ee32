"""``trabecula serve``: checks before the start, the lock on the folder, uvicorn."""

import fcntl
import getpass
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trabecula.errors import WrongUsage
from trabecula.recipes import recipe_named
from trabecula.serving.web.settings import Settings
from trabecula.studies.folders import Folders
from trabecula.studies.logs import log_nothing_but_ours


def serve(settings: Settings) -> None:
    """Serve until interrupted.

    Raises:
        WrongUsage: the settings would leave the server open, or its folder is in use.
        Defect: the viewer is missing.
    """
    import uvicorn

    from trabecula.serving.web.app import create_app
    from trabecula.serving.web.login import Users
    from trabecula.studies.tables import open_database

    recipe_named(settings.recipe)
    log_nothing_but_ours("server")
    with locked(settings.data), bound(settings.host, settings.port) as line:
        if settings.beyond_this_machine:
            Folders(settings.data).prepare()
            require_protection(settings, Users(open_database(settings.database)).any())
        app = create_app(settings)
        scheme = "https" if settings.certificate else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        port = line.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # it would write addresses, which people type into
            server_header=False,
            proxy_headers=settings.behind_proxy,
            forwarded_allow_ips=settings.proxy,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
            timeout_graceful_shutdown=3,
        )
        print(f"Trabecula: {scheme}://{host}:{port}  (Ctrl+C ends it; research use only)", flush=True)
        uvicorn.Server(config).run(sockets=[line])


def require_protection(settings: Settings, has_users: bool) -> None:
    """Refuse to serve others without logins or without TLS.

    Raises:
        WrongUsage: one of them is missing.
    """
    if not has_users:
        raise WrongUsage(
            "login-missing",
            f"Others can reach {settings.host}, so everybody has to log in. Add somebody first: trabecula serve"
            " --add-user NAME",
        )
    if not settings.secure:
        raise WrongUsage(
            "tls-missing",
            f"Others can reach {settings.host}, so passwords need TLS. Give --certificate and --key, or --behind-proxy"
            " where a proxy in front ends TLS.",
        )


def add_user(settings: Settings, name: str) -> None:
    """Ask for a password and let ``name`` in; for a name that is known, change the password.

    Raises:
        WrongUsage: the password is too short, or was not typed twice alike.
    """
    from trabecula.serving.web.login import Users
    from trabecula.studies.tables import open_database

    settings.data.mkdir(parents=True, exist_ok=True)
    settings.data.chmod(0o700)
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("Again: ") != password:
            raise WrongUsage("passwords-differ", "The two passwords differ. Try again.")
    else:
        password = sys.stdin.readline().rstrip("\n")
    Users(open_database(settings.database)).add(name, password)
    print(f"{name} may log in.")


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens at the address; port 0 is any that is free.

    Raises:
        WrongUsage: another program has the port, or the address is none of this machine's.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        held = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise WrongUsage(
            "address-unusable",
            f"{host}, port {port}, cannot be served at: {(error.strerror or 'unknown cause').lower()}."
            " Name another port with --port, or another address with --host.",
        ) from error
    with held:
        yield held


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Keep a second server out of the folder; the lock goes with the process, however it ends.

    Raises:
        WrongUsage: another server is at it, or it cannot be written.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
        held = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WrongUsage(
            "output-unwritable",
            f"{data} cannot be written: {(error.strerror or 'unknown cause').lower()}."
            " Name a folder where you may write, on a disk with room.",
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise WrongUsage(
            "data-in-use", f"Another Trabecula serves from {data} already. End it first, or name another folder."
        ) from error
    try:
        yield
    finally:
        os.close(held)

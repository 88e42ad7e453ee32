"""``trabecula serve``: checks before the start, the lock on the folder, uvicorn."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.lock import locked
from trabecula.recipes import recipe_named
from trabecula.serving.spoken import say
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
            require_protection(settings, Users(open_database(settings.database, settings.backups)).any())
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
        print(say("serving-at", address=f"{scheme}://{host}:{port}"), flush=True)
        uvicorn.Server(config).run(sockets=[line])


def require_protection(settings: Settings, has_users: bool) -> None:
    """Refuse to serve others without logins or without TLS.

    Raises:
        WrongUsage: one of them is missing.
    """
    if not has_users:
        raise wrong_usage("login-missing", host=settings.host)
    if not settings.secure:
        raise wrong_usage("tls-missing", host=settings.host)


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
        raise wrong_usage("address-unusable", host=host, port=port, cause=cause_of(error)) from error
    with held:
        yield held

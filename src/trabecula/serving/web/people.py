"""Who may log in, by whoever may run the program over the data folder: nobody changes that over the network."""

import getpass
import sys

from trabecula.errors import wrong_usage
from trabecula.serving.spoken import say
from trabecula.serving.web.login import Role, Users
from trabecula.serving.web.settings import Settings
from trabecula.studies.tables import open_database


def users_of(settings: Settings) -> Users:
    """The users of a server's database; its folder is made, for the owner alone."""
    settings.data.mkdir(parents=True, exist_ok=True)
    settings.data.chmod(0o700)
    return Users(open_database(settings.database, settings.backups))


def role_named(name: str) -> Role:
    """Raises WrongUsage where there is no such role."""
    if name not in list(Role):
        raise wrong_usage("unknown-role", name=name, choices=tuple(Role))
    return Role(name)


def add_user(settings: Settings, name: str, role: str | None = None) -> None:
    """Ask for a password and let ``name`` in; for a name that is known, change the password, and the role if given.

    Raises:
        WrongUsage: there is no such role, the password is too short, or was not typed twice alike.
    """
    chosen = None if role is None else role_named(role)
    users = users_of(settings)
    if sys.stdin.isatty():
        password = getpass.getpass(say("password-for", name=name))
        if getpass.getpass(say("password-again")) != password:
            raise wrong_usage("passwords-differ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    given = users.add(name, password, chosen, by=operator())
    print(say("user-may", name=name, role=str(given)))


def change_role(settings: Settings, name: str, role: str) -> None:
    """Another role for ``name``.

    Raises:
        WrongUsage: there is no such user or role.
    """
    users_of(settings).change_role(name, role_named(role), by=operator())
    print(say("user-has", name=name, role=role))


def remove_user(settings: Settings, name: str) -> None:
    """Let ``name`` in no longer.

    Raises:
        WrongUsage: there is no such user.
    """
    users_of(settings).remove(name, by=operator())
    print(say("user-gone", name=name))


def operator() -> str:
    """Who runs the program, as the audit trail names them: their account on this machine, told as such."""
    return f"{getpass.getuser()} (command line)"

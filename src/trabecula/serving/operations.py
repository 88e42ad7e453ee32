"""What those who run a server do beside it: users, the audit trail, retention, the database's tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trabecula.errors import defect, wrong_usage
from trabecula.messages import Phrase
from trabecula.serving.spoken import say

if TYPE_CHECKING:
    from trabecula.serving.web.settings import Settings
    from trabecula.studies.retention import Due, Rules

Data = Annotated[Path, typer.Option("--data", help="Private folder of 'serve' or 'node'.")]
Database = Annotated[
    str | None, typer.Option(envvar="TRABECULA_DATABASE", help="SQLAlchemy URL; SQLite in the folder if not given.")
]
HERE = Path("trabecula-data")

users = typer.Typer(no_args_is_help=True, help="Who may log in to the web page, and what each may see and remove.")
database = typer.Typer(no_args_is_help=True, help="The database of studies: its version, bringing it up, a copy.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(users, name="users")
    app.add_typer(database, name="database")
    app.command()(audit)
    app.command()(retention)


@users.command("list")
def list_users(data: Data = HERE, database: Database = None) -> None:
    """Everybody who may log in: role, since when, how many tokens for programs."""
    from trabecula.serving.web.people import users_of

    found = users_of(_settings(data, database)).list()
    for name, role, since, tokens in found:
        print(f"{name:<20}  {role:<6}  {say('user-since', day=since[:10], tokens=tokens)}")
    if not found:
        print(say("users-none"))


@users.command("add")
def add_user(
    name: str,
    role: Annotated[str | None, typer.Option(help="own, all or admin; else all, for the first admin.")] = None,
    data: Data = HERE,
    database: Database = None,
) -> None:
    """Let somebody log in; asks for a password. For somebody known, a new password."""
    from trabecula.serving.web import people

    people.add_user(_settings(data, database), name, role)


@users.command("role")
def change_role(name: str, role: str, data: Data = HERE, database: Database = None) -> None:
    """Give somebody another role: own, all or admin."""
    from trabecula.serving.web import people

    people.change_role(_settings(data, database), name, role)


@users.command("remove")
def remove_user(name: str, data: Data = HERE, database: Database = None) -> None:
    """Let somebody in no longer: logins and tokens end at once, studies stay."""
    from trabecula.serving.web import people

    people.remove_user(_settings(data, database), name)


def audit(
    data: Data = HERE,
    database: Database = None,
    who: Annotated[str, typer.Option(help="Only of this user.")] = "",
    what: Annotated[str, typer.Option(help="Only this: saw, corrected, signed, exported, removed, logged-in ...")] = "",
    study: Annotated[int | None, typer.Option(help="Only of this study, by its number.")] = None,
    since: Annotated[str, typer.Option(help="From this day on, UTC: 2026-03-01.")] = "",
    before: Annotated[str, typer.Option(help="Before this day.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
) -> None:
    """Print the audit trail: who saw, corrected, signed, exported or removed which study, and who came in."""
    from trabecula.serving.web.people import operator
    from trabecula.studies.audit import Asked, Trail, What

    if what and what not in list(What):
        raise wrong_usage("audit-unknown", name=what, choices=tuple(What))
    trail = Trail(_opened(_settings(data, database)))
    for line in trail.lines(Asked(who, what, study, since, before)):
        print(json.dumps(line, ensure_ascii=False) if as_json else _told(line))
    trail.note(operator(), What.READ_AUDIT)


def retention(
    rules: Annotated[Path, typer.Argument(help="TOML file: after how many days a CT, or a study, is removed.")],
    data: Data = HERE,
    database: Database = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; else it is only told what would be.")] = False,
) -> None:
    """Tell which CTs and studies are over their time by a site's rules, and with --apply remove them."""
    from trabecula.serving.web.people import operator
    from trabecula.studies.folders import Folders
    from trabecula.studies.retention import due, finish, remove, rules_from
    from trabecula.studies.store import Store

    told, settings = rules_from(rules), _settings(data, database)
    store, folders = Store(_opened(settings), who=operator()), Folders(settings.data)
    answering, forget = _node(settings)
    if apply:
        finish(store, folders, forget)
    removed = 0
    for one in list(due(store, folders, told, answering)):
        gone = apply and not one.kept_by and remove(one, store, folders, forget)
        removed += one.bytes if gone or not (apply or one.kept_by) else 0
        print(_due_told(one, apply, gone))
    removed += _unscreened(settings, told, apply)
    print(say("retention-freed" if apply else "retention-would-free", mib=removed / 2**20))


@database.command("status")
def database_status(data: Data = HERE, database: Database = None) -> None:
    """How the database stands to this version; nothing is changed."""
    from trabecula.studies.migrating import newest, revision_of, standing_of
    from trabecula.studies.tables import connect

    engine = connect(_settings(data, database).database)
    with engine.connect() as connection:
        at = revision_of(connection)
    standing = Phrase(f"standing-{standing_of(engine).value}")
    print(say("database-standing", kind=engine.dialect.name, standing=standing, step=at or "-", newest=newest()))


@database.command("upgrade")
def upgrade_database(
    data: Data = HERE,
    database: Database = None,
    backup_made: Annotated[bool, typer.Option("--backup-made", help="Make no copy first: there is one.")] = False,
) -> None:
    """Bring the database to this version, a copy first; 'serve' and 'node' do the same when they start."""
    from trabecula.serving.web.people import operator
    from trabecula.studies.audit import Trail, What
    from trabecula.studies.migrating import Standing, bring_up, newest, standing_of
    from trabecula.studies.tables import connect

    settings = _settings(data, database)
    engine = connect(settings.database)
    before = standing_of(engine)
    copy = bring_up(engine, settings.backups, backup_made)
    if before is Standing.CURRENT:
        print(say("database-is-current"))
        return
    Trail(engine).note(operator(), What.DATABASE_UPGRADED, step=newest())
    print(say("database-at-step", step=newest()))
    if copy is not None:
        print(say("database-copy-before", path=str(copy)))


@database.command("backup")
def back_up_database(data: Data = HERE, database: Database = None) -> None:
    """Write a copy of the database that can be put back; may run beside a server."""
    from trabecula.studies.backup import back_up
    from trabecula.studies.tables import connect

    settings = _settings(data, database)
    print(say("database-copy", path=str(back_up(connect(settings.database), settings.backups, "backup"))))


def _settings(data: Path, database: str | None) -> "Settings":
    from importlib.util import find_spec

    if any(find_spec(needed) is None for needed in ("sqlalchemy", "alembic")):
        raise defect("web-missing")
    from trabecula.serving.web.settings import Settings

    return Settings(data.resolve(), database)


def _opened(settings: "Settings") -> Any:
    from trabecula.studies.migrating import Standing, standing_of
    from trabecula.studies.tables import connect

    engine = connect(settings.database)
    if standing_of(engine) is not Standing.CURRENT:
        raise wrong_usage("database-not-current")
    return engine


def _node(settings: "Settings") -> tuple[set[str], Callable[[str], None]]:
    """The studies whose answers the node still has to bring, and what removes the node's copy of a CT."""
    from importlib.util import find_spec

    if find_spec("pynetdicom") is None:
        return set(), lambda study: None
    from trabecula.department.ledger import Ledger
    from trabecula.department.spool import Spool
    from trabecula.studies.tables import connect

    ledger = Ledger(connect(settings.database))
    takes = ledger.takes()
    known = {take.store_id: received for take, received in takes if take.store_id}
    spool = Spool(settings.data)

    def forget(study: str) -> None:
        if study in known:
            received = known[study]
            spool.forget_unless(received.key, lambda: not ledger.unchanged(received))

    return {take.store_id for take, _ in takes if take.state in ("planned", "queued", "answering")}, forget


def _unscreened(settings: "Settings", rules: "Rules", apply: bool) -> int:
    """The same for CTs that the node received and did not screen; returns the bytes."""
    from importlib.util import find_spec

    if rules.ct is None or find_spec("pynetdicom") is None:
        return 0
    from trabecula.department.keeping import forget, over_time
    from trabecula.department.ledger import Ledger
    from trabecula.department.spool import Spool
    from trabecula.serving.web.people import operator
    from trabecula.studies.tables import connect

    ledger, spool, size = Ledger(connect(settings.database)), Spool(settings.data), 0
    for one in list(over_time(ledger, spool, rules.ct.after_days)):
        gone = apply and forget(one, ledger, spool, operator())
        did = Phrase("due-would-go" if not apply else "due-gone" if gone else "due-more-comes")
        size += one.bytes if gone or not apply else 0
        print(say("due-received", number=one.number, days=one.idle_days, mib=one.bytes / 2**20, did=did))
    return size


def _told(line: dict[str, Any]) -> str:
    known = ("id", "at", "who", "what", "study", "version")
    more = " ".join(f"{name}={value}" for name, value in line.items() if name not in known)
    study = "" if line["study"] is None else f"study {line['study']}"
    version = "" if line["version"] is None else f"version {line['version']}"
    return f"{line['at']}  {line['who'] or '-':<16}  {line['what']:<14}  {study} {version} {more}".rstrip()


def _due_told(one: "Due", apply: bool, gone: bool) -> str:
    if one.kept_by:
        did = Phrase(f"kept-{one.kept_by}")
    elif apply:
        did = Phrase("due-gone" if gone else "kept-worker")
    else:
        did = Phrase("due-would-go")
    return say(f"due-{one.part}", number=one.number, days=one.idle_days, mib=one.bytes / 2**20, did=did)

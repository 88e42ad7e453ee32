"""Databases as earlier versions left them, on SQLite and PostgreSQL: a copy first, then this version's tables."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from trabecula.department.ledger import Ledger, NodeBase
from trabecula.errors import TrabeculaError, WrongUsage
from trabecula.studies import migrating
from trabecula.studies.audit import Asked, Trail
from trabecula.studies.store import Store
from trabecula.studies.tables import Base, open_database

FROZEN = Path(__file__).parent / "frozen"
SERIAL = {"sqlite": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "postgresql": "SERIAL PRIMARY KEY"}
ASSESSMENT = json.dumps(
    {
        "scan": {"manufacturer": "Maker", "model": "One"},
        "diagnosis": {"category": "osteopenia", "candidates": ["osteopenia"], "reach": ["osteopenia", "normal"]},
        "reasons": [{"code": "thick-slices", "effect": "doubt"}, {"code": "contrast-medium", "effect": "note"}],
        "vertebrae": [{"reasons": [{"code": "metal", "effect": "withhold"}]}],
    }
)
STUDY = {
    "id": "a" * 32,
    "label": "Study 7",
    "given": "ct",
    "received_utc": "2026-01-02T03:04:05+00:00",
    "received_by": "ada",
    "deidentify": False,
    "language": "en",
    "state": "done",
    "stage": "done",
    "progress": 1.0,
    "code": "",
    "message": "",
    "category": "osteopenia",
    "density": 101.5,
    "quantity": "vbmd-k2hpo4",
    "latest": 2,
}
VERSION = {"made_utc": "", "made_by": "ada", "based_on": 1, "changes": "[]", "names": "{}", "files": "ready"}
LATER = {"standing": "signed", "doubts": " metal ", "scanner": "Maker One"}


def insert(engine: Engine, table: str, **values: object) -> None:
    columns, marks = ", ".join(f'"{name}"' for name in values), ", ".join(f":{name}" for name in values)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), values)


def as_left_by(form: str, url: str) -> Engine:
    """A database with a study, its two versions and a user, in a form of an earlier version."""
    engine = create_engine(url)
    statements = (
        (FROZEN / f"{form}.sql").read_text().partition("\n")[2].replace("{serial}", SERIAL[engine.dialect.name])
    )
    with engine.begin() as connection:
        for statement in statements.split(";\n"):
            connection.execute(text(statement))
    late = form == "unversioned"
    insert(engine, "studies", **STUDY | (LATER if late else {}))
    for number in (1, 2):
        more = {"drawn": 0, "confirmed": number == 2, "pending": ""} if late else {}
        row = VERSION | {"study_id": STUDY["id"], "number": number, "notes": "[]", "assessment": ASSESSMENT}
        insert(engine, "versions", **row | more)
    insert(engine, "users", name="ada", password="scrypt$x$y", added_utc="")
    if late:
        insert(engine, "acts", study_id=STUDY["id"], version=2, what="signed", made_by="ada", made_utc="")
        times = {"since": 1.0, "changed": 1.0}
        insert(engine, "node_studies", key="k", sender="CT1", state="whole", coming=False, released_by="", **times)
    return engine


@pytest.mark.parametrize("form", ["unversioned", "early"])
def test_a_database_of_before_is_brought_up_with_all_it_holds(form: str, url: str, tmp_path: Path) -> None:
    as_left_by(form, url).dispose()
    engine = open_database(url, tmp_path / "backups")
    store = Store(engine)
    study = store.study("a" * 32)
    assert study is not None and (study.number, study.label, study.density) == (1, "Study 7", 101.5)
    assert [(one.number, one.confirmed, one.pending) for one in store.versions(study.id)] == [
        (1, False, ""),
        (2, form == "unversioned", ""),
    ]
    known = {
        "early": ("checked", " thick-slices metal ", "Maker One"),
        "unversioned": ("signed", " metal ", "Maker One"),
    }
    assert (study.standing, study.doubts, study.scanner) == known[form]
    assert [one.what for one in store.acts(study.id)] == (["signed"] if form == "unversioned" else [])
    assert [one.sender for one in Ledger(engine).studies()] == (["CT1"] if form == "unversioned" else [])
    assert (study.ct_removed_utc, study.reach) == ("", "osteopenia normal")
    assert not any(one.doubts_seen for one in store.acts(study.id))
    (copy,) = (tmp_path / "backups").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    open_database(url, tmp_path / "backups").dispose()
    assert len(list((tmp_path / "backups").iterdir())) == 1  # nothing had to be changed the second time
    assert [(line["what"], line["step"]) for line in Trail(engine).lines(Asked())] == [
        ("database-upgraded", migrating.newest())
    ]
    engine.dispose()


@pytest.mark.parametrize("form", ["unversioned", "early"])
def test_the_copy_can_be_put_back(form: str, url: str, tmp_path: Path) -> None:
    before = as_left_by(form, url)
    open_database(url, tmp_path / "backups").dispose()
    (copy,) = (tmp_path / "backups").iterdir()
    if before.dialect.name == "sqlite":
        with sqlite3.connect(copy) as put_back:
            tables = {name for (name,) in put_back.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            labels = put_back.execute("SELECT label FROM studies").fetchall()
        put_back.close()
    else:
        with before.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        socket = ["--username=trabecula", "--dbname=postgres", f"--host={before.url.query['host']}"]
        subprocess.run(["pg_restore", "--schema=public", *socket, str(copy)], check=True)
        with before.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            labels = [tuple(row) for row in connection.execute(text("SELECT label FROM studies"))]
    assert "alembic_version" not in tables and labels == [("Study 7",)]
    before.dispose()


def test_steps_and_tables_say_the_same(url: str) -> None:
    """A table or column that changes without a step of its own fails here: tools/step.py writes one."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = open_database(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, [Base.metadata, NodeBase.metadata])  # type: ignore[arg-type]
    engine.dispose()
    assert differences == []


@pytest.mark.parametrize("form", [None, "unversioned"])
def test_several_processes_that_start_at_once_change_it_once(form: str | None, url: str, tmp_path: Path) -> None:
    if form is not None:
        as_left_by(form, url).dispose()
    program = "import sys; from pathlib import Path; from trabecula.studies.tables import open_database"
    program += "; open_database(sys.argv[1], Path(sys.argv[2])).dispose()"
    command = [sys.executable, "-c", program, url, str(tmp_path / "backups")]
    at_once = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [one.communicate()[1] for one in at_once] == [""] * 4 and all(one.returncode == 0 for one in at_once)
    engine = open_database(url)
    studies, _ = Store(engine).studies()
    assert [one.label for one in studies] == ([] if form is None else ["Study 7"])
    engine.dispose()


def test_a_database_of_a_newer_version_is_left_alone(store: Store, url: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WrongUsage) as refused:
        open_database(url)
    assert refused.value.code == "database-newer"
    with store.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_tables_that_are_not_ours_are_left_alone(url: str, tmp_path: Path) -> None:
    engine = as_left_by("unversioned", url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE studies ADD COLUMN later TEXT"))
    with pytest.raises(WrongUsage) as refused:
        open_database(url, tmp_path / "backups")
    assert refused.value.code == "database-of-another-version" and not (tmp_path / "backups").exists()
    engine.dispose()


def test_a_step_that_fails_leaves_the_database_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = as_left_by("unversioned", url)
    broken = tmp_path / "migrations"
    shutil.copytree(migrating.SCRIPTS, broken)
    last = max(broken.glob("versions/r*.py"))
    last.write_text(last.read_text().replace("def downgrade", '    op.execute("no such statement")\n\n\ndef downgrade'))
    monkeypatch.setattr(migrating, "SCRIPTS", broken)
    with pytest.raises(WrongUsage) as refused:
        open_database(url, tmp_path / "backups")
    assert refused.value.code == "database-unreachable"
    assert migrating.standing_of(engine) is migrating.Standing.OLDER
    with engine.connect() as connection:
        assert migrating.revision_of(connection) is None
        assert connection.scalar(text("SELECT label FROM studies")) == "Study 7"
    engine.dispose()


def test_nothing_is_changed_where_no_copy_can_be_made(url: str, tmp_path: Path) -> None:
    engine = as_left_by("unversioned", url)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrabeculaError) as refused:
        open_database(url, tmp_path / "file" / "backups")
    assert refused.value.code == "backup-failed"
    assert migrating.standing_of(engine) is migrating.Standing.OLDER
    engine.dispose()


def test_postgresql_without_a_place_for_the_copy_is_left_alone(postgresql: str) -> None:
    engine = as_left_by("unversioned", postgresql)
    try:
        with pytest.raises(WrongUsage) as refused:
            open_database(postgresql)
        assert refused.value.code == "backup-impossible"
        migrating.bring_up(engine, None, backed_up=True)
        assert migrating.standing_of(engine) is migrating.Standing.CURRENT
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()


@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
def test_the_audit_trail_can_only_be_added_to(store: Store, change: str) -> None:
    insert(store.engine, "audit", at_utc="2026", who="ada", what="signed", study=1, version=1, facts="{}")
    with pytest.raises(DBAPIError, match="can only be added to"), store.engine.begin() as connection:
        connection.execute(text(change))
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT who FROM audit")).all() == [("ada",)]

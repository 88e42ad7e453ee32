"""The tables as they were when the database began to know its version, and how what is older becomes them.

Until then every column that was added had a default, so that what lacked it could be given it. Nothing here changes.
"""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Connection, Double, ForeignKey, Integer, MetaData, String, Table

TABLES = MetaData()
EMPTY: dict[str, Any] = {"nullable": False, "default": ""}
ZERO: dict[str, Any] = {"nullable": False, "default": 0}


def _text(name: str, **more: Any) -> Column[Any]:
    return Column(name, String, **({"nullable": False} | more))


def _key(name: str) -> Column[Any]:
    return Column(name, Integer, primary_key=True, autoincrement=True)


def _of_study(**more: Any) -> Column[Any]:
    return Column("study_id", String, ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, **more)


def _table(name: str, *columns: Column[Any]) -> None:
    Table(name, TABLES, *columns, sqlite_autoincrement=any(column.autoincrement is True for column in columns))


_table(
    "studies",
    _key("number"),
    _text("id", unique=True),
    *(_text(name) for name in ("label", "given", "received_utc", "received_by")),
    Column("deidentify", Boolean, nullable=False),
    _text("language"),
    *(_text(name, nullable=True) for name in ("recipe", "offered", "study_chosen", "series_chosen")),
    _text("state", index=True),
    _text("stage", **EMPTY),
    Column("progress", Double, nullable=False, default=0.0),
    _text("code", **EMPTY),
    _text("message", **EMPTY),
    _text("sex", nullable=True),
    Column("age_years", Double, nullable=True),
    _text("category", nullable=True),
    Column("density", Double, nullable=True),
    _text("quantity", nullable=True),
    Column("latest", Integer, **ZERO),
    *(_text(name, **EMPTY) for name in ("standing", "doubts", "scanner")),
    Column("seconds", Double, nullable=True),
)
_table(
    "versions",
    _of_study(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *(_text(name) for name in ("made_utc", "made_by")),
    Column("based_on", Integer, nullable=False),
    *(_text(name) for name in ("changes", "assessment", "names", "files")),
    _text("notes", nullable=False, default="[]"),
    Column("drawn", Integer, **ZERO),
    Column("confirmed", Boolean, nullable=False, default=False),
    _text("pending", **EMPTY),
)
_table(
    "acts",
    _key("id"),
    _of_study(index=True),
    Column("version", Integer, nullable=False),
    *(_text(name) for name in ("what", "made_by", "made_utc")),
)
_table(
    "jobs",
    _key("id"),
    _of_study(index=True),
    Column("version", Integer, nullable=False),
    Column("attempts", Integer, **ZERO),
    _text("started_utc", **EMPTY),
)
_table("users", _text("name", primary_key=True), _text("password"), _text("added_utc"), _text("role", nullable=True))
_table(
    "logins",
    _text("token_sha256", primary_key=True),
    Column("user", String, ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    _text("until_utc"),
)
_table(
    "tokens",
    _text("token_sha256", primary_key=True),
    *(_text(name) for name in ("user", "name", "made_utc")),
    _text("used_utc", **EMPTY),
)
_table(
    "node_studies",
    _key("number"),
    _text("key", unique=True),
    _text("sender"),
    _text("state", index=True),
    Column("since", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("coming", Boolean, nullable=False, default=False),
    _text("released_by", **EMPTY),
)
_table(
    "node_takes",
    _key("id"),
    Column("study", Integer, ForeignKey("node_studies.number"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    *(_text(name) for name in ("digest", "store_id", "rule")),
    _text("recipe", nullable=True),
    *(_text(name) for name in ("destinations", "objects", "files")),
    _text("state", index=True),
    _text("code", **EMPTY),
    _text("message", **EMPTY),
    Column("taken", Double, nullable=False),
    Column("ended", Double, nullable=False, default=0.0),
)
_table(
    "node_answers",
    _key("id"),
    Column("take", Integer, ForeignKey("node_takes.id"), nullable=False, index=True),
    _text("destination", index=True),
    _text("file"),
    Column("accepted", Double, nullable=False, default=0.0),
    Column("attempts", Integer, **ZERO),
    Column("due", Double, nullable=False, default=0.0),
    _text("code", **EMPTY),
)


def recognised(connection: Connection) -> bool:
    """Whether what is there is an earlier form of these tables: no other column, and none missing without a default."""
    for table, there in _present(connection).items():
        ours = {column.name: column for column in TABLES.tables[table].columns}
        missing = [column for name, column in ours.items() if name not in there]
        if there - set(ours) or any(not column.nullable and column.default is None for column in missing):
            return False
    return True


def bring_up(connection: Connection) -> None:
    """Every table with every column, and what the list of studies shows filled in where it was not kept before."""
    added = set()
    for name, there in _present(connection).items():
        for column in TABLES.tables[name].columns:
            if column.name not in there:
                connection.execute(sa.text(f"ALTER TABLE {name} ADD COLUMN {_definition(column, connection)}"))
                added.add(column.name)
    TABLES.create_all(connection)
    if "standing" in added:
        _fill_in(connection)


def _present(connection: Connection) -> dict[str, set[str]]:
    known = sa.inspect(connection)
    return {
        name: {column["name"] for column in known.get_columns(name)}
        for name in set(known.get_table_names()) & set(TABLES.tables)
    }


def _definition(column: Column[Any], connection: Connection) -> str:
    kind = column.type.compile(connection.dialect)
    if column.default is None:
        return f"{column.name} {kind}"
    value = getattr(column.default, "arg", None)
    written = str(value).upper() if isinstance(value, bool | int | float) else f"'{value}'"
    return f"{column.name} {kind} DEFAULT {written} NOT NULL"


def _fill_in(connection: Connection) -> None:
    """Results of before stand as they would have stood: looked at where a reader has corrected them."""
    for versions, standing in (("= 1", "to-check"), ("> 1", "checked")):
        connection.execute(sa.text(f"UPDATE studies SET standing = '{standing}' WHERE latest {versions}"))
    newest = sa.text(
        "SELECT versions.study_id, versions.assessment FROM versions JOIN studies"
        " ON studies.id = versions.study_id AND studies.latest = versions.number"
    )
    for study_id, kept in connection.execute(newest).all():
        told = json.loads(kept)
        said = [*told["reasons"], *(one for vertebra in told["vertebrae"] for one in vertebra["reasons"])]
        codes = list(dict.fromkeys(one["code"] for one in said if one.get("effect") != "note"))
        words = " ".join(told["scan"][name] for name in ("manufacturer", "model") if told["scan"].get(name))
        values = {"doubts": f" {' '.join(codes)} " if codes else "", "scanner": words, "id": study_id}
        connection.execute(sa.text("UPDATE studies SET doubts = :doubts, scanner = :scanner WHERE id = :id"), values)

"""What is removed by itself after a time, by a site's rules: a study's CT, or the study with all that is kept of it.

Never what is in the queue or has an answer on its way; what a reader signed, or has yet to check, only where the rules
say so in words.
"""

import shutil
import tomllib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from trabecula.errors import WrongUsage
from trabecula.studies.audit import What
from trabecula.studies.folders import SLICES, Folders
from trabecula.studies.packing import PACKED
from trabecula.studies.store import Store
from trabecula.studies.tables import Act, Job, Study, Version

Kept = Literal["signed", "to-check"]
Part = Literal["ct", "study"]
SHIELDS = {
    "queue": "waits or runs",
    "answer": "its answer is on its way",
    "signed": "is signed",
    "to-check": "is to check",
}
"""What keeps a study from being removed, in words."""


class Rule(BaseModel):
    """After so many days without any change; ``also`` names what is kept otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    after_days: Annotated[int, Field(ge=1, le=36_500)]
    also: list[Kept] = []


class Rules(BaseModel):
    """A site's rules: one for the CT, one for the whole study; a part without a rule is kept for ever."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    ct: Rule | None = None
    study: Rule | None = None


@dataclass(frozen=True)
class Due:
    """A study whose time is over: which part of it goes, or what keeps it."""

    id: str
    number: int
    part: Part
    idle_days: int
    bytes: int
    kept_by: str = ""  # a key of SHIELDS


def rules_from(path: Path) -> Rules:
    """The rules of a TOML file.

    Raises:
        WrongUsage: it cannot be read, or says something that is none of them.
    """
    try:
        rules = Rules.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage("retention-rules-unreadable", f"The rules in {path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"])
        raise WrongUsage(
            "retention-rules-wrong",
            f"{path}, {place}: {first['msg']}. The tables are [ct] and [study], each with after_days and, if wanted,"
            ' also = ["signed", "to-check"].',
        ) from error
    if rules.ct is None and rules.study is None:
        raise WrongUsage("retention-rules-wrong", f"{path} holds no rule. Write [ct] or [study] with after_days.")
    return rules


def due(
    store: Store, folders: Folders, rules: Rules, answering: Collection[str] = (), now: datetime | None = None
) -> Iterator[Due]:
    """Every study whose time is over, the oldest number first; ``answering`` are those with an answer on its way."""
    at = now or datetime.now(UTC)
    for study, changed, signed, waits in _standing(store):
        idle = at - datetime.fromisoformat(changed)
        shields = [
            name
            for name, there in (
                ("queue", waits),
                ("answer", study.id in answering),
                ("signed", signed),
                ("to-check", study.standing == "to-check"),
            )
            if there
        ]
        over = _part(study, rules, idle)
        if over is None:
            continue
        part, rule = over
        kept = next((name for name in shields if name not in rule.also), "")
        size = sum(_bytes(path) for path in (_ct(folders, study) if part == "ct" else [folders.study(study.id)]))
        yield Due(study.id, study.number, part, idle.days, size, kept)


def remove(one: Due, store: Store, folders: Folders, forget: Callable[[str], None] = lambda study: None) -> bool:
    """Removes what is due, noted in the audit trail; False where the worker is at it after all.

    ``forget`` removes what others keep of the study's CT.
    """
    if one.part == "study":
        folders.unlist(one.id)
        if not store.remove(one.id):
            folders.enlist(one.id)
            return False
        forget(one.id)
        shutil.rmtree(folders.study(one.id), ignore_errors=True)
        return True
    study = store.study(one.id)
    if study is None or not store.remove_ct(one.id):
        return False
    forget(one.id)
    for path in _ct(folders, study):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return True


def _part(study: Study, rules: Rules, idle: timedelta) -> tuple[Part, Rule] | None:
    if rules.study is not None and idle >= timedelta(days=rules.study.after_days):
        return "study", rules.study
    if rules.ct is not None and not study.ct_removed_utc and idle >= timedelta(days=rules.ct.after_days):
        return "ct", rules.ct
    return None


def _standing(store: Store) -> list[tuple[Study, str, bool, bool]]:
    """Each study with when it last changed, whether anybody signed it, and whether it is in the queue."""
    versions = select(Version.study_id, func.max(Version.made_utc).label("at")).group_by(Version.study_id).subquery()
    acts = select(Act.study_id, func.max(Act.made_utc).label("at")).group_by(Act.study_id).subquery()
    signed = select(Act.id).where(Act.study_id == Study.id, Act.what == What.SIGNED).exists()
    waits = select(Job.id).where(Job.study_id == Study.id).exists()
    query = (
        select(Study, versions.c.at, acts.c.at, signed, waits)
        .outerjoin(versions, versions.c.study_id == Study.id)
        .outerjoin(acts, acts.c.study_id == Study.id)
        .order_by(Study.number)
    )
    with Session(store.engine, expire_on_commit=False) as session:
        return [
            (study, max(study.received_utc, made or "", acted or ""), bool(sign), bool(wait))
            for study, made, acted, sign, wait in session.execute(query)
        ]


def _ct(folders: Folders, study: Study) -> list[Path]:
    """The upload, as it came or packed, and what was made of it for the viewer."""
    folder = folders.study(study.id)
    names = dict.fromkeys((study.given, SLICES, PACKED, "view"))
    return [folder / name for name in names if (folder / name).exists()]


def _bytes(path: Path) -> int:
    """On the disk, files that are linked elsewhere too not counted: they stay there."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files if one.stat().st_nlink == 1)

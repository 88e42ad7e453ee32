"""What a site's physicist wants to have looked at, as a TOML file: scans, cases read by hand, and limits."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trabecula.causes import cause_invalid, cause_of
from trabecula.errors import wrong_usage

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Table(BaseModel):
    """A table of the file: a key that is not known is an error, so that a slip of the pen is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(Table):
    """What has to be met. None of these is a standard's: a site sets its own, and the page says which were changed."""

    phantom_scans: Annotated[int, Field(ge=1)] = 3
    phantom_misfit_hu: Positive = 5.0  # rms of the rods about their line
    phantom_cv: Positive = 0.01  # of the line's slope between scans of one mode
    computed_line: Positive = 0.1  # by how much the line computed without a phantom may differ from the phantom's: 2 SD
    cases: Annotated[int, Field(ge=4)] = 20
    names_right: Share = 0.95  # of the vertebrae, as a reader names them
    dice: Share = 0.85  # mean, of regions outlined by hand
    hu_bias: Positive = 5.0  # |mean difference| of a region's mean HU
    density_bias_mg_cm3: Positive = 5.0
    density_limit_mg_cm3: Positive = 15.0  # of either limit of agreement
    repeats: Annotated[int, Field(ge=1)] = 15  # degrees of freedom: of people scanned twice, their number
    rms_cv: Positive = 0.047  # another session in routine CT, s41747-024-00483-9


class Phantom(Table):
    """Scans of a calibration phantom alone, of any modes, each several times."""

    certificate: Path
    scans: list[Path]


class Read(Table):
    """Cases read by hand in the page: its private folder, its database, and the studies' numbers; all read if none."""

    data: Path
    database: str | None = None
    studies: list[int] = []


class Repeat(Table):
    """People scanned more than once within days: CTs, or result folders."""

    people: list[list[Path]]


class Plan(Table):
    """The whole of it. A part that is left out is told as not tested."""

    site: str
    scanner: str = ""
    recipe: str = "house"
    phantom: Phantom | None = None
    read: Read | None = None
    repeat: Repeat | None = None
    limits: Limits = Limits()


def read_plan(path: Path) -> Plan:
    """The plan in a file; its paths are relative to the file's folder.

    Raises:
        WrongUsage: it cannot be read, or says something that a plan does not.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        plan = Plan.model_validate(told)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise wrong_usage("plan-unreadable", path=str(path), cause=cause_of(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"]) or "the file"
        raise wrong_usage("plan-wrong", path=str(path), place=place, cause=cause_invalid(first)) from error
    return _from(path.parent, plan)


def _from(folder: Path, plan: Plan) -> Plan:
    """With whole paths."""
    parts: dict[str, Table] = {}
    if plan.phantom is not None:
        scans = [folder / one for one in plan.phantom.scans]
        parts["phantom"] = Phantom(certificate=folder / plan.phantom.certificate, scans=scans)
    if plan.read is not None:
        parts["read"] = plan.read.model_copy(update={"data": folder / plan.read.data})
    if plan.repeat is not None:
        parts["repeat"] = Repeat(people=[[folder / one for one in person] for person in plan.repeat.people])
        if any(len(person) < 2 for person in plan.repeat.people):
            raise wrong_usage("plan-wrong.once")
    return plan.model_copy(update=parts)

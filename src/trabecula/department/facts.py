"""What the rules ask of a study's series, read from the headers of the instances that came."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pydicom import Dataset

from trabecula.department.rules import Never, Rule, Rules
from trabecula.dicom.files import open_dataset
from trabecula.dicom.headers import acquisition_of, text, written
from trabecula.dicom.planes import LeftOut, Plane, planes_of
from trabecula.errors import Refusal
from trabecula.formats.budget import Budget
from trabecula.formats.damage import MALFORMED, muted


@dataclass(frozen=True)
class SeriesFacts:
    """One series as it came. Texts are in small letters; what no header says is None or empty."""

    files: tuple[Path, ...]
    slices: int
    slice_thickness_mm: float | None
    kernel: str
    body_part: str
    descriptions: tuple[str, ...]
    age_years: float | None
    announced: int | None  # how many instances the study has, where a header says so


@dataclass(frozen=True)
class Followed:
    """The rule that fits, and the files of the series that it lets through."""

    rule: Rule
    files: tuple[Path, ...]


def facts_of(files: Sequence[Path]) -> list[SeriesFacts]:
    """The series of images among a study's instances. Files that cannot be read, and localizers, belong to none."""
    found: dict[str, SeriesFacts] = {}
    members: dict[str, list[Path]] = defaultdict(list)
    frames: dict[str, int] = defaultdict(int)
    with muted("pydicom"), Budget(len(files)) as budget:
        for path in files:
            try:
                dataset = open_dataset(path, budget)
                planes = LeftOut.NOT_DICOM if dataset is None else planes_of(dataset)
            except (Refusal, *MALFORMED):
                continue
            if dataset is None or isinstance(planes, LeftOut):
                continue
            uid = planes[0].series_uid
            members[uid].append(path)
            frames[uid] += len(planes)
            if uid not in found:
                found[uid] = _facts(dataset, planes[0])
    return [replace(found[uid], files=tuple(members[uid]), slices=frames[uid]) for uid in sorted(found)]


def _facts(dataset: Dataset, plane: Plane) -> SeriesFacts:
    said = (written(dataset, name).lower() for name in ("StudyDescription", "SeriesDescription", "ProtocolName"))
    announced = written(dataset, "NumberOfStudyRelatedInstances")
    return SeriesFacts(
        files=(),
        slices=0,
        slice_thickness_mm=plane.phase.thickness_mm,
        kernel=" ".join(plane.phase.kernel).lower(),
        body_part=(text(dataset.get("BodyPartExamined")) or "").lower(),
        descriptions=tuple(one for one in said if one),
        age_years=acquisition_of(dataset, plane.phase).patient_age_years,
        announced=int(announced) if announced.isdecimal() else None,
    )


def never_screened(never: Never, sender: str, series: Sequence[SeriesFacts]) -> str:
    """Why a study is left alone, as a code; empty where nothing speaks against it."""
    if sender in never.senders:
        return "never-sender"
    if any(_fits(never.descriptions, said) for one in series for said in one.descriptions):
        return "never-description"
    ages = [one.age_years for one in series if one.age_years is not None]
    if never.age_years_under is not None and ages and min(ages) < never.age_years_under:
        return "never-age"
    return ""


def followed(rules: Rules, sender: str, series: Sequence[SeriesFacts]) -> Followed | None:
    """The first rule that lets a series through, with all that it lets through; None where no rule does."""
    for rule in rules.rule:
        if rule.senders and sender not in rule.senders:
            continue
        files = tuple(path for one in series if lets_through(rule, one) for path in one.files)
        if files:
            return Followed(rule, files)
    return None


def lets_through(rule: Rule, one: SeriesFacts) -> bool:
    """Whether a series is what a rule asks for. What a header does not say fits no limit that is set."""
    return (
        one.slices >= rule.slices_least
        and _between(one.slice_thickness_mm, rule.slice_thickness_mm_least, rule.slice_thickness_mm_most)
        and _between(one.age_years, rule.age_years_least, rule.age_years_most)
        and (not rule.kernels or _fits(rule.kernels, one.kernel))
        and not _fits(rule.kernels_not, one.kernel)
        and (not rule.body_parts or _fits(rule.body_parts, one.body_part))
        and (not rule.descriptions or any(_fits(rule.descriptions, said) for said in one.descriptions))
    )


def _between(value: float | None, least: float | None, most: float | None) -> bool:
    if least is None and most is None:
        return True
    return value is not None and (least is None or value >= least) and (most is None or value <= most)


def _fits(patterns: Sequence[str], said: str) -> bool:
    return any(fnmatchcase(said, pattern.lower()) for pattern in patterns)

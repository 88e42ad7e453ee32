"""What several studies and series there are in an input, for a person who is to choose one of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from trabecula.dicom.headers import text, written
from trabecula.dicom.planes import Plane
from trabecula.dicom.series import Series, group, rank
from trabecula.dicom.studies import split_studies
from trabecula.errors import wrong_usage


@dataclass(frozen=True)
class Choice:
    """Which study of an input to read, and which series of that: each by its number in the list or by its UID.

    Empty where there is but one study; of its series the program then takes the best.
    """

    study: str = ""
    series: str = ""


UNCHOSEN = Choice()


@dataclass(frozen=True)
class ListedSeries:
    """One series as it is offered. ``number`` is that of the list, ``series_number`` the scanner's."""

    number: int
    series_number: str | None
    description: str | None
    kernel: str | None
    slices: int
    step_mm: float
    coverage_mm: float
    best: bool  # what is read where none is chosen
    uid: str


@dataclass(frozen=True)
class ListedStudy:
    """One study as it is offered. ``person`` numbers the people of the input: names are not shown."""

    number: int
    person: int
    date: str | None
    days: int | None  # since the earliest study of the input
    description: str | None
    images: int
    series: tuple[ListedSeries, ...]
    uid: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def without_words(study: ListedStudy) -> ListedStudy:
    """A study without what people typed into its headers, which may name a patient, and without its date."""
    series = tuple(replace(one, description=None) for one in study.series)
    return replace(study, date=None, description=None, series=series)


def listed(planes: Sequence[Plane]) -> tuple[ListedStudy, ...]:
    """The studies that some planes are of, the earliest first, each with its series."""
    found, people = [], list[tuple[str, ...]]()
    studies = split_studies(planes)[0]
    dates = [_date(text(study[0].dataset.get("StudyDate"))) for study in studies]
    first_date = min((one for one in dates if one is not None), default=None)
    for number, (study, made) in enumerate(zip(studies, dates, strict=True), start=1):
        person = study[0].study.person
        if person not in people:
            people.append(person)
        first = study[0].dataset
        found.append(
            ListedStudy(
                number=number,
                person=people.index(person) + 1,
                date=text(first.get("StudyDate")),
                days=None if made is None or first_date is None else (made - first_date).days,
                description=text(first.get("StudyDescription")),
                images=len(study),
                series=_listed_series(group(study)[0]),
                uid=study[0].study.uid,
            )
        )
    return tuple(found)


def _date(written_as: str | None) -> date | None:
    try:
        return date.fromisoformat(written_as or "")
    except ValueError:
        return None


def _listed_series(series: list[Series]) -> tuple[ListedSeries, ...]:
    ranked = rank(series)
    return tuple(
        ListedSeries(
            number=number,
            series_number=text(one.planes[0].dataset.get("SeriesNumber")),
            description=text(one.planes[0].dataset.get("SeriesDescription")),
            kernel=" ".join(one.planes[0].phase.kernel) or None,
            slices=len(one.planes),
            step_mm=round(one.step_mm, 3),
            coverage_mm=round(one.coverage_mm, 1),
            best=one is ranked[0],
            uid=one.planes[0].series_uid,
        )
        for number, one in enumerate(in_order(series), start=1)
    )


def in_order(series: Sequence[Series]) -> list[Series]:
    """Series by their own number; the order in which they are offered, whatever order their files come in."""

    def key(one: Series) -> tuple[Any, ...]:
        first = one.planes[0]
        number = written(first.dataset, "SeriesNumber")
        return (
            int(number) if number.isdecimal() else 10**9,
            first.series_uid,
            first.phase.acquisition,
            first.phase.taken_at or 0.0,
            tuple(first.position_mm),
        )

    return sorted(series, key=key)


def chosen_series(series: Sequence[Series], wanted: str) -> list[Series]:
    """The series by its number in the list; by a UID all that bear it (phases of one series).

    Raises:
        WrongUsage: there is none such.
    """
    ordered = in_order(series)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(ordered):
        return [ordered[int(wanted) - 1]]
    found = [one for one in ordered if one.planes[0].series_uid == wanted]
    if not found:
        raise wrong_usage("series-not-found", name=wanted[:64], number=len(ordered))
    return found

"""Whose images these are: a result may come of one study of one person only."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pydicom import Dataset

from trabecula.dicom.headers import written
from trabecula.errors import refusal, wrong_usage

MIN_SLICES = 3
"""Fewer images of another study make no scan: they strayed into the folder."""

_PERSON = ("PatientID", "PatientName", "PatientBirthDate")
_OCCASION = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription")


@dataclass(frozen=True)
class Study:
    """What tells studies apart. For comparison alone: it holds identifiers, and never shows them."""

    uid: str = field(repr=False)
    person: tuple[str, ...] = field(repr=False)
    occasion: tuple[str, ...] = field(repr=False)


class OfStudy(Protocol):
    """Anything that says to which study it belongs."""

    @property
    def study(self) -> Study: ...


T = TypeVar("T", bound=OfStudy)


def study_of(dataset: Dataset) -> Study:
    """The study an instance says it belongs to; names are compared without case and empty components."""
    return Study(
        uid=written(dataset, "StudyInstanceUID"),
        person=tuple(written(dataset, keyword).upper().rstrip("^ ") for keyword in _PERSON),
        occasion=tuple(written(dataset, keyword) for keyword in _OCCASION),
    )


def one_study(planes: Sequence[T], wanted: str = "") -> tuple[list[T], int]:
    """The images of the one study here, or of that which is ``wanted`` by its number (the earliest is 1) or its UID,
    and how many are of others.

    Raises:
        Refusal: ``several-studies``, and none is wanted.
        WrongUsage: there is none such as wanted.
    """
    studies, rest = split_studies(planes)
    if wanted:
        chosen = _chosen(studies, wanted)
        return chosen, len(planes) - len(chosen)
    if len(studies) > 1:
        people = len({group[0].study.person for group in studies})
        sizes = tuple(str(len(group)) for group in studies)
        raise refusal("several-studies", number=len(studies), people=people, sizes=sizes)
    return (studies[0], len(rest)) if studies else (rest, 0)


def split_studies(planes: Sequence[T]) -> tuple[list[list[T]], list[T]]:
    """Images by study, the earliest first, and those that strayed in from others.

    Some anonymisers give each image another study UID, or another patient: such are taken by what they share.
    """
    studies: list[list[T]] = []
    rest = list(planes)
    for key in (
        lambda study: (study.uid, study.person),
        lambda study: (study.person, study.occasion),
        lambda study: study.uid,
    ):
        groups: dict[Hashable, list[T]] = defaultdict(list)
        for plane in rest:
            groups[key(plane.study)].append(plane)
        studies += [group for group in groups.values() if len(group) >= MIN_SLICES]
        rest = [plane for group in groups.values() if len(group) < MIN_SLICES for plane in group]
    studies.sort(key=lambda group: (group[0].study.occasion, group[0].study.person, group[0].study.uid))
    return studies, rest


def _chosen(studies: list[list[T]], wanted: str) -> list[T]:
    if wanted.isdecimal() and 1 <= int(wanted) <= len(studies):
        return studies[int(wanted) - 1]
    found = [study for study in studies if study[0].study.uid == wanted]
    if len(found) != 1:
        raise wrong_usage("study-not-found", name=wanted[:64], number=len(studies))
    return found[0]

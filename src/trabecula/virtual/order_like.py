"""A published study's cohort to order, or a share of it, as CTs on disk: folders as ``store`` has them.

``truth.json`` of each tells in ``study`` to which part of which study the subject belongs, and where it was scanned.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trabecula.virtual.cohort import scan_field
from trabecula.virtual.enrol import enrol, people_of
from trabecula.virtual.publications import Part, Publication, publication_named
from trabecula.virtual.store import Json, claimed, make_missing, require_format, subject_folder, write_scan
from trabecula.virtual.study import header_of
from trabecula.virtual.truth import truth


@dataclass(frozen=True)
class LikeOrder:
    """What is ordered: the study's name, the share of each of its parts, and the format of the scans."""

    like: str
    share: float = 1.0
    format: str = "dicom"

    @property
    def parts(self) -> list[tuple[Part, int]]:
        """Each part and how many of its people are ordered.

        Raises:
            WrongUsage: ``unknown-publication`` or ``share-unusable``.
        """
        return [(part, people_of(part, self.share)) for part in publication_named(self.like).parts]

    @property
    def people(self) -> int:
        """How many are ordered in all."""
        return sum(number for _, number in self.parts)


def simulate_like(order: LikeOrder, out: Path, workers: int, progress: Callable[[int], None]) -> int:
    """Makes the missing ones of a study's people; returns how many were made. ``progress`` gets the number done.

    A folder that holds a smaller share is filled up.

    Raises:
        WrongUsage: unknown study or format, a share that cannot be, a folder that holds something else, that another
            run writes into, or that cannot be written.
    """
    publication, parts = publication_named(order.like), order.parts
    require_format(order.format)
    subjects = {
        subject_folder(part.first_seed + index): partial(write_person, publication, part, index, order.format)
        for part, number in parts
        for index in range(number)
    }
    with claimed(out, {"like": publication.name, "format": order.format, "family": "a"}):
        return make_missing(out, subjects, workers, progress)


def write_person(publication: Publication, part: Part, index: int, format_: str, folder: Path) -> Json:
    """Writes the scan of a study's person into a new folder; returns what is true of it."""
    who = enrol(publication, part, index)
    ct = scan_field(who.subject, who.protocol, who.field)
    chest = "chest" in who.view.kind
    header = replace(
        header_of(who.subject, who.protocol, who.scanner.machine),
        body_part="CHEST" if chest else "SPINE" if who.view.kind == "spine" else "ABDOMEN",
    )
    write_scan(ct, format_, folder, header)
    study = {
        "publication": publication.name,
        "part": part.name,
        "split": part.split,
        "view": who.view.kind,
        "site": who.scanner.site,
        "scanner": who.scanner.name,
        "vendor": who.scanner.vendor,
    }
    return {**truth(ct), "study": study}

"""Cases that a reader named, confirmed and outlined in the page, against what the program had said of them.

Only where a reader did something does a case count: a version that corrects, confirms or outlines, or a signature.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trabecula.acceptance.criteria import Criterion, Outcome, Part, at_least, at_most
from trabecula.acceptance.drawings import picture_of
from trabecula.acceptance.plan import Limits, Read
from trabecula.anatomy import Level
from trabecula.errors import wrong_usage
from trabecula.evaluation.agreement import Agreement, agreement
from trabecula.evaluation.clustered import resampled_together
from trabecula.evaluation.interval import NONE, Estimate, clopper_pearson
from trabecula.evaluation.overlap import dice
from trabecula.evaluation.plots import bland_altman
from trabecula.studies.drawing import kept_labels
from trabecula.studies.folders import Folders
from trabecula.studies.result import result_from
from trabecula.studies.store import Store
from trabecula.studies.tables import Study, Version

TITLE = "Own cases, read by hand"
FEWEST_PAIRS = 4


@dataclass(frozen=True)
class Vertebra:
    """One vertebra of a case: the program's name and the reader's, and where it was outlined, both its figures.

    Densities are those of the program's region and of the reader's, in the same calibration.
    """

    case: int
    named: Level
    read_as: Level
    dice: float | None = None
    hu: tuple[float, float] | None = None
    density_mg_cm3: tuple[float, float] | None = None


def of_readers(given: Read | None, limits: Limits) -> Part:
    """The part on cases that were read by hand; not tested where the plan names no folder.

    Raises:
        WrongUsage: the folder or its database cannot be used, or a study of the plan was not read by anybody.
    """
    if given is None:
        return Part(TITLE, (Criterion("cases read in the page", "none given", "", Outcome.UNTESTED),))
    found = vertebrae_read(given)
    cases = sorted({one.case for one in found})
    right = sum(one.named == one.read_as for one in found)
    share = clopper_pearson(right, len(found))
    outlined = [one for one in found if one.dice is not None]
    criteria = [
        at_least("cases read", len(cases), limits.cases, str(len(cases))),
        at_least(
            "vertebrae named as the reader names them",
            _known(share),
            limits.names_right,
            _share(share),
            "%",
            len(found),
        ),
        *_outlined(outlined, limits),
    ]
    notes = [
        "A vertebra that was named wrongly makes its neighbours wrong too: where whole cases are shifted, the interval"
        " of the names is too narrow.",
        "Outlines are those that a reader drew. Where only what looked wrong was drawn anew, Dice is lower than it"
        " would be of all: choose the vertebrae before the result is seen.",
    ]
    drawings = _drawings(outlined)
    return Part(TITLE, tuple(criteria), HEADS, tuple(_row(case, found) for case in cases), drawings, tuple(notes))


def vertebrae_read(given: Read) -> list[Vertebra]:
    """Every vertebra of the cases, once for each."""
    from trabecula.studies.tables import open_database

    if not given.data.is_dir():
        raise wrong_usage("plan-wrong.data", path=str(given.data))
    engine = open_database(given.database or f"sqlite:///{given.data / 'trabecula.sqlite'}", given.data / "backups")
    store, folders = Store(engine), Folders(given.data)
    try:
        studies = {study.number: (study, versions) for study, versions in store.all_versions()}
        unread = [number for number in given.studies if not _is_read(store, *studies.get(number, (None, [])))]
        if unread:
            raise wrong_usage("case-unread", number=unread[0])
        chosen = given.studies or [n for n, (study, versions) in studies.items() if _is_read(store, study, versions)]
        return [one for number in chosen for one in _of(studies[number][0], studies[number][1], folders)]
    finally:
        engine.dispose()


def _is_read(store: Store, study: Study | None, versions: list[Version]) -> bool:
    if study is None:
        return False
    if any(one.pending for one in versions):
        raise wrong_usage("case-unread.pending", number=study.number)
    return len(versions) > 1 or any(act.what == "signed" for act in store.acts(study.id))


def _of(study: Study, versions: list[Version], folders: Folders) -> list[Vertebra]:
    first, newest = versions[0], versions[-1]
    ours = result_from(first.assessment, first.names).assessment
    theirs = result_from(newest.assessment, newest.names)
    folder = folders.study(study.id)
    labels = (kept_labels(folder, 0), kept_labels(folder, newest.drawn)) if newest.drawn else None
    told = []
    for level, now in theirs.names.items():
        before, after = ours.readings.find(level), theirs.assessment.readings.find(now)
        if before is None or after is None:
            continue
        overlap = None
        if labels is not None:
            masks = tuple(one == level.verse_id for one in labels)
            overlap = dice(masks[0], masks[1]) if not np.array_equal(*masks) else None
        hu = density = None
        if overlap is not None and math.isfinite(after.mean_hu):
            hu = (before.mean_hu, after.mean_hu)
        if overlap is not None and before.density is not None and after.density is not None:
            density = (before.density.value, after.density.value)
        told.append(Vertebra(study.number, level, now, overlap, hu, density))
    return told


HEADS = ("study", "vertebrae", "named otherwise", "outlined", "Dice", "HU, ours - reader's", "mg/cm3, ours - reader's")


def _row(case: int, found: Sequence[Vertebra]) -> tuple[str, ...]:
    mine = [one for one in found if one.case == case]
    drawn = [one for one in mine if one.dice is not None]
    otherwise = [f"{one.named} is {one.read_as}" for one in mine if one.named != one.read_as]
    return (
        str(case),
        str(len(mine)),
        ", ".join(otherwise) or "-",
        ", ".join(str(one.read_as) for one in drawn) or "-",
        ", ".join(f"{one.dice:.2f}" for one in drawn) or "-",
        ", ".join(f"{one.hu[0] - one.hu[1]:+.1f}" for one in drawn if one.hu is not None) or "-",
        ", ".join(f"{a - b:+.1f}" for a, b in (one.density_mg_cm3 for one in drawn if one.density_mg_cm3)) or "-",
    )


def _outlined(found: Sequence[Vertebra], limits: Limits) -> list[Criterion]:
    """What regions outlined by hand say: overlap, mean HU, density; whole cases are drawn for the intervals."""
    overlap = _mean([one.dice for one in found if one.dice is not None], [one for one in found if one.dice is not None])
    with_hu = [one for one in found if one.hu is not None]
    bias = _mean([one.hu[0] - one.hu[1] for one in with_hu if one.hu is not None], with_hu)
    criteria = [
        at_least(
            "regions against those drawn, mean Dice", _known(overlap), limits.dice, _told(overlap, 2), n=len(found)
        ),
        at_most(
            "mean HU against that of regions drawn, bias",
            _known(bias),
            limits.hu_bias,
            _told(bias, 1),
            "HU",
            len(with_hu),
        ),
    ]
    compared = _agreement(found)
    if compared is None:
        none = f"fewer than {FEWEST_PAIRS} regions drawn and measured"
        return [*criteria, Criterion("density against that of regions drawn", none, "", Outcome.UNTESTED)]
    worst = max(abs(compared.lower_limit.value), abs(compared.upper_limit.value))
    shown = f"{_told(compared.lower_limit, 1)} and {_told(compared.upper_limit, 1)}"
    unit, count = "mg/cm3", compared.n
    return [
        *criteria,
        at_most("density, bias", compared.bias.value, limits.density_bias_mg_cm3, _told(compared.bias, 1), unit, count),
        at_most("density, 95% limits of agreement", worst, limits.density_limit_mg_cm3, shown, unit, count),
    ]


def _mean(values: Sequence[float], of: Sequence[Vertebra]) -> Estimate:
    """The mean with the interval of a bootstrap of whole cases; nan where there are none."""
    if not values:
        return NONE
    (found,) = resampled_together(
        np.array(values, float)[:, None], [str(one.case) for one in of], lambda drawn: drawn.mean(axis=0)
    )
    return found


def _pairs(found: Sequence[Vertebra]) -> tuple[list[float], list[float], list[str]]:
    both = [(*one.density_mg_cm3, str(one.case)) for one in found if one.density_mg_cm3 is not None]
    return [one[0] for one in both], [one[1] for one in both], [one[2] for one in both]


def _agreement(found: Sequence[Vertebra]) -> Agreement | None:
    """Bland and Altman's of the program's density against that in the reader's region; None where it cannot be had."""
    ours, theirs, cases = _pairs(found)
    try:
        return agreement(np.array(ours), np.array(theirs), patients=cases)
    except ValueError:
        return None


def _drawings(found: Sequence[Vertebra]) -> tuple[str, ...]:
    ours, theirs, _ = _pairs(found)
    if _agreement(found) is None:
        return ()
    figure = bland_altman(np.array(ours), np.array(theirs), title="Density: ours against the reader's regions")
    return (picture_of(figure),)


def _known(one: Estimate) -> float | None:
    return one.value if math.isfinite(one.value) else None


def _told(one: Estimate, digits: int) -> str:
    """A figure with its interval; of too few cases it has none."""
    if not math.isfinite(one.value):
        return "none drawn"
    return one.text(digits) if math.isfinite(one.low) else f"{one.value:.{digits}f} (too few cases for an interval)"


def _share(one: Estimate) -> str:
    return f"{one.text(1, 100)} %" if math.isfinite(one.value) else "none"

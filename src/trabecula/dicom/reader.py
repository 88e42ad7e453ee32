"""DICOM files in any order, of any kind, to one scan."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from trabecula.dicom.contents import UNCHOSEN, Choice, ListedStudy, chosen_series, listed
from trabecula.dicom.files import MALFORMED, open_dataset
from trabecula.dicom.headers import acquisition_of, acquisition_reasons, text, written
from trabecula.dicom.loss import loss_reason
from trabecula.dicom.planes import LeftOut, Plane, other_modality, planes_of
from trabecula.dicom.series import Series, chosen_reason, group, rank
from trabecula.dicom.sides import beside_mm
from trabecula.dicom.stack import Interleaved, stack
from trabecula.dicom.studies import one_study
from trabecula.errors import Refusal, refusal
from trabecula.formats.budget import Budget, OverBudget
from trabecula.formats.damage import muted
from trabecula.messages import Phrase
from trabecula.records import Effect, Scan, reason

MAX_GAP_SHARE = 1.2
"""Steps longer than this many slice thicknesses leave bone unseen; headers round, so not 1."""

FileProgress = Callable[[int, int], None]


@dataclass
class Found:
    """What the files hold: planes of CT, and how many files were left out for which cause."""

    planes: list[Plane] = field(default_factory=list)
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    interleaved: bool = False  # scans were told apart by their pixels alone
    asked_for: bool = False  # the series was chosen by whoever asks
    modalities: Counter[str] = field(default_factory=Counter)


def read_dicom(
    files: Sequence[Path],
    progress: FileProgress = lambda done, total: None,
    budget: Budget | None = None,
    choice: Choice = UNCHOSEN,
) -> Scan:
    """The CT in these files, all of one study; of several series that which is chosen, or the best that can be read.

    ``budget`` is that of the whole input.

    Raises:
        Refusal: there is no CT, or several studies and none is chosen, or nothing that is in Hounsfield units.
        WrongUsage: what is chosen is not there.
    """
    with muted("pydicom"), nullcontext(budget) if budget else Budget(len(files)) as within:
        found = _sort(files, progress, within)
        if not found.planes:
            raise _refusal(found)
        found.planes, strayed = one_study(found.planes, choice.study)
        found.left_out[LeftOut.OTHER_STUDY] += strayed
        series, refusals = group(found.planes)
        waiting = rank(chosen_series(series, choice.series) if choice.series else series)
        found.asked_for = bool(choice.series)
        tried = len(refusals) if waiting else 0
        while waiting:
            one = waiting.pop(0)
            try:
                return _scan(one, series, refusals, found)
            except Interleaved as two:
                found.interleaved = True
                series[series.index(one) : series.index(one) + 1] = two.parts
                waiting[:0] = two.parts
            except Refusal as refusal:
                refusals.append(refusal)
    raise refusals[tried]  # that of the best


def list_dicom(files: Sequence[Path], budget: Budget | None = None) -> tuple[ListedStudy, ...]:
    """The studies and series of CT in these files; none of another kind."""
    with muted("pydicom"), nullcontext(budget) if budget else Budget(len(files)) as within:
        return listed(_sort(files, lambda done, total: None, within).planes)


def _sort(files: Sequence[Path], progress: FileProgress, budget: Budget) -> Found:
    found = Found()
    for done, path in enumerate(files, start=1):
        try:
            dataset = open_dataset(path, budget)
            planes = LeftOut.NOT_DICOM if dataset is None else planes_of(dataset)
            budget.check()
        except OverBudget:
            raise
        except (Refusal, *MALFORMED):
            dataset, planes = None, LeftOut.UNREADABLE
        if isinstance(planes, LeftOut):
            found.left_out[planes] += 1
            if dataset is not None and planes is LeftOut.NOT_CT:
                found.modalities[other_modality(dataset)] += 1
        else:
            found.planes += planes
        progress(done, len(files))
    return found


def _scan(one: Series, series: list[Series], unusable: list[Refusal], found: Found) -> Scan:
    stacked = stack(one)
    first = one.planes[0]
    acquisition = acquisition_of(first.dataset, first.phase)
    reasons = [*stacked.reasons, *acquisition_reasons(acquisition, first.phase.kernel)]
    if len(series) > 1 or unusable:
        reasons.append(chosen_reason(one, series, unusable, found.asked_for))
    thickness = acquisition.slice_thickness_mm
    if thickness and one.step_mm > MAX_GAP_SHARE * thickness:
        reasons.append(reason("slices-not-contiguous", thickness_mm=thickness, step_mm=one.step_mm))
    if (lossy := loss_reason(one.planes)) is not None:
        reasons.append(lossy)
    if any(text(plane.dataset.get("BurnedInAnnotation")) == "YES" for plane in one.planes):
        reasons.append(reason("burned-in-annotation"))
    if not all(plane.rescale_declared for plane in one.planes):
        reasons.append(reason("rescale-missing"))
    if found.interleaved:
        reasons.append(reason("scans-interleaved"))
    if one.axial and (reach_mm := beside_mm(first)):
        reasons.append(reason("sides-doubtful", length_mm=reach_mm))
    if any(plane.decimal_comma for plane in one.planes):
        reasons.append(reason("decimal-comma", Effect.NOTE))
    if len({plane.series_uid for plane in one.planes}) > 1:
        reasons.append(reason("series-uids-differ", Effect.NOTE))
    if len({written(plane.dataset, "FrameOfReferenceUID") for plane in one.planes}) > 1:
        reasons.append(reason("frames-of-reference-differ", Effect.NOTE))
    if sum(found.left_out.values()):
        kinds = tuple(Phrase(f"left-out-{kind}", {"number": n}) for kind, n in sorted(found.left_out.items()) if n)
        reasons.append(reason("files-left-out", Effect.NOTE, kinds=kinds))
    return Scan(stacked.volume, stacked.orientation, acquisition, tuple(reasons), stacked.gaps)


def _refusal(found: Found) -> Refusal:
    """Why nothing can be read, by the file that came nearest to a CT."""
    if found.left_out[LeftOut.NOT_HOUNSFIELD]:
        return refusal("not-hounsfield-units.derived")
    if found.left_out[LeftOut.NO_GEOMETRY]:
        return refusal("geometry-missing")
    if found.left_out[LeftOut.LOCALIZER]:
        return refusal("localizer-only")
    if found.modalities:
        return refusal("not-ct", kinds=tuple(sorted(found.modalities)))
    if found.left_out[LeftOut.UNREADABLE]:
        return refusal("file-unreadable.study")
    if found.left_out[LeftOut.NOT_IMAGE]:
        return refusal("no-images")
    return refusal("no-dicom")

"""Which doubts weigh most: what a reader checks first, what else speaks against a result, what is only noted."""

from dataclasses import dataclass

from trabecula.quantity import CATEGORIES, Category
from trabecula.records import FRACTURE, Assessment, Basis, Diagnosis, Effect, Reason

TAIL = 0.025
"""What lies beyond either end of a 95% interval."""

WEIGHT = (
    # there is no category
    *("level-unknown", "levels-not-in-view", "too-few-vertebrae", "sex-unknown"),
    # the values or their places may be no CT's
    *("hounsfield-doubtful", "scans-interleaved", "rescale-missing", "orientation-forms-disagree"),
    *("voxel-sizes-disagree", "unit-of-length", "file-longer", "sides-doubtful"),
    # another vertebra may have been read than the one that is named
    *("level-uncertain", "category-depends-on-names", "vertebra-skipped", "transitional-vertebra"),
    # two ways of reading disagree
    *(
        "recipes-disagree",
        "recipes-fracture",
        "recipes-without",
        "category-against-density",
        "density-disagreement",
        "density-outlier",
    ),
    # the bone that was read is not all trabecular bone of a sound vertebra
    *("vertebral-fracture", "metal", "cement", "screws", "dense-focus", "sclerosis", "osteophytes", "fatty-focus"),
    *("uneven-density", "region-waits", "region-too-small", "region-incomplete", "regions-overlap"),
    # parts of it were not seen
    *("slices-missing", "slices-unlike", "slices-off-level", "in-gap", "cut-by-view"),
    *("slices-not-contiguous", "slices-interpolated", "spacing-uneven", "wide-slice-steps"),
    # contrast medium
    *("unenhanced-only", "contrast-unknown", "contrast-medium", "contrast-agent-recorded"),
    # how the scan was made
    *("tube-voltage-unknown", "acquisition-unknown", "thick-slices", "sharp-kernel", "tube-voltage"),
    *("lossy-compression", "oblique", "gantry-tilt", "slices-realigned", "short-coverage", "background-replaced"),
    # another vertebra or rung than the first choice
    *("substitute-level", "fewer-levels", "one-vertebra-alone", "profile-missing", "size-unknown"),
    # what a reader did, what was found beside
    *("outlined-by-reader", "excluded-by-reader", "corrected-by-reader", "renamed-by-reader"),
    *("second-reading", "t-score", "reference"),
    *("level-evidence", "numbering-variant", "recipes-agree", "recipes-share"),
    *("series-chosen", "burned-in-annotation"),
    *("files-left-out", "series-uids-differ", "frames-of-reference-differ", "decimal-comma"),
)
"""Every reason by its code, the one that may change a verdict most first."""

SAID_BY = {
    "contrast-agent-recorded": ("contrast-medium",),
    "too-few-vertebrae": ("level-unknown", "levels-not-in-view"),
}
"""Reasons that need not be told where another one of the whole result says the same and more."""

NAMES_IN_DOUBT = ("level-uncertain", "vertebra-skipped")
"""Where one of them stands it is a doubt, not a note, that the category depends on the names."""


@dataclass(frozen=True)
class Weighed:
    """What is to be told of a whole result, each thing once, weightiest first.

    ``first`` is what a reader should check before anything else: the weightiest doubt of the whole result or of a
    vertebra that decides; ``doubts`` are the others of the whole result. A suspected fracture is a finding, not a
    doubt: it is told with the verdict.
    """

    first: Reason | None
    doubts: tuple[Reason, ...]
    notes: tuple[Reason, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """All of them in the order in which they are told."""
        return (*(() if self.first is None else (self.first,)), *self.doubts, *self.notes)


def weighed(assessment: Assessment) -> Weighed:
    """The reasons of the whole result, sorted by weight, with nothing told twice."""
    told = {(one.code, one.message): one for one in assessment.reasons}
    codes = {one.code for one in told.values()}
    kept = [one for one in told.values() if not codes & set(SAID_BY.get(one.code, ()))]
    doubts = sorted((one for one in kept if _doubts(one, codes)), key=weight)
    notes = sorted((one for one in kept if not _doubts(one, codes)), key=weight)
    deciding = [
        one
        for vertebra in assessment.readings.vertebrae
        if assessment.diagnosis.decided_by(vertebra.level)
        for one in vertebra.reasons
        if one.effect is Effect.DOUBT and one.code != FRACTURE
    ]
    first = min((*doubts, *deciding), key=weight, default=None)
    return Weighed(first, tuple(one for one in doubts if one is not first), tuple(notes))


def check_first(assessment: Assessment) -> Reason | None:
    """The weightiest doubt; None where there is none."""
    return weighed(assessment).first


def weight(said: Reason) -> int:
    """Its place among all reasons, 0 the weightiest; what is not known here comes after the doubts about the scan."""
    return WEIGHT.index(said.code) if said.code in WEIGHT else WEIGHT.index("substitute-level")


def reach(diagnosis: Diagnosis) -> tuple[Category, ...]:
    """Every category that the 95% interval touches, densest last; the category alone where there is no interval."""
    of_density = diagnosis.density is not None and diagnosis.basis is not Basis.CLASSIFIER
    if not diagnosis.determined or not of_density or not diagnosis.probabilities:
        return (diagnosis.category,)
    order = tuple(reversed(CATEGORIES))
    shares = [diagnosis.probabilities.get(one, 0.0) for one in order]
    at = order.index(diagnosis.category)
    first = next((n for n in range(at) if sum(shares[: n + 1]) > TAIL), at)
    last = next((n for n in range(len(order) - 1, at, -1) if sum(shares[n:]) > TAIL), at)
    return order[first : last + 1]


def _doubts(said: Reason, codes: set[str]) -> bool:
    if said.code == "category-depends-on-names":
        return bool(codes & set(NAMES_IN_DOUBT))
    return said.effect is not Effect.NOTE

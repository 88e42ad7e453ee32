"""Localise by counting: one network finds every body and says what joins it; its ribs and the sacrum give the names.

What is said of the names travels with the spine: the evidence, the probability, and how this person differs.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from trabecula.anatomy import UNKNOWN_LEVELS, Level
from trabecula.errors import refusal
from trabecula.flow.localise.bodies import Body, expected_pitch_mm, find_bodies, spine_of, with_names
from trabecula.flow.localise.evidence import CHANNELS, RIB_LEFT, RIB_RIGHT, Part, Rib
from trabecula.flow.localise.looks import NamesByLooks, projected
from trabecula.flow.localise.naming import vertebrae_skipped
from trabecula.flow.localise.numbering import (
    NAMED_CONFUSION,
    PITCH_MM,
    Confusion,
    Naming,
    Shown,
    name_chain,
    smoothed,
)
from trabecula.flow.localise.projection import ProjectionLocaliser
from trabecula.flow.localise.torso import look, torso_view
from trabecula.messages import Phrase
from trabecula.records import Effect, Reason, Scan, Spine, VertebraBox, reason
from trabecula.view import Evidence
from trabecula.volume import Float32, Float64, Grid, Volume
from trabecula.weights import Weights, weights_named

EVIDENCE = 1.2
"""What the scores of the bodies that the counting network saw must sum to: one alone, however sure, is no spine, and in
a thigh ``house-finder`` sees four by itself."""

HALF_WIDTH_MM = 24.0
"""Half a lumbar body; boxes are for pictures, the regions say how wide a body is."""

BEYOND = 0.03
"""Of a real scan's answers this share is taken to be arbitrary, whatever was measured on virtual patients."""

MOST_UNNAMED = 11
"""Of a spine without names only the lowest vertebrae are given: a chest has seventeen, the upper ones never matter."""

USUAL_EVIDENCE, LIKELIER = -2.1, 0.15
"""Of a body (``Naming.evidence``), the projection not heard. On 18 virtual torsos of both families that lay right it
was -0.8 to -2.1; upside down -2.0 to -7.8, and by 0.3 and more lower than the right way up."""

ON_THE_WAY = ("S1", "S2")
"""Named to count from, never measured."""


@dataclass(frozen=True)
class CountingLocaliser:
    """The chain of vertebrae from the neck to the sacrum as far as it is in view.

    ``minimum_score``: how sure the network must be that a place is a body's middle. Below the probability ``certain``
    names carry ``level-uncertain``; below ``guess`` none is given. ``looks`` and ``projection`` are witnesses of the
    names: networks that see how a body looks, in the volume and in the coronal projection.
    """

    weights: str
    looks: NamesByLooks | None = None
    projection: ProjectionLocaliser | None = None
    minimum_score: float = 0.3
    certain: float = 0.95
    guess: float = 0.6
    precision: str = "f32"

    def __call__(self, scan: Scan) -> Spine:
        """The spine of a scan.

        Raises:
            Refusal: ``no-vertebrae-found``.
        """
        counted = self.count(scan)
        if counted is None:
            raise refusal("no-vertebrae-found")
        naming, probability = counted.naming, counted.probability
        boxes = _boxes(counted.chain, counted.places_mm, naming, scan.volume)
        rows = [box.y for box in boxes if box.y is not None]
        unnamed = self._unnamed(scan.volume, counted)
        if unnamed is not None:
            return Spine(_without_names(boxes), float(np.median(rows)), (unnamed,))
        doubt: tuple[Reason, ...] = ()
        if probability < self.certain:
            doubt = (reason("level-uncertain", probability=probability),)
        ribs = lumbar_with_ribs(counted.chain, naming)
        if ribs:
            doubt = (*doubt, reason("level-uncertain.ribs", levels=tuple(Level(name) for name in ribs)))
        skipped = vertebrae_skipped(naming.names, naming.order)
        findings = findings_said(counted.chain, naming)
        said = (*doubt, *skipped, evidence_said(counted.chain, naming, probability), *findings)
        return Spine(boxes, float(np.median(rows)), said)

    def count(self, scan: Scan) -> "Counted | None":
        """The bodies of the spine, cranial first, with their names; None where there is no spine."""
        counted = self._heard(scan, self._seen(scan.volume, look))
        if counted is None or counted.probability >= self.certain:
            return counted
        return self._heard(scan, self._seen(scan.volume, look_both_ways))

    def _heard(self, scan: Scan, seen: "Counted | None") -> "Counted | None":
        """The same spine, its names given with those of the projection."""
        if seen is None or self.projection is None:
            return seen
        middles = scan.volume.to_index(seen.places_mm)
        chain = projected(seen.chain, middles, self.projection.candidates(scan), scan.volume)
        return replace(_named(chain, seen.places_mm, weights_named(self.weights)), evidence=seen.evidence)

    def _seen(self, volume: Volume, see: Callable[[Float32, Weights, str], Float32]) -> "Counted | None":
        """A spine named without the projection."""
        weights = weights_named(self.weights)
        grid, image = torso_view(volume, weights.view)
        scores = see(image, weights, self.precision)
        voxel_mm = 2 * weights.view.spacing_mm[0]
        found = find_bodies(scores, self.minimum_score, voxel_mm)
        if self.looks is not None:
            found = with_names(found, self.looks(image), voxel_mm)
        places_mm = _places_mm(found, grid)
        kept = spine_of(found, places_mm)
        chain, places_mm = [found[index] for index in kept], places_mm[kept]
        if sum(body.score for body in chain if np.ptp(body.part) > 0) < EVIDENCE:
            return None
        return _named(chain, places_mm, weights)

    def _unnamed(self, volume: Volume, counted: "Counted") -> Reason | None:
        """Why no name is given, if none is."""
        naming, probability = counted.naming, counted.probability
        first, last = (naming.names[end] for end in (0, -1))
        number = sum(name not in ON_THE_WAY for name in naming.names)
        odd = probability < self.certain or counted.evidence < USUAL_EVIDENCE
        if not counted.upright or (odd and self._turned(volume, counted)):
            return reason("level-unknown.turned", number=number)
        if probability >= self.guess:
            return None
        return reason("level-unknown.disputed", number=number, first=first, last=last, probability=probability)

    def _turned(self, volume: Volume, counted: "Counted") -> bool:
        """Whether what is seen is likelier of the scan upside down, or upside down and back to front."""
        for axes in ((0,), (0, 1)):
            other = self._seen(Volume(np.ascontiguousarray(np.flip(volume.hu, axes)), volume.affine), look)
            if other is not None and other.upright and other.evidence > counted.evidence + LIKELIER:
                return True
        return False


def look_both_ways(image: Float32, weights: Weights, precision: str) -> Float32:
    """The mean of what the counting network says of a torso and of its mirror image, right and left put back.

    People are alike on both sides, and what the network sees in one way only is chance. It is asked so where one look
    leaves the names in doubt: on real CTs the mean is surer of the right ones (docs/decisions/0014).
    """
    # Rolled by one voxel, so that those of even place, which the scores are given for, stay those of even place.
    mirrored = np.ascontiguousarray(np.roll(np.flip(image, 2), -1, 2))
    other = np.flip(look(mirrored, weights, precision), 3).copy()
    other[[*range(*RIB_RIGHT.indices(CHANNELS)), *range(*RIB_LEFT.indices(CHANNELS))]] = other[
        [*range(*RIB_LEFT.indices(CHANNELS)), *range(*RIB_RIGHT.indices(CHANNELS))]
    ]
    return np.asarray((look(image, weights, precision) + other) / 2, np.float32)


@dataclass(frozen=True)
class Counted:
    """A spine: its bodies, cranial first, their middles in LPS mm (n, 3), and their names.

    ``evidence``: that of the naming before the projection was heard, which scans turned over are held against.
    """

    chain: list[Body]
    places_mm: Float64
    naming: Naming
    evidence: float

    @property
    def probability(self) -> float:
        return names_probability(self.naming)

    @property
    def upright(self) -> bool:
        """As most bodies look, by their scores."""
        return bool(np.average([b.upright for b in self.chain], weights=[b.score for b in self.chain]) >= 0.5)


def _named(chain: list[Body], places_mm: Float64, weights: Weights) -> Counted:
    """A chain with its names; ``weights`` are those of the counting network."""
    pitches_mm = np.linalg.norm(np.diff(places_mm, axis=0), axis=1) / size_of(chain, places_mm)
    naming = name_chain(shown_by(chain), pitches_mm, confusion_of(weights))
    return Counted(chain, places_mm, naming, naming.evidence)


def shown_by(chain: list[Body]) -> Shown:
    """What the bodies of a chain show, as ``name_chain`` takes it."""
    asked = ("rib_right", "rib_left", "part", "look", "named", "projected")
    right, left, part, look, *named = (np.array([getattr(body, one) for body in chain]) for one in asked)
    return Shown(right, left, part, look, tuple(named))


def size_of(chain: list[Body], places_mm: Float64) -> float:
    """How large this person is against the mean, by the middle one of all pitches: 0.75 to 1.25."""
    looked = np.array([expected_pitch_mm(body) for body in chain])
    ratios = np.linalg.norm(np.diff(places_mm, axis=0), axis=1) / ((looked[1:] + looked[:-1]) / 2)
    return float(np.clip(np.median(ratios), 0.75, 1.25)) if len(ratios) > 2 else 1.0


def confusion_of(weights: Weights) -> Confusion:
    """How often the network answers what: as it did on unseen virtual patients, and more often wrongly on people."""
    head = weights.head
    assert isinstance(head, Evidence)
    rib, part, looks = (smoothed(np.array(table, float), BEYOND) for table in (head.rib, head.part, head.look))
    return Confusion(rib, part, looks, NAMED_CONFUSION)


def names_probability(naming: Naming) -> float:
    """The least probable of the names that may be measured, or of all where none of those is in view."""
    pairs = list(zip(naming.names, naming.probabilities, strict=True))
    measured = [p for name, p in pairs if name[0] == "L" or name in ("T10", "T11", "T12", "T13")]
    return min(measured or [p for _, p in pairs])


def lumbar_with_ribs(chain: list[Body], naming: Naming) -> tuple[str, ...]:
    """The bodies with ribs on both sides that are called lumbar though no lumbar rib is the likelier story."""
    if naming.share(ribs="lumbar-rib") >= 0.5:
        return ()
    pairs = zip(chain, naming.names, strict=True)
    return tuple(name for body, name in pairs if name[0] == "L" and _bears(body.rib_right) and _bears(body.rib_left))


def _bears(rib: Float64) -> bool:
    return bool(rib[Rib.NONE] < 0.5)


def evidence_said(chain: list[Body], naming: Naming, probability: float) -> Reason:
    """What the names rest on: first ribs, last ribs, sacrum; and how many bodies with ribs and lumbar ones are seen."""
    names = [name for name in naming.names if name not in ON_THE_WAY]
    # What seems to join a lumbar body is told by itself, unless a lumbar rib is the likelier story.
    may_bear = names if naming.share(ribs="lumbar-rib") >= 0.5 else [name for name in names if name[0] != "L"]
    bearing = [name for body, name in zip(chain, naming.names, strict=True) if name in may_bear and _bears_any(body)]
    free = names[names.index(bearing[-1]) + 1 :] if bearing else names
    landmarks = (("first", "T1" in names), ("last", bool(bearing and free)), ("sacrum", "S1" in naming.names))
    key = "-".join(word for word, seen in landmarks if seen) or "looks"
    last = bearing[-1] if bearing else names[0]
    pairs = 13 if last in ("T13", "L1") else int(last[1:])
    counted = Phrase(f"counted-{key}", {"pairs": pairs, "last": last, "free": len(free)})
    return reason(
        "level-evidence",
        Effect.NOTE,
        counted=counted,
        bearing=len(bearing),
        lumbar=sum(name[0] == "L" for name in names),
        probability=probability,
    )


def _bears_any(body: Body) -> bool:
    return _bears(body.rib_right) or _bears(body.rib_left)


def findings_said(chain: list[Body], naming: Naming) -> tuple[Reason, ...]:
    """How this person's numbering differs from the usual, where that is the likelier story."""
    likely = [ribs for ribs in ("eleven", "thirteen", "lumbar-rib") if naming.share(ribs=ribs) > 0.5]
    likely += [word for word, number in (("four", 4), ("six", 6)) if naming.share(lumbar=number) > 0.5]
    said = [reason("numbering-variant", Effect.NOTE, variant=Phrase(f"variant-{key}", {})) for key in likely]
    for body, name in zip(chain, naming.names, strict=True):
        if body.part[Part.TRANSITIONAL] > 0.5 and name[0] in "LS":
            said.append(reason("transitional-vertebra", Effect.NOTE, level=Level(name)))
    return tuple(said)


def _places_mm(bodies: list[Body], grid: Grid) -> Float64:
    from_half = grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    middles = np.array([body.middle for body in bodies]).reshape(-1, 3)
    return np.asarray(middles @ from_half[:3, :3].T + from_half[:3, 3])


def _boxes(chain: list[Body], places_mm: Float64, naming: Naming, volume: Volume) -> tuple[VertebraBox, ...]:
    """The chain as boxes; one missed vertebra is placed midway between its neighbours, with half their confidence."""
    boxes: list[VertebraBox] = []
    middles = volume.to_index(places_mm)
    for body, middle, name, p in zip(chain, middles, naming.names, naming.probabilities, strict=True):
        if boxes and (between := _between(boxes[-1].level, name, naming.order)) is not None:
            upper = boxes[-1]
            z, x = upper.centre_zx
            missed = (np.array([z, upper.y or 0.0, x]) + middle) / 2
            boxes.append(_box(between, missed, 0.5 * min(upper.confidence, body.score * p), volume))
        if name != "S2":
            boxes.append(_box(Level(name), middle, body.score * p, volume))
    return tuple(boxes)


def _between(upper: str, lower: str, order: tuple[str, ...]) -> Level | None:
    """The one level that lies between two names, if just one does."""
    first = order.index(upper)
    return Level(order[first + 1]) if order.index(lower) == first + 2 else None


def _box(level: Level, middle: Float64, confidence: float, volume: Volume) -> VertebraBox:
    z, y, x = middle
    half_z, half_x = 0.4 * PITCH_MM[level] / volume.spacing_mm[0], HALF_WIDTH_MM / volume.spacing_mm[2]
    return VertebraBox(level, round(confidence, 3), (z - half_z, z + half_z), (x - half_x, x + half_x), float(y))


def _without_names(boxes: tuple[VertebraBox, ...]) -> tuple[VertebraBox, ...]:
    seen = [box for box in boxes if box.level is not Level.S1][-MOST_UNNAMED:]
    return tuple(replace(box, level=unknown) for box, unknown in zip(seen, UNKNOWN_LEVELS, strict=False))

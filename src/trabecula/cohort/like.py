"""Cohorts like those of published studies: ``like:NAME`` or ``like:NAME:SHARE``, drawn when they are needed.

They need numpy and scipy alone. A larger share holds all people of a smaller one.
"""

from dataclasses import asdict, dataclass, replace

from trabecula import __version__
from trabecula.anatomy import LEVELS, Level
from trabecula.cohort.case import Case, Cohort, Field, Known, Labelled, Seen, Split
from trabecula.cohort.drawn import Drawn, spine_labelled
from trabecula.cohort.folder import groups
from trabecula.errors import wrong_usage
from trabecula.records import Acquisition, Scan
from trabecula.virtual.cohort import draw, is_whole, scan_field, spine_grid, true_levels
from trabecula.virtual.drawn import LevelTruth
from trabecula.virtual.dxa import measure_dxa
from trabecula.virtual.enrol import Enrolled, enrol, people_of
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.publications import Part, Publication, publication_named
from trabecula.virtual.scanner import kernel_of
from trabecula.volume import Orientation

PREFIX = "like:"

BEYOND_MM = 40.0
"""What a stretch of spine shows above and below the vertebrae of a study."""

HALF_BODY_MM = 15.0


@dataclass(frozen=True)
class Like:
    """Person ``index`` of a part of a study's cohort."""

    publication: Publication
    part: Part
    index: int

    @property
    def masks(self) -> tuple[str, ...]:
        return ("bodies", "trabecular")

    @property
    def seed(self) -> int:
        return self.part.first_seed + self.index

    def enrolled(self) -> Enrolled:
        """The person, the scanner and the field of view."""
        return enrol(self.publication, self.part, self.index)

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        """The study's scan of this person, and what is true of it."""
        who = self.enrolled()
        ct = scan_field(who.subject, who.protocol, who.field)
        seen = Scan(ct.volume, Orientation(), _acquisition(who))
        whole = tuple(level for level in ct.truth if is_whole(ct.bodies, level.verse_id))
        density = {level: true.bmd_qct_region_k2hpo4 for level, true in ct.truth.items()}
        found = replace(known, whole_levels=whole, density=density, areal_bmd_g_cm2=_dxa(who, ct.truth))
        return Seen(seen, {kind: getattr(ct, kind) for kind in masks}, found)

    def labelled(self, known: Known, masks: tuple[str, ...], field: Field) -> Labelled:
        """The study's vertebrae on its scanner; any other field is that of a virtual patient of this seed."""
        if field is not Field.SPINE:
            return Drawn(self.seed).labelled(known, masks, field)
        who = self.enrolled()
        levels, beam = self.publication.levels, (who.protocol.kvp, who.protocol.slope)
        grid = spine_grid(who.subject, levels[0], levels[-1], 1.0, BEYOND_MM + HALF_BODY_MM)
        # The maker's slope is in the materials already, as in a scan of the whole.
        spine = spine_labelled(draw(who.subject, grid, *beam), replace(who.protocol, slope=1.0))
        whole = [level for level in spine.known.density if is_whole(spine.masks["bodies"], level.verse_id)]
        found = replace(known, density={level: spine.known.density[level] for level in whole})
        if self.publication.by_dxa:
            found = replace(found, areal_bmd_g_cm2=_dxa(who, true_levels(who.subject)))
        return replace(spine, known=found)


def _dxa(who: Enrolled, truth: dict[Level, LevelTruth]) -> float | None:
    found = measure_dxa(who.subject, truth)
    return None if found is None else found.measured_g_cm2


def like_cohort(given: str) -> Cohort:
    """The cohort that ``like:NAME[:SHARE]`` names, with its parts as splits.

    Raises:
        WrongUsage: ``unknown-publication`` or ``share-unusable``.
    """
    name, _, share = given.removeprefix(PREFIX).partition(":")
    publication = publication_named(name)
    try:
        part_of = float(share or 1)
    except ValueError:
        raise wrong_usage("share-unusable.word", share=share, name=name) from None
    cases = tuple(
        _case(publication, part, index) for part in publication.parts for index in range(people_of(part, part_of))
    )
    # Not the share: more of the same people may be added to what was judged before.
    whole = f"{PREFIX}{publication.name}"
    return Cohort(whole, whole, cases, True, "a", __version__, given=given)


def _case(publication: Publication, part: Part, index: int) -> Case:
    source = Like(publication, part, index)
    who = source.enrolled()
    name = f"{publication.name}-{source.seed}"
    return Case(name, name, source, known_of(who, part), Split(part.split))


def known_of(who: Enrolled, part: Part) -> Known:
    """What is known of a person before the scan is drawn."""
    subject, protocol, scanner = who.subject, who.protocol, who.scanner
    about = groups(subject.sex, str(subject.numbering), subject.phase, protocol.kvp, asdict(protocol))
    own = {"vendor": scanner.vendor, "site": scanner.site, "scanner": scanner.name, "part": part.name}
    nothing = asdict(NOTHING)
    spine = {Level(v.name): v for v in subject.spine if v.name in {level.value for level in Level}}
    findings = {
        level: tuple(name for name, value in asdict(v.findings).items() if value != nothing[name])
        for level, v in spine.items()
        if level in LEVELS
    }
    return Known(
        sex=subject.sex,
        age_years=round(subject.age_years, 1),
        scanner=scanner.name,
        site=scanner.site,
        tube_voltage_kvp=float(protocol.kvp),
        centres_lps_mm={level: v.centre_lps_mm for level, v in spine.items()},
        findings={level: what for level, what in findings.items() if what},
        numbering=str(subject.numbering),
        groups={**about, **own, "in view": who.view.kind},
    )


def _acquisition(who: Enrolled) -> Acquisition:
    """What the headers of such a scan say."""
    machine, protocol = who.scanner.machine, who.protocol
    return Acquisition(
        source="virtual",
        manufacturer=machine.manufacturer,
        model=machine.model,
        station=machine.station,
        kernel=machine.kernels[kernel_of(protocol)],
        slice_thickness_mm=protocol.thickness_mm,
        tube_voltage_kvp=float(protocol.kvp),
        patient_sex=who.subject.sex,
        patient_age_years=float(round(who.subject.age_years)),
    )

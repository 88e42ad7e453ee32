"""Virtual patients drawn when they are needed: ``virtual:NUMBER`` or ``virtual:NUMBER:FAMILY``, no files at all.

They need numpy and scipy alone, so that a GPU machine without anything else can be trained on. Those to train on and
those to judge by are counted from seeds of their own, so that no test patient is ever trained on.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

from trabecula import __version__
from trabecula.anatomy import LEVELS, Level
from trabecula.cohort.case import Case, Cohort, Field, Known, Labelled, Masks, Seen
from trabecula.cohort.folder import groups
from trabecula.cohort.grids import nearest
from trabecula.errors import wrong_usage
from trabecula.records import Acquisition, Scan
from trabecula.virtual.cohort import VirtualCt, draw, scan, scan_patient, spine_grid, torso_grid
from trabecula.virtual.counting import CountingTruth
from trabecula.virtual.drawn import Drawn as VirtualDrawn
from trabecula.virtual.families import FAMILIES, sample_person
from trabecula.virtual.findings import NOTHING
from trabecula.virtual.scanner import Protocol, acquire, sample_protocol
from trabecula.virtual.subject import Subject
from trabecula.virtual.torso import draw_torso
from trabecula.volume import Grid, Orientation, Volume, point

PREFIX = "virtual:"

TRAINING_SEED, TEST_SEED = 100_000, 900_000

TORSO_SPACING_MM, PROJECTION_SPACING_MM = 3.0, 2.0
TORSO_COLUMNS = 100  # 300 mm: the spine, the ribs' first third, the iliac crests

SPINE_SPACING_MM = (1.25, 1.0, 1.0)
"""Niu 2023's scanner gave 1.25 mm slices of about 0.7 mm pixels; 1 mm halves the arithmetic of a training step."""

FIELDS = (
    (Level.T9, Level.L3),
    (Level.T8, Level.L5),
    (Level.T10, Level.S1),
    (Level.T8, Level.L3),
    (Level.L1, Level.L4),
)
"""What test patients show: chest with upper abdomen, abdomen, abdomen with pelvis, chest, and a lumbar stretch with
hardly a landmark."""


@dataclass(frozen=True)
class Drawn:
    """A virtual patient; ``judging`` those that are scanned whole, to be screened as any CT."""

    seed: int
    family: str = "a"
    judging: bool = False

    @property
    def masks(self) -> tuple[str, ...]:
        return ("trabecular", "vertebrae") if self.judging else ("bodies", "trabecular")

    def load(self, known: Known, masks: tuple[str, ...]) -> Seen:
        """A whole scan under a random protocol, and what is true of it."""
        number = self.seed - TEST_SEED
        rng = np.random.default_rng([self.seed, 6])
        # Every second patient's density is uniform, so that both bands and the normal range are met.
        wanted = float(rng.uniform(30, 220)) if number % 2 else None
        subject = sample_person(self.seed, wanted, family=self.family)
        top, bottom = FIELDS[number % len(FIELDS)]
        ct = scan_patient(subject, sample_protocol(rng), top, bottom)
        voltage = float(ct.protocol.kvp)
        seen = Scan(ct.volume, Orientation(), Acquisition(source="virtual", tube_voltage_kvp=voltage))
        return Seen(seen, {kind: getattr(ct, kind) for kind in masks}, _known(ct, top, bottom))

    def labelled(self, known: Known, masks: tuple[str, ...], field: Field) -> Labelled:
        """A torso or a stretch of spine, drawn no finer than its samples need."""
        drawers = {Field.TORSO: _torso, Field.PROJECTION: _projection, Field.SPINE: _spine, Field.COUNTED: _counted}
        return drawers[field](self.seed, self.family)


def drawn_cohort(given: str, judging: bool) -> Cohort:
    """The cohort that ``virtual:NUMBER[:FAMILY]`` names.

    Raises:
        WrongUsage: ``unknown-cohort``: it names none.
    """
    number, _, family = given.removeprefix(PREFIX).partition(":")
    family = family or "a"
    if not number.isdecimal() or int(number) < 1 or family not in FAMILIES:
        raise wrong_usage("unknown-cohort", given=given, families=tuple(FAMILIES))
    first = TEST_SEED if judging else TRAINING_SEED
    if int(number) > TEST_SEED - TRAINING_SEED:
        raise wrong_usage("unknown-cohort.many", number=number)
    cases = tuple(
        Case(f"virtual-{family}-{seed}", f"virtual-{family}-{seed}", Drawn(seed, family, judging), Known())
        for seed in range(first, first + int(number))
    )
    # Not the number: more of the same patients may be added to what was judged before.
    name = f"{PREFIX}{family} from seed {first} on"
    return Cohort(name, name, cases, True, family, __version__, given=given)


def _known(ct: VirtualCt, top: Level, bottom: Level) -> Known:
    subject = ct.subject
    nothing = asdict(NOTHING)
    found = {
        level: tuple(name for name, v in asdict(subject.vertebra(level).findings).items() if v != nothing[name])
        for level in ct.truth
    }
    asked = LEVELS[LEVELS.index(top) : LEVELS.index(bottom) + 1]
    about = groups(subject.sex, str(subject.numbering), subject.phase, ct.protocol.kvp, asdict(ct.protocol))
    return Known(
        sex=subject.sex,
        age_years=round(subject.age_years, 1),
        tube_voltage_kvp=float(ct.protocol.kvp),
        density={level: true.bmd_qct_region_k2hpo4 for level, true in ct.truth.items()},
        centres_lps_mm={
            Level(v.name): v.centre_lps_mm for v in subject.spine if v.name in {level.value for level in Level}
        },
        whole_levels=tuple(level for level in asked if (ct.trabecular == level.verse_id).any()),
        findings={level: what for level, what in found.items() if what},
        numbering=str(subject.numbering),
        groups={**about, "in view": f"{top} to {bottom}"},
    )


def training_subject(seed: int, family: str = "a") -> Subject:
    """Every second subject's density is uniform in 20 to 250 mg/cm3, or a regressor would learn age instead."""
    bmd = float(np.random.default_rng([seed, 9]).uniform(20, 250)) if seed % 2 else None
    return sample_person(seed, bmd, family=family)


def _torso(seed: int, family: str) -> Labelled:
    """From T4 to the hips at 3 mm, 300 mm wide."""
    subject, rng = training_subject(seed, family), np.random.default_rng([seed, 10])
    bottom = subject.vertebra(Level.S1).centre_lps_mm[2] - rng.uniform(40, 130)
    whole = _coarse(subject, rng, subject.spine[6].centre_lps_mm[2] + 10, bottom, TORSO_SPACING_MM)
    cut = max(0, (whole.volume.shape[2] - TORSO_COLUMNS) // 2)
    part, shift = np.s_[:, :, cut : cut + TORSO_COLUMNS], np.eye(4)
    shift[2, 3] = cut
    volume = Volume(whole.volume.hu[part], whole.volume.affine @ shift)
    return replace(whole, volume=volume, masks={kind: mask[part] for kind, mask in whole.masks.items()})


def _projection(seed: int, family: str) -> Labelled:
    """From T2 to the hips at 2 mm."""
    subject, rng = training_subject(seed, family), np.random.default_rng([seed, 7])
    bottom = subject.vertebra(Level.S1).centre_lps_mm[2] - rng.uniform(60, 150)
    return _coarse(subject, rng, subject.spine[4].centre_lps_mm[2] + 10, bottom, PROJECTION_SPACING_MM)


def _coarse(subject: Subject, rng: np.random.Generator, top: float, bottom: float, spacing_mm: float) -> Labelled:
    protocol = sample_protocol(rng)
    drawn = draw(subject, torso_grid(subject, (bottom, top), spacing_mm), protocol.kvp)
    middle = drawn.volume.to_lps((np.asarray(drawn.volume.shape) - 1) / 2)
    ct = scan_coarse(drawn.volume, protocol, rng, Grid.axial(point(middle), drawn.volume.shape, (spacing_mm,) * 3))
    return Labelled(ct, {"bodies": drawn.body}, Known(tube_voltage_kvp=float(protocol.kvp)))


def scan_coarse(drawn: Volume, protocol: Protocol, rng: np.random.Generator, grid: Grid) -> Volume:
    """A scan on a coarse grid: noise averaged over the coarse voxel, not that of one fine pixel."""
    z, _, x = grid.spacing_mm
    shrink = min(1.0, protocol.pixel_mm / x * 1.5) * min(1.0, np.sqrt(max(protocol.thickness_mm, 0.5) / z))
    return acquire(drawn, replace(protocol, noise_hu=protocol.noise_hu * shrink, noise_peak_per_mm=0.4 / x), rng, grid)


def _spine(seed: int, family: str) -> Labelled:
    """About four vertebrae at the spacing of the samples."""
    subject, rng = training_subject(seed, family), np.random.default_rng([seed, 8])
    choices = (Level.T12, Level.L1, Level.L2, *LEVELS[2:])
    middle = LEVELS.index(choices[rng.integers(len(choices))])
    top, bottom = LEVELS[max(middle - 1, 0)], LEVELS[min(middle + 1, len(LEVELS) - 1)]
    protocol = sample_protocol(rng)
    drawn = draw(subject, spine_grid(subject, top, bottom, 1.0), protocol.kvp)
    return spine_labelled(drawn, protocol)


def spine_labelled(drawn: VirtualDrawn, protocol: Protocol) -> Labelled:
    """A drawn stretch of spine, scanned, at the spacing of the samples; density is that of the region QCT reads."""
    ct = scan(drawn, protocol, 0)
    # No sample may lie outside the scan, or a label would lie on air.
    last = np.asarray(ct.shape) - 1
    z, y, x = (int(e // s) + 1 for e, s in zip(last * np.asarray(ct.spacing_mm), SPINE_SPACING_MM, strict=True))
    grid = Grid.axial(point(ct.to_lps(last / 2)), (z, y, x), SPINE_SPACING_MM)
    masks: Masks = {
        "bodies": nearest(drawn.body, drawn.volume, grid),
        "trabecular": nearest(drawn.trabecular(protocol.thickness_mm), drawn.volume, grid),
    }
    known = Known(tube_voltage_kvp=float(protocol.kvp), density=where_qct_reads(drawn))
    return Labelled(Volume(ct.sample(grid), grid.affine), masks, known)


def where_qct_reads(virtual: VirtualDrawn) -> dict[Level, float]:
    """The density of the region that QCT reads; of all bone where screws or cement may lie in that region."""
    regions, found = virtual.qct_regions(), {}
    for level, whole in virtual.bmd().items():
        findings, mask = virtual.subject.vertebra(level).findings, regions == level.verse_id
        foreign = findings.screws or findings.cement_mm
        found[level] = whole if foreign or not mask.any() else virtual.bmd_of(mask)
    return found


def _counted(seed: int, family: str) -> Labelled:
    """Any field of view at 3 mm, every second time the whole trunk, of people who are often numbered unusually."""
    torso = draw_torso(seed, TORSO_SPACING_MM, family, "trunk" if seed % 2 else None)
    voltage = float(torso.protocol.kvp)
    return Labelled(torso.volume, {"bodies": torso.body}, known_count(torso.truth, Known(tube_voltage_kvp=voltage)))


def known_count(true: CountingTruth, known: Known) -> Known:
    """What is known of a case, and by what its vertebrae are counted."""
    bodies = {Level(body.name): body for body in true.bodies}
    levels = list(bodies)
    joined = bool({"joint", "bone"} & set(true.castellvi_sides))
    return replace(
        known,
        centres_lps_mm={level: body.centre_lps_mm for level, body in bodies.items()},
        ribs_mm={level: body.rib_mm for level, body in bodies.items()},
        joined_to_sacrum=levels[levels.index(Level(true.sacrum)) - 1] if joined else None,
        numbering=true.numbering,
    )

"""Writes the page that holds the virtual cohort against the world, and its figures.

python -m trabecula.evaluation.world --real folder-of-real-cts
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from trabecula.anatomy import Level
from trabecula.evaluation.tables import markdown
from trabecula.evaluation.world import dimensions, noise, population, shape, slices, voltage
from trabecula.virtual.cohort import draw, spine_grid
from trabecula.virtual.scanner import Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR_HU = 5.0
MEAN_TOLERANCE = 0.05
LOOSE_TOLERANCE = 0.10  # of canals and discs, whose edges no two readers draw alike
DICE = 0.95

PROTOCOLS = {
    "soft, 0.2 /mm": Protocol(noise_peak_per_mm=0.2, noise_hu=12.0),
    "standard, 0.35 /mm": Protocol(noise_peak_per_mm=0.35, noise_hu=20.0),
    "sharp, 0.6 /mm": Protocol(noise_peak_per_mm=0.6, noise_hu=40.0, pixel_mm=0.6),
    "iterative, 0.35 /mm": Protocol(noise_peak_per_mm=0.35, noise_hu=12.0, iterative=True),
}

Verdict = tuple[str, str, str, bool]
"""What was asked, what it should be, what it is, whether it holds."""


class Page:
    """Sections of Markdown with figures beside them, and the verdicts that head the page."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.verdicts: list[Verdict] = []
        self.parts: list[str] = []

    def section(self, title: str, *parts: str) -> None:
        self.parts.append("\n\n".join([f"## {title}", *parts]))

    def figure(self, name: str, alt: str, figure: "Figure") -> str:
        path = self.out.with_name(f"{self.out.stem}-{name}.png")
        figure.savefig(path, dpi=90, metadata={"Software": None})
        return f"![{alt}]({path.name})"

    def write(self, command: str) -> None:
        rows = [(a, b, c, "yes" if holds else "**no**") for a, b, c, holds in self.verdicts]
        head = (
            "# The virtual cohort against the world\n\n"
            f"Made by `{command}`. Published figures are held against persons as they are drawn: HU and lengths are "
            "measured on the images and labels. It says how lifelike the virtual patients are, nothing about readings "
            "of real ones. Unless it says otherwise, the persons have no findings, variants or contrast medium.\n\n"
            + markdown(("check", "asked", "found", "holds"), rows)
        )
        self.out.write_text("\n\n".join([head, *self.parts]) + "\n", encoding="utf-8")


def voltages(page: Page, persons: int) -> None:
    """HU of drawn bodies against the specification's formula."""
    rows = voltage.measure(range(persons))
    beside = voltage.beside_120(rows)
    table = []
    for kvp in voltage.VOLTAGES_KVP:
        off = np.array([r.drawn_hu - r.expected_hu for r in rows if r.kvp == kvp])
        table.append(
            (kvp, len(off), f"{off.mean():+.1f}", f"{off.std(ddof=1):.1f}", f"{np.abs(beside[kvp]).max():.2f}")
        )
    worst = max((abs(float(row[2])) for row in table), default=np.inf)
    page.verdicts.append(
        (
            "trabecular HU at 80 to 140 kVp",
            f"mean within {NEAR_HU:.0f} HU",
            f"worst {worst:.1f} HU",
            worst <= NEAR_HU,
        )
    )
    page.section(
        "Tube voltages",
        f"The front half of the trabecular region at mid height, T12 to L3 of {persons} persons, noise-free. Expected "
        "HU are f Y + (1 - f) R + B BMD, all three from spectra and coefficients behind the water path of the rays "
        "through the vertebra, measured on the drawn slice. A body's own texture makes the spread; "
        "against the same body's HU at 120 kVp it falls out (last column).",
        markdown(("kVp", "bodies", "mean off, HU", "SD, HU", "worst against 120 kVp, HU"), table),
    )


def beam(page: Page, seeds: range) -> None:
    """Polychromatic projection of single slices."""
    examined = [slices.examine(seed, level) for seed in seeds for level in (Level.L1, Level.L2)]
    rows = [row for e in examined for row in e.rows]
    at_120 = np.array([row.off_hu for row in rows if row.kvp == 120])
    page.verdicts.append(
        (
            "polychromatic projection, 120 kVp",
            f"every slice within {NEAR_HU:.0f} HU",
            f"{(np.abs(at_120) <= NEAR_HU).sum()} of {len(at_120)}, mean {at_120.mean():+.1f}, "
            f"worst {at_120[np.abs(at_120).argmax()]:+.1f} HU",
            bool((np.abs(at_120) <= NEAR_HU).all()),
        )
    )
    each = [
        (r.seed, r.level, f"{r.path_mm:.0f}", f"{r.bmd:.0f}", f"{r.drawn_hu:.1f}", f"{r.physics_hu:.1f}")
        + (f"{r.off_hu:+.1f}", f"{e.resolved_hu - r.drawn_hu:+.1f}")
        for e in examined
        for r in e.rows
        if r.kvp == 120
    ]
    other = []
    for kvp in (80, 100, 120, 140):
        off = np.array([r.off_hu for r in rows if r.kvp == kvp])
        bone = slices.tissue_hu(kvp)
        slope = f"{bone['slope in red']:.2f} to {bone['slope in yellow']:.2f}"
        hu = (f"{bone[name]:.0f}" for name in ("yellow", "red", "adipose", "bone"))
        inside = f"{(np.abs(off) <= NEAR_HU).sum()} of {len(off)}"
        other.append((kvp, *hu, slope, f"{off.mean():+.1f}", f"{np.abs(off).max():.1f}", inside))
    page.section(
        "A polychromatic beam",
        f"Slices of 1 mm through the middle of L1 and L2 of {len(seeds)} persons, turned into air, fat, muscle, red "
        "and yellow marrow and cortical bone (ICRU-44), projected through a tungsten spectrum behind 7 mm of aluminium "
        "(SpekPy; coefficients of xraylib) onto an energy-integrating detector, parallel beam, 270 angles, corrected "
        "for water and back-projected. Path: mean water path of the rays through the vertebra. The last column is what "
        "projection and back-projection of the drawn slice alone change.",
        markdown(("person", "level", "path mm", "BMD", "drawn HU", "physics HU", "off", "of it resolution"), each),
        page.figure(
            "slice",
            "A drawn slice, the same through a polychromatic beam, and their difference",
            slices.figure(examined[-1]),
        ),
        "The same at every voltage, and what the materials have behind 20 cm of water (HU; slope in HU for one mg/cm3 "
        "of hydroxyapatite in red and in yellow marrow), to hold against the table from which is drawn:",
        markdown(
            ("kVp", "yellow", "red", "fat", "cortical", "slope", "mean off", "worst", f"within {NEAR_HU:.0f} HU"), other
        ),
        "The drawing takes bone and marrow for a straight line with one slope, whatever the marrow, behind the water "
        "path of the rays through L2 and three quarters of the mineral of a body, in one ray and for the whole spine. "
        "The truth, QCT-equivalent BMD, is not touched.",
    )


def noises(page: Page, _: None) -> None:
    """Deviation, spectrum, neighbouring slices, centre and edge."""
    table = []
    worst_sd = worst_peak = 0.0
    for name, protocol in PROTOCOLS.items():
        found, asked = noise.measure(noise.ensemble(protocol), protocol.pixel_mm), noise.asked_peak_per_mm(protocol)
        worst_sd = max(worst_sd, abs(found.sd_hu / protocol.noise_hu - 1))
        worst_peak = max(worst_peak, abs(found.peak_per_mm / asked - 1))
        table.append((name, protocol.noise_hu, f"{found.sd_hu:.2f}", f"{asked:.3f}", f"{found.peak_per_mm:.3f}"))
    between = []
    for thickness, increment in ((1.25, 1.25), (2.0, 1.6), (5.0, 2.5)):
        protocol = Protocol(thickness_mm=thickness, increment_mm=increment)
        found = noise.measure(noise.ensemble(protocol), protocol.pixel_mm)
        box = max(0.0, 1 - increment / thickness)
        bell = 0.25 ** ((increment / thickness) ** 2)
        between.append((thickness, increment, f"{found.slice_correlation:.2f}", f"{box:.2f}", f"{bell:.2f}"))
    ratios = [(asked, noise.centre_over_edge(Protocol(noise_centre_to_edge=asked))) for asked in (1.5, 1.7, 1.9)]
    worst_ratio = max(abs(found / asked - 1) for asked, found in ratios)
    page.verdicts += [
        ("noise SD", "within 2%", f"worst {worst_sd:.1%}", worst_sd <= 0.02),
        ("peak of the noise power spectrum", "within 5%", f"worst {worst_peak:.1%}", worst_peak <= 0.05),
        ("noise in the centre over that at the edge", "within 10%", f"worst {worst_ratio:.1%}", worst_ratio <= 0.1),
    ]
    page.section(
        "Noise",
        "Over an ensemble of 16 images of 192 x 192 x 4 voxels; the spectrum from averaged periodograms. The peak is "
        "the top of a parabola, which lies 1% above that of the very spectrum asked for, 2% where it is iterative's.",
        markdown(("kernel", "SD asked, HU", "SD found", "peak asked, /mm", "peak found"), table),
        page.figure("noise", "Radial noise power spectra of four kernels", noise.figure(PROTOCOLS)),
        "Correlation of neighbouring slices, and what slices of a rectangular and of a bell-shaped profile (whose "
        "width at half its height is the thickness) would share:",
        markdown(("thickness mm", "increment mm", "found", "rectangular", "bell-shaped"), between),
        "Centre over edge, 340 mm apart: "
        + ", ".join(f"asked {asked}, found {found:.2f}" for asked, found in ratios)
        + ".",
    )


def lengths(page: Page, persons: int) -> None:
    """Dimensions of drawn vertebrae by level and sex."""
    spines = []
    for seed in range(persons):
        subject = voltage.plain(seed)
        spines.append(dimensions.measure_spine(draw(subject, spine_grid(subject, Level.T10, Level.S1, 1.25))))
    rows = dimensions.compare(spines)
    loose = ("canal_width", "canal_depth", "disc_below")
    outside = [
        f"{r.level} {r.name.replace('_', ' ')} {r.ratio - 1:+.0%}"
        for r in rows
        if abs(r.ratio - 1) > (LOOSE_TOLERANCE if r.name in loose else MEAN_TOLERANCE)
    ]
    narrow = [r for r in rows if r.spread < dimensions.SPREAD]
    lordosis, asked = [s.lordosis_t12_s1_deg for s in spines], dimensions.LORDOSIS_T12_S1_DEG
    sacral, asked_sacral = [s.lordosis_l4_s1_deg for s in spines], dimensions.LORDOSIS_L4_S1_DEG
    page.verdicts += [
        (
            "dimensions T10 to L5, mean by level",
            "within 5%; canals and discs 10%",
            f"{len(rows) - len(outside)} of {len(rows)}",
            not outside,
        ),
        (
            "spread of dimensions",
            "at least 8%",
            f"{len(rows) - len(narrow)} of {len(rows)}, median {np.median([r.spread for r in rows]):.1%}",
            not narrow,
        ),
        _angle("lordosis T12 to S1", lordosis, asked),
        _angle("lordosis L4 to S1", sacral, asked_sacral),
    ]
    by_level = [
        (level, *(_both(r) for r in rows if r.level == level), *_wedge(spines, level)) for level in dimensions.MEANS_MM
    ]
    names = [r.name.replace("_", " ") for r in rows if r.level == Level.L1]
    women = sum(s.sex == "F" for s in spines)
    waist = np.array([s.bodies[level].waist_width for s in spines for level in (Level.L2, Level.L3, Level.L4)])
    page.section(
        "Dimensions",
        f"{women} women and {persons - women} men, mm, women / men, in brackets the published mean for women "
        "(0.91 of men's) and men. Width and depth: the largest within 5 mm of an end plate. Discs: between the planes "
        "of the end plates. Canal: where HU pass 150. Wedge in degrees.",
        markdown(("level", *names, "wedge"), by_level),
        page.figure("dimensions", "Measured over published dimensions by level", dimensions.figure(rows)),
        f"Beyond the tolerance: {', '.join(outside) or 'none'}. "
        f"The waist of L2 to L4 is {waist.mean():.0%} of the width (a real mean mesh has 16 to 20%). "
        "Depth is measured in the midline, where the back wall is hollow.",
    )


def _angle(name: str, values: list[float], asked: tuple[float, float]) -> Verdict:
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    error = sd / np.sqrt(len(values))
    return (
        f"{name}, lying",
        f"{asked[0]:.1f} +/- {asked[1]:.1f} deg",
        f"{mean:.1f} +/- {sd:.1f} deg",
        abs(mean - asked[0]) <= max(2 * error, 3.0) and 0.7 <= sd / asked[1] <= 1.4,
    )


def _both(row: dimensions.Compared) -> str:
    return (
        f"{row.mean['F']:.1f} / {row.mean['M']:.1f} ({row.published['F']:.1f} / {row.published['M']:.1f}), "
        f"{row.spread:.0%}"
    )


def _wedge(spines: list[dimensions.SpineDimensions], level: Level) -> tuple[str]:
    women, men = (np.mean([s.bodies[level].wedge_deg for s in spines if s.sex == sex]) for sex in "FM")
    asked_men, asked_women = dimensions.WEDGE_DEG[level]
    return (f"{women:.1f} / {men:.1f} ({asked_women} / {asked_men})",)


def densities(page: Page, persons: int) -> None:
    """BMD by age and sex."""
    people = population.Population.sampled(persons)
    sexes = (("F", "women"), ("M", "men"))
    found = [(name, *row) for sex, name in sexes for row in population.by_age(people, sex)]
    reference = []
    for sex, name in sexes:
        for age, published in population.CHINA_BIOBANK[sex].items():
            mean = float(people.bmd[people.of(sex, age - 2.5, age + 2.5)].mean())
            reference.append((name, f"{age:.0f}", published, f"{mean:.1f}", f"{mean - published:+.1f}"))
    off = max(abs(mean - prior) for _, _, prior, mean, _ in found)
    deviation = float(np.mean([row[-1] for row in found]))
    far = max(abs(float(row[-1])) for row in reference)
    slope, asked_slope = population.l1_slope_hu(people), population.JANG_SLOPE_HU_A_YEAR
    sd = population.PRIOR_SD
    page.verdicts += [
        ("BMD by age against the prior", "within 5 mg/cm3", f"worst {off:.1f} mg/cm3", off <= 5),
        ("SD of BMD at an age", f"{sd:.0f} mg/cm3", f"{deviation:.1f} mg/cm3", abs(deviation - sd) <= 2),
        ("BMD against China Biobank", "within one SD, 27 mg/cm3", f"worst {far:.1f} mg/cm3", far <= sd),
        ("loss of L1 HU a year", f"{asked_slope} HU", f"{slope:.2f} HU", abs(slope - asked_slope) <= 0.5),
    ]
    page.section(
        "Bone density by age and sex",
        f"{persons} persons drawn without a wish for their density; mg/cm3 K2HPO4 of L1 and L2, as the truth is set "
        "before it is drawn. Within 2.5 years of each age; with 4000 persons the standard error of a mean is "
        "2.3 mg/cm3.",
        page.figure(
            "bmd", "BMD by age, women and men, with the prior and the reference population", population.figure(people)
        ),
        markdown(
            ("", "age", "asked", "found", "SD"), [(name, *(f"{v:.0f}" for v in values)) for name, *values in found]
        ),
        "Against China Biobank (n = 69,095, PMC7988599; the peak at 30 to 34 years and the mean at 80):",
        markdown(("", "age", "China Biobank", "found", "off"), reference),
        "The prior is a blend of populations, and flatter: its young have less, its old women more. A site's own "
        "reference table decides what is low for age there; the bands do not depend on it.",
        _in_published_ct(people),
    )


def _in_published_ct(people: population.Population) -> str:
    hu = people.bmd_l1 * population.HU_PER_MG_CM3
    young, old = (hu[who] for who in (people.age_years < 30, people.age_years > 85))
    shares = ", ".join(
        f"{name} {population.osteoporosis_share(people, sex):.0%} (China Biobank "
        f"{population.CHINA_OSTEOPOROSIS_OVER_50[sex]:.1%})"
        for sex, name in (("F", "women"), ("M", "men"))
    )
    return (
        f"L1 at 120 kVp (1.422 HU for 1 mg/cm3) against Jang 2019: {young.mean():.0f} +/- {young.std():.0f} HU "
        f"under 30 years (226 +/- 44), {old.mean():.0f} +/- {old.std():.0f} over 85 (89 +/- 38 over 90). "
        "Below 80 mg/cm3 from 50 years on, ages evenly spread to 90 and therefore older than any population: "
        f"{shares}."
    )


def bodies(page: Page, real: Path) -> None:
    """The body's shape, fitted to real masks."""
    fits = [
        shape.fit_body(volume, mask, name, level) for name, level, volume, mask in shape.real_masks(real) if mask.any()
    ]
    dice = np.array([fit.dice for fit in fits])
    page.verdicts.append(
        (
            "body shape fitted to real masks",
            f"median Dice {DICE}",
            f"{np.median(dice):.3f}",
            bool(np.median(dice) >= DICE),
        )
    )
    table = [
        (f.name, f.level, " x ".join(f"{s:.1f}" for s in f.spacing_mm), f"{f.dice:.3f}")
        + (_pair(f.shape.width_mm), _pair(f.shape.depth_mm), f"{f.shape.height_mm:.1f}", f"{f.shape.wedge_deg:.1f}")
        for f in fits
    ]
    page.section(
        "The shape of a body",
        "Eighteen parameters (place, turn, widths, depths, height, wedge, waist, concavity, rounding, squareness and "
        "hollow of the back) fitted to each body mask of the real CTs by its soft Dice; the Dice of the hard masks. It "
        "judges the model of the shape. Nothing found here goes back into the generator.",
        markdown(
            ("CT", "level", "voxel mm", "Dice", "width upper/lower", "depth upper/lower", "height behind", "wedge"),
            table,
        ),
    )


def _pair(values: tuple[float, float]) -> str:
    return f"{values[0]:.1f} / {values[1]:.1f}"


def _section(out: Path, check: Callable[[Page, Any], None], of: object) -> Page:
    page = Page(out)
    check(page, of)
    return page


def main(
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/results/world.md"),
    real: Annotated[Path | None, typer.Option(envvar="TRABECULA_REAL_CT", help="Folder of real CTs.")] = None,
    spines: Annotated[int, typer.Option(help="Spines to measure.", min=8)] = 30,
    persons: Annotated[int, typer.Option(help="Persons to draw densities of.", min=500)] = 4000,
    workers: Annotated[int, typer.Option(help="Processes at a time.", min=1)] = 2,
) -> None:
    """Holds the virtual cohort against the world; writes the page, and figures beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    checks: list[tuple[Callable[[Page, Any], None], object]] = [
        (voltages, 8),
        (beam, range(5)),
        (noises, None),
        (lengths, spines),
        (densities, persons),
    ]
    if real is not None:
        checks.append((bodies, real))
    whole = Page(out)
    with ProcessPoolExecutor(workers) as pool:
        for page in [job.result() for job in [pool.submit(_section, out, *check) for check in checks]]:
            whole.verdicts += page.verdicts
            whole.parts += page.parts
    whole.write("python -m trabecula.evaluation.world" + (" --real REAL-CTS" if real else ""))
    print(out)


if __name__ == "__main__":
    typer.run(main)

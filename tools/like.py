"""What the cohorts like those of published studies hold: a page with tables, and a picture.

    python tools/like.py --out docs/results/cohorts-like-the-papers.md

Everybody is enrolled, nobody is scanned but for the picture: one person of each field of view, and one and the same
person on every scanner. Simulated.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from trabecula.anatomy import Level
from trabecula.cohort.drawn import spine_labelled
from trabecula.quantity import CATEGORIES, QCT_BANDS
from trabecula.virtual.cohort import draw, scan_field, spine_grid
from trabecula.virtual.enrol import Enrolled, enrol
from trabecula.virtual.publications import PUBLICATIONS, Part, Publication, Scanner
from trabecula.virtual.scanner import kernel_of
from trabecula.virtual.subject import sample_subject

WINDOW_HU = (-160.0, 450.0)
SAME_PERSON = 5
SAME_BMD_MG_CM3 = 120.0


def main(
    out: Annotated[Path, typer.Option("--out", help="The page; the picture lies beside it, as PNG.")],
    picture: Annotated[bool, typer.Option(help="Scan people for the picture and the scanners' readings.")] = True,
) -> None:
    """Writes the page."""
    rows = [part_row(publication, part) for publication in PUBLICATIONS.values() for part in publication.parts]
    people = table(
        ("cohort", "part", "people", "women", "age, years", "mg/cm3", "normal / osteopenia / osteoporosis", "views"),
        rows,
    )
    scanned = {scanner.name: same_person_on(scanner) for scanner in scanners()} if picture else {}
    machines = table(
        ("scanner", "site", "maker and model", "kernel", "slices, mm", "slope", "offset, HU", "noise, HU", "reads, HU"),
        (scanner_row(scanner, scanned.get(scanner.name)) for scanner in scanners()),
    )
    out.write_text(PAGE.format(people=people, machines=machines, bmd=SAME_BMD_MG_CM3), encoding="utf-8")
    if picture:
        draw_picture(out.with_suffix(".png"), scanned)


PAGE = """# Cohorts like those of the five publications

What `like:NAME` and `trabecula simulate --like NAME` hold, all of it simulated. Sizes, splits, vertebrae and kinds of
scans are the publications'; what they leave open is ours and is told in `virtual/publications.py`. Made by

```sh
python tools/like.py --out docs/results/cohorts-like-the-papers.md
```

![Fields of view, and one person on every scanner](cohorts-like-the-papers.png)

Above, a person of each field of view; below, one and the same person on every scanner.

## People

Age is mean (SD), density that of L1 and L2 as drawn, before texture and findings, mean (SD); categories are its ACR
bands. In training and validation parts every second person's density is drawn evenly over 30 to 230 mg/cm3. The test
parts have the population's density at their age; niu2023's is drawn so that 24% have osteoporosis and 37% osteopenia,
as was published of its 500 people: 100 of them have more or less by chance.

{people}

## Scanners

Every scanner keeps its slope, offset and kernel in all its scans, all at 120 kVp; noise and place on the table differ
from patient to patient. The slope is that of mineral and iodine, for air and water are calibrated everywhere. The last
column is the trabecular region of L1 of one and the same person of {bmd:g} mg/cm3 as each reads it (SD of its voxels).

{machines}
"""


def table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """A table in Markdown."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def scanners() -> list[Scanner]:
    """Every scanner once."""
    found = {
        scanner.name: scanner
        for publication in PUBLICATIONS.values()
        for part in publication.parts
        for scanner, _ in part.scanners
    }
    return list(found.values())


def part_row(publication: Publication, part: Part) -> tuple[object, ...]:
    """Who is in a part, and how they are scanned."""
    people = [enrol(publication, part, index) for index in range(part.people)]
    ages = np.array([who.subject.age_years for who in people])
    densities = np.array(
        [np.mean([who.subject.vertebra(level).bmd_k2hpo4 for level in (Level.L1, Level.L2)]) for who in people]
    )
    categories = [QCT_BANDS.category(float(density)) for density in densities]
    views = [who.view.kind for who in people]
    return (
        publication.name,
        part.name,
        len(people),
        f"{np.mean([who.subject.sex == 'F' for who in people]):.0%}",
        f"{ages.mean():.0f} ({ages.std(ddof=1):.0f})",
        f"{densities.mean():.0f} ({densities.std(ddof=1):.0f})",
        " / ".join(str(categories.count(category)) for category in CATEGORIES),
        ", ".join(f"{view.kind} {views.count(view.kind)}" for view in publication.views),
    )


def scanner_row(scanner: Scanner, scanned: tuple[Any, float, float] | None) -> tuple[object, ...]:
    """How a scanner is set up, and what it reads."""
    protocol, machine = scanner.protocol, scanner.machine
    kernel = machine.kernels[kernel_of(protocol)]
    return (
        scanner.name,
        scanner.site,
        f"{machine.manufacturer} {machine.model}",
        f"{kernel}, {protocol.psf_fwhm_mm:g} mm{', iterative' if protocol.iterative else ''}",
        f"{protocol.thickness_mm:g}",
        f"{protocol.slope:g}",
        f"{protocol.offset_hu:g}",
        f"{protocol.noise_hu:g}",
        "" if scanned is None else f"{scanned[1]:.0f} ({scanned[2]:.0f})",
    )


def same_person_on(scanner: Scanner) -> tuple[Any, float, float]:
    """A sagittal close-up of one person, and mean and SD of L1's trabecular region."""
    subject = replace(sample_subject(SAME_PERSON, SAME_BMD_MG_CM3), phase="none")
    drawn = draw(
        subject, spine_grid(subject, Level.L1, Level.L2, 1.0, 35.0), scanner.protocol.kvp, scanner.protocol.slope
    )
    seen = spine_labelled(drawn, replace(scanner.protocol, slope=1.0))
    inside = seen.volume.hu[seen.masks["trabecular"] == Level.L1.verse_id]
    _, _, x = (round(i) for i in seen.volume.to_index(np.array(subject.vertebra(Level.L2).centre_lps_mm)))
    return seen.volume.hu[::-1, :, x], float(inside.mean()), float(inside.std())


def views() -> list[tuple[str, Enrolled]]:
    """The first person of a test part in each field of view."""
    found: dict[tuple[str, str], Enrolled] = {}
    for publication in PUBLICATIONS.values():
        part = next(part for part in publication.parts if part.split == "test")
        for index in range(12):
            who = enrol(publication, part, index)
            found.setdefault((publication.name, who.view.kind), who)
    return [(f"{name}\n{kind}", who) for (name, kind), who in found.items()]


def draw_picture(path: Path, scanned: dict[str, tuple[Any, float, float]]) -> None:
    """Mid-sagittal planes of whole scans, and close-ups."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    whole = views()
    columns = max(len(whole), (len(scanned) + 1) // 2)
    figure, axes = plt.subplots(3, columns, figsize=(1.55 * columns, 7.2), height_ratios=(2.6, 1, 1))
    for axis in axes.ravel():
        axis.axis("off")
    for axis, (title, who) in zip(axes[0], whole, strict=False):
        ct = scan_field(who.subject, who.protocol, who.field, truth={}).volume
        _, _, x = (round(i) for i in ct.to_index(np.array(who.subject.vertebra(Level.T12).centre_lps_mm)))
        tall = ct.spacing_mm[0] / ct.spacing_mm[1]
        axis.imshow(ct.hu[::-1, :, x], cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=tall)
        axis.set_title(title, fontsize=6)
    for axis, (name, (plane, hu, _)) in zip(axes[1:].ravel(), scanned.items(), strict=False):
        axis.imshow(plane, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect=1.25)
        axis.set_title(f"{name}: {hu:.0f} HU", fontsize=6)
    figure.text(0.5, 0.002, "Virtual patients: simulated, nobody's scan.", ha="center", fontsize=7)
    figure.tight_layout(pad=0.4, rect=(0, 0.012, 1, 1))
    figure.savefig(path, dpi=90, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    typer.run(main)

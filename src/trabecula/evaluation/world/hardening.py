"""How much of a patient's water path hardens the beam for the rods of a QCT phantom under the back: simulated.

    python -m trabecula.evaluation.world.hardening --persons 60 --out docs/results/hardening.md

Torsos of ellipses, whose line integrals are exact, are projected through tungsten spectra (SpekPy, coefficients of
xraylib, tissues of ICRU Report 44) onto an energy-integrating detector and corrected for water alone, as scanners
correct the trunk. Solutions of K2HPO4 lie under the back, and give the line that QCT reads by. Neither the virtual
people nor their tables are used: sizes are drawn as adults', the filtration and the bow-tie filter as makers'. The
calibration's own line is held against the rods'. Needs the extra ``check``.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import spekpy
import typer
from numpy.typing import NDArray

from trabecula.evaluation.world.beam import (
    BONE_HA_MG_CM3,
    DISPLACED_BY_K2HPO4,
    K2HPO4,
    MATERIALS,
    WATER,
    per_mm,
)
from trabecula.flow.calibrate.beam import Beam
from trabecula.flow.calibrate.size import HARDENING_SHARE

Floats = NDArray[np.float64]
NAMES = ("adipose", "muscle", "red", "yellow", "bone", "water", "k2hpo4")
ANGLES, BIN_MM, REACH_MM = 400, 0.8, 290.0
RODS_MG_CM3 = (0.0, 60.0, 120.0, 240.0)
ROD_STEP_MM, ROD_RADIUS_MM, ROD_READ_MM = 34.0, 9.0, 6.0
VOLTAGES_KVP = (80, 100, 120, 140)
BOW_TIE_MM = (8.0, 25.0)


@dataclass(frozen=True)
class Ellipse:
    """A middle (left, back) and half axes in mm, and by how much it changes each material's relative density."""

    x: float
    y: float
    a: float
    b: float
    change: dict[str, float]


@dataclass(frozen=True)
class Torso:
    """A lumbar slice: its ellipses, the middle of the vertebral body, and what was drawn of it."""

    ellipses: list[Ellipse]
    body_mm: tuple[float, float]
    back_mm: float
    said: dict[str, float] = field(default_factory=dict)


def sample_torso(rng: np.random.Generator) -> Torso:
    """An adult: half width 125 to 215 mm, fat under the skin and within, a body of 40 to 200 mg/cm3."""
    size = rng.uniform(-1, 1)
    wide = 165 + 40 * size + rng.normal(0, 8)
    deep = 112 + 32 * size + rng.normal(0, 7)
    skin_fat = float(np.clip(20 + 12 * size + rng.normal(0, 6), 5, 45))
    inner_fat = float(np.clip(0.30 + 0.15 * size + rng.normal(0, 0.1), 0.02, 0.65))
    mineral = float(rng.uniform(30, 230))  # mg/cm3 of hydroxyapatite
    yellow = float(rng.uniform(0.3, 0.65))
    cortex_mm, arch = float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.25, 0.5))
    wall = float(rng.uniform(9, 16))
    across, ahead = float(rng.uniform(21, 26)), float(rng.uniform(15.5, 18.5))
    # Of the body's middle behind that of the trunk; the spinous process ends before the fat of the back.
    y = min(0.36 * deep, deep - skin_fat - ahead - 38)
    marrow = {"red": 1 - yellow, "yellow": yellow}

    def spongy(mg_cm3: float) -> dict[str, float]:
        share = mg_cm3 / BONE_HA_MG_CM3
        return {"bone": share, **{name: (1 - share) * of for name, of in marrow.items()}}

    def less(change: dict[str, float], *others: dict[str, float]) -> dict[str, float]:
        made = dict(change)
        for other in others:
            for name, value in other.items():
                made[name] = made.get(name, 0.0) - value
        return made

    muscle, fat = {"muscle": 1.0}, {"adipose": 1.0}
    inside = {"muscle": 1 - inner_fat, "adipose": inner_fat}
    shell, core = {"bone": 0.9, "muscle": 0.1}, spongy(mineral)
    dense = {"bone": arch, "red": 1 - arch}
    front, back = -(deep - skin_fat - wall), y - ahead - 3  # of what the belly holds
    middle = (front + back) / 2
    broad = (wide - skin_fat) * float(np.sqrt(1 - (middle / (deep - skin_fat)) ** 2))  # within the skin's fat there
    ellipses = [
        Ellipse(0, 0, wide, deep, fat),
        Ellipse(0, 0, wide - skin_fat, deep - skin_fat, less(muscle, fat)),
        Ellipse(0, middle, broad - wall, (back - front) / 2, less(inside, muscle)),
        Ellipse(0, y, across, ahead, less(shell, muscle)),
        Ellipse(0, y, across - cortex_mm, ahead - cortex_mm, less(core, shell)),
    ]
    for side in (-1, 1):  # fat and muscle beside the body; laminae and joints, and the spinous process below
        ellipses.append(Ellipse(side * (across + 27), y + 4, 13, 10, less(inside, muscle)))
        ellipses.append(Ellipse(side * 15, y + ahead + 13, 6.5, 9, less(dense, muscle)))
    ellipses.append(Ellipse(0, y + ahead + 28, 3.5, 7, less(dense, muscle)))
    said = {"wide": wide, "deep": deep, "mineral": mineral, "yellow": yellow, "fat": inner_fat}
    return Torso(ellipses, (0.0, y), deep, said)


def with_rods(torso: Torso) -> Torso:
    """The slice with solutions of K2HPO4 side by side under the back."""
    rods = []
    for n, mg in enumerate(RODS_MG_CM3):
        solution = {"water": 1 - DISPLACED_BY_K2HPO4 * mg / 1000, "k2hpo4": mg / 1000}
        x = ROD_STEP_MM * (n - (len(RODS_MG_CM3) - 1) / 2)
        rods.append(Ellipse(x, torso.back_mm + 17, ROD_RADIUS_MM, ROD_RADIUS_MM, solution))
    return Torso(torso.ellipses + rods, torso.body_mm, torso.back_mm, torso.said)


def lines_of(torso: Torso) -> Floats:
    """Line integrals (material, angle, bin) in mm; the axis of rotation is the trunk's middle, moved 20 mm back."""
    theta = np.pi * np.arange(ANGLES) / ANGLES
    t = np.arange(-REACH_MM, REACH_MM + BIN_MM / 2, BIN_MM)
    lines = np.zeros((len(NAMES), ANGLES, len(t)))
    sub = (np.arange(3) - 1) / 3 * BIN_MM
    for e in torso.ellipses:
        s2 = (e.a * np.cos(theta)) ** 2 + (e.b * np.sin(theta)) ** 2
        t0 = e.x * np.cos(theta) + e.y * np.sin(theta)
        off = t[None, :, None] + sub - t0[:, None, None]
        chord = (2 * e.a * e.b * np.sqrt(np.maximum(s2[:, None, None] - off**2, 0)) / s2[:, None, None]).mean(axis=2)
        for name, change in e.change.items():
            lines[NAMES.index(name)] += change * chord
    return lines


@cache
def coefficients(kvp: int, aluminium_mm: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Energies, detected weights, and 1/mm of every material (material, energy) and of aluminium."""
    import xraylib

    energies, fluence = spekpy.Spek(kvp=kvp, th=8.0, dk=2.0).filter("Al", aluminium_mm).get_spectrum()
    kept = energies > 15
    energies, weights = energies[kept], (fluence * energies)[kept]
    known = {**MATERIALS, "water": WATER, "k2hpo4": K2HPO4}
    mu = np.stack([per_mm(known[name], energies) for name in NAMES])
    aluminium = np.array([xraylib.CS_Total(13, float(e)) for e in energies]) * 2.699 / 10
    return energies, weights / weights.sum(), mu, aluminium


@dataclass(frozen=True)
class Scanner:
    """A tube's voltage, its flat filter, and what the bow-tie adds at 170 mm from the axis (square law), mm of Al."""

    kvp: int
    aluminium_mm: float
    bow_tie_mm: float

    def weights(self, t_mm: Floats) -> Floats:
        """What is detected of each energy by rays at a distance from the axis (ray, energy), sum 1."""
        _, flat, _, aluminium = coefficients(self.kvp, self.aluminium_mm)
        extra = self.bow_tie_mm * np.minimum((t_mm / 170) ** 2, 1)
        behind = flat * np.exp(-extra[:, None] * aluminium)
        return np.asarray(behind / behind.sum(axis=1, keepdims=True))

    def slope(self, path_mm: float) -> float:
        """HU for 1 mg/cm3 of K2HPO4 behind water, on the axis."""
        _, flat, mu, _ = coefficients(self.kvp, self.aluminium_mm)
        water, salt = mu[NAMES.index("water")], mu[NAMES.index("k2hpo4")]
        behind = flat * np.exp(-water * path_mm)
        return float(behind @ salt / (behind @ water)) - DISPLACED_BY_K2HPO4

    def path_of(self, slope: float) -> float:
        """The water behind which K2HPO4 has a slope."""
        paths = np.linspace(40, 700, 133)
        return float(np.interp(-slope, [-self.slope(path) for path in paths], paths))

    def hu(self, change: dict[str, float], path_mm: float) -> float:
        """HU of a trace of a mixture behind water."""
        _, flat, mu, _ = coefficients(self.kvp, self.aluminium_mm)
        water = mu[NAMES.index("water")]
        behind = flat * np.exp(-water * path_mm)
        of = sum(share * mu[NAMES.index(name)] for name, share in change.items())
        return float(1000 * (behind @ np.asarray(of) / (behind @ water) - 1))


def water_lines(lines: Floats, scanner: Scanner) -> Floats:
    """What a scanner takes for mm of water (angle, bin): every detector is calibrated on water."""
    _, _, mu, _ = coefficients(scanner.kvp, scanner.aluminium_mm)
    t = np.arange(-REACH_MM, REACH_MM + BIN_MM / 2, BIN_MM)
    weights = scanner.weights(t)
    thickness = np.linspace(0, 640, 161)
    through = np.exp(-np.outer(thickness, mu[NAMES.index("water")]))  # (thickness, energy)
    known = -np.log(through @ weights.T)  # (thickness, bin)
    made = np.zeros(lines.shape[1:])
    for k in np.flatnonzero(lines.any(axis=(0, 1))):
        signal = -np.log(np.exp(-lines[:, :, k].T @ mu) @ weights[k])
        made[:, k] = np.interp(signal, known[:, k], thickness)
    return made


def read(lines: Floats, at_mm: list[Floats]) -> list[float]:
    """Mean HU over sets of points (n, 2) (left, back): ramp filter and back-projection to these alone."""
    angles, bins = lines.shape
    n = 2 ** int(np.ceil(np.log2(2 * bins)))
    kernel = np.zeros(n)
    odd = np.arange(1, n // 2, 2)
    kernel[0] = 0.25
    kernel[odd] = kernel[-odd] = -1 / (np.pi * odd) ** 2
    filtered = np.fft.irfft(np.fft.rfft(lines, n) * np.fft.rfft(kernel), n)[:, :bins] / BIN_MM
    t = np.arange(-REACH_MM, REACH_MM + BIN_MM / 2, BIN_MM)
    theta = np.pi * np.arange(angles) / angles
    points = np.concatenate(at_mm)
    values = np.zeros(len(points))
    for k in range(angles):
        values += np.interp(points @ [np.cos(theta[k]), np.sin(theta[k])], t, filtered[k])
    hu = 1000 * (values * np.pi / angles - 1)
    ends = np.cumsum([len(one) for one in at_mm])[:-1]
    return [float(part.mean()) for part in np.split(hu, ends)]


def disc(x: float, y: float, a: float, b: float, step: float = 1.0) -> Floats:
    """Points within an ellipse."""
    px, py = (v.ravel() for v in np.meshgrid(np.arange(-a, a + step / 2, step), np.arange(-b, b + step / 2, step)))
    kept = (px / a) ** 2 + (py / b) ** 2 <= 1
    return np.column_stack([px[kept] + x, py[kept] + y])


def water_path_mm(torso: Torso, lines: Floats, scanner: Scanner) -> float:
    """The mean over directions of water as bright as what the rays through the body's middle meet, by its HU."""
    water = sum(
        lines[NAMES.index(name)] * (1 + scanner.hu({name: 1.0}, 200.0) / 1000) for name in NAMES if name != "k2hpo4"
    )
    t = np.arange(-REACH_MM, REACH_MM + BIN_MM / 2, BIN_MM)
    theta = np.pi * np.arange(ANGLES) / ANGLES
    at = torso.body_mm[0] * np.cos(theta) + torso.body_mm[1] * np.sin(theta)
    return float(np.mean([np.interp(at[k], t, np.asarray(water)[k]) for k in range(ANGLES)]))


@dataclass(frozen=True)
class Row:
    """One slice on one scanner: what the rods' line is worth as water before them, and what is read of the body."""

    person: int
    kvp: int
    bow_tie_mm: float
    path_mm: float
    share: float  # of the path behind which the rods show their mineral
    mineral: float  # mg/cm3: the same spongy bone behind 20 cm of water at 120 kVp, by the same tube
    qct: float  # by the rods, at 120 kVp
    by_rods: float  # at this voltage, with the calibration's own shift of marrow
    computed: float  # by the calibration's own line, without rods


def rods_of(back_mm: float, x: float = 0.0) -> list[Floats]:
    """Where the rods are read."""
    middle = (len(RODS_MG_CM3) - 1) / 2
    return [disc(x + ROD_STEP_MM * (n - middle), back_mm + 17, ROD_READ_MM, ROD_READ_MM) for n in range(4)]


def examine(
    person: int, seed: int, bow_tie_mm: float | None = None, voltages: tuple[int, ...] = (120, 80, 100, 140)
) -> list[Row]:
    """A slice at some voltages, 120 kVp first, on one maker's scanner."""
    rng = np.random.default_rng([seed, person])
    torso = sample_torso(rng)
    aluminium = float(rng.choice([6.0, 8.0, 10.0]))
    bow_tie = float(rng.uniform(*BOW_TIE_MM)) if bow_tie_mm is None else bow_tie_mm
    plain, rods = lines_of(torso), lines_of(with_rods(torso))
    x, y = torso.body_mm
    regions = [disc(x, y - 4, 14, 8), *rods_of(torso.back_mm)]
    rows: list[Row] = []
    qct = 0.0
    for kvp in voltages:
        scanner = Scanner(kvp, aluminium, bow_tie)
        body, *rod_hu = read(water_lines(rods, scanner), regions)
        slope, offset = np.polyfit(RODS_MG_CM3, rod_hu, 1)
        reading = (body - offset) / slope
        qct = reading if kvp == 120 else qct
        path = water_path_mm(torso, plain, scanner)
        shift = Beam(kvp, HARDENING_SHARE * path).marrow_shift_hu
        computed = (body - shift) / Beam(kvp, HARDENING_SHARE * path).slope_k2hpo4
        share = scanner.path_of(float(slope)) / path
        mineral = torso_mineral(torso, aluminium)
        rows.append(Row(person, kvp, bow_tie, path, share, mineral, qct, reading - shift / slope, computed))
    return rows


def torso_mineral(torso: Torso, aluminium_mm: float) -> float:
    """What a trace of the torso's spongy bone reads behind 20 cm of water at 120 kVp, mg/cm3 K2HPO4."""
    share, yellow = torso.said["mineral"] / BONE_HA_MG_CM3, torso.said["yellow"]
    mixture = {"bone": share, "red": (1 - share) * (1 - yellow), "yellow": (1 - share) * yellow}
    reference = Scanner(120, aluminium_mm, 0.0)
    return reference.hu(mixture, 200.0) / reference.slope(200.0)


def trace_share(person: int, seed: int, with_bone: bool) -> float:
    """The share of the path behind which a trace of K2HPO4 shows as it does in the body itself, at 120 kVp."""
    torso = sample_torso(np.random.default_rng([seed, person]))
    x, y = torso.body_mm
    kept = [one for one in torso.ellipses if with_bone or "bone" not in one.change]
    trace_mg = 10.0
    solution = {"k2hpo4": trace_mg / 1000, "water": -DISPLACED_BY_K2HPO4 * trace_mg / 1000}
    scanner = Scanner(120, 8.0, float(np.mean(BOW_TIE_MM)))
    hu = [
        read(water_lines(lines_of(replace(torso, ellipses=of)), scanner), [disc(x, y - 1, 9, 6)])[0]
        for of in (kept, [*kept, Ellipse(x, y, 14, 10, solution)])
    ]
    lines = lines_of(replace(torso, ellipses=kept))
    return scanner.path_of((hu[1] - hu[0]) / trace_mg) / water_path_mm(torso, lines, scanner)


def document(rows: list[Row], by_bow_tie: dict[float, list[Row]], traces: dict[bool, list[float]]) -> str:
    """The page of results."""
    text = [HEAD, "| bow-tie at 170 mm, mm Al | share of the path | SD over people |", "| --- | --- | --- |"]
    for bow_tie, some in by_bow_tie.items():
        shares = [row.share for row in some if row.kvp == 120]
        text.append(f"| {bow_tie:g} | {np.mean(shares):.2f} | {np.std(shares):.3f} |")
    text += ["", MIDDLE, "| kVp | share, SD | by the rods, bias (SD) | by the computed line, bias (SD) |"]
    text.append("| --- | --- | --- | --- |")
    for kvp in VOLTAGES_KVP:
        some = [row for row in rows if row.kvp == kvp]
        share = np.array([row.share for row in some])
        rods = np.array([row.by_rods - row.qct for row in some])
        line = np.array([row.computed - row.qct for row in some])
        text.append(
            f"| {kvp} | {share.mean():.2f}, {share.std():.2f} | {rods.mean():+.1f} ({rods.std():.1f})"
            f" | {line.mean():+.1f} ({line.std():.1f}) |"
        )
    at_120 = [row for row in rows if row.kvp == 120]
    gap, off = np.polyfit([row.mineral for row in at_120], [row.qct - row.mineral for row in at_120], 1)
    ends = (50.0, 100.0, 200.0)
    told = ", ".join(f"{gap * mg + off:+.0f} at {mg:g}" for mg in ends)
    text += ["", f"QCT against the same bone behind 20 cm of water alone: {told} mg/cm3."]
    bare, within = ((np.mean(traces[bone]), np.std(traces[bone])) for bone in (False, True))
    text += [
        "",
        f"A trace of K2HPO4 in the body itself shows as behind {bare[0]:.2f} of the path (SD {bare[1]:.2f}) where no"
        f"\nbone is, and as behind {within[0]:.2f} (SD {within[1]:.2f}) within its own: that QCT does not see.",
    ]
    return "\n".join(text) + "\n"


HEAD = """# What hardens the beam for a phantom's rods

**Simulated.** Made by `python -m trabecula.evaluation.world.hardening --persons 30`. Neither the virtual people nor
their tables are used: torsos of ellipses (half width 125 to 215 mm, fat under the skin and within, a cortex of 0.3 to
0.8 mm, an arch, spongy bone of 30 to 230 mg/cm3 of hydroxyapatite in marrow 30 to 65% yellow; ICRU Report 44), whose
line integrals are exact, projected through tungsten spectra (SpekPy, 6, 8 or 10 mm of aluminium; xraylib) onto an
energy-integrating detector. Every detector is calibrated on water, which is the correction that scanners make in the
trunk. Four solutions of K2HPO4 lie under the back. Scatter is not drawn.

How much of the water path (the mean over all directions of what the HU along the rays through the vertebra stand for)
must lie before K2HPO4 for it to show as in the rods, at 120 kVp, 8 people each:
"""
MIDDLE = """The bow-tie decides: without one the rods at the edge see a soft beam. Makers keep its shape to themselves
(it has to be measured: Whiting 2014, doi 10.1118/1.4896196), so that 8 to 25 mm at 170 mm from the axis are taken as
possible: a seventh to nearly a half of what would even out a body of 32 cm. Over these, against QCT at 120 kVp, in
mg/cm3 K2HPO4:
"""


def main(
    persons: Annotated[int, typer.Option()] = 60,
    seed: Annotated[int, typer.Option()] = 43,
    out: Annotated[Path, typer.Option()] = Path("docs/results/hardening.md"),
) -> None:
    """Computes and writes the page."""
    rows = [row for person in range(persons) for row in examine(person, seed)]
    by_bow_tie = {
        bow_tie: [row for person in range(8) for row in examine(person, seed, bow_tie, (120,))]
        for bow_tie in (0.0, 8.0, 16.0, 25.0)
    }
    traces = {bone: [trace_share(person, seed, bone) for person in range(8)] for bone in (False, True)}
    out.write_text(document(rows, by_bow_tie, traces), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

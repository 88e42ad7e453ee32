"""How often the check by tissues doubts or refuses a virtual person's CT as it is, and how often it passes one that was
shifted or scaled; prints a table with 95% intervals (Clopper and Pearson).

    .venv/bin/python benchmarks/tissues.py --persons 40

People of both families, none of whom set a threshold; voltages, noise, fields of view and lengths of scans vary.
Simulated.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from scipy.stats import beta

from trabecula.anatomy import Level
from trabecula.formats.tissues import Verdict, judge, measure, thin
from trabecula.virtual.cohort import draw, within_skin
from trabecula.virtual.families import FAMILIES, sample_person
from trabecula.virtual.fields import field_between
from trabecula.virtual.scanner import Protocol, acquire
from trabecula.volume import Float32

VOLTAGES = (120, 120, 100, 80, 140)
RANGES = ((Level.T11, Level.L4), (Level.L1, Level.L3), (Level.L2, Level.L2))
CHANGES: dict[str, Callable[[Float32], Float32]] = {
    "as it is": lambda hu: hu,
    "-1024 outside the skin": lambda hu: np.where(within_skin(hu), hu, np.float32(-1024)),
    "middle half of rows and columns": lambda hu: hu[
        :, hu.shape[1] // 4 : -hu.shape[1] // 4, hu.shape[2] // 4 : -hu.shape[2] // 4
    ],
    "shifted by -50": lambda hu: hu - 50,
    "shifted by +50": lambda hu: hu + 50,
    "shifted by +100": lambda hu: hu + 100,
    "scaled by 0.8": lambda hu: hu * np.float32(0.8),
    "scaled by 1.2": lambda hu: hu * np.float32(1.2),
}
SOUND = tuple(CHANGES)[:3]
"""Those that must pass."""


def main() -> None:
    """Print a line for each person that is not judged as it should be, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=40, help="Of each family.")
    parser.add_argument("--seed", type=int, default=70_000, help="Of the first person; no network has seen these.")
    options = parser.parse_args()
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for number in range(options.persons):
        for family in FAMILIES:
            seed = options.seed + number
            hu, spacing_mm, kvp = scanned(family, seed)
            for name, change in CHANGES.items():
                verdict = judged(np.ascontiguousarray(change(hu), np.float32), spacing_mm, kvp)
                told[name, family].append(verdict)
                if name in SOUND and verdict != "sound":
                    print(f"family {family}, person {seed}, {kvp} kVp, {name}: {verdict}", flush=True)
        print(f"{number + 1} persons of each family", flush=True)
    table(told)


def scanned(family: str, seed: int) -> tuple[Float32, tuple[float, float], int]:
    """A person's CT (slice, row, column), its in-plane spacing and voltage."""
    rng = np.random.default_rng([seed, 77])
    kvp = int(rng.choice(VOLTAGES))
    protocol = Protocol(
        pixel_mm=float(rng.uniform(1.2, 2.0)),
        thickness_mm=5.0,
        increment_mm=5.0,
        kvp=kvp,
        noise_hu=float(rng.uniform(5, 25)),
        field_of_view_mm=None if rng.random() < 0.5 else float(rng.uniform(280, 400)),
    )
    subject = sample_person(seed, family=family)
    top, bottom = RANGES[int(rng.integers(len(RANGES)))]
    high, low = (subject.vertebra(end).centre_lps_mm[2] + side * 30 for end, side in ((top, 1), (bottom, -1)))
    torso = draw(subject, field_between(subject, (low, high)).grid(2.0), kvp)
    volume = acquire(torso.volume, protocol, rng)
    return np.maximum(np.rint(volume.hu), np.float32(-1024)), volume.spacing_mm[1:], kvp


def judged(hu: Float32, spacing_mm: tuple[float, float], kvp: int) -> str:
    """The verdict on a scan's numbers."""
    return Verdict(judge(measure(thin(hu, spacing_mm)), kvp)).name.lower()


def table(told: dict[tuple[str, str], list[str]]) -> None:
    """Shares that are not sound, by change and family."""
    print("\n| numbers | family | persons | doubted | refused | neither, % (95% interval) |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for (name, family), verdicts in told.items():
        counts = [sum(one == kind for one in verdicts) for kind in ("doubtful", "other", "sound")]
        low, high = interval(counts[2], len(verdicts))
        share = f"{100 * counts[2] / len(verdicts):.0f} ({100 * low:.0f} to {100 * high:.0f})"
        print(f"| {name} | {family} | {len(verdicts)} | {counts[0]} | {counts[1]} | {share} |")


def interval(found: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's, 95%."""
    low = 0.0 if found == 0 else float(beta.ppf(0.025, found, of - found + 1))
    high = 1.0 if found == of else float(beta.ppf(0.975, found + 1, of - found))
    return low, high


if __name__ == "__main__":
    main()

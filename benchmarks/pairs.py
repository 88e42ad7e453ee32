"""What a phantom's reader finds on virtual CTs, and what a second scan changes in it; all simulated.

Usage: pairs.py [--subjects 8] [--seed 500]

Each virtual person, with findings as common as in people, is scanned from L1 to L2 with a phantom by a protocol of
``sample_protocol`` at 3 mm, and again with another noise, kernel, voltage and contrast phase. Printed are the errors of
the QCT reading against the truth, and the change of its mean in mg/cm3 K2HPO4.
"""

import argparse
from dataclasses import replace

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.drawn import DXA_LEVELS, areal_bmd_g_cm2
from trabecula.virtual.findings import POPULATION
from trabecula.virtual.qct import read_qct
from trabecula.virtual.rescan import Rescan, scan_again
from trabecula.virtual.scanner import sample_protocol
from trabecula.virtual.subject import sample_subject

LEVELS = (Level.L1, Level.L2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--seed", type=int, default=500)
    given = parser.parse_args()
    print("| seed | sex, age | kVp | phase | L1-L2 | QCT error L1, L2 | areal, g/cm2 | " + " | ".join(Rescan) + " |")
    print("| --- " * (7 + len(Rescan)) + "|")
    for seed in range(given.seed, given.seed + given.subjects):
        print(row(seed), flush=True)


def row(seed: int) -> str:
    """One person's scans as a row of the table."""
    protocol = sample_protocol(np.random.default_rng(seed))
    protocol = replace(protocol, pixel_mm=0.9, thickness_mm=3.0, increment_mm=3.0, field_of_view_mm=None, phantom=True)
    ct = scan_patient(sample_subject(seed, rates=POPULATION), protocol, *LEVELS)
    first = reading(ct)
    true = [ct.truth[level].bmd_qct_region_k2hpo4 for level in LEVELS]
    areal = areal_bmd_g_cm2(ct.truth, DXA_LEVELS)
    changes = []
    for what in Rescan:
        again = scan_again(ct, what)
        change = float(np.mean(reading(again)) - np.mean(first))
        name = {Rescan.VOLTAGE: f" ({again.protocol.kvp} kVp)", Rescan.CONTRAST: f" ({again.subject.phase})"}
        changes.append(f"{change:+.1f}{name.get(what, '')}")
    errors = ", ".join(f"{read - was:+.1f}" for read, was in zip(first, true, strict=True))
    person = f"{seed} | {ct.subject.sex} {ct.subject.age_years:.0f} | {protocol.kvp} | {ct.subject.phase}"
    return f"| {person} | {np.mean(true):.0f} | {errors} | {areal or 0:.2f} | " + " | ".join(changes) + " |"


def reading(ct: VirtualCt) -> list[float]:
    """What QCT reads of each level, mg/cm3 K2HPO4."""
    bmd = read_qct(ct).bmd_k2hpo4
    return [bmd[level] for level in LEVELS]


if __name__ == "__main__":
    main()

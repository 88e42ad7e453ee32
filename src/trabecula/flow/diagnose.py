"""Diagnose: from Densities to a category, by the bands of the ACR and the ISCD for spinal QCT.

Osteoporosis below 80 mg/cm3, osteopenia from 80 to 120 (both included), normal above 120, on the mean of two lumbar
vertebrae. Sources differ on whether 80 and 120 themselves belong to osteopenia; they do here (PMC7495321). No T-score
is derived: the WHO's classes are not defined for QCT.
"""

from math import erf, sqrt

from trabecula.anatomy import Level
from trabecula.records import Densities, Diagnosis, VertebraDensity, reason

OSTEOPOROSIS_BELOW_MG_CM3 = 80.0
NORMAL_ABOVE_MG_CM3 = 120.0


def diagnose(
    densities: Densities,
    levels: tuple[Level, ...] = (Level.L1, Level.L2),
    substitute: Level | None = Level.T12,
    needed: int = 2,
) -> Diagnosis:
    """The mean of ``levels``, ``substitute`` standing in for one that is withheld; undetermined below ``needed``."""
    used = [v for level in levels if (v := densities.find(level)) is not None and v.measurable]
    reasons = []
    if len(used) == needed - 1 and substitute is not None:
        stand_in = densities.find(substitute)
        if stand_in is not None and stand_in.measurable:
            missing = tuple(level for level in levels if level not in [v.level for v in used])
            reasons.append(reason("substitute-level", substitute=substitute, missing=missing))
            used.insert(0, stand_in)
    if len(used) < needed:
        measurable = tuple(v.level for v in used)
        if substitute is None:
            too_few = reason("too-few-vertebrae", needed=needed, levels=levels, measurable=measurable)
        else:
            too_few = reason(
                "too-few-vertebrae.substitute",
                needed=needed,
                levels=levels,
                substitute=substitute,
                measurable=measurable,
            )
        reasons.append(too_few)
        return Diagnosis("undetermined", None, None, {}, tuple(v.level for v in used), tuple(reasons))
    bmd, interval = _mean(used)
    return Diagnosis(
        category(bmd), bmd, interval, probabilities(bmd, interval), tuple(v.level for v in used), tuple(reasons)
    )


def category(bmd_mg_cm3: float) -> str:
    """The band that a density falls into."""
    if bmd_mg_cm3 < OSTEOPOROSIS_BELOW_MG_CM3:
        return "osteoporosis"
    return "osteopenia" if bmd_mg_cm3 <= NORMAL_ABOVE_MG_CM3 else "normal"


def probabilities(bmd_mg_cm3: float, interval_mg_cm3: tuple[float, float]) -> dict[str, float]:
    """How probable each category is if the 95% interval is that of two halves of a normal distribution."""
    low, high = (_below(cut, bmd_mg_cm3, interval_mg_cm3) for cut in (OSTEOPOROSIS_BELOW_MG_CM3, NORMAL_ABOVE_MG_CM3))
    return {"osteoporosis": round(low, 4), "osteopenia": round(high - low, 4), "normal": round(1 - high, 4)}


def _below(cut: float, bmd: float, interval: tuple[float, float]) -> float:
    sd = (bmd - interval[0] if cut < bmd else interval[1] - bmd) / 1.96
    return 0.5 * (1 + erf((cut - bmd) / (max(sd, 1e-6) * sqrt(2))))


def _mean(used: list[VertebraDensity]) -> tuple[float, tuple[float, float]]:
    """The mean, and an interval as wide as theirs: calibration errs alike in both, so averaging does not narrow it."""
    values = [v.bmd_mg_cm3 for v in used if v.bmd_mg_cm3 is not None]
    intervals = [v.bmd_interval_mg_cm3 for v in used if v.bmd_interval_mg_cm3 is not None]
    low, high = (sum(ends) / len(ends) for ends in zip(*intervals, strict=True))
    return sum(values) / len(values), (max(0.0, low), high)

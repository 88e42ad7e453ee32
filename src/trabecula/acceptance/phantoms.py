"""Scans of a calibration phantom: whether every rod is found, how its line repeats, and how far ours is from it."""

from collections import defaultdict

import numpy as np

from trabecula.acceptance.criteria import Criterion, Outcome, Part, at_least, at_most
from trabecula.acceptance.plan import Limits, Phantom
from trabecula.errors import Refusal
from trabecula.flow.calibrate.asynchronous import Profile, mode
from trabecula.flow.calibrate.certificate import read_certificate
from trabecula.flow.calibrate.voltage import beam_of, voltage_rung
from trabecula.records import Acquisition
from trabecula.screening import phantom_profile

TITLE = "Phantom"
Scan = tuple[Acquisition, Profile]


def of_phantom(given: Phantom | None, limits: Limits) -> Part:
    """The part on phantoms; not tested where the plan names none.

    Raises:
        WrongUsage: the certificate lacks its values, a scan is missing, or does not tell its scanner and mode.
    """
    if given is None:
        return Part(TITLE, (Criterion("scans of a phantom alone", "none given", "", Outcome.UNTESTED),))
    certificate = read_certificate(given.certificate)
    read: list[Scan] = []
    refused: list[str] = []
    for number, path in enumerate(given.scans, 1):
        try:
            read.append(phantom_profile(path, certificate))
        except Refusal as refusal:
            refused.append(f"Scan {number} was refused: {refusal.message} [{refusal.code}]")
    modes = _modes(read)
    criteria = [
        at_least("scans read", len(read), limits.phantom_scans, f"{len(read)} of {len(given.scans)}"),
        at_most("scans refused", len(refused), 0, str(len(refused))),
    ]
    if read:
        worst = max(one.misfit_hu for _, one in read)
        criteria.append(
            at_most("rods about their line, rms, worst scan", worst, limits.phantom_misfit_hu, f"{worst:.1f} HU", "HU")
        )
        criteria += [_repeats(name, scans, limits) for name, scans in modes.items()]
        criteria += [_computed(name, scans, limits) for name, scans in modes.items()]
    rows = tuple(
        (
            name,
            one.phantom,
            f"{one.slope_hu_cm3_mg:.4f}",
            f"{one.offset_hu:.1f}",
            f"{one.misfit_hu:.1f}",
            f"{one.path_mm:.0f}",
        )
        for name, scans in modes.items()
        for _, one in scans
    )
    heads = ("scanner and mode", "phantom", "slope, HU cm3/mg", "offset, HU", "misfit, HU", "water path, mm")
    return Part(TITLE, tuple(criteria), heads, rows, notes=tuple(refused))


def _modes(read: list[Scan]) -> dict[str, list[Scan]]:
    found: dict[str, list[Scan]] = defaultdict(list)
    for acquisition, profile in read:
        told = mode(acquisition)
        name = ", ".join(told[key] for key in ("manufacturer", "model", "station", "filter", "kernel") if told[key])
        found[f"{name}, {told['kvp']} kVp"].append((acquisition, profile))
    return dict(found)


def _repeats(name: str, scans: list[Scan], limits: Limits) -> Criterion:
    """How much the slope varies between scans of one mode, as a coefficient of variation."""
    slopes = np.array([profile.slope_hu_cm3_mg for _, profile in scans])
    cv = float(slopes.std(ddof=1) / slopes.mean()) if len(slopes) > 1 else None
    shown = "scanned once" if cv is None else f"{100 * cv:.2f}%"
    return at_most(f"slope between scans, CV: {name}", cv, limits.phantom_cv, shown, "%", len(slopes))


def _computed(name: str, scans: list[Scan], limits: Limits) -> Criterion:
    """How far the line that a scan without a phantom gets is from what the phantom says, at the phantom's own size."""
    apart = []
    for acquisition, profile in scans:
        beam = beam_of(acquisition, profile.path_mm)
        if beam is not None:
            apart.append(voltage_rung(beam, profile.path_mm, True).slope_hu_cm3_mg / profile.slope_hu_cm3_mg - 1)
    mean = float(np.mean(apart)) if apart else None
    shown = "no line is computed for this beam" if mean is None else f"{100 * mean:+.1f}%"
    return at_most(f"computed line against the phantom's: {name}", mean, limits.computed_line, shown, "%", len(apart))

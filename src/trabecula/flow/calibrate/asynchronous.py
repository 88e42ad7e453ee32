"""Asynchronous calibration: a phantom scanned alone keeps a scanner's line, by station, voltage and kernel.

Every scan of the phantom is kept, so that a scanner that drifts is seen on its control chart. Profiles are JSON files,
one for each mode of a scanner.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.messages import Phrase
from trabecula.records import Acquisition, Rung

SLOPE_SD_FRACTION, OFFSET_SD_HU = 0.025, 3.0
"""Asynchronous QCT of a phantom erred by 1.4 to 6.7% (PMC5524691); its scanner is checked by its chart."""

LIMIT_SD = 3.0
LEAST_SD_FRACTION = 0.005
"""A phantom's slope repeats within half a percent at best; narrower limits would cry wolf."""

FEWEST_FOR_LIMITS = 4


@dataclass(frozen=True)
class Profile:
    """One scan of a phantom: when (ISO date), which phantom, its line, and the water path before it in mm."""

    measured: str
    phantom: str
    slope_hu_cm3_mg: float
    offset_hu: float
    misfit_hu: float
    path_mm: float

    def rung(self, size_factor: float) -> Rung:
        """The line for a patient; ``size_factor`` is the computed slope in the patient over that in the phantom."""
        slope = self.slope_hu_cm3_mg * size_factor
        return Rung(Phrase("rung-asynchronous"), slope, self.offset_hu, SLOPE_SD_FRACTION, OFFSET_SD_HU)


@dataclass(frozen=True)
class ControlChart:
    """The slopes of a scanner's mode over time and the limits that the earlier ones set; None below four of them."""

    profiles: tuple[Profile, ...]
    centre: float | None
    limits: tuple[float, float] | None

    @property
    def in_control(self) -> bool:
        """Whether the last slope lies within the limits, as far as there are some."""
        return self.limits is None or self.limits[0] <= self.profiles[-1].slope_hu_cm3_mg <= self.limits[1]


@dataclass(frozen=True)
class Profiles:
    """A folder of profiles."""

    folder: Path

    def find(self, acquisition: Acquisition) -> Profile | None:
        """The last profile of the very scanner and mode, or None; one that is out of control is none.

        Raises:
            WrongUsage: its file is damaged, or was measured on another scanner or in another mode.
        """
        chart = self.chart(acquisition)
        return chart.profiles[-1] if chart is not None and chart.in_control else None

    def chart(self, acquisition: Acquisition) -> ControlChart | None:
        """The chart of a scanner's mode, or None where it was never measured."""
        path = self.folder / file_name(acquisition)
        if not path.exists():
            return None
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["mode"] != mode(acquisition):
                raise wrong_usage("profile-of-another-scanner", name=path.name)
            profiles = tuple(
                Profile(**{one.name: entry[one.name] for one in fields(Profile)}) for entry in told["scans"]
            )
            slopes = np.array([profile.slope_hu_cm3_mg for profile in profiles], float)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise wrong_usage("profile-damaged", name=path.name) from error
        if not profiles or not np.isfinite(slopes).all() or (slopes <= 0).any():
            raise wrong_usage("profile-damaged.slope", name=path.name)
        before = slopes[:-1]
        if len(before) < FEWEST_FOR_LIMITS:
            return ControlChart(profiles, None, None)
        centre = float(before.mean())
        reach = LIMIT_SD * max(float(before.std(ddof=1)), LEAST_SD_FRACTION * centre)
        return ControlChart(profiles, centre, (centre - reach, centre + reach))

    def keep(self, acquisition: Acquisition, profile: Profile) -> ControlChart:
        """Adds a scan of the phantom to its scanner's profile; the file appears whole or not at all.

        Raises:
            WrongUsage: the scanner, the voltage or the kernel is not recorded, or the folder cannot be written.
        """
        require_mode(acquisition)
        earlier = self.chart(acquisition)
        scans = [asdict(one) for one in (*(earlier.profiles if earlier else ()), profile)]
        path = self.folder / file_name(acquisition)
        partial = path.with_suffix(".partial")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"mode": mode(acquisition), "scans": scans}, indent=1), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise wrong_usage("output-unwritable", path=str(self.folder), cause=cause_of(error)) from error
        chart = self.chart(acquisition)
        assert chart is not None, "it was just written"
        return chart


def require_mode(acquisition: Acquisition) -> None:
    """Refuse a scan that does not tell by which scanner and in which mode it was made.

    Raises:
        WrongUsage: the scanner, the voltage or the kernel is not recorded.
    """
    needed: dict[str, object] = {"manufacturer": acquisition.manufacturer, "station": acquisition.station}
    needed |= {"tube voltage": acquisition.tube_voltage_kvp, "kernel": acquisition.kernel}
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise wrong_usage("profile-needs-headers", missing=missing)


def mode(acquisition: Acquisition) -> dict[str, str]:
    """What a profile holds for: the scanner, its station, voltage, filter and kernel."""
    return {
        "manufacturer": acquisition.manufacturer or "",
        "model": acquisition.model or "",
        "station": acquisition.station or "",
        "kvp": f"{acquisition.tube_voltage_kvp or 0:g}",
        "filter": acquisition.filter_material or "",
        "kernel": acquisition.kernel or "",
    }


def file_name(acquisition: Acquisition) -> str:
    """A readable name, and a digest that keeps modes apart whose names read alike."""
    told = mode(acquisition)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
    words = re.sub(r"[^a-z0-9]+", "-", " ".join((told["station"], told["kvp"], told["kernel"])).lower()).strip("-")
    return f"{words}-{digest}.json"

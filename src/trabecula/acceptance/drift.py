"""What a site watches once it uses Trabecula: phantom, population by scanner and month, refused and doubtful."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from trabecula.acceptance.charts import Chart, Observed, chart_of
from trabecula.errors import wrong_usage
from trabecula.flow.calibrate.asynchronous import LEAST_SD_FRACTION, Profile
from trabecula.quantity import QUANTITIES
from trabecula.studies.store import Store

FEWEST_IN_MONTH = 20
"""A month with fewer studies makes no point: it is told with the next one."""

BASELINE_MONTHS, BASELINE_SCANS = 6, 5
ENDED = ("done", "refused", "failed")


@dataclass(frozen=True)
class Sample:
    """One study as far as drift can be seen in it; ``density`` is None where there is none."""

    month: str  # YYYY-MM
    state: str  # done, refused or failed
    scanner: str = ""
    sex: str = ""
    age_years: float | None = None
    density: float | None = None
    quantity: str = ""
    doubtful: bool = False


def samples_of(store: Store) -> list[Sample]:
    """Every study of the page or the node that has ended."""
    found, _ = store.studies(count=2**31 - 1)
    return sorted(
        (
            Sample(
                one.received_utc[:7],
                one.state,
                one.scanner,
                one.sex or "",
                one.age_years,
                one.density,
                one.quantity or "",
                bool(one.doubts),
            )
            for one in found
            if one.state in ENDED
        ),
        key=lambda one: one.month,
    )


def samples_in(path: Path) -> list[Sample]:
    """The rows of a batch's studies.csv; rows without a month are left out, as nothing can be said of when.

    Raises:
        WrongUsage: it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [_sample(row) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise wrong_usage("table-unreadable.batch", path=str(path)) from error
    return sorted((one for one in rows if one.month and one.state in ENDED), key=lambda one: one.month)


def _sample(row: dict[str, str]) -> Sample:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    scanner = f"{row['manufacturer']} {row['model']}".strip()
    densities = (row["sex"], number("age_years"), number("density"), row["quantity"])
    return Sample(row["month"], row["state"], scanner, *densities, bool(row["doubts"]))


def population_charts(samples: Sequence[Sample], baseline: int = BASELINE_MONTHS) -> list[Chart]:
    """By scanner, the monthly mean of densities less what age and sex let one expect by the baseline's months."""
    charts = []
    for scanner in sorted({one.scanner for one in samples if one.scanner}):
        mine = [
            one for one in samples if one.scanner == scanner and one.density is not None and one.age_years is not None
        ]
        for quantity in sorted({one.quantity for one in mine}):
            months = _months([one for one in mine if one.quantity == quantity and one.sex in ("F", "M")])
            unit = QUANTITIES[quantity].unit if quantity in QUANTITIES else ""
            title = f"Density for age and sex, {scanner}"
            charts.append(_population(title, unit, months, baseline))
    return charts


def share_charts(samples: Sequence[Sample], baseline: int = BASELINE_MONTHS) -> list[Chart]:
    """The monthly shares of refused studies, and of doubtful results among those that there are."""
    done = [one for one in samples if one.state == "done"]
    return [
        _share("Share refused or failed", _months(samples), lambda one: one.state != "done", baseline),
        _share("Share doubtful of the results", _months(done), lambda one: one.doubtful, baseline),
    ]


def phantom_charts(folder: Path, baseline: int = BASELINE_SCANS) -> list[Chart]:
    """The slopes of every scanner and mode whose profile ``trabecula calibrate`` keeps in a folder.

    Raises:
        WrongUsage: there is no such folder, or a profile is damaged.
    """
    if not folder.is_dir():
        raise wrong_usage("input-missing.profiles", folder=str(folder))
    charts = []
    for path in sorted(folder.glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            names = [one.name for one in fields(Profile)]
            scans = [Profile(**{name: entry[name] for name in names}) for entry in told["scans"]]
            words = [told["mode"][key] for key in ("manufacturer", "model", "station", "kernel") if told["mode"][key]]
            title = f"Phantom, {' '.join(words)}, {told['mode']['kvp']} kVp"
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise wrong_usage("profile-damaged", name=path.name) from error
        slopes = np.array([one.slope_hu_cm3_mg for one in scans[:baseline]])
        least = LEAST_SD_FRACTION * float(slopes.mean()) if len(slopes) else 1.0
        observed = [Observed(one.measured, one.slope_hu_cm3_mg, least) for one in scans]
        charts.append(chart_of(title, "HU cm3/mg", observed, baseline))
    return charts


def alarms_of(charts: Iterable[Chart]) -> list[str]:
    """A sentence for each chart that is out of control at its last point."""
    told = []
    for one in charts:
        last, first = one.alarm, one.first_alarm
        if last is None or first is None:
            continue
        way = "above" if last.ewma > one.centre else "below"
        seen = f"since {first.when}" if first is not last else f"in {last.when}"
        figures = f"{_shown(last.ewma)} where {_shown(one.centre)} {one.unit} was usual"
        told.append(
            f"{one.title}: {way} its baseline {seen} ({figures})."
            " Look for what changed then: scanner service, protocol, kernel, contrast, who is referred, Trabecula's"
            " version; scan the phantom."
        )
    return told


def _shown(value: float) -> str:
    """Three digits, and no more than four after the point: a residual of nothing is 0."""
    return f"{round(value, 4) + 0.0:.3g}"


def _months(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """Studies by month; a month with too few is joined to the next."""
    by_month: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        by_month[one.month].append(one)
    joined: list[tuple[str, list[Sample]]] = []
    waiting: list[Sample] = []
    for month in sorted(by_month):
        waiting += by_month[month]
        if len(waiting) >= FEWEST_IN_MONTH:
            joined.append((month, waiting))
            waiting = []
    return joined


def _population(title: str, unit: str, months: list[tuple[str, list[Sample]]], baseline: int) -> Chart:
    before = [one for _, samples in months[:baseline] for one in samples]
    if len(months) < baseline or len(before) < 2:
        return chart_of(title, unit, [Observed(month, 0.0, 1.0, len(some)) for month, some in months], baseline)
    # density = a + b [woman] + c age (+ d age [woman]): what is missing in the baseline is not fitted
    terms, _, _, _ = np.linalg.lstsq(_terms(before), _densities(before), rcond=None)
    sd = float(np.std(_densities(before) - _terms(before) @ terms, ddof=min(4, len(before) - 1)))
    observed = [
        Observed(
            month, float((_densities(some) - _terms(some) @ terms).mean()), max(sd, 1e-6) / len(some) ** 0.5, len(some)
        )
        for month, some in months
    ]
    return chart_of(title, unit, observed, baseline)


def _terms(samples: Sequence[Sample]) -> Any:
    women = np.array([float(one.sex == "F") for one in samples])
    ages = np.array([one.age_years for one in samples], float)
    return np.column_stack([np.ones_like(ages), women, ages, ages * women])


def _densities(samples: Sequence[Sample]) -> Any:
    return np.array([one.density for one in samples], float)


def _share(
    title: str, months: list[tuple[str, list[Sample]]], counts: Callable[[Sample], bool], baseline: int
) -> Chart:
    before = [counts(one) for _, samples in months[:baseline] for one in samples]
    # half a study more on either side, so that a share of none still has an error
    usual = (sum(before) + 0.5) / (len(before) + 1)
    observed = [
        Observed(
            month, float(np.mean([counts(one) for one in some])), (usual * (1 - usual) / len(some)) ** 0.5, len(some)
        )
        for month, some in months
    ]
    return chart_of(title, "share", observed, baseline)

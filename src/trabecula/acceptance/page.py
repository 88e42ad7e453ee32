"""Pages to keep: an acceptance to sign, and the charts of a site; as HTML that needs nothing beside itself, and PDF."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trabecula import __version__
from trabecula.acceptance.charts import Chart
from trabecula.acceptance.criteria import Outcome, Part, verdict
from trabecula.acceptance.drawings import picture_of_chart
from trabecula.acceptance.drift import alarms_of
from trabecula.acceptance.plan import Limits, Plan
from trabecula.causes import cause_of
from trabecula.errors import wrong_usage
from trabecula.export.pdf import pdf_of
from trabecula.report.words import NO_RULING_OUT, RESEARCH_ONLY
from trabecula.weights import catalogue

ACCEPTANCE, CHARTS = "acceptance", "charts"


def write_acceptance(plan: Plan, parts: Sequence[Part], out: Path) -> Outcome:
    """The page to sign, its PDF and the same as JSON, in ``out``; returns how it came out.

    Raises:
        WrongUsage: the folder cannot be written.
        Defect: the library that sets text is missing.
    """
    outcome = verdict(parts)
    usual, changed = Limits(), []
    for name in Limits.model_fields:
        own, ours = getattr(plan.limits, name), getattr(usual, name)
        if own != ours:
            changed.append(f"{name} = {own:g} (else {ours:g})")
    told = {
        "site": plan.site,
        "scanner": plan.scanner,
        "recipe": plan.recipe,
        "day": date.today().isoformat(),
        "version": __version__,
        "weights": sorted(one.sha256[:12] for one in catalogue().values()),
        "outcome": outcome.value,
        "changed": changed,
    }
    drawn = [{**asdict(part), "drawings": list(part.drawings)} for part in parts]
    _write(out, ACCEPTANCE, {**told, "parts": drawn})
    return outcome


def write_charts(charts: Sequence[Chart], source: str, out: Path) -> list[str]:
    """The charts as a page, a PDF and JSON, in ``out``; returns the alarms as sentences.

    Raises:
        WrongUsage: the folder cannot be written.
        Defect: the library that sets text is missing.
    """
    alarms = alarms_of(charts)
    told = {
        "day": date.today().isoformat(),
        "version": __version__,
        "source": source,
        "alarms": alarms,
        "charts": [{**asdict(one), "drawings": [picture_of_chart(one)] if one.points else []} for one in charts],
    }
    _write(out, CHARTS, told)
    return alarms


def _write(out: Path, name: str, told: dict[str, Any]) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template(f"{name}.html").render(
        **told, research_only=RESEARCH_ONLY, no_ruling_out=NO_RULING_OUT
    )
    printed = pdf_of(page)
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.html").write_text(page, encoding="utf-8")
        (out / f"{name}.pdf").write_bytes(printed)
        (out / f"{name}.json").write_text(json.dumps(_without_drawings(told), indent=1), encoding="utf-8")
    except OSError as error:
        raise wrong_usage("output-unwritable", path=str(out), cause=cause_of(error)) from error


def _without_drawings(value: Any) -> Any:
    """For programs: pictures left out; what is not a number is null, as JSON has no word for it."""
    if isinstance(value, dict):
        return {name: _without_drawings(one) for name, one in value.items() if name != "drawings"}
    if isinstance(value, list | tuple):
        return [_without_drawings(one) for one in value]
    return None if isinstance(value, float) and value != value else value

"""How a training went: its log as a CSV table and as a small SVG picture, drawn without any package."""

import csv
import json
from pathlib import Path
from typing import Any

from trabecula.training.loop import LOG

WIDTH, HEIGHT, MARGIN = 640, 300, 46
INK, ACCENT, FAINT = "#1f2933", "#1f6f8b", "#9aa5b1"

Points = list[tuple[float, float]]


def write_curves(folder: Path, figure: str) -> None:
    """``curves.csv`` and ``curves.svg`` beside the log: the loss, and ``figure`` on the validation cases."""
    entries = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    losses: Points = [(one["step"], one["loss"]) for one in entries if "loss" in one]
    figures: Points = [(one["step"], one["validation"][figure]) for one in entries if "validation" in one]
    with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("step", "figure", "value"))
        table.writerows((one["step"], "loss", one["loss"]) for one in entries if "loss" in one)
        for one in entries:
            table.writerows((one["step"], name, value) for name, value in _validation(one).items())
    (folder / "curves.svg").write_text(_picture(losses, figures, figure), encoding="utf-8")


def _validation(entry: dict[str, Any]) -> dict[str, float]:
    return {f"validation {name}": value for name, value in entry.get("validation", {}).items()}


def _picture(losses: Points, figures: Points, figure: str) -> str:
    """Loss on the left axis, the figure on the right one."""
    last = max((step for step, _ in (*losses, *figures)), default=1.0)
    body = "".join(
        _line(points, last, colour, name, at)
        for points, colour, name, at in ((losses, FAINT, "loss", 0), (figures, ACCENT, f"validation {figure}", 1))
    )
    axis = (
        f'<path d="M{MARGIN} {MARGIN / 2:g}V{HEIGHT - MARGIN}H{WIDTH - MARGIN}V{MARGIN / 2:g}" fill="none"'
        f' stroke="{INK}"/><text x="{WIDTH / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">step (to {last:g})</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        f' font-size="12" fill="{INK}">{axis}{body}</svg>\n'
    )


def _line(points: Points, last: float, colour: str, name: str, at: int) -> str:
    """One curve on its own axis: 0 the left one, 1 the right one."""
    points = [(step, value) for step, value in points if value == value]
    if not points:
        return ""
    low, high = min(value for _, value in points), max(value for _, value in points)
    span = (high - low) or 1.0
    drawn = " ".join(
        f"{MARGIN + (WIDTH - 2 * MARGIN) * step / last:.1f},"
        f"{HEIGHT - MARGIN - (HEIGHT - 1.5 * MARGIN) * (value - low) / span:.1f}"
        for step, value in points
    )
    x, anchor = (MARGIN - 4, "end") if at == 0 else (WIDTH - MARGIN + 4, "start")
    return (
        f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{x}" y="{HEIGHT - MARGIN}" text-anchor="{anchor}" fill="{colour}">{low:.3g}</text>'
        f'<text x="{x}" y="{MARGIN / 2 + 10:g}" text-anchor="{anchor}" fill="{colour}">{high:.3g}</text>'
        f'<text x="{MARGIN + 10 + 160 * at}" y="{MARGIN / 2 + 6:g}" fill="{colour}">{name}</text>'
    )

import csv
import json
from pathlib import Path

import pytest

from trabecula.errors import WrongUsage
from trabecula.evaluation.learning import Point, main, read_curve
from trabecula.evaluation.plots import learning_curve

LINES = [(300, 0.94, 0.02), (100, 0.9, 0.05), (200, 0.93, 0.03)]


def curve(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def told(images: int, mean: float, sd: float) -> str:
    return json.dumps({"images": images, "dice_mean": mean, "dice_sd": sd, "cases": 40})


def test_trainings_stand_by_their_images_beside_the_published_point(tmp_path: Path) -> None:
    path = curve(tmp_path / "curve.jsonl", *(told(*line) for line in LINES), "")
    assert read_curve(path) == [Point(n, m, s, 40) for n, m, s in sorted(LINES)]
    main(path, tmp_path / "out")
    with (tmp_path / "out" / "learning-curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["training images"] for row in rows] == ["100", "200", "300"]
    assert [row["published"] for row in rows] == ["-", "-", "0.951, SD 0.030"]
    text = (tmp_path / "out" / "learning-curve.md").read_text()
    assert "Simulated" in text and "| 200 | 0.930 | 0.030 | 40 | - |" in text
    assert (tmp_path / "out" / "learning-curve.png").stat().st_size > 5000


def test_the_plot_has_our_points_and_the_published_one() -> None:
    axes = learning_curve([100, 300], [0.9, 0.94], [0.05, 0.02], {"published": (300, 0.951, 0.03)}, title="t").axes[0]
    ours, published = (container.lines[0].get_xydata().tolist() for container in axes.containers)
    assert ours == [[100, 0.9], [300, 0.94]]
    assert published == [[300, 0.951]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["no json"], "Line 1 of curve.jsonl is no training"),
        (['{"images": 3}'], "dice_mean"),
        ([told(100, 1.2, 0)], "0 to 1"),
        ([told(100, float("nan"), 0)], "0 to 1"),
        ([told(0, 0.9, 0)], "1 or more"),
        ([told(100, 0.9, 0), told(100, 0.8, 0)], "twice"),
        ([""], "tells no training"),
    ],
)
def test_a_damaged_curve_is_told_by_its_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(WrongUsage, match=words) as refused:
        read_curve(curve(tmp_path / "curve.jsonl", *lines))
    assert refused.value.code == "curve-damaged"


def test_no_curve_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage) as refused:
        read_curve(tmp_path / "none.jsonl")
    assert refused.value.code == "curve-missing"

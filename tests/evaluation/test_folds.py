import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.test_rows import RUN, row, saved
from trabecula.errors import WrongUsage
from trabecula.evaluation.figures import figures
from trabecula.evaluation.folds import main, pooled
from trabecula.evaluation.rows import CaseRow
from trabecula.evaluation.run import ROWS


def fold(number: int, bias: float, people: int = 12) -> list[CaseRow]:
    """Twelve people of 50 to 160 mg/cm3, read by this fold's own weights."""
    run = replace(RUN, weights={"a": str(number)}, cohort_digest=str(number))
    rng = np.random.default_rng(number)
    values = [(50 + 10 * i, 50 + 10 * i + bias + rng.normal(0, 2)) for i in range(people)]
    return [row(100 * number + i, float(r), float(v), run) for i, (r, v) in enumerate(values)]


def test_a_figure_has_its_mean_and_sd_over_folds_and_its_value_in_all_cases() -> None:
    folds = [fold(0, 1), fold(1, 3), fold(2, 5, people=24)]
    found = {one.name: one for one in pooled(folds)}
    bias = found["BMD bias, mg/cm3"]
    values = [np.mean([one.value - one.reference for one in rows]) for rows in folds]  # type: ignore[operator]
    assert bias.values == pytest.approx(values)
    assert (bias.mean, bias.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    everybody = [one.value - one.reference for rows in folds for one in rows]  # type: ignore[operator]
    assert bias.together.estimate.value == pytest.approx(np.mean(everybody))  # 24 people count for more than 12
    assert bias.together.of == 48
    whole = {one.name: one for one in figures([one for rows in folds for one in rows])}
    assert found["Osteoporosis: AUC"].together == whole["Osteoporosis: AUC"]


def test_a_figure_that_a_fold_lacks_is_left_out_of_its_mean() -> None:
    healthy = [one for one in fold(1, 0) if one.true_category != "osteoporosis"]
    found = {one.name: one for one in pooled([fold(0, 0), healthy])}
    assert len(found["Osteoporosis: AUC"].values) == 1
    assert found["Osteoporosis: AUC"].sd is None


def test_folds_that_do_not_belong_together_are_refused() -> None:
    other = [replace(one, run=replace(one.run, recipe="house")) for one in fold(1, 0)]
    again = [replace(one, patient="patient-3") if i == 0 else one for i, one in enumerate(fold(1, 0))]
    for folds, code in (
        ([fold(0, 0)], "folds-too-few"),
        ([fold(0, 0), []], "folds-too-few"),
        ([fold(0, 0), other], "other-run"),
        ([fold(0, 0), again], "patient-in-two-folds"),
    ):
        with pytest.raises(WrongUsage) as refused:
            pooled(folds)
        assert refused.value.code == code


def test_folders_become_one_table_beside_the_published_one(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for number, folder in enumerate(folders):
        folder.mkdir()
        saved(folder / ROWS, fold(number, 2))
    main(folders, tmp_path / "out")
    text = (tmp_path / "out" / "folds.md").read_text()
    assert "Niu 2023, 4 validation sets, 400 patients" in text
    assert "Simulated accuracy" in text
    with (tmp_path / "out" / "folds.csv").open() as file:
        cells = {line["figure"]: line for line in csv.DictReader(file)}
    bias = cells["BMD bias, mg/cm3"]
    assert bias["Niu 2023, 4 validation sets, 400 patients"] == "0.79"
    assert bias["ours, all folds"].startswith(bias["mean (SD) over folds"].split(" ")[0])  # folds of one size
    assert (tmp_path / "out" / "scatter-2-folds.png").exists()

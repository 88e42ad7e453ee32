from dataclasses import replace

import numpy as np
import pytest

from evaluation.test_rows import RUN, row
from trabecula.evaluation.rows import CaseRow
from trabecula.evaluation.score import decade, groups_of
from trabecula.evaluation.subgroups import CELLS, subgroups

RNG = np.random.default_rng(2)
ROWS = [
    row(i, float(d), float(d + e), groups={"vendor": "A" if i < 14 else "B", "sex": "FM"[i % 2]})
    for i, (d, e) in enumerate(zip(RNG.permutation(np.linspace(50, 170, 20)), RNG.normal(3, 4, 20), strict=True))
]


def test_every_patient_is_in_one_group_of_each_sort_and_cells_say_how_many() -> None:
    found = {(one.sort, one.name): one for one in subgroups(ROWS)}
    assert list(found) == [("all", ""), ("sex", "F"), ("sex", "M"), ("vendor", "A"), ("vendor", "B")]
    assert [one.patients for one in found.values()] == [20, 10, 10, 14, 6]
    errors = [one.value - one.reference for one in ROWS[:14]]  # type: ignore[operator]
    cells = found["vendor", "A"].cells
    assert tuple(cells) == CELLS
    assert cells["bias"].estimate.value == pytest.approx(np.mean(errors))
    assert cells["bias"].text.endswith("), n 14")
    assert cells["accuracy"].estimate.value == np.mean([one.category == one.true_category for one in ROWS[:14]])


def test_a_cell_of_few_has_their_number_and_no_figure() -> None:
    (few,) = [one for one in subgroups(ROWS) if one.name == "B"]
    assert {cell.text for cell in few.cells.values()} == {"n 6"}


def test_a_group_without_one_of_the_two_has_no_auc() -> None:
    healthy = [one for one in ROWS if one.reference is not None and one.reference > 85]
    (everybody, *_) = subgroups(healthy)
    assert everybody.cells["osteoporosis: AUC"].text == f"n {len(healthy)}"
    assert everybody.cells["abnormal: AUC"].estimate.value > 0.8


def test_refused_and_undetermined_are_counted_and_a_second_scan_is_nobody_new() -> None:
    refused = CaseRow(RUN, "x", "px", refused="not-ct", groups={"vendor": "A"})
    unclear = replace(ROWS[0], case="y", patient="py", value=None, category="undetermined")
    again = replace(ROWS[1], case="again")
    found = {(one.sort, one.name): one for one in subgroups([*ROWS, refused, unclear, again])}
    one = found["vendor", "A"]
    assert (one.patients, one.refused, one.undetermined) == (16, 1, 1)
    assert one.cells["bias"].patients == 14


def test_groups_come_of_the_cohort_first_then_of_what_it_knows_and_the_headers() -> None:
    from trabecula.cohort.case import Known
    from trabecula.records import Acquisition

    made = Acquisition("dicom", manufacturer="M", tube_voltage_kvp=100.0, slice_thickness_mm=3.0)
    known = Known(sex="F", age_years=69.9, groups={"vendor": "its own", "site": "north"})
    assert groups_of(known, made) == {
        "sex": "F",
        "age": "60 to 69 years",
        "vendor": "its own",
        "tube voltage": "100 kVp",
        "slices": "3 mm",
        "site": "north",
    }
    assert groups_of(Known(tube_voltage_kvp=80.0), None) == {"tube voltage": "80 kVp"}
    assert [decade(age) for age in (70, 9.5, 101)] == ["70 to 79 years", "0 to 9 years", "100 to 109 years"]

"""Figures by hand, and the picture of a training."""

import csv
import json
import math
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from trabecula.training.curves import write_curves
from trabecula.training.losses import expected_value, regressed
from trabecula.training.scores import category_scores, detection_scores, dice_scores, naming_scores, number_scores
from trabecula.training.task import Rule


class Says(nn.Module):
    """Gives what it was told to, whatever it sees."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, image: object) -> object:
        return self.answer


def scores_of(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).movedim(-1, 1).float()


def test_dice_of_each_class_over_the_samples_that_show_it() -> None:
    true = torch.zeros(2, 1, 1, 8, dtype=torch.long)
    true[0, ..., :4] = 1
    true[0, ..., 4:6] = 2
    true[1, ..., :2] = 1
    found = true.clone()
    found[0, ..., 2:4] = 0  # half of the first sample's class 1 is missed: Dice 2 * 2 / (2 + 4)
    network = Says(scores_of(found, 3))
    told = dice_scores(network, [(torch.zeros(2, 1, 1, 1, 8), true)], ("none", "rim", "core"))
    assert told["dice_rim"] == pytest.approx((2 / 3 + 1) / 2)
    assert told["dice_core"] == 1
    assert told["dice"] == pytest.approx((told["dice_rim"] + 1) / 2)


def test_boxes_count_with_the_right_name_and_place() -> None:
    true = {"boxes": torch.tensor([[0.0, 0, 10, 10], [0, 20, 10, 30]]), "labels": torch.tensor([1, 2])}
    found = {
        "boxes": torch.tensor([[0.0, 1, 10, 11], [0, 20, 10, 30], [0, 20, 10, 30], [50, 50, 60, 60]]),
        "labels": torch.tensor([1, 3, 2, 1]),
        "scores": torch.tensor([0.9, 0.8, 0.2, 0.7]),  # the right name of the second is not sure enough
    }
    told = detection_scores(Says([found]), [([torch.zeros(1, 60, 60)], [true])])
    assert told["recall"] == 0.5
    assert told["precision"] == pytest.approx(1 / 3)
    assert told["recall_and_precision"] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_a_numbers_error_is_told_in_its_unit() -> None:
    centres = torch.tensor([0.0, 100.0, 200.0])
    network = Says(torch.tensor([[-99.0, 99.0, -99.0], [-99.0, -99.0, 99.0]]))
    told = number_scores(
        network, [(torch.zeros(2, 1), torch.tensor([90.0, 204.0]))], partial(expected_value, centres=centres)
    )
    assert told["mean_absolute_error"] == pytest.approx(7)
    assert told["bias"] == pytest.approx(3)
    assert told["error_sd"] == pytest.approx(98**0.5)


def test_names_count_where_there_is_one() -> None:
    names = torch.tensor([[[[0, 1, -100, -100]]]])
    answer = torch.zeros(1, 3, 1, 1, 4)
    answer[:, 1] = 5.0  # says the first name everywhere
    batch = (torch.zeros(1, 1, 2, 2, 8), torch.full((1, 1, 1, 4), 0.5), names)
    told = naming_scores(Says(answer), [batch], lambda network, batch: torch.tensor(2.5))
    assert told == {"loss": 2.5, "names_right": 0.5, "middle_error": 0.0}


def test_a_figure_that_is_no_number_is_never_kept() -> None:
    highest, lowest = Rule("dice", True, "ours"), Rule("loss", False, "ours")
    assert highest.better(0.2, None)
    assert highest.better(0.3, 0.2)
    assert not highest.better(0.2, 0.2)
    assert not highest.better(float("nan"), None)
    assert lowest.better(0.1, 0.2)
    assert not lowest.better(0.3, 0.2)


def test_curves_are_a_table_and_a_picture(tmp_path: Path) -> None:
    entries = [{"step": step, "loss": 3 - step / 20, "rate": 0.1, "s": 1} for step in (10, 20, 30)]
    entries += [{"step": 20, "validation": {"dice": 0.4}, "kept": True}, {"step": 30, "validation": {"dice": 0.5}}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    write_curves(tmp_path, "dice")
    with (tmp_path / "curves.csv").open() as file:
        rows = [(line["step"], line["figure"], float(line["value"])) for line in csv.DictReader(file)]
    assert ("30", "loss", 1.5) in rows
    assert ("30", "validation dice", 0.5) in rows
    drawn = ElementTree.fromstring((tmp_path / "curves.svg").read_text())
    lines = [one.attrib["points"].split() for one in drawn if one.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [3, 2]
    heights = [float(point.partition(",")[2]) for point in lines[0]]
    assert heights == sorted(heights)  # the loss falls: further down the picture
    words = {one.text for one in drawn.iter() if one.text}
    assert {"loss", "validation dice", "0.4", "0.5"} <= words


def test_category_scores_by_hand() -> None:
    network = Says(torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 2.0]]))
    told = category_scores(network, [(torch.zeros(4, 1), torch.tensor([0, 0, 2, 2]))])
    right, wrong = -math.log(math.exp(2) / (math.exp(2) + 2)), -math.log(1 / (math.exp(2) + 2))
    assert told["cross_entropy"] == pytest.approx((3 * right + wrong) / 4)
    assert told["accuracy"] == pytest.approx(0.75)
    assert told["recall"] == pytest.approx(0.75)  # a half of the first category, all of the third


def test_number_scores_of_a_regression() -> None:
    network = Says(torch.tensor([[1.0], [2.0]]))
    told = number_scores(network, [(torch.zeros(2, 1), torch.tensor([90.0, 204.0]))], partial(regressed, scale=0.01))
    assert (told["bias"], told["mean_absolute_error"]) == (pytest.approx(3.0), pytest.approx(7.0))

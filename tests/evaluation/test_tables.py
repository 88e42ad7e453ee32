import pytest

from trabecula.evaluation.tables import PUBLISHED, PUBLISHED_FOR, Published, beside, markdown, peers
from trabecula.recipes import RECIPES


def test_markdown_keeps_cells_apart() -> None:
    assert markdown(("a", "b"), [(1, "x|y")]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |"
    with pytest.raises(ValueError, match="2 heads but 1 cells"):
        markdown(("a", "b"), [("x",)])


def test_ours_stand_below_the_published() -> None:
    lines = peers([Published("Ours (simulated)", "0.9", "-", "-")]).splitlines()
    assert len(lines) == 2 + len(PUBLISHED) + 1
    assert lines[2].startswith("| Niu 2023 | 0.95; 96.6%")
    assert lines[-1] == "| Ours (simulated) | 0.9 | - | - |"


def test_published_figures_stand_beside_their_own_recipe_alone() -> None:
    heads, cells = beside("niu2023", {"Dice, mean": "0.9", "pairs": "40"}, "ours, simulated")
    assert heads == ("figure", "Niu 2023, 100 patients", "ours, simulated")
    told = {name: (published, ours) for name, published, ours in cells}
    assert told["Dice, mean"] == ("0.95", "0.9")
    assert told["pairs"] == ("-", "40")
    assert told["BMD R2"] == ("0.967", "not measured")
    heads, cells = beside("house", {"Dice, mean": "0.9"}, "ours, simulated")
    assert (heads, cells) == (("figure", "ours, simulated"), [("Dice, mean", "0.9")])


def test_every_recipe_with_published_figures_is_one() -> None:
    assert PUBLISHED_FOR.keys() <= RECIPES.keys()

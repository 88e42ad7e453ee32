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


def test_figures_that_are_published_in_parts_stand_beside_their_own_part() -> None:
    heads, cells = beside("fang2021", {"BMD r": "0.99"}, "ours", "test, vendor 2")
    assert heads == ("figure", "Fang 2021, test, vendor 2, 200 patients", "ours")
    assert dict(zip(("name", "published", "ours"), cells[0], strict=True))["published"] == "0.786, of bodies"
    heads, cells = beside("fang2021", {"BMD r": "0.99"}, "ours, simulated")
    assert len(heads) == 5
    assert cells[0] == (
        "Dice, lowest mean of a level",
        "0.823, of bodies",
        "0.786, of bodies",
        "0.782, of bodies",
        "not measured",
    )
    assert beside("fang2021", {}, "ours", "another site") == beside("fang2021", {}, "ours")


def test_every_recipe_with_published_figures_is_one() -> None:
    assert PUBLISHED_FOR.keys() <= RECIPES.keys()


def test_published_figures_have_the_names_of_ours() -> None:
    """Rows of every kind of recipe give them all, so that none is shown as not measured by a slip of its name."""
    from evaluation.test_five_kinds import figure_names

    given = figure_names()
    for recipe, columns in PUBLISHED_FOR.items():
        for column in columns:
            assert set(column.figures) <= given, recipe

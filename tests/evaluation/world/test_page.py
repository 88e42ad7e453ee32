"""The page says what was asked, what was found, and whether it holds."""

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from trabecula.evaluation.world.__main__ import Page, densities


def test_a_page_heads_its_sections_with_the_verdicts(tmp_path: Path) -> None:
    page = Page(tmp_path / "world.md")
    page.verdicts += [("width", "40 mm", "41 mm", True), ("depth", "30 mm", "50 mm", False)]
    page.section("Lengths", "Of many.", page.figure("lengths", "A plot", Figure()))
    page.write("make it")
    text = (tmp_path / "world.md").read_text(encoding="utf-8")
    assert text.index("| width | 40 mm | 41 mm | yes |") < text.index("## Lengths")
    assert "| depth | 30 mm | 50 mm | **no** |" in text
    assert "![A plot](world-lengths.png)" in text
    with Image.open(tmp_path / "world-lengths.png") as image:
        assert image.size == (576, 432)


def test_densities_of_a_small_population(tmp_path: Path) -> None:
    page = Page(tmp_path / "world.md")
    densities(page, 500)
    names = [name for name, *_ in page.verdicts]
    assert names[0] == "BMD by age against the prior"
    slope = next(found for name, _, found, _ in page.verdicts if name == "loss of L1 HU a year")
    assert -3.0 < float(slope.removesuffix(" HU")) < -1.2
    assert "China Biobank" in page.parts[0]
    assert (tmp_path / "world-bmd.png").exists()

"""The ruler is right on a body of known size; drawn spines have the published dimensions."""

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.evaluation.world.dimensions import SpineDimensions, compare, measure_body, measure_spine
from trabecula.evaluation.world.voltage import plain
from trabecula.virtual.cohort import draw, spine_grid
from trabecula.volume import Grid, Volume


def cylinder(width: float, depth: float, front: float, back: float, lean_deg: float = 0.0) -> tuple[Volume, np.ndarray]:
    """An elliptic body whose height changes from front to back, leaning backwards, with a bony arch behind a canal."""
    grid = Grid.axial((0.0, 0.0, 0.0), (48, 72, 64), (1.0, 1.0, 1.0))
    x, y, z = np.moveaxis(
        Volume(np.empty((0, 0, 0), np.float32), grid.affine).to_lps(np.indices(grid.shape).reshape(3, -1).T), 1, 0
    )
    lean = np.radians(lean_deg)
    forward, up = -(y * np.cos(lean) - z * np.sin(lean)), z * np.cos(lean) + y * np.sin(lean)
    height = back + (front - back) * (forward + depth / 2) / depth
    body = ((x / (width / 2)) ** 2 + (forward / (depth / 2)) ** 2 < 1) & (np.abs(up) < height / 2)
    canal = (np.abs(x) < 11) & (forward < -depth / 2) & (forward > -depth / 2 - 16)
    arch = (np.abs(x) < 20) & (forward < -depth / 2) & ~canal
    hu = np.where(body | arch, 400.0, 0.0).reshape(grid.shape).astype(np.float32)
    return Volume(hu, grid.affine), body.reshape(grid.shape)


@pytest.mark.parametrize("lean_deg", [0.0, -20.0])
def test_a_body_of_known_size(lean_deg: float) -> None:
    volume, mask = cylinder(46, 34, 24, 28, lean_deg)
    lean = np.radians(lean_deg * 0.6)  # the way to the neighbours is only roughly the body's own
    found = measure_body(volume, mask, np.array([0.0, np.sin(lean), np.cos(lean)]))
    assert found.width_upper == pytest.approx(46, abs=1.2)
    assert found.depth_lower == pytest.approx(34, abs=1.2)
    assert found.height_posterior == pytest.approx(27.7, abs=1)
    assert found.height_anterior == pytest.approx(24.3, abs=1)
    assert found.height_middle == pytest.approx(26, abs=1)
    assert abs(found.waist_width) < 0.04
    assert found.wedge_deg == pytest.approx(np.degrees(2 * np.arctan(2 / 34)), abs=1.5)
    assert found.canal_width == pytest.approx(22, abs=1)
    assert found.canal_depth == pytest.approx(16, abs=1)


def test_nothing_to_measure() -> None:
    volume, mask = cylinder(46, 34, 24, 28)
    with pytest.raises(ValueError, match="no body"):
        measure_body(volume, mask & False, np.array([0.0, 0.0, 1.0]))


@pytest.fixture(scope="module")
def spines() -> list[SpineDimensions]:
    made = []
    for seed in (0, 1):
        subject = plain(seed)
        made.append(measure_spine(draw(subject, spine_grid(subject, Level.T10, Level.S1, 1.5))))
    return made


def test_drawn_spines_have_the_published_dimensions(spines: list[SpineDimensions]) -> None:
    assert {s.sex for s in spines} == {"F", "M"}
    rows = compare(spines)
    # Two persons differ from the mean by 5% or so; thirty are compared in docs/results/world.md.
    for name in ("width_upper", "width_lower", "depth_upper", "depth_lower", "height_posterior"):
        ratios = [r.ratio for r in rows if r.name == name]
        assert len(ratios) == 8
        assert np.mean(ratios) == pytest.approx(1, abs=0.12), name
        assert max(np.abs(np.array(ratios) - 1)) < 0.25, name
    for name in ("canal_width", "canal_depth", "disc_below"):
        assert np.mean([r.ratio for r in rows if r.name == name]) == pytest.approx(1, abs=0.25), name


def test_a_spine_curves_as_a_spine_does(spines: list[SpineDimensions]) -> None:
    for spine in spines:
        assert 5 < spine.lordosis_l4_s1_deg < 75
        assert 5 < spine.lordosis_t12_s1_deg < 95
        assert spine.bodies[Level.L5].wedge_deg < spine.bodies[Level.T12].wedge_deg


def test_comparing_by_sex(spines: list[SpineDimensions]) -> None:
    row = next(r for r in compare(spines) if (r.level, r.name) == (Level.L2, "width_lower"))
    women = [s.bodies[Level.L2].width_lower for s in spines if s.sex == "F"]
    assert row.mean["F"] == pytest.approx(np.mean(women))
    assert row.published == {"F": pytest.approx(0.91 * 47.5), "M": 47.5}
    assert row.ratio == pytest.approx((row.mean["F"] / (0.91 * 47.5) + row.mean["M"] / 47.5) / 2)

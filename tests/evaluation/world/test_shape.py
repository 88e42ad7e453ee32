"""A fit finds a body that the generator drew, and comes near real ones."""

import os
from pathlib import Path

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.evaluation.world.shape import fit_body, real_masks
from trabecula.evaluation.world.voltage import plain
from trabecula.virtual.cohort import draw
from trabecula.volume import Grid, Volume


def test_a_drawn_body_is_found_again() -> None:
    subject = plain(3)
    l2 = subject.vertebra(Level.L2)
    grid = Grid.axial(l2.centre_lps_mm, (18, 26, 26), (2.5, 2.5, 2.5))
    drawn = draw(subject, grid)
    fit = fit_body(drawn.volume, drawn.body == Level.L2.verse_id, "drawn", "L2")
    assert fit.dice > 0.94
    assert np.linalg.norm(np.subtract(fit.shape.centre_lps_mm, l2.centre_lps_mm)) < 2
    assert fit.shape.axes[2] @ l2.axes[2] > np.cos(np.radians(6))
    assert fit.shape.height_mm == pytest.approx(l2.height_mm, rel=0.1)


def test_nothing_to_fit() -> None:
    volume = Volume(np.empty((4, 4, 4), np.float32), np.eye(4))
    with pytest.raises(ValueError, match="no body"):
        fit_body(volume, np.zeros((4, 4, 4), bool))


def test_the_shape_can_be_a_real_vertebra() -> None:
    if "TRABECULA_REAL_CT" not in os.environ:
        pytest.skip("TRABECULA_REAL_CT does not name the folder of real CTs")
    masks = list(real_masks(Path(os.environ["TRABECULA_REAL_CT"])))
    assert len(masks) == 7
    name, level, volume, mask = next(m for m in masks if m[0] == "totalsegmentator-example" and m[1] == "L2")
    assert fit_body(volume, mask, name, level).dice > 0.92

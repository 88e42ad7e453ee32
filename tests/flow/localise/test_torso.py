"""The scan made small, and the patient told from the table."""

import numpy as np
import pytest

from trabecula.flow.localise.torso import body_mask, pool
from trabecula.volume import Grid, Volume


def volume_of(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Volume:
    return Volume(hu.astype(np.float32), Grid.axial((0, 0, 0), hu.shape, spacing_mm).affine)


def test_pooling_takes_means_over_about_2_mm_and_drops_what_is_over() -> None:
    hu = np.random.default_rng(0).normal(0, 100, (9, 11, 13))
    pooled, factors = pool(volume_of(hu, (1.0, 0.7, 0.66)))
    assert factors == (2, 3, 3)
    assert pooled.shape == (4, 3, 4)
    assert pooled[1, 2, 3] == pytest.approx(hu[2:4, 6:9, 9:12].mean(), abs=1e-3)


def test_thick_slices_are_not_pooled() -> None:
    hu = np.random.default_rng(0).normal(0, 100, (4, 6, 8))
    pooled, factors = pool(volume_of(hu, (5.0, 2.0, 2.0)))
    assert factors == (1, 1, 1)
    np.testing.assert_allclose(pooled, hu, atol=1e-3)


@pytest.mark.parametrize("shape", [(6, 80, 90), (5, 81, 91)])
def test_the_body_is_kept_and_the_table_is_not(shape: tuple[int, int, int]) -> None:
    _, y, x = np.indices(shape)
    body = ((x - 45) / 35) ** 2 + ((y - 32) / 22) ** 2 < 1
    table = (y >= 64) & (y < 70) & (x > 15) & (x < 75)
    hu = np.where(body, 40, np.where(table, 300, -1000)).astype(np.float32)
    mask = body_mask(hu)
    assert mask.shape == shape
    assert mask[body].all()
    assert not mask[table].any()


def test_bone_and_lung_inside_the_body() -> None:
    _, y, x = np.indices((6, 80, 90))
    hu = np.where(((x - 45) / 35) ** 2 + ((y - 40) / 28) ** 2 < 1, 40, -1000).astype(np.float32)
    spine = ((x - 45) / 8) ** 2 + ((y - 50) / 6) ** 2 < 1
    hu[spine] = 400
    assert body_mask(hu)[spine].all()


def test_air_alone_holds_no_body() -> None:
    assert not body_mask(np.full((4, 20, 20), -1000, np.float32)).any()

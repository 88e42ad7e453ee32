"""Where QCT reads: the region in bodies whose shape, lean and density are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trabecula.flow.body import body_frame, voxels_lps
from trabecula.flow.measure.qct import FRONT_SHARE, SLAB_MM, qct_region, qct_share
from trabecula.volume import Float64

SPACING_MM = {"thin": (1.0, 0.8, 0.8), "thick": (5.0, 0.8, 0.8)}
WIDTH, DEPTH, HEIGHT = 40.0, 28.0, 22.0


def axes(lean_deg: float, turn_deg: float, side_deg: float = 0.0) -> Float64:
    """Left, front and up of a body in LPS."""
    lean, turn, side = np.radians([lean_deg, turn_deg, side_deg])
    up = np.array([np.sin(side), np.sin(lean) * np.cos(side), np.cos(lean) * np.cos(side)])
    left = np.array([np.cos(turn), np.sin(turn), 0.0])
    left -= up * (left @ up)
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(left, up), up])


def body(
    turned: Float64, spacing: tuple[float, float, float], lift_mm: float = 0.0
) -> tuple[NDArray[np.bool_], Float64, Float64]:
    """A trabecular region: its mask, its affine, and each voxel's place in the body (left, front, up) in mm."""
    shape = tuple(int(n / s) for n, s in zip((70, 70, 70), spacing, strict=True))
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = spacing
    affine[:, 3] = (-35, -35, 400, 1)
    index = np.moveaxis(np.indices(shape), 0, -1)
    centre = np.array([0.0, 0.0, 435.0 + lift_mm])
    local = (index @ affine[:3, :3].T + affine[:3, 3] - centre) @ turned.T
    mask = (np.hypot(local[..., 0] / WIDTH, local[..., 1] / DEPTH) < 0.5) & (np.abs(local[..., 2]) < HEIGHT / 2)
    return mask, affine, local


@pytest.mark.parametrize("lean", [-25.0, 0.0, 15.0])
@pytest.mark.parametrize(("turn", "side"), [(0.0, 0.0), (12.0, 8.0)])
def test_the_frame_leans_and_turns_with_the_body(lean: float, turn: float, side: float) -> None:
    turned = axes(lean, turn, side)
    mask, affine, _ = body(turned, SPACING_MM["thin"])
    found = body_frame(voxels_lps(mask, affine))
    for own, true in zip(found.axes, turned, strict=True):
        assert np.degrees(np.arccos(np.clip(own @ true, -1, 1))) < 4
    assert found.middle_lps_mm == pytest.approx([0, 0, 435], abs=0.5)


@pytest.mark.parametrize("kind", ["thin", "thick"])
@pytest.mark.parametrize("lean", [0.0, 20.0])
def test_the_region_lies_at_mid_height_in_the_front(kind: str, lean: float) -> None:
    mask, affine, local = body(axes(lean, 5.0), SPACING_MM[kind])
    region = qct_region(mask, affine)
    assert not (region & ~mask).any()
    left, front, up = local[region].T
    step = SPACING_MM[kind][0]
    assert np.abs(up).max() <= SLAB_MM / 2 + step / 2 + 1
    assert abs(up.mean()) < 0.4 * step + 0.5 and abs(left.mean()) < 0.7
    # From 2.5 mm behind the front edge to two thirds of the depth.
    assert front.max() == pytest.approx(DEPTH / 2 - 2.5, abs=1.7)
    assert front.min() == pytest.approx(DEPTH / 2 - FRONT_SHARE * DEPTH, abs=1.7)
    assert np.abs(left).max() == pytest.approx(0.45 * WIDTH, abs=2.0)


def test_dense_end_plates_and_the_cleft_are_not_read() -> None:
    mask, affine, local = body(axes(10.0, 0.0), SPACING_MM["thin"])
    hu = np.where(np.abs(local[..., 2]) > 0.35 * HEIGHT, 400.0, 120.0)
    hu[(local[..., 1] < -DEPTH / 4) & (np.abs(local[..., 0]) < 6)] = 20.0
    assert hu[mask].mean() > 170
    assert hu[qct_region(mask, affine)].mean() == pytest.approx(120, abs=1)


def test_where_the_slices_lie_in_the_body_hardly_matters() -> None:
    """Bone grows denser towards the end plates: a slice more or less in the slab of 9 mm would be 3 HU."""
    read_hu = []
    for lift_mm in np.arange(0, 3, 0.25):
        mask, affine, local = body(axes(0.0, 0.0), (3.0, 0.8, 0.8), float(lift_mm))
        share = qct_share(mask, affine)
        read_hu.append(np.average(120 + 3 * np.abs(local[..., 2]), weights=share))
    assert np.ptp(read_hu) < 2.0


def test_a_slice_counts_by_how_much_of_it_lies_in_the_slab() -> None:
    mask, affine, local = body(axes(0.0, 0.0), (5.0, 0.8, 0.8))
    share = qct_share(mask, affine)
    tall_mm = [5 * float(share[k].max()) for k in range(len(share))]
    assert sum(tall_mm) == pytest.approx(SLAB_MM, abs=0.6)
    assert not share[~mask].any() and (np.abs(local[share > 0][:, 2]) < SLAB_MM / 2 + 2.5 + 0.5).all()


@pytest.mark.parametrize("voxels", [0, 1, 20])
def test_a_region_too_small_for_an_ellipse_still_has_a_middle(voxels: int) -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask.ravel()[:voxels] = True
    region = qct_region(mask, np.eye(4))
    assert region.any() == bool(voxels) and not (region & ~mask).any()

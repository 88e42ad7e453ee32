"""What a network sees is cut the same from a scan, from a part of it, for training and for use; heads read outputs."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.measure.network import NetworkDensity
from trabecula.inference import network
from trabecula.messages import Phrase
from trabecula.recipes.niu2023 import NIU2023
from trabecula.records import Acquisition, Calibration, Regions, Scan, Spine, VertebraRegion
from trabecula.view import Bins, Classes, Head, Number, View, head_entry, head_from, view_entry, view_from
from trabecula.volume import PADDING_HU, Orientation, Volume
from trabecula.weights import catalogue, weights_named

VIEW = View((16, 20, 24), (2.0, 1.5, 1.0), (100.0, 400.0))


def scan(spacing_mm: tuple[float, float, float] = (1.25, 0.8, 0.7)) -> Volume:
    """Noise about a ramp, obliquely placed."""
    turn = np.radians(12.0)
    affine = np.eye(4)
    tilt = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    affine[:3, :3] = tilt @ np.eye(3)[::-1] @ np.diag(spacing_mm)
    affine[:3, 3] = (-40.0, 12.5, 700.0)
    hu = np.random.default_rng(4).normal(120, 90, (60, 70, 80)) + np.arange(80)
    return Volume(hu.astype(np.float32), affine)


def ball(volume: Volume, middle: np.ndarray, radius_mm: float) -> np.ndarray:
    apart = (np.moveaxis(np.indices(volume.shape), 0, -1) - middle) * volume.spacing_mm
    return np.where(np.linalg.norm(apart, axis=-1) < radius_mm, 7, 0).astype(np.uint8)


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_the_middle_lies_in_the_middle_and_the_axes_are_the_scans(off: float) -> None:
    volume, middle = scan(), np.array([30.2, 35.7, 41.1])
    grid = replace(VIEW, off_centre_voxels=off).grid(volume, middle)
    np.testing.assert_allclose(grid.spacing_mm, VIEW.spacing_mm)
    there = Volume(np.zeros(grid.shape, np.float32), grid.affine).to_lps((np.array(VIEW.shape) - 1) / 2 + off)
    np.testing.assert_allclose(there, volume.to_lps(middle), atol=1e-9)
    directions = [grid.affine[:3, :3] / VIEW.spacing_mm, volume.affine[:3, :3] / volume.spacing_mm]
    np.testing.assert_allclose(*directions, atol=1e-12)


def test_the_window_runs_from_0_to_1_and_clips() -> None:
    hu = np.array([PADDING_HU, -100, 0, 100, 200, 300, 3000], np.float32)
    np.testing.assert_allclose(VIEW.window(hu), [0, 0, 0.25, 0.5, 0.75, 1, 1])
    assert VIEW.window(hu).dtype == np.float32


def test_a_cut_is_the_scan_sampled_and_windowed() -> None:
    volume, middle = scan(), np.array([30.0, 35.0, 40.0])
    image = VIEW.cut(volume, middle)
    assert (image.shape, image.dtype) == (VIEW.shape, np.float32)
    np.testing.assert_array_equal(image, VIEW.window(volume.sample(VIEW.grid(volume, middle))))


@pytest.mark.parametrize("spacing_mm", [(1.25, 0.8, 0.7), (0.6, 0.4, 0.4), (5.0, 0.9, 0.9)])
@pytest.mark.parametrize("middle", [(30.0, 35.0, 40.0), (4.0, 60.0, 75.0)])
def test_a_part_of_a_scan_is_cut_as_the_whole_scan_is(
    spacing_mm: tuple[float, float, float], middle: tuple[float, float, float]
) -> None:
    """Training cuts from a stored part about a vertebra, use from the whole scan: the network must see the same."""
    volume, at = scan(spacing_mm), np.array(middle)
    labels = ball(volume, at, 9.0)
    reach = np.ceil(VIEW.size_mm / 2 / volume.spacing_mm) + 6
    start, stop = np.maximum(0, at - reach).astype(int), (at + reach).astype(int)
    stored = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    shift = np.eye(4)
    shift[:3, 3] = start
    part = Volume(volume.hu[stored], volume.affine @ shift)
    whole = VIEW.cut_masked(volume, labels, 7, at, 1.1)
    assert (whole > 0).any()
    np.testing.assert_allclose(VIEW.cut_masked(part, labels[stored], 7, at - start, 1.1), whole, atol=2e-5)


def test_a_mask_over_everything_blanks_nothing() -> None:
    volume, middle = scan(), np.array([30.0, 35.0, 40.0])
    masked = VIEW.cut_masked(volume, np.full(volume.shape, 7, np.uint8), 7, middle)
    np.testing.assert_allclose(masked, VIEW.cut(volume, middle), atol=1e-5)


def test_only_the_label_wanted_is_seen() -> None:
    volume, middle = scan(), np.array([30.0, 35.0, 40.0])
    labels = ball(volume, middle, 8.0)
    labels[:, :, 52:] = 9
    image = VIEW.cut_masked(volume, labels, 7, middle)
    size_mm3 = (image > 0).sum() * np.prod(VIEW.spacing_mm)
    assert size_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.25)  # some of it lies below the window
    assert not VIEW.cut_masked(volume, labels, 5, middle).any()
    bright = Volume(np.where(labels == 9, 3000, volume.hu).astype(np.float32), volume.affine)
    np.testing.assert_array_equal(VIEW.cut_masked(bright, labels, 7, middle), image)


def test_hu_are_multiplied_before_the_window() -> None:
    wide = replace(VIEW, window_hu=(500.0, 4000.0))
    volume, middle = scan(), np.array([30.0, 35.0, 40.0])
    labels = np.full(volume.shape, 7, np.uint8)
    plain, brighter = (wide.cut_masked(volume, labels, 7, middle, factor) * 4000 - 1500 for factor in (1.0, 1.34))
    np.testing.assert_allclose(brighter, 1.34 * plain, atol=0.05)


def test_a_shipped_network_takes_what_its_view_cuts() -> None:
    """The density network's answer, by hand from its view and its head, is what the recipe measures."""
    volume, middle = scan(), np.array([30.0, 35.0, 40.0])
    labels = np.where(ball(volume, middle, 14.0), Level.L1.verse_id, 0).astype(np.uint8)
    x, y, z = volume.to_lps(middle)
    region = VertebraRegion(Level.L1, 0.9, (float(x), float(y), float(z)), 9000.0)
    measure = NIU2023.measure
    assert isinstance(measure, NetworkDensity)
    calibration = Calibration(Phrase("rung-default"), 1.422, 0.0, 0.07, hu_factor=0.9)
    read = measure(
        Scan(volume, Orientation(), Acquisition("nifti")), Spine((), 35.0), Regions(labels, (region,)), calibration
    )
    weights = weights_named(measure.weights)
    image = weights.view.cut_masked(volume, labels, Level.L1.verse_id, middle, 0.9)
    (scores,) = network(weights.name, (1, 1, *weights.view.shape))(image[None, None])
    assert isinstance(weights.head, Bins)
    density = read.vertebrae[0].density
    assert density is not None and density.value == pytest.approx(weights.head.value(scores[0]), abs=0.01)


def test_classes_share_one_whole() -> None:
    scores = np.zeros((3, 1, 2), np.float32)
    scores[:, 0, 0] = np.log([0.1, 0.2, 0.7])
    scores[:, 0, 1] = (1000.0, 0.0, 0.0)
    found = Classes(("background", "cortical", "trabecular")).probabilities(scores)
    np.testing.assert_allclose(found[:, 0].T, [[0.1, 0.2, 0.7], [1.0, 0.0, 0.0]], atol=1e-6)


def test_bins_answer_with_their_expectation() -> None:
    bins = Bins(0.0, 300.0, 31)
    assert bins.centres[[0, 8, -1]].tolist() == [0.0, 80.0, 300.0]
    even = np.full(31, -np.inf, np.float32)
    even[[8, 12]] = 4.0
    assert bins.value(even) == pytest.approx(100.0)
    assert bins.value(np.eye(31, dtype=np.float32)[20] * 1000) == pytest.approx(200.0)


def test_a_number_is_scaled_back() -> None:
    assert Number("abmd", 100.0).value(np.array([[81.5]], np.float32)) == pytest.approx(0.815)


HEADS = (Classes(("normal", "osteopenia", "osteoporosis")), Bins(10.0, 250.0, 25, "vbmd-ha"), Number("abmd", 2.0))


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_heads_come_back_from_their_entries(head: Head) -> None:
    assert head_from(head_entry(head)) == head


@pytest.mark.parametrize("view", [VIEW, View((1, 224, 224), (4.0, 0.8, 0.8), (50.0, 400.0), "axial", True, 0.5)])
def test_views_come_back_from_their_entries(view: View) -> None:
    assert view_from(view_entry(view)) == view


def test_what_is_shipped_comes_back_from_its_entries() -> None:
    for one in catalogue().values():
        assert (head_from(head_entry(one.head)), view_from(view_entry(one.view))) == (one.head, one.view)

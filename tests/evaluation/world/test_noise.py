"""The scanner's noise is what the protocol asks for, by an estimate that knows nothing of how it is made."""

import numpy as np
import pytest

from trabecula.evaluation.world.noise import (
    asked_peak_per_mm,
    centre_over_edge,
    ensemble,
    measure,
    peak,
    radial_spectrum,
)
from trabecula.virtual.scanner import Protocol


def few(protocol: Protocol) -> np.ndarray:
    return ensemble(protocol, number=10, slices=4, pixels=160)


def test_white_noise_has_a_flat_spectrum_and_its_deviation() -> None:
    white = np.random.default_rng(0).normal(0, 5, (20, 4, 64, 64)).astype(np.float32)
    frequency, power = radial_spectrum(white, 0.8)
    np.testing.assert_allclose(power[3:], 25 * 0.8**2, rtol=0.1)
    assert frequency[1] == pytest.approx(1 / (64 * 0.8), rel=0.25)
    found = measure(white, 0.8)
    assert found.sd_hu == pytest.approx(5, rel=0.02)
    assert abs(found.slice_correlation) < 0.02


def test_the_top_of_a_known_spectrum() -> None:
    f = np.linspace(0, 1, 200)
    assert peak(f, f * np.exp(-((f / 0.3) ** 2) / 2)) == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(noise_hu=12, noise_peak_per_mm=0.2),
        Protocol(noise_hu=30, noise_peak_per_mm=0.35, pixel_mm=0.9),
        Protocol(noise_hu=45, noise_peak_per_mm=0.6, pixel_mm=0.6),
        Protocol(noise_hu=9, noise_peak_per_mm=0.35, iterative=True),
    ],
)
def test_deviation_and_peak_are_as_asked(protocol: Protocol) -> None:
    found = measure(few(protocol), protocol.pixel_mm)
    assert found.sd_hu == pytest.approx(protocol.noise_hu, rel=0.02)
    assert found.peak_per_mm == pytest.approx(asked_peak_per_mm(protocol), rel=0.06)


def test_only_slices_that_overlap_share_noise() -> None:
    apart = measure(few(Protocol(thickness_mm=2.0, increment_mm=2.0)), 0.75).slice_correlation
    half = measure(few(Protocol(thickness_mm=4.0, increment_mm=2.0)), 0.75).slice_correlation
    assert abs(apart) < 0.02
    assert 0.5 < half < 0.75  # a rectangular and a bell-shaped profile would give 0.5 and 0.71


@pytest.mark.parametrize("asked", [1.5, 1.9])
def test_the_middle_of_the_body_is_noisier_than_its_edge(asked: float) -> None:
    assert centre_over_edge(Protocol(noise_centre_to_edge=asked)) == pytest.approx(asked, rel=0.1)

"""The virtual scanner's noise, measured from an ensemble of images as a physicist measures a real scanner's.

Nothing of the formula that makes the noise is used here: deviations are taken over the ensemble, spectra by averaging
periodograms (ICRU Report 87), the peak from a parabola through the top of the radial spectrum.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trabecula.virtual.scanner import Protocol, correlated_noise, finish
from trabecula.volume import Float32, Float64, Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Images = Float32
"""An ensemble: (realisation, z, y, x), HU."""


@dataclass(frozen=True)
class NoiseFigures:
    """Noise as measured: HU, 1/mm, and the correlation of neighbouring slices."""

    sd_hu: float
    peak_per_mm: float
    slice_correlation: float


def ensemble(protocol: Protocol, number: int = 16, slices: int = 4, pixels: int = 192, seed: int = 0) -> Images:
    """Independent realisations of a protocol's noise on small images."""
    shape, spacing = (slices, pixels, pixels), (protocol.increment_mm, protocol.pixel_mm, protocol.pixel_mm)
    return np.stack(
        [correlated_noise(shape, spacing, protocol, np.random.default_rng([seed, i])) for i in range(number)]
    )


def measure(images: Images, pixel_mm: float) -> NoiseFigures:
    """Deviation, peak of the noise power spectrum, and slice correlation of an ensemble."""
    deviation = float(np.sqrt(images.var(axis=0, ddof=1).mean()))
    frequency, power = radial_spectrum(images, pixel_mm)
    a, b = images[:, :-1].ravel(), images[:, 1:].ravel()
    return NoiseFigures(deviation, peak(frequency, power), float(np.corrcoef(a, b)[0, 1]))


def radial_spectrum(images: Images, pixel_mm: float) -> tuple[Float64, Float64]:
    """Frequency (1/mm) and in-plane noise power (HU2 mm2), averaged over rings one frequency step wide."""
    n = images.shape[-1]
    centred = images - images.mean(axis=0)
    power = (np.abs(np.fft.fft2(centred)) ** 2).mean(axis=(0, 1)) * len(images) / (len(images) - 1)
    power *= pixel_mm**2 / n**2
    f = np.fft.fftfreq(n, pixel_mm)
    ring = np.rint(np.hypot(f[:, None], f[None, :]) * n * pixel_mm).astype(int)
    count = np.bincount(ring.ravel())
    radial = np.bincount(ring.ravel(), power.ravel()) / count
    radii = np.bincount(ring.ravel(), np.hypot(f[:, None], f[None, :]).ravel()) / count
    return radii[: n // 2], radial[: n // 2]


def peak(frequency: Float64, power: Float64) -> float:
    """Where the spectrum is highest: the top of a parabola fitted to all above 90% of the maximum.

    A spectrum is steeper below its peak than above it; of all above 80% the parabola would lie 2 to 5% too high.
    """
    top = power > 0.9 * power.max()
    _, b, a = np.polynomial.polynomial.polyfit(frequency[top], power[top], 2)
    return float(-b / (2 * a))


def asked_peak_per_mm(protocol: Protocol) -> float:
    """Where the spectrum f^p exp(-(f/f0)^2/2) of the specification is highest: at f0 sqrt(p).

    Filtered back-projection has p = 1; iterative reconstruction p = 0.5 and 0.7 of its f0.
    """
    return protocol.noise_peak_per_mm * (0.7 * np.sqrt(0.5) if protocol.iterative else 1.0)


def centre_over_edge(protocol: Protocol, number: int = 24, seed: int = 0) -> float:
    """Deviation in the middle of a 340 mm wide image over that at its side, as ``finish`` makes them."""
    pixel = 2.0
    grid = Grid.axial((0.0, -35.0, 0.0), (1, 171, 171), (protocol.increment_mm, pixel, pixel))
    quiet = replace(protocol, streak_hu=0.0, pixel_mm=pixel)
    flat = np.zeros(grid.shape, np.float32)
    images = np.stack([finish(flat, quiet, grid, np.random.default_rng([seed, i])).hu for i in range(number)])
    deviation = images.std(axis=0, ddof=1)[0]
    middle = deviation[75:96, 75:96].mean()
    sides = np.concatenate([deviation[75:96, :10].ravel(), deviation[75:96, -10:].ravel()]).mean()
    return float(middle / sides)


def figure(protocols: dict[str, Protocol]) -> "Figure":
    """Radial noise power spectra of protocols, each scaled to its maximum, with the peaks that were asked for."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(5.5, 3.2), layout="constrained")
    axes = drawn.subplots()
    for name, protocol in protocols.items():
        frequency, power = radial_spectrum(ensemble(protocol), protocol.pixel_mm)
        (line,) = axes.plot(frequency, power / power.max(), label=name)
        axes.axvline(asked_peak_per_mm(protocol), color=line.get_color(), linestyle=":", linewidth=1)
    axes.set(xlim=(0, 1), xlabel="spatial frequency, 1/mm", ylabel="noise power, scaled")
    axes.set_title("Noise power spectra; dotted: the peak asked for", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn

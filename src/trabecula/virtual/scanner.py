"""A virtual CT scanner: blur, slices, field of view, noise with a spectrum, streaks, whole Hounsfield units."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trabecula.volume import PADDING_HU, Float32, Grid, Volume

MARGIN_BY_THICKNESS = 0.55
"""An end plate bleeds over about this share of the slice thickness beyond 2 mm."""


@dataclass(frozen=True)
class Protocol:
    """How a scan is made; lengths in mm, noise as the standard deviation in soft tissue."""

    pixel_mm: float = 0.75
    thickness_mm: float = 1.25
    increment_mm: float = 1.25
    kvp: int = 120
    psf_fwhm_mm: float = 1.1
    edge_overshoot: float = 0.0  # of a sharp kernel
    noise_hu: float = 15.0
    noise_peak_per_mm: float = 0.3
    slope: float = 1.0  # of the scanner's HU scale
    offset_hu: float = 0.0
    rotation_deg: float = 0.0  # patient about the long axis
    streak_hu: float = 0.0


def sample_protocol(rng: np.random.Generator) -> Protocol:
    """A protocol as they are met: thin low-dose chest to 5 mm abdomen, three families of kernel."""
    thickness = float(
        rng.choice(
            [0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0], p=[0.06, 0.14, 0.2, 0.08, 0.1, 0.1, 0.17, 0.03, 0.12]
        )
    )
    kernel = rng.choice(3, p=[0.55, 0.35, 0.10])
    fwhm = rng.uniform(*((1.1, 1.6), (0.85, 1.1), (0.55, 0.75))[kernel])
    thin_noise = rng.lognormal(np.log(24), 0.4) * (1.0, 1.15, 1.7)[kernel]
    return Protocol(
        pixel_mm=float(rng.uniform(0.6, 0.98)),
        thickness_mm=thickness,
        increment_mm=float(thickness * rng.choice([1.0, 0.8, 0.5], p=[0.75, 0.15, 0.1])),
        psf_fwhm_mm=float(fwhm),
        edge_overshoot=float(rng.uniform(0.1, 0.35)) if kernel == 2 else 0.0,
        noise_hu=float(np.clip(thin_noise / np.sqrt(max(thickness, 1.0)), 4, 60)),
        noise_peak_per_mm=float(rng.uniform(*((0.18, 0.30), (0.28, 0.40), (0.5, 0.7))[kernel])),
        slope=float(rng.uniform(0.97, 1.03)),
        offset_hu=float(rng.normal(0, 4)),
        rotation_deg=float(rng.normal(0, 3.5)),
        streak_hu=float(rng.uniform(5, 25)) if rng.random() < 0.15 else 0.0,
    )


def acquire(drawn: Volume, protocol: Protocol, rng: np.random.Generator, grid: Grid | None = None) -> Volume:
    """The drawn patient as this protocol's scanner would show it, on ``grid`` or over all that was drawn."""
    grid = grid or scan_grid(drawn, protocol, rng)
    return finish(blur(drawn, protocol, grid), protocol, grid, rng)


def blur(drawn: Volume, protocol: Protocol, grid: Grid, outside_hu: float = PADDING_HU) -> Float32:
    """The noise-free image on ``grid``: point spread in the plane, slice thickness across it."""
    spacing = np.asarray(drawn.spacing_mm)
    sigma = protocol.psf_fwhm_mm / 2.355 / spacing
    hu = ndimage.gaussian_filter(drawn.hu, (0.0, sigma[1], sigma[2]), mode="nearest", truncate=3)
    if protocol.edge_overshoot:
        wider = ndimage.gaussian_filter(hu, (0, 2.2 * sigma[1], 2.2 * sigma[2]), truncate=3)
        hu += protocol.edge_overshoot * (hu - wider)
    slab = round(protocol.thickness_mm / spacing[0])
    if slab > 1:
        hu = ndimage.uniform_filter1d(hu, slab, axis=0, mode="nearest")
    index = np.linalg.inv(drawn.affine) @ grid.affine
    return np.asarray(
        ndimage.affine_transform(
            hu, index[:3, :3], index[:3, 3], grid.shape, order=1, mode="constant", cval=outside_hu, output=np.float32
        )
    )


def finish(hu: Float32, protocol: Protocol, grid: Grid, rng: np.random.Generator) -> Volume:
    """The scanner's HU scale, noise and streaks on a noise-free image; whole HU."""
    hu = hu * np.float32(protocol.slope) + np.float32(protocol.offset_hu)
    hu += correlated_noise(grid.shape, grid.spacing_mm, protocol, rng)
    if protocol.streak_hu:
        hu += _streaks(grid.shape, protocol.streak_hu, rng)
    return Volume(np.clip(np.round(hu), -1024, 3071).astype(np.float32), grid.affine)


def scan_grid(drawn: Volume, protocol: Protocol, rng: np.random.Generator) -> Grid:
    """The protocol's voxels over all that was drawn, turned a little about the patient's long axis."""
    extent = np.asarray(drawn.shape) * np.asarray(drawn.spacing_mm)
    spacing = (protocol.increment_mm, protocol.pixel_mm, protocol.pixel_mm)
    # The first and last slice's middles, shifted by half a millimetre below, must still lie in what was drawn, or they
    # would show air.
    extent[0] += protocol.increment_mm - drawn.spacing_mm[0] - 1.0
    shape = tuple(int(max(2, e // s)) for e, s in zip(extent, spacing, strict=True))
    middle = drawn.to_lps((np.asarray(drawn.shape) - 1) / 2) + rng.uniform(-0.5, 0.5, 3)
    level = Grid.axial((0.0, 0.0, 0.0), (shape[0], shape[1], shape[2]), spacing)
    turn = np.radians(protocol.rotation_deg)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    rotation[:3, 3] = middle
    return Grid(level.shape, rotation @ level.affine)


def correlated_noise(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], protocol: Protocol, rng: np.random.Generator
) -> Float32:
    """Noise of the protocol's deviation whose in-plane power peaks at ``noise_peak_per_mm`` (filtered back-projection).

    Slices that overlap (increment below thickness) share noise.
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    overlap = protocol.thickness_mm / spacing_mm[0]
    if overlap > 1.2:
        white = ndimage.gaussian_filter1d(white, overlap / 2.355, axis=0)
    fy = np.fft.fftfreq(shape[1], spacing_mm[1])[:, None]
    fx = np.fft.rfftfreq(shape[2], spacing_mm[2])[None, :]
    f = np.hypot(fy, fx)
    amplitude = np.sqrt(f) * np.exp(-((f / (2 * protocol.noise_peak_per_mm)) ** 2))  # power f exp(-f^2/2p^2): peak at p
    shaped = np.fft.irfft2(np.fft.rfft2(white, axes=(1, 2)) * amplitude.astype(np.float32), s=shape[1:], axes=(1, 2))
    shaped *= protocol.noise_hu / max(float(shaped.std()), 1e-6)
    return shaped.astype(np.float32)


def _streaks(shape: tuple[int, int, int], strength_hu: float, rng: np.random.Generator) -> Float32:
    """Horizontal bands, as arms beside the body cause."""
    rows = ndimage.gaussian_filter1d(rng.standard_normal((shape[0], shape[1])), 1.5, axis=1)
    rows *= strength_hu * 0.5 / max(float(rows.std()), 1e-6)
    return np.broadcast_to(rows[:, :, None], shape).astype(np.float32)

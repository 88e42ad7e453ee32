"""A virtual CT scanner: blur, slices, field of view, noise with a spectrum, artefacts, whole Hounsfield units."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.fft import irfft2, next_fast_len, rfft2

from trabecula.virtual.attenuation import TUBE_VOLTAGES_KVP
from trabecula.volume import PADDING_HU, Float32, Float64, Grid, Volume

MARGIN_BY_THICKNESS = 0.55
"""An end plate bleeds over about this share of the slice thickness beyond 2 mm."""

NOISE_BY_KVP = {80: 1.9, 100: 1.3, 120: 1.0, 140: 0.85}
"""Noise at the same tube current-time product, against 120 kVp (80: measured; 100 and 140: between by power law)."""

BODY_RADIUS_MM = 170.0
"""At this distance from the middle of the bore noise has fallen to that of the body's edge."""

METAL_HU = 2200.0
"""Noise-free voxels above are metal: compact bone stays below 2000 at every voltage."""

MIN_METAL_MM2 = 8.0
"""Less of it in a slice casts no streaks worth drawing."""


@dataclass(frozen=True)
class Protocol:
    """How a scan is made; lengths in mm, noise as the standard deviation in soft tissue at the body's middle."""

    pixel_mm: float = 0.75
    thickness_mm: float = 1.25
    increment_mm: float = 1.25
    kvp: int = 120
    psf_fwhm_mm: float = 1.1
    edge_overshoot: float = 0.0  # of a sharp kernel
    noise_hu: float = 15.0
    noise_peak_per_mm: float = 0.3
    iterative: bool = False  # smoother noise of lower frequency than filtered back-projection's
    noise_centre_to_edge: float = 1.0
    slope: float = 1.0  # of HU above water: the spectrum differs from vendor to vendor, air and water are calibrated
    offset_hu: float = 0.0
    shading_hu: float = 0.0  # amplitude of a slow drift of HU across the body
    field_of_view_mm: float | None = None  # None: all that was drawn
    off_centre_mm: tuple[float, float] = (0.0, 0.0)  # middle of bore and view from the body's, left and posterior
    rotation_deg: float = 0.0  # patient about the long axis
    streak_hu: float = 0.0  # bands through the arms
    motion_mm: float = 0.0
    metal_star_hu: float = 150.0  # of streaks beside metal, where metal is
    flips: tuple[bool, bool, bool] = (False, False, False)  # axes (z, y, x) stored the other way round
    phantom: bool = False  # calibration rods under the back


KERNELS = ("soft", "standard", "sharp")
SOFT_KERNEL_FWHM_MM = 1.1
"""From this point spread on a kernel counts as a soft one, below it as standard."""
_KERNEL_FWHM_MM = ((1.1, 1.5), (0.85, 1.1), (0.5, 0.75))
_KERNEL_PEAK_PER_MM = ((0.18, 0.30), (0.28, 0.40), (0.5, 0.75))
_KERNEL_NOISE = (1.0, 1.15, 1.7)


def sample_protocol(rng: np.random.Generator) -> Protocol:
    """A protocol as they are met: thin low-dose chest to 5 mm abdomen, any voltage, three families of kernel.

    The spread of scanners is that of different makers' machines, not of one well-kept one: U(0.94, 1.06) has a
    standard deviation of 3.5%; routine-CT densities of the same patients differ by 4.9% between scanners
    (s41747-024-00483-9), part of it the patient's new position. Rare faults keep their rates of practice, for a
    network's few training hours should go to what is common.
    """
    thickness = float(
        rng.choice(
            [0.7, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0], p=[0.06, 0.14, 0.2, 0.08, 0.1, 0.1, 0.17, 0.03, 0.12]
        )
    )
    base = Protocol(
        pixel_mm=float(rng.uniform(0.6, 0.98)),
        thickness_mm=thickness,
        increment_mm=float(thickness * rng.choice([1.0, 0.8, 0.5], p=[0.75, 0.15, 0.1])),
        kvp=int(rng.choice(TUBE_VOLTAGES_KVP, p=[0.1, 0.15, 0.65, 0.1])),
        iterative=bool(rng.random() < 0.5),
        noise_centre_to_edge=float(rng.uniform(1.5, 1.9)),
        slope=float(rng.uniform(0.94, 1.06)),
        offset_hu=float(rng.normal(0, 4)),
        shading_hu=float(rng.uniform(0, 4)),
        field_of_view_mm=float(rng.uniform(320, 400)) if rng.random() < 0.2 else None,
        off_centre_mm=(float(np.clip(rng.normal(0, 8), -40, 40)), float(np.clip(rng.normal(0, 18), -40, 40))),
        rotation_deg=float(np.clip(rng.normal(0, 4), -8, 8)),
        streak_hu=float(rng.uniform(5, 25)) if rng.random() < 0.15 else 0.0,
        motion_mm=float(rng.uniform(1, 4)) if rng.random() < 0.05 else 0.0,
        metal_star_hu=float(rng.uniform(80, 250)),
        flips=_sample_flips(rng),
        phantom=bool(rng.random() < 0.15),
    )
    # Thin low-dose slices of filtered back-projection have a noise of about 37 HU and half of it with iterative
    # reconstruction; 3 to 5 mm abdominal ones have 7 to 15.
    smoothed = rng.uniform(0.4, 0.65) if base.iterative else 1.0
    dose_hu = rng.lognormal(np.log(30), 0.4) * NOISE_BY_KVP[base.kvp] * smoothed
    base = replace(base, noise_hu=dose_hu / np.sqrt(max(thickness, 1.0)))
    return with_kernel(base, int(rng.choice(3, p=[0.55, 0.35, 0.10])), rng)


def _sample_flips(rng: np.random.Generator) -> tuple[bool, bool, bool]:
    z, y, x = rng.random(3) < 0.5
    return bool(z), bool(y), bool(x)


def kernel_of(protocol: Protocol) -> int:
    """Which of ``KERNELS`` a protocol's sharpness is that of."""
    return 2 if protocol.edge_overshoot > 0 else int(protocol.psf_fwhm_mm < SOFT_KERNEL_FWHM_MM)


def with_kernel(protocol: Protocol, kernel: int, rng: np.random.Generator) -> Protocol:
    """The protocol reconstructed with another of ``KERNELS``: its point spread, overshoot and noise."""
    noise_hu = protocol.noise_hu * _KERNEL_NOISE[kernel] / _KERNEL_NOISE[kernel_of(protocol)]
    return replace(
        protocol,
        psf_fwhm_mm=float(rng.uniform(*_KERNEL_FWHM_MM[kernel])),
        edge_overshoot=float(rng.uniform(0.1, 0.35)) if kernel == 2 else 0.0,
        noise_hu=float(np.clip(noise_hu, 4, 80)),
        noise_peak_per_mm=float(rng.uniform(*_KERNEL_PEAK_PER_MM[kernel])),
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
    # Rounded, or the last sample falls outside by 1e-13 of a voxel and becomes air.
    return _resampled(hu, np.round(np.linalg.inv(drawn.affine) @ grid.affine, 9), grid.shape, outside_hu)


def _resampled(hu: Float32, index: Float64, shape: tuple[int, int, int], outside_hu: float) -> Float32:
    """``hu`` on another grid by linear interpolation: first across slices, then in the plane, or the other way round.

    ``index`` takes an index of that grid to one of ``hu``; grids are turned about the long axis only.
    """
    z = index[0, 0] * np.arange(shape[0]) + index[0, 3]
    inside = (z >= 0) & (z <= hu.shape[0] - 1)
    low = np.clip(np.floor(z).astype(int), 0, max(hu.shape[0] - 2, 0))
    high = np.minimum(low + 1, hu.shape[0] - 1)
    share = (z - low).astype(np.float32)

    def plane(slice_: Float32) -> Float32:
        return np.asarray(
            ndimage.affine_transform(
                slice_, index[1:3, 1:3], index[1:3, 3], shape[1:], order=1, mode="constant", cval=outside_hu
            )
        )

    made = np.full(shape, outside_hu, np.float32)
    planes: dict[int, Float32] = {}
    coarser = abs(index[0, 0]) > 1
    for k in np.flatnonzero(inside):
        if coarser:
            made[k] = plane(hu[low[k]] + share[k] * (hu[high[k]] - hu[low[k]]))
            continue
        planes = {i: planes[i] if i in planes else plane(hu[i]) for i in (int(low[k]), int(high[k]))}
        np.subtract(planes[int(high[k])], planes[int(low[k])], out=made[k])
        made[k] *= share[k]
        made[k] += planes[int(low[k])]
    return made


def finish(hu: Float32, protocol: Protocol, grid: Grid, rng: np.random.Generator) -> Volume:
    """The scanner's HU scale, noise and artefacts on a noise-free image; whole HU."""
    metal = hu > METAL_HU
    hu = hu + np.float32(protocol.offset_hu)
    if protocol.slope != 1:
        hu += np.float32(protocol.slope - 1) * np.maximum(hu - np.float32(protocol.offset_hu), 0)
    if protocol.motion_mm:
        hu = _moved(hu, protocol.motion_mm, grid, rng)
    if protocol.shading_hu:
        hu += np.float32(protocol.shading_hu) * _slow_wave(grid, rng)
    noise = correlated_noise(grid.shape, grid.spacing_mm, protocol, rng)
    if protocol.noise_centre_to_edge != 1:
        noise *= _noise_map(grid, protocol)
    hu += noise
    if protocol.streak_hu:
        hu += _streaks(grid.shape, protocol.streak_hu, rng)
    if metal.any():
        _add_metal_star(hu, metal, protocol, grid, rng)
    np.rint(hu, out=hu)
    return Volume(np.clip(hu, -1024, 3071, out=hu), grid.affine)


def scan_grid(drawn: Volume, protocol: Protocol, rng: np.random.Generator) -> Grid:
    """The protocol's voxels over its field of view of what was drawn, turned a little about the patient's long axis."""
    extent = np.asarray(drawn.shape) * np.asarray(drawn.spacing_mm)
    spacing = (protocol.increment_mm, protocol.pixel_mm, protocol.pixel_mm)
    # The first and last slice's middles, shifted by half a millimetre below, must still lie in what was drawn, or they
    # would show air.
    extent[0] += protocol.increment_mm - drawn.spacing_mm[0] - 1.0
    middle = drawn.to_lps((np.asarray(drawn.shape) - 1) / 2) + rng.uniform(-0.5, 0.5, 3)
    if protocol.field_of_view_mm is not None:
        extent[1:] = np.minimum(extent[1:], protocol.field_of_view_mm)
        middle[:2] += protocol.off_centre_mm
    shape = tuple(int(max(2, e // s)) for e, s in zip(extent, spacing, strict=True))
    level = Grid.axial((0.0, 0.0, 0.0), (shape[0], shape[1], shape[2]), spacing)
    turn = np.radians(protocol.rotation_deg)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    rotation[:3, 3] = middle
    return Grid(level.shape, rotation @ level.affine)


def correlated_noise(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], protocol: Protocol, rng: np.random.Generator
) -> Float32:
    """Noise of the protocol's deviation whose in-plane power is f^p exp(-(f/f0)^2/2), p = 1, f0 the peak.

    Iterative reconstruction has p = 0.5 and an f0 of 0.7 times it. Slices that overlap (increment below thickness)
    share noise.
    """
    rows, columns = (next_fast_len(n, real=True) for n in shape[1:])
    noise = rng.standard_normal((shape[0], rows, columns), dtype=np.float32)
    overlap = protocol.thickness_mm / spacing_mm[0]
    if overlap > 1.2:
        noise = ndimage.gaussian_filter1d(noise, overlap / 2.355, axis=0)
    fy = np.fft.fftfreq(rows, spacing_mm[1])[:, None]
    fx = np.fft.rfftfreq(columns, spacing_mm[2])[None, :]
    f = np.hypot(fy, fx)
    power, peak = (0.5, 0.7) if protocol.iterative else (1.0, 1.0)
    amplitude = f ** (power / 2) * np.exp(-((f / (2 * peak * protocol.noise_peak_per_mm)) ** 2))
    amplitude = amplitude.astype(np.float32)
    for first in range(0, shape[0], 16):  # few at a time: their spectra need twice the memory
        some = noise[first : first + 16]
        some[:] = irfft2(rfft2(some, overwrite_x=True) * amplitude, s=(rows, columns), overwrite_x=True)
    noise = noise[:, : shape[1], : shape[2]]
    noise *= np.float32(protocol.noise_hu / max(float(noise.std()), 1e-6))
    return noise


def _in_plane(grid: Grid, protocol: Protocol) -> tuple[Float32, Float32]:
    """Left and posterior distance (1, y, x) of every pixel from the middle of the bore, which lies near the spine."""
    y, x = np.mgrid[: grid.shape[1], : grid.shape[2]].astype(np.float32)
    a, centre = grid.affine, np.array([0.0, -35.0]) + protocol.off_centre_mm
    left, back = (a[i, 1] * y + a[i, 2] * x + a[i, 3] - centre[i] for i in range(2))
    return np.asarray(left[None], np.float32), np.asarray(back[None], np.float32)


def _noise_map(grid: Grid, protocol: Protocol) -> Float32:
    """1 in the middle of the bore, falling smoothly to the edge of the body: rays are weakest through the middle."""
    left, back = _in_plane(grid, protocol)
    away = np.minimum((left**2 + back**2) / np.float32(BODY_RADIUS_MM**2), 1)
    return np.asarray(np.float32(protocol.noise_centre_to_edge) ** -away, np.float32)


def _slow_wave(grid: Grid, rng: np.random.Generator) -> Float32:
    """A wave of unit amplitude and 250 to 500 mm length along each axis."""
    waves = [
        np.cos(2 * np.pi * (np.arange(n) * step / rng.uniform(250, 500) + rng.random())).astype(np.float32)
        for n, step in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    return np.asarray(waves[0][:, None, None] * waves[1][None, :, None] * waves[2][None, None, :], np.float32)


def _moved(hu: Float32, distance_mm: float, grid: Grid, rng: np.random.Generator) -> Float32:
    """The patient breathed: for some centimetres every edge stands twice, ``distance_mm`` apart."""
    z = np.arange(grid.shape[0]) * grid.spacing_mm[0]
    away = (z - rng.uniform(0, z[-1])) / rng.uniform(15, 40)
    share = np.exp(-(away**2)).astype(np.float32)
    angle = rng.uniform(0, np.pi)
    step = distance_mm / 2 * np.array([np.sin(angle), np.cos(angle)]) / grid.spacing_mm[1:]
    moved = hu.copy()
    for index in np.flatnonzero(share > 0.05):
        there, back = (ndimage.shift(hu[index], s, order=1, mode="nearest") for s in (step, -step))
        moved[index] += share[index] * ((there + back) / 2 - hu[index])
    return moved


def _streaks(shape: tuple[int, int, int], strength_hu: float, rng: np.random.Generator) -> Float32:
    """Horizontal bands, as arms beside the body cause."""
    rows = ndimage.gaussian_filter1d(rng.standard_normal((shape[0], shape[1])), 1.5, axis=1)
    rows *= strength_hu * 0.5 / max(float(rows.std()), 1e-6)
    return np.broadcast_to(rows[:, :, None], shape).astype(np.float32)


def _add_metal_star(
    hu: Float32, metal: NDArray[np.bool_], protocol: Protocol, grid: Grid, rng: np.random.Generator
) -> None:
    """Bright and dark rays from each piece of metal in a slice, fading with distance (in place)."""
    y, x = np.mgrid[: grid.shape[1], : grid.shape[2]].astype(np.float32)
    rays = ndimage.gaussian_filter1d(rng.standard_normal(360), 3, mode="wrap")
    rays = (rays / rays.std()).astype(np.float32)
    for index in np.flatnonzero(metal.any(axis=(1, 2))):
        pieces, number = ndimage.label(metal[index])
        for piece in range(1, number + 1):
            where = np.argwhere(pieces == piece)
            if len(where) * grid.spacing_mm[1] * grid.spacing_mm[2] < MIN_METAL_MM2:
                continue
            size = np.sqrt(len(where)) * grid.spacing_mm[1]
            dy, dx = (y - where[:, 0].mean()) * grid.spacing_mm[1], (x - where[:, 1].mean()) * grid.spacing_mm[2]
            away = np.hypot(dy, dx)
            turn = np.degrees(np.arctan2(dy, dx)).astype(int) % 360
            fade = np.minimum(size, 20) / np.maximum(away, size) * (away > 0.6 * size)
            hu[index] += np.float32(protocol.metal_star_hu) * rays[turn] * fade.astype(np.float32)

"""Reads a spine phantom: inserts one above the other along the scanner's axis, each within a shell like a vertebra's.

So is the European Spine Phantom built: three vertebrae of hydroxyapatite between end plates in a body of plastic. The
inserts are the even stretches along the column that they stand in.
"""

import numpy as np
from scipy import ndimage

from trabecula.flow.calibrate.around import Surroundings, surroundings
from trabecula.flow.calibrate.certificate import Certificate
from trabecula.flow.calibrate.phantom import LARGEST_MISFIT_HU, LIKELY_SLOPE, PhantomReading
from trabecula.volume import Float64, Volume

READ_MM = 8.0
"""Radius of the disc that is read: an insert has 17 to 18 mm, less its shell and what that blurs."""

LEAST_MM = 8.0
"""Of an even stretch along the axis: an insert is 15 to 25 mm high between its end plates."""

EVEN_HU = 12.0
"""Between neighbouring slices of one insert."""

REACH_MM = 1000.0
BODY_ABOVE_HU = -200.0
BRIGHT_SHARE = 0.5
"""Of what the lightest insert shows above the body: what stands out more belongs to the column."""


def read_stack(volume: Volume, certificate: Certificate, kvp: float) -> PhantomReading | None:
    """The line through the inserts of a phantom scanned alone; None where not all of them are in view."""
    around = surroundings(volume, volume.to_lps((np.asarray(volume.shape)[None] - 1) / 2), REACH_MM)
    profile = _column(around, certificate)
    if profile is None:
        return None
    stretches = _even_stretches(profile, around.spacing_mm[0])
    if len(stretches) != len(certificate.rods):
        return None
    # From below or from above: the certificate's order is that of the phantom, not of how it lies.
    orders = (np.array([hu for hu, _ in one]) for one in (stretches, stretches[::-1]))
    fits = [(certificate.line(hu, kvp), hu) for hu in orders]
    (slope, offset, misfit), hu = min(fits, key=lambda one: one[0][2])
    if misfit > LARGEST_MISFIT_HU or not LIKELY_SLOPE[0] < slope < LIKELY_SLOPE[1]:
        return None
    length = sum(mm for _, mm in stretches)
    return PhantomReading(slope, offset, misfit, tuple(float(one) for one in hu), float(length))


def _column(around: Surroundings, certificate: Certificate) -> Float64 | None:
    """Mean HU above the body of a disc in the column's middle, slice by slice."""
    body = around.hu > BODY_ABOVE_HU
    if not body.any():
        return None
    plastic = float(np.median(around.hu[body]))
    bright = around.hu > plastic + BRIGHT_SHARE * float(certificate.least_hu.min())
    # A spinous process and ribs of plastic are thinner than the disc: an opening leaves the bodies.
    spacing = around.spacing_mm[1:]
    y, x = np.ogrid[-READ_MM : READ_MM + 1 : spacing[0], -READ_MM : READ_MM + 1 : spacing[1]]
    disc = (y**2 + x**2 <= READ_MM**2)[None]
    solid = ndimage.binary_opening(ndimage.binary_closing(bright & body, disc[:, ::2, ::2]), disc)
    share = solid.mean(axis=0)
    if not share.any():
        return None
    pieces, _ = ndimage.label(share > share.max() / 2)
    largest = int(np.bincount(pieces[pieces > 0]).argmax())
    row, column = ndimage.center_of_mass(share, pieces, largest)
    at = (np.arange(around.hu.shape[1]) - row) * spacing[0], (np.arange(around.hu.shape[2]) - column) * spacing[1]
    inside = at[0][:, None] ** 2 + at[1][None] ** 2 <= READ_MM**2
    hu = around.hu[:, inside].mean(axis=1, dtype=float) - plastic
    standing = solid[:, inside].mean(axis=1) > 0.8
    return np.where(standing, hu + plastic, np.nan)


def _even_stretches(profile: Float64, step_mm: float) -> list[tuple[float, float]]:
    """HU and length in mm of each stretch of the column in which neighbouring slices are alike, from below."""
    alike = np.abs(np.diff(profile)) < EVEN_HU
    pieces, count = ndimage.label(np.nan_to_num(alike, nan=0))
    found = []
    for number in range(1, count + 1):
        steps = np.flatnonzero(pieces == number)
        if (len(steps) + 1) * step_mm < LEAST_MM:
            continue
        inside = profile[steps[0] : steps[-1] + 2]
        # The outermost slices hold what the end plates blur.
        core = inside[1:-1] if len(inside) > 4 else inside
        found.append((float(np.median(core)), len(inside) * step_mm))
    return found

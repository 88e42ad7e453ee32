"""Areal BMD from whole axial images round the lumbar spine, as Yasaka 2020: nothing is outlined.

Every vertebra gets the mean over its images, and the person the mean over the vertebrae.
"""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.inference import network
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, QUANTITIES, Measurement, Quantity
from trabecula.records import (
    Calibration,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraBox,
    VertebraReading,
    reason,
)
from trabecula.view import Number
from trabecula.volume import Float32, Float64, Volume
from trabecula.weights import weights_named

CORE_MM = 8.0
"""The plain HU beside the number are of a ball of this radius in the body's middle."""


@dataclass(frozen=True)
class AxialImages:
    """The areal BMD that DXA would give, by a network on images about the middle of each of ``levels``."""

    weights: str
    levels: tuple[Level, ...]
    precision: str = "f32"

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What it measures."""
        return (AREAL_BMD,)

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        """The readings of every level found; those whose images the scan does not hold, or enhanced ones, withheld."""
        error_sd = weights_named(self.weights).error_sd
        assert error_sd is not None, "no density without its error"
        vertebrae = [
            self._reading(scan, spine, box, calibration, error_sd)
            for box in spine.vertebrae
            if box.level in self.levels
        ]
        reasons: tuple[Reason, ...] = ()
        if not vertebrae:
            seen = tuple(box.level for box in spine.vertebrae)
            reasons = (reason("levels-not-in-view", first=self.levels[0], last=self.levels[-1], seen=seen),)
        sex = scan.acquisition.patient_sex
        return Readings(tuple(vertebrae), Phrase("method-axial", {"error_sd": error_sd}), reasons, sex=sex)

    def _reading(
        self, scan: Scan, spine: Spine, box: VertebraBox, calibration: Calibration, error_sd: float
    ) -> VertebraReading:
        weights, volume, middle = weights_named(self.weights), scan.volume, spine.middle(box)
        head, view = weights.head, weights.view
        assert isinstance(head, Number)
        core = _core(volume, middle)
        image = volume.sample(view.grid(volume, middle)) * np.float32(calibration.hu_factor)
        images = view.as_input(view.window(image))
        (scores,) = network(self.weights, images.shape, self.precision)(images)
        value = float(np.mean([head.value(one) for one in scores]))
        half = 1.96 * error_sd
        interval = (max(0.0, value - half), value + half)
        reach = view.spacing_mm[0] / volume.spacing_mm[0] * (view.shape[0] - 1) / 2
        reasons: list[Reason] = []
        if not reach <= middle[0] <= volume.shape[0] - 1 - reach:
            reasons.append(reason("cut-by-view", Effect.WITHHOLD, level=box.level))
        if calibration.enhanced:
            reasons.append(reason("unenhanced-only", Effect.WITHHOLD, level=box.level))
        return VertebraReading(
            level=box.level,
            centroid_lps_mm=tuple(float(v) for v in volume.to_lps(middle)),  # type: ignore[arg-type]
            volume_mm3=0.0,
            mean_hu=float(core.mean(dtype=float)),
            sd_hu=float(core.std(dtype=float)),
            density=Measurement(value, interval, QUANTITIES[head.quantity], error_sd),
            reasons=tuple(reasons),
        )


def _core(volume: Volume, middle: Float64) -> Float32:
    """The HU in the middle of a body: all voxels within ``CORE_MM``, the nearest one at least."""
    spacing = np.asarray(volume.spacing_mm)
    middle = np.clip(middle, 0, np.asarray(volume.shape) - 1)
    low = np.maximum(np.floor(middle - CORE_MM / spacing), 0).astype(int)
    high = np.minimum(np.ceil(middle + CORE_MM / spacing) + 1, volume.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    away = np.moveaxis(np.mgrid[box], 0, -1) - middle
    inside = np.linalg.norm(away * spacing, axis=-1) <= CORE_MM
    nearest = tuple(np.rint(middle).astype(int))
    return np.asarray(volume.hu[box][inside] if inside.any() else volume.hu[nearest].reshape(1))

"""Density by a network that sees the trabecular bone of a vertebra alone, the plain mean HU beside it.

Niu 2023's gives a probability to each BMD bin, whose expectation is the BMD; those of Fang 2021 and Peng 2023 give the
number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trabecula.inference import network
from trabecula.messages import Phrase
from trabecula.quantity import QUANTITIES, Measurement
from trabecula.records import Calibration, Readings, Regions, Scan, Spine, VertebraReading, VertebraRegion
from trabecula.view import Bins, Number
from trabecula.weights import weights_named


@dataclass(frozen=True)
class NetworkDensity:
    """The density of every region, as a network's bins or its number say."""

    weights: str
    precision: str = "f32"

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        """The readings of every region.

        The interval holds the true QCT value with 95% probability if the simulated error and that of the calibration
        are all there is. What contrast medium adds is taken off.
        """
        assert regions is not None, "a density of regions needs a segmenter"
        error_sd = weights_named(self.weights).error_sd
        assert error_sd is not None, "no density without its error"
        vertebrae = []
        for region in regions.vertebrae:
            part = regions.part(region.level)
            hu = scan.volume.hu[part][regions.labels[part] == region.level.verse_id]
            bmd = self._value(scan, regions.labels, region, calibration.hu_factor) - calibration.contrast_rise
            vertebrae.append(
                VertebraReading(
                    level=region.level,
                    centroid_lps_mm=region.centroid_lps_mm,
                    volume_mm3=region.volume_mm3,
                    mean_hu=float(hu.mean()),
                    sd_hu=float(hu.std()),
                    density=Measurement(
                        bmd, calibration.interval(bmd, error_sd), QUANTITIES[self._head.quantity], error_sd
                    ),
                )
            )
        return Readings(tuple(vertebrae), Phrase("method-network", {"error_sd": error_sd}))

    @property
    def _head(self) -> Bins | Number:
        head = weights_named(self.weights).head
        assert isinstance(head, Bins | Number)
        return head

    def _value(self, scan: Scan, labels: NDArray[np.uint8], region: VertebraRegion, hu_factor: float) -> float:
        """For one vertebra, everything outside its region blanked."""
        view, volume = weights_named(self.weights).view, scan.volume
        middle = volume.to_index(np.asarray(region.centroid_lps_mm))
        image = view.as_input(view.cut_masked(volume, labels, region.level.verse_id, middle, hu_factor))
        (scores,) = network(self.weights, image.shape, self.precision)(image)
        return self._head.value(scores[0])

"""Density by a network that sees the trabecular bone of a vertebra alone, the plain mean HU beside it.

Niu 2023's gives a probability to each BMD bin, whose expectation is the BMD; those of Fang 2021 and Peng 2023 give the
number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trabecula.anatomy import Level
from trabecula.inference import network
from trabecula.messages import Phrase
from trabecula.quantity import QUANTITIES, Measurement
from trabecula.records import Calibration, Joint, Readings, Regions, Scan, Spine, VertebraReading, VertebraRegion
from trabecula.view import Bins, Number, View
from trabecula.volume import Float32
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
        vertebrae = [
            replace(
                without_density(scan, regions, region),
                density=density_of(self.weights, scan, regions, (region,), calibration, self.precision),
            )
            for region in regions.vertebrae
        ]
        return Readings(tuple(vertebrae), _method(self.weights))


@dataclass(frozen=True)
class BlockDensity:
    """One density of ``levels`` together, which the network sees in one image, and none of each by itself.

    There is none where one of them was not outlined.
    """

    weights: str
    levels: tuple[Level, ...]
    precision: str = "f32"

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        """The readings of every region, the joint one beside them."""
        assert regions is not None, "a density of regions needs a segmenter"
        block = [region for level in self.levels if (region := regions.find(level)) is not None]
        joint = None
        if len(block) == len(self.levels):
            density = density_of(self.weights, scan, regions, block, calibration, self.precision)
            joint = Joint(self.levels, density=density)
        vertebrae = tuple(without_density(scan, regions, region) for region in regions.vertebrae)
        return Readings(vertebrae, _method(self.weights), joint=joint)


def density_of(
    weights: str,
    scan: Scan,
    regions: Regions,
    shown: Sequence[VertebraRegion],
    calibration: Calibration,
    precision: str = "f32",
) -> Measurement:
    """What a network reads of one image that shows some regions and nothing else; contrast medium is taken off."""
    found = weights_named(weights)
    assert isinstance(found.head, Bins | Number)
    assert found.error_sd is not None, "no density without its error"
    image = image_of(found.view, scan, regions, shown, calibration.hu_factor)
    (scores,) = network(weights, image.shape, precision)(image)
    bmd = found.head.value(scores[0]) - calibration.contrast_rise
    return Measurement(bmd, calibration.interval(bmd, found.error_sd), QUANTITIES[found.head.quantity], found.error_sd)


def image_of(
    view: View,
    scan: Scan,
    regions: Regions,
    shown: Sequence[VertebraRegion],
    hu_factor: float,
    less_hu: float = 0.0,
) -> Float32:
    """What a network takes: the regions shown about their common middle, all else blanked."""
    weight = [region.volume_mm3 for region in shown]
    middle = scan.volume.to_index(np.average([region.centroid_lps_mm for region in shown], axis=0, weights=weight))
    labels = tuple(region.level.verse_id for region in shown)
    return view.as_input(view.cut_masked(scan.volume, regions.labels, labels, middle, hu_factor, less_hu))


def without_density(scan: Scan, regions: Regions, region: VertebraRegion) -> VertebraReading:
    """A region's place, size and plain HU."""
    part = regions.part(region.level)
    hu = scan.volume.hu[part][regions.labels[part] == region.level.verse_id]
    return VertebraReading(
        level=region.level,
        centroid_lps_mm=region.centroid_lps_mm,
        volume_mm3=region.volume_mm3,
        mean_hu=float(hu.mean(dtype=float)),
        sd_hu=float(hu.std(dtype=float)),
        density=None,
    )


def _method(weights: str) -> Phrase:
    error_sd = weights_named(weights).error_sd
    assert error_sd is not None, "no density without its error"
    return Phrase("method-network", {"error_sd": error_sd})

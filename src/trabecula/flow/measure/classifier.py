"""Categories by a network that sees the trabecular bone of a vertebra, or of some vertebrae in one image, alone.

As Peng 2023, beside a density, and Pan 2024, without one. What contrast medium adds to bone is taken off the HU first:
nobody trained on enhanced scans.
"""

from dataclasses import dataclass, replace

from trabecula.anatomy import Level
from trabecula.flow.measure.network import NetworkDensity, image_of, without_density
from trabecula.inference import network
from trabecula.messages import Phrase
from trabecula.quantity import VBMD_K2HPO4, Category, Quantity
from trabecula.records import Calibration, Joint, Readings, Regions, Scan, Spine
from trabecula.view import Classes
from trabecula.weights import weights_named


@dataclass(frozen=True)
class Classifier:
    """A network that tells categories; ``levels`` are those that it was trained on."""

    weights: str
    levels: tuple[Level, ...]
    precision: str = "f32"

    def probabilities(
        self, scan: Scan, regions: Regions, calibration: Calibration, levels: tuple[Level, ...]
    ) -> dict[Category, float]:
        """Of one image that shows the regions of ``levels`` and nothing else."""
        weights = weights_named(self.weights)
        assert isinstance(weights.head, Classes)
        found = [region for level in levels if (region := regions.find(level)) is not None]
        less_hu = calibration.contrast_rise * calibration.slope_hu_cm3_mg
        image = image_of(weights.view, scan, regions, found, calibration.hu_factor, less_hu)
        (scores,) = network(self.weights, image.shape, self.precision)(image)
        shares = weights.head.probabilities(scores[0])
        return {Category(name): float(share) for name, share in zip(weights.head.names, shares, strict=True)}


@dataclass(frozen=True)
class CategoryReading:
    """The categories of single vertebrae by ``each``, and of several in one image by ``joint``, where all are there.

    ``density`` gives each vertebra a density beside it. ``levels`` are the vertebrae that are read.
    """

    levels: tuple[Level, ...]
    each: Classifier
    joint: Classifier | None = None
    density: NetworkDensity | None = None

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What it measures beside the categories."""
        return () if self.density is None else (VBMD_K2HPO4,)

    @property
    def classifies(self) -> bool:
        """That it tells categories."""
        return True

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None, calibration: Calibration) -> Readings:
        """The readings of every region of ``levels``."""
        assert regions is not None, "categories of regions need a segmenter"
        beside = None if self.density is None else self.density(scan, spine, regions, calibration)
        vertebrae = []
        for region in regions.vertebrae:
            level = region.level
            one = None if beside is None else beside.find(level)
            if one is None:
                one = without_density(scan, regions, region)
            if level in self.each.levels or not level.is_named:
                one = replace(one, probabilities=self.each.probabilities(scan, regions, calibration, (level,)))
            vertebrae.append(one)
        method = "method-classifier" if beside is None else "method-classifier-density"
        return Readings(tuple(vertebrae), Phrase(method), joint=self._joint(scan, regions, calibration))

    def _joint(self, scan: Scan, regions: Regions, calibration: Calibration) -> Joint | None:
        if self.joint is None or any(regions.find(level) is None for level in self.joint.levels):
            return None
        levels = self.joint.levels
        return Joint(levels, self.joint.probabilities(scan, regions, calibration, levels))

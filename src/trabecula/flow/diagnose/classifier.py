"""Diagnose by a network's categories, as Peng 2023 and Pan 2024; a density beside it is held against them."""

from dataclasses import dataclass

import numpy as np

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import mean_density
from trabecula.messages import Phrase
from trabecula.quantity import QCT_BANDS, Bands, Category, Measurement
from trabecula.records import Basis, Diagnosis, Effect, Readings, Reason, VertebraReading, reason


@dataclass(frozen=True)
class ClassifierDiagnosis:
    """The likeliest category: of ``levels`` in one image where the readings have that, else of the mean over each.

    ``alone`` are the levels of which the mean may be taken, all of them; those of ``levels`` where it is empty.
    ``judged_by`` are those whose QCT is the category that the networks learn, where that is not ``levels``.
    """

    levels: tuple[Level, ...]
    alone: tuple[Level, ...] = ()
    judged_by: tuple[Level, ...] = ()
    bands: Bands = QCT_BANDS

    def __call__(self, readings: Readings) -> Diagnosis:
        """The category with every category's probability."""
        joint = readings.joint
        if joint is not None and not any(one.withheld for one in readings.vertebrae if one.level in joint.levels):
            return self._said(dict(joint.probabilities), joint.levels, None, ())
        alone = self.alone or self.levels
        found = [one for level in alone if (one := self._usable(readings, level)) is not None]
        if len(found) < len(alone):
            at = tuple(one.level for one in found)
            missing = reason("too-few-vertebrae", needed=len(alone), levels=alone, measurable=at)
            return Diagnosis(Category.UNDETERMINED, Basis.CLASSIFIER, None, {}, at, (missing,))
        shares = [one.probabilities for one in found if one.probabilities is not None]
        mean = {category: float(np.mean([share[category] for share in shares])) for category in shares[0]}
        densities = [one.density for one in found if one.density is not None]
        density = mean_density(densities) if len(densities) == len(found) else None
        reasons = [reason("one-vertebra-alone", Effect.NOTE, level=found[0].level)] if self._fewer(alone) else []
        return self._said(mean, tuple(one.level for one in found), density, tuple(reasons))

    def _fewer(self, alone: tuple[Level, ...]) -> bool:
        """Whether what was diagnosed from is less than what should have been."""
        return set(alone) < set(self.levels)

    def _usable(self, readings: Readings, level: Level) -> VertebraReading | None:
        found = readings.find(level)
        return None if found is None or found.withheld or found.probabilities is None else found

    def _said(
        self,
        shares: dict[Category, float],
        levels: tuple[Level, ...],
        density: Measurement | None,
        reasons: tuple[Reason, ...],
    ) -> Diagnosis:
        category = max(shares, key=lambda one: shares[one])
        if density is not None and self.bands.category(density.value) is not category:
            by_density = self.bands.category(density.value)
            reasons = (*reasons, reason("category-against-density", density_category=Phrase(f"category-{by_density}")))
        return Diagnosis(category, Basis.CLASSIFIER, density, shares, levels, reasons)

"""Diagnose by one density of several vertebrae together, as Niu 2023 printed it: no single one of them has a number."""

from dataclasses import dataclass

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import category_shares
from trabecula.quantity import QCT_BANDS, Bands, Category
from trabecula.records import Basis, Diagnosis, Readings, reason


@dataclass(frozen=True)
class BlockDiagnosis:
    """The category of the density that ``levels`` have together; undetermined where one of them is withheld.

    ``judged_by`` are those whose mean QCT the network learned to give.
    """

    levels: tuple[Level, ...]
    judged_by: tuple[Level, ...]
    bands: Bands = QCT_BANDS

    def __call__(self, readings: Readings) -> Diagnosis:
        """The category with its interval; nothing stands in for a vertebra that is missing."""
        density = None if readings.joint is None else readings.joint.density
        if density is None or density.quantity != self.bands.quantity:
            usable = [readings.find(level) for level in self.levels]
            at = tuple(one.level for one in usable if one is not None and not one.withheld)
            missing = reason("too-few-vertebrae", needed=len(self.levels), levels=self.levels, measurable=at)
            return Diagnosis(Category.UNDETERMINED, Basis.BANDS, None, {}, at, (missing,))
        shares = category_shares(density, self.bands)
        return Diagnosis(self.bands.category(density.value), Basis.BANDS, density, shares, self.levels)

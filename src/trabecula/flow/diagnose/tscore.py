"""Diagnose by the T-score of an areal BMD, as Yasaka 2020: how many SD it lies below the young mean of the same sex.

T-scores are defined for areal BMD alone (WHO 1994): at -2.5 and below osteoporosis, below -1 osteopenia.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trabecula.anatomy import Level
from trabecula.flow.diagnose.bands import category_shares
from trabecula.quantity import AREAL_BMD, CATEGORIES, Bands, Category, Measurement
from trabecula.records import Basis, Diagnosis, Effect, Readings, VertebraReading, reason

OSTEOPOROSIS_T, NORMAL_T = -2.5, -1.0


@dataclass(frozen=True)
class TScoreDiagnosis:
    """The mean of ``levels``, as many as there are but at least ``needed``, against ``young``: mean and SD by sex.

    Where the sex is not known there is a category only if both sexes' is the same, and it is as probable as their mean.
    """

    levels: tuple[Level, ...]
    young: Mapping[str, tuple[float, float]]
    needed: int = 2

    def __call__(self, readings: Readings) -> Diagnosis:
        """The category of the mean, with its interval."""
        found = [one for level in self.levels if (one := _usable(readings, level)) is not None]
        at = tuple(one.level for one in found)
        if len(found) < self.needed:
            missing = reason("too-few-vertebrae", needed=self.needed, levels=self.levels, measurable=at)
            return Diagnosis(Category.UNDETERMINED, Basis.T_SCORE, None, {}, at, (missing,))
        mean = _mean([one.density for one in found if one.density is not None])
        category = self.category(mean.value, readings.sex)
        if category is Category.UNDETERMINED:
            unknown = reason("sex-unknown")
            return Diagnosis(category, Basis.T_SCORE, mean, {}, at, (unknown,))
        sexes = self._sexes(readings.sex)
        by_sex = [category_shares(mean, self.bands(sex)) for sex in sexes]
        shares = {one: round(sum(each[one] for each in by_sex) / len(by_sex), 4) for one in CATEGORIES}
        told = tuple(
            reason("t-score", Effect.NOTE, score=self.t_score(mean.value, sex), young=self.young[sex][0])
            for sex in sexes
            if sex == readings.sex
        )
        return Diagnosis(category, Basis.T_SCORE, mean, shares, at, told)

    def t_score(self, areal_bmd_g_cm2: float, sex: str) -> float:
        """How many SD an areal BMD lies above the young mean of a sex, ``F`` or ``M``."""
        mean, sd = self.young[sex]
        return (areal_bmd_g_cm2 - mean) / sd

    def bands(self, sex: str) -> Bands:
        """The areal BMD at which categories meet, of a sex."""
        mean, sd = self.young[sex]
        return Bands(AREAL_BMD, mean + OSTEOPOROSIS_T * sd, mean + NORMAL_T * sd)

    def category(self, areal_bmd_g_cm2: float, sex: str | None) -> Category:
        """The category of an areal BMD; undetermined where it is one in women and another in men, and nobody says."""
        said = {self._of(self.t_score(areal_bmd_g_cm2, one)) for one in self._sexes(sex)}
        return said.pop() if len(said) == 1 else Category.UNDETERMINED

    def _sexes(self, sex: str | None) -> tuple[str, ...]:
        """The sex that is told, else every one that it may be."""
        return (sex,) if sex is not None and sex in self.young else tuple(self.young)

    @staticmethod
    def _of(t_score: float) -> Category:
        if t_score <= OSTEOPOROSIS_T:
            return Category.OSTEOPOROSIS
        return Category.OSTEOPENIA if t_score < NORMAL_T else Category.NORMAL


def _usable(readings: Readings, level: Level) -> VertebraReading | None:
    found = readings.find(level)
    if found is None or found.withheld or found.density is None or found.density.quantity != AREAL_BMD:
        return None
    return found


def _mean(densities: list[Measurement]) -> Measurement:
    """The mean of what one network says of one person: its errors are not independent, and the interval stays."""
    value = sum(one.value for one in densities) / len(densities)
    sd = max(one.own_sd for one in densities)
    return Measurement(value, (max(0.0, value - 1.96 * sd), value + 1.96 * sd), AREAL_BMD, sd)

"""Are the numbers Hounsfield units? Told by what every CT of a person holds: air around it, fat, muscle and blood.

A scanner is held to water at 0 +/- 7 HU, polyethylene (much like fat) at -107 to -84 and air at -1005 to -970 (ACR CT
accreditation phantom); Canon's air lies near -1024. What is further off was shifted, scaled or windowed afterwards.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy import ndimage

from trabecula.errors import refusal
from trabecula.messages import Phrase
from trabecula.records import Effect, Reason, reason
from trabecula.volume import Float32

SAMPLE_MM = 3.0
"""Side of the blocks that are looked at: noise is averaged, subcutaneous fat is wider."""

AIR_HU, AIR_SD_HU = -1002.0, 10.0
FAT_HU, FAT_SD_HU = -102.0, 8.0
SOFT_TISSUE_HU = (0.0, 130.0)
"""Ascites at the lower end, an enhanced liver at the upper."""

FAT_RISES_HU_PER_KV = 0.45, 0.3
"""Up to 120 kVp and beyond: by about 18 HU from 80 to 120 kVp, by 6 to 140 (NIST's coefficients of adipose tissue and
water)."""

SOUND_BELOW, OTHER_ABOVE = 12.0, 26.0
"""Sums of squared deviations of air and fat: shifted by 30 HU, they reach 12; by 50 HU, 26."""

ALONE_SOUND_HU, ALONE_OTHER_HU = 20.0, 42.0
"""How far fat alone, or air alone, may be off, where the other is not seen."""

LEAN_SHARE = 0.1
"""A person of whose even tissue less is fat: what there is lies in thin layers and blurs towards muscle."""

LEAN_RISES_HU = 32.0
CONTRAST_HU = (105.0, 215.0)
"""Between fat and the commonest tissue that is denser, where there is no air to hold the numbers against."""

MAX_DENSE_SHARE = 0.25
"""Of all tissue, so much is over 400 HU in no part of a body; a vertebra cropped alone has 4%."""

PAINTED_AIR_HU, LEAST_PAINTED_SHARE = (-1100.0, -900.0), 0.1
BIN_HU = 4.0
WINDOW_HU = (-400.0, 400.0)
BELOW_TISSUE_HU = -300.0
LOWEST_HU = -1600.0
LEAST_AIR_SHARE, LUNG_UNEVENNESS_HU = 0.2, 25.0
MAX_SAMPLES = 600_000


@dataclass(frozen=True)
class Peak:
    """A tissue as a mode of the histogram; ``share`` is that of the even tissue within 20 HU of it."""

    hu: float
    share: float


@dataclass(frozen=True)
class Tissues:
    """What was measured: the air about the patient (None if not seen), and the tissues, the thinnest first."""

    air_hu: float | None
    peaks: tuple[Peak, ...]
    dense_share: float = 0.0  # of what is not air, over the window of tissues

    @property
    def fat_hu(self) -> float | None:
        """The thinnest of several tissues, or of one that is no muscle."""
        thinnest = self.peaks[0].hu if self.peaks else None
        return None if thinnest is None or (len(self.peaks) == 1 and thinnest >= SOFT_TISSUE_HU[0]) else thinnest

    @property
    def soft_tissue_hu(self) -> float | None:
        """The thinnest tissue but fat."""
        return next((peak.hu for peak in self.peaks if peak.hu != self.fat_hu), None)


class Verdict(IntEnum):
    """Whether numbers may be Hounsfield units."""

    SOUND = 0
    DOUBTFUL = 1
    OTHER = 2


def judge(tissues: Tissues, tube_voltage_kvp: float | None = None) -> Verdict:
    """Hold what was measured against what every CT shows."""
    if not tissues.peaks or tissues.dense_share > MAX_DENSE_SHARE:
        return Verdict.OTHER
    thinnest = tissues.peaks[0]
    above_kv = (tube_voltage_kvp or 120.0) - 120.0
    fat_off = thinnest.hu - (FAT_HU + FAT_RISES_HU_PER_KV[above_kv > 0] * above_kv)
    if fat_off > 0 and thinnest.share < LEAN_SHARE:
        fat_off = max(0.0, fat_off - (LEAN_RISES_HU if tissues.air_hu is not None else LEAN_RISES_HU / 2))
    denser = tissues.peaks[1:] if len(tissues.peaks) > 1 else tissues.peaks
    if not any(SOFT_TISSUE_HU[0] <= peak.hu <= SOFT_TISSUE_HU[1] for peak in denser):
        return Verdict.OTHER
    no_fat = SOFT_TISSUE_HU[0] <= thinnest.hu <= SOFT_TISSUE_HU[1]
    if tissues.air_hu is not None:
        air_off = tissues.air_hu - AIR_HU
        if no_fat:
            return _graded(abs(air_off), ALONE_SOUND_HU + AIR_SD_HU, ALONE_OTHER_HU + AIR_SD_HU)
        return _graded((air_off / AIR_SD_HU) ** 2 + (fat_off / FAT_SD_HU) ** 2, SOUND_BELOW, OTHER_ABOVE)
    if no_fat:
        return Verdict.OTHER  # nothing to hold the numbers against
    verdict = _graded(abs(fat_off), ALONE_SOUND_HU, ALONE_OTHER_HU)
    commonest = max(tissues.peaks[1:], key=lambda peak: peak.share)  # the thinnest may be fluid
    if CONTRAST_HU[0] <= commonest.hu - thinnest.hu <= CONTRAST_HU[1]:
        return verdict
    return max(verdict, Verdict.DOUBTFUL)


def tissue_reasons(tissues: Tissues, tube_voltage_kvp: float | None = None) -> tuple[Reason, ...]:
    """The doubt, if there is one, whether these are Hounsfield units, by the values measured.

    Raises:
        Refusal: they are not.
    """
    verdict = judge(tissues, tube_voltage_kvp)
    if verdict is Verdict.SOUND:
        return ()
    unseen = Phrase("not-seen")
    air, fat, soft = (
        unseen if hu is None else round(hu) for hu in (tissues.air_hu, tissues.fat_hu, tissues.soft_tissue_hu)
    )
    if verdict is Verdict.OTHER:
        raise refusal("not-hounsfield-units.tissues", air=air, fat=fat, soft=soft)
    return (reason("hounsfield-doubtful", Effect.WITHHOLD, air=air, fat=fat, soft=soft),)


def _graded(off: float, sound: float, other: float) -> Verdict:
    return Verdict.SOUND if off <= sound else Verdict.DOUBTFUL if off <= other else Verdict.OTHER


def thin(slices: Float32, spacing_mm: tuple[float, float]) -> Float32:
    """Slices (..., row, column) as means over blocks of about 3 mm, four samples each."""
    blocks = [max(1, round(SAMPLE_MM / spacing)) for spacing in spacing_mm]
    rows, columns = (n // block * block for n, block in zip(slices.shape[-2:], blocks, strict=True))
    parts = [
        slices[..., row : rows : blocks[0], column : columns : blocks[1]]
        for row in sorted({0, blocks[0] // 2})
        for column in sorted({0, blocks[1] // 2})
    ]
    return np.asarray(sum(parts[1:], parts[0]) / np.float32(len(parts)), np.float32)


def unevenness(sample: Float32) -> Float32:
    """How much each block of (slice, row, column) differs from its neighbours in the slice, at most."""
    down, across = np.zeros_like(sample), np.zeros_like(sample)
    down[:, 1:] = np.abs(np.diff(sample, axis=1))
    across[:, :, 1:] = np.abs(np.diff(sample, axis=2))
    both = np.maximum(down, across)
    both[:, :-1] = np.maximum(both[:, :-1], down[:, 1:])
    both[:, :, :-1] = np.maximum(both[:, :, :-1], across[:, :, 1:])
    return both


def measure(sample: Float32) -> Tissues:
    """The tissues of a thinned scan (slice, row, column), in whatever units it is."""
    sample = sample[:: max(1, sample.size // MAX_SAMPLES)]  # whole slices: neighbours are compared
    uneven = unevenness(sample)
    tissue = (sample > WINDOW_HU[0]) & (sample < WINDOW_HU[1])
    dense = int(np.count_nonzero(sample >= WINDOW_HU[1]))
    dense_share = dense / max(1, dense + int(np.count_nonzero(tissue)))
    return Tissues(_air(sample, uneven), _peaks(sample[tissue], uneven[tissue]), dense_share)


def _air(sample: Float32, uneven: Float32) -> float | None:
    """The lowest mode of what is thinner than tissue at the edge of the picture; the table's foam lies above it.

    Within a body, lungs may reach the edge: they are uneven, or little of it.
    """
    height, width = sample.shape[1:]
    edge, rows, columns = np.ones((height, width), bool), max(1, height // 12), max(1, width // 12)
    edge[rows:-rows, columns:-columns] = False
    values, uneven = sample[:, edge], uneven[:, edge]
    low = (values < BELOW_TISSUE_HU) & (values > LOWEST_HU)
    # what is exactly even is a scanner's or a program's mark for "outside the field of view", seldom air
    seen = low & (uneven > 0)
    share = float(seen.mean())
    if share < LEAST_AIR_SHARE or (share < 0.5 and np.quantile(uneven[seen], 0.25) > LUNG_UNEVENNESS_HU):
        painted = values[(uneven == 0) & (values > PAINTED_AIR_HU[0]) & (values < PAINTED_AIR_HU[1])]
        return float(np.median(painted)) if painted.size > LEAST_PAINTED_SHARE * values.size else None
    modes = _modes(values[seen], LOWEST_HU, BELOW_TISSUE_HU, 0.25)
    return modes[0].hu if modes else None


def _peaks(values: Float32, uneven: Float32) -> tuple[Peak, ...]:
    if values.size < 200:
        return ()
    limit = max(15.0, float(np.quantile(uneven, 0.3)))
    even = uneven <= limit
    noisy = even & (uneven > 0)
    # where there is noise, what is exactly even was painted over by a program
    return _modes(values[noisy if noisy.sum() > 0.05 * even.sum() else even], *WINDOW_HU, 0.03)


def _modes(values: Float32, low: float, high: float, least: float) -> tuple[Peak, ...]:
    """Modes that reach ``least`` of the highest, in rising order."""
    counts, edges = np.histogram(values, np.arange(low, high + BIN_HU, BIN_HU))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 2.5)
    inner = smooth[1:-1]
    tops = 1 + np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > least * smooth.max()))
    near = ndimage.uniform_filter1d(smooth, 11, mode="constant") * 11
    return tuple(Peak(float(edges[i] + BIN_HU / 2), float(near[i] / max(values.size, 1))) for i in tops)

"""The checks that every recipe shares: a fracture, metal or half a body is none of a system's own business."""

from trabecula.flow.exclude import Exclusions
from trabecula.flow.exclude.cut import CutByView
from trabecula.flow.exclude.doubtful import MethodsDisagree, Uneven
from trabecula.flow.exclude.gap import InGap
from trabecula.flow.exclude.height import HeightLoss
from trabecula.flow.exclude.lesion import Cement, DenseFocus, FattyFocus, Osteophytes, Sclerosis
from trabecula.flow.exclude.metal import Metal, Screws
from trabecula.flow.exclude.outlier import DensityOutlier
from trabecula.flow.exclude.size import Incomplete, TooSmall

EXCLUSIONS = Exclusions(
    (
        *(CutByView(), InGap(), TooSmall(), Metal(), Screws(), Cement(), HeightLoss(), Incomplete()),
        *(DenseFocus(), Sclerosis(), FattyFocus(), Osteophytes(), DensityOutlier(), MethodsDisagree(), Uneven()),
    )
)
"""In this order: a later check does not compare with what an earlier one withheld."""

WHOLE_IMAGES = Exclusions((InGap(), Metal()))
"""Of systems that outline nothing: a region's size, shape and inside are not there to be checked."""

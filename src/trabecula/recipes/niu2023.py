"""Niu et al., Quant Imaging Med Surg 2023;13(8):5294-5305 (doi 10.21037/qims-22-1438).

Every number of the paper that is known stands here, and beside it ours where two CPU cores or other scanners forced
another one.
"""

from dataclasses import replace
from functools import partial

from trabecula.anatomy import Level
from trabecula.flow.diagnose import diagnose
from trabecula.flow.localise import localise
from trabecula.flow.measure import DensitySettings, measure
from trabecula.flow.segment import CropSettings, segment
from trabecula.recipe import Recipe

LEVELS = (Level.T12, Level.L1, Level.L2)

PAPER = {
    "crop_voxels_xyz": (150, 220, 120),  # 105 x 154 x 150 mm on its scanner: about 0.7 mm pixels, 1.25 mm slices
    "crop_columns": (180, 330),
    "crop_rows": (200, 420),
    "crop_slices_beyond_vertebrae": 5,
    "window_level_width_hu": (0, 400),
    "densenet": {"growth": 32, "compression": 0.5, "blocks": (6, 12, 24, 16)},
    "focal_loss_alpha_gamma": (0.6, 2.0),
    "optimiser": "Adam 3e-5, MultiStepLR 16/33 x 0.1, 50 epochs",
    "bands_mg_cm3": (80, 120),
}
"""The published settings."""

CROP = CropSettings(
    # The paper's 150 x 220 x 120 voxels hold 105 x 154 x 150 mm. The same field at 1.5 mm has a fourth as many
    # voxels: a training step of two patches then shows two cores four times as many vertebrae.
    shape=(104, 112, 80),
    spacing_mm=(1.5, 1.5, 1.5),
    window_hu=(0.0, 400.0),
    centre="spine",  # the paper's fixed columns and rows assume its own scanner's centring: centre="paper"
)

DENSITY = DensitySettings(
    shape=(32, 32, 32),  # one vertebra at a time, so that each has its own number and T12 can stand in
    spacing_mm=(2.0, 2.0, 2.0),  # a mean needs no fine voxels: a training step takes a fourth of that at 1 mm
    window_hu=(200.0, 800.0),  # the paper's 0/400 is white from 200 HU, 140 mg/cm3, on: no normal bone could be read
    bins_mg_cm3=(0.0, 300.0, 31),  # the paper does not give its classes
)

TRAINING = {
    # The paper's Adam at 3e-5 for 50 epochs of 300 patients is more than two cores can walk in an hour: a higher
    # rate with a cosine descent arrives sooner. The focal loss is the paper's; the expectation's error is added.
    "optimiser": "AdamW, cosine descent; localiser 1e-3, segmenter 2e-3, densitometer 1.5e-4",
    "focal_loss_alpha_gamma": (0.6, 2.0),
    "patients": "virtual",
}


def niu2023(centre: str = "spine") -> Recipe:
    """The recipe; ``centre="paper"`` cuts the crop at the paper's fixed columns and rows."""
    return Recipe(
        name="niu2023" if centre == "spine" else "niu2023-fixed-crop",
        source="Niu 2023, doi 10.21037/qims-22-1438",
        localise=partial(localise, weights="niu2023-localiser"),
        segment=partial(segment, weights="niu2023-segmenter", levels=LEVELS, crop=replace(CROP, centre=centre)),
        measure=partial(measure, weights="niu2023-densitometer", settings=DENSITY),
        diagnose=partial(diagnose, levels=(Level.L1, Level.L2), substitute=Level.T12),
        weights=("niu2023-localiser", "niu2023-segmenter", "niu2023-densitometer"),
        settings={"levels": list(LEVELS), "paper": PAPER, "training": TRAINING, "crop_centre": centre},
    )

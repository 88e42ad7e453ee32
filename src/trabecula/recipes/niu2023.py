"""Niu et al., Quant Imaging Med Surg 2023;13(8):5294-5305 (doi 10.21037/qims-22-1438).

Every number of the paper that is known stands here; ours, where two CPU cores or other scanners forced another one,
stand in the stages and with the weights:

- The paper's crop of 150 x 220 x 120 voxels holds 105 x 154 x 150 mm. Ours has the same field at 1.5 mm and a fourth
  as many voxels, so that a training step shows four times as many vertebrae. It lies about the spine, because the
  paper's fixed columns and rows assume its own scanner's centring (``niu2023-fixed-crop`` keeps them, and its five
  slices beyond the vertebrae with zero further on).
- The densitometer sees one vertebra at a time at 2 mm, so that each has its own number and T12 can stand in. Its window
  is 200/800: the paper's 0/400 is white from 200 HU, 140 mg/cm3, on, and no normal bone could be read. Its bins are
  ours; the paper does not give its classes. ``niu2023-block`` shows it the three vertebrae as one block, as the paper
  does, for one number; its network is not shipped.
"""

from dataclasses import replace

from trabecula.anatomy import Level
from trabecula.flow.calibrate.ladder import LadderCalibration
from trabecula.flow.diagnose.bands import BandDiagnosis
from trabecula.flow.diagnose.block import BlockDiagnosis
from trabecula.flow.localise.projection import ProjectionLocaliser
from trabecula.flow.measure.network import BlockDensity, NetworkDensity
from trabecula.flow.segment.crop import CropSegmenter
from trabecula.recipe import Recipe
from trabecula.recipes.exclusions import EXCLUSIONS

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

BLOCK = (Level.T12, Level.L1, Level.L2)

SEGMENT = CropSegmenter("niu2023-segmenter", BLOCK)

NIU2023 = Recipe(
    name="niu2023",
    source="Niu 2023, doi 10.21037/qims-22-1438",
    localise=ProjectionLocaliser("niu2023-localiser"),
    segment=SEGMENT,
    calibrate=LadderCalibration(),
    measure=NetworkDensity("niu2023-densitometer"),
    exclude=EXCLUSIONS,
    diagnose=BandDiagnosis(substitutes=(Level.T12,)),
    notes={"paper": PAPER},
)

NIU2023_FIXED_CROP = replace(NIU2023, name="niu2023-fixed-crop", segment=replace(SEGMENT, crop="paper"))
"""The same with the paper's crop: fixed columns and rows, five slices beyond the vertebrae, zero beyond."""

NIU2023_BLOCK = replace(
    NIU2023,
    name="niu2023-block",
    measure=BlockDensity("niu2023-block-densitometer", BLOCK),
    diagnose=BlockDiagnosis(BLOCK, judged_by=(Level.L1, Level.L2)),
)
"""The paper's own input; nothing can stand in for a vertebra that is withheld."""

"""A patient before the scanner, and the truth that is cut from it: densities, regions, mineral."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trabecula.anatomy import MEASURED_LEVELS, Level
from trabecula.virtual.attenuation import REFERENCE_KVP, TABLE, BoneScale, qct_bmd, yellow_shift_hu
from trabecula.virtual.canvas import Box
from trabecula.virtual.scanner import MARGIN_BY_THICKNESS
from trabecula.virtual.subject import Subject, VertebraShape
from trabecula.volume import Float32, Float64, Volume

TRABECULAR_MARGIN_MM = 2.5
"""How far inside the outer surface the trabecular region begins: what readers keep from a cortex, 2 to 2.5 mm."""

QCT_REGION_HEIGHT_MM = 9.0
"""The slab at mid height that QCT reads."""

FOREIGN_HU = 1250.0
"""At 120 kVp; the trabecular region of a body reads so high nowhere but in metal and in cement."""

CLEFT_MM = 12.0
"""From the posterior wall: the basivertebral vein's cleft, which QCT's region leaves out."""


@dataclass(frozen=True)
class Drawn:
    """A patient before the scanner: noise-free HU and the distances that truth is cut from, on one fine grid.

    ``bone`` leads from bone's HU at 120 kVp behind 20 cm of water to those of ``volume``; ``body`` and ``whole`` are
    VerSe ids of vertebral bodies and of vertebrae with their arches.
    """

    subject: Subject
    volume: Volume
    body: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    ribs: NDArray[np.uint8]  # VerSe ids of the vertebrae they join
    depth_mm: Float32
    end_mm: Float32
    bone: BoneScale

    def trabecular(self, thickness_mm: float = 1.0) -> NDArray[np.uint8]:
        """VerSe ids of the trabecular regions; thicker slices keep further from the end plates they blur."""
        end_margin = TRABECULAR_MARGIN_MM + MARGIN_BY_THICKNESS * max(0.0, thickness_mm - 2.0)
        inside = (self.depth_mm > TRABECULAR_MARGIN_MM) & (self.end_mm > end_margin)
        return np.where(inside, self.body, 0).astype(np.uint8)

    def qct_regions(self) -> NDArray[np.uint8]:
        """VerSe ids of the regions that QCT reads: elliptic cylinders at mid height, before the basivertebral cleft."""
        regions = np.zeros_like(self.body)
        boxes = ndimage.find_objects(self.body)
        for v in self.subject.spine:
            box = boxes[v.verse_id - 1] if v.verse_id <= len(boxes) else None
            if box is None:
                continue
            left, front, up = own_frame(self.volume, v, box)
            behind, before = CLEFT_MM - v.depth_mean_mm / 2, v.depth_mean_mm / 2 - 5
            ellipse = (left / (0.36 * min(v.width_mm))) ** 2
            ellipse += ((front - (behind + before) / 2) / ((before - behind) / 2)) ** 2
            mine = (ellipse < 1) & (np.abs(up) < QCT_REGION_HEIGHT_MM / 2) & (self.body[box] == v.verse_id)
            regions[box][mine & (self.depth_mm[box] > TRABECULAR_MARGIN_MM)] = v.verse_id
        return regions

    def bmd(self) -> dict[Level, float]:
        """QCT-equivalent BMD of each trabecular region, mg/cm3 K2HPO4: noise-free HU brought to 120 kVp.

        The patient's size cancels, as it does with a phantom in the same scan, and no contrast medium, metal or cement
        counts.
        """
        regions, found = self.trabecular(), {}
        for level in MEASURED_LEVELS:
            mask = regions == level.verse_id
            findings = self.subject.vertebra(level).findings
            if findings.screws or findings.cement_mm:
                mask &= ~self._foreign()
            if mask.any():
                found[level] = self.bmd_of(mask)
        return found

    def _foreign(self) -> NDArray[np.bool_]:
        """Metal and cement with the voxels that they share with bone."""
        bright = (self.volume.hu - self.bone.offset_hu) / self.bone.slope > FOREIGN_HU
        return np.asarray(ndimage.binary_dilation(bright, iterations=1))

    def bmd_of(self, mask: NDArray[np.bool_]) -> float:
        """QCT-equivalent BMD of any part of the bone, mg/cm3 K2HPO4."""
        return qct_bmd(self.bone.hu_at_120(float(self.volume.hu[mask].mean(dtype=float))))

    def mineral_mg_cm3(self, mask: NDArray[np.bool_]) -> Float64:
        """Hydroxyapatite of each voxel of a mask: what its HU at 120 kVp lie above marrow."""
        at = TABLE[REFERENCE_KVP]
        hu = (self.volume.hu[mask].astype(float) - self.bone.offset_hu) / self.bone.slope
        marrow_hu = at.marrow_hu(self.subject.yellow_marrow, yellow_shift_hu(self.subject.seed))
        return np.asarray((hu - marrow_hu) / at.bone_slope_ha)


def own_frame(volume: Volume, v: VertebraShape, box: Box) -> Float64:
    """Left, anterior and up in mm from a vertebra's middle, (3, z, y, x) of a box of voxels."""
    index = np.moveaxis(np.asarray(np.mgrid[box]), 0, -1)
    return np.moveaxis((volume.to_lps(index) - v.centre_lps_mm) @ v.axes.T, -1, 0)


@dataclass(frozen=True)
class LevelTruth:
    """All that is known of one vertebra, whatever scan is made of it."""

    bmd_k2hpo4: float  # QCT-equivalent, mg/cm3: the whole trabecular region
    bmd_qct_region_k2hpo4: float  # and QCT's region at mid height
    bmd_hydroxyapatite: float  # mass of mineral in the trabecular region, mg/cm3
    trabecular_mm3: float
    body_mm3: float
    mineral_g: float  # of the whole vertebra but its transverse processes, as DXA sees it
    projected_cm2: float  # antero-posteriorly


def level_truth(drawn: Drawn, level: Level) -> LevelTruth:
    """Reads a vertebra's truth off a grid that holds it whole, arch and all."""
    v = drawn.subject.vertebra(level)
    found = ndimage.find_objects(drawn.whole)[level.verse_id - 1]
    z, y, x = (slice(max(part.start - 1, 0), part.stop + 1) for part in found)
    part = _part(drawn, (z, y, x))
    trabecular = part.trabecular() == level.verse_id
    region = part.qct_regions() == level.verse_id
    z, y, x = (slice(0, n) for n in part.volume.shape)
    sideways = np.abs(own_frame(part.volume, v, (z, y, x))[0])
    scanned = (part.whole == level.verse_id) & (sideways < max(v.width_mm) / 2 + 3)
    # Voxels that bone fills by less than half hold a third of a thin cortex.
    weighed = ndimage.binary_dilation(scanned) & ((part.whole == 0) | scanned)
    voxel_mm3, (z_mm, _, x_mm) = part.volume.voxel_volume_mm3, part.volume.spacing_mm
    return LevelTruth(
        bmd_k2hpo4=part.bmd_of(trabecular),
        bmd_qct_region_k2hpo4=part.bmd_of(region if region.any() else trabecular),
        bmd_hydroxyapatite=float(part.mineral_mg_cm3(trabecular).mean()),
        trabecular_mm3=float(trabecular.sum() * voxel_mm3),
        body_mm3=float((part.body == level.verse_id).sum() * voxel_mm3),
        mineral_g=float(np.maximum(part.mineral_mg_cm3(weighed), 0).sum() * voxel_mm3 * 1e-6),
        projected_cm2=float(scanned.any(axis=1).sum() * z_mm * x_mm / 100),
    )


def _part(drawn: Drawn, box: Box) -> Drawn:
    affine = drawn.volume.affine.copy()
    affine[:3, 3] = drawn.volume.to_lps(np.array([part.start for part in box]))
    return replace(
        drawn,
        volume=Volume(drawn.volume.hu[box], affine),
        body=drawn.body[box],
        whole=drawn.whole[box],
        ribs=drawn.ribs[box],
        depth_mm=drawn.depth_mm[box],
        end_mm=drawn.end_mm[box],
    )


def areal_bmd_g_cm2(truth: dict[Level, LevelTruth], levels: tuple[Level, ...]) -> float | None:
    """What DXA would say of some vertebrae: their mineral over their projected area; None where one is missing."""
    if any(level not in truth for level in levels):
        return None
    return sum(truth[level].mineral_g for level in levels) / sum(truth[level].projected_cm2 for level in levels)


DXA_LEVELS = (Level.L1, Level.L2, Level.L3, Level.L4)
"""The vertebrae that a spine DXA measures."""

"""Slices of virtual patients through the polychromatic beam: does the drawn HU agree with physics?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trabecula.anatomy import Level
from trabecula.evaluation.world.beam import BONE_HA_MG_CM3, MATERIALS, Beam, Sinogram, materials_of, reconstruct
from trabecula.evaluation.world.voltage import REFERENCE_PATH_MM, hu_per_mg_ha, path_through_mm, plain
from trabecula.virtual.attenuation import yellow_shift_hu
from trabecula.virtual.cohort import draw, torso_grid
from trabecula.volume import Float64

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BONE_FROM_HU = 110.0
"""Outside the labelled bodies, what is denser is taken for bone: vessels hold no contrast medium, bowel seldom does."""


@dataclass(frozen=True)
class SliceHu:
    """The trabecular mean of one slice, in HU: as drawn and after physics."""

    seed: int
    level: Level
    kvp: int
    path_mm: float
    bmd: float
    drawn_hu: float
    physics_hu: float

    @property
    def off_hu(self) -> float:
        """Physics against the drawing."""
        return self.physics_hu - self.drawn_hu


@dataclass(frozen=True)
class Examined:
    """A slice (y, x) at 120 kVp, before and after, and what came of it at every voltage.

    ``resolved_hu`` is the mean after projecting and reconstructing the drawn slice as it is, without a spectrum.
    """

    rows: list[SliceHu]
    resolved_hu: float
    drawn: Float64
    physics: Float64
    region: NDArray[np.bool_]


def examine(
    seed: int, level: Level, voltages: tuple[int, ...] = (80, 100, 120, 140), pixel_mm: float = 1.0
) -> Examined:
    """One slice through the middle of a vertebra of a plain patient."""
    subject = plain(seed)
    vertebra = subject.vertebra(level)
    z = vertebra.centre_lps_mm[2]
    grid = torso_grid(subject, (z - pixel_mm / 2, z + pixel_mm / 2), pixel_mm)
    drawn = {kvp: draw(subject, grid, kvp) for kvp in {120, *voltages}}
    at_120 = drawn[120]
    hu = at_120.volume.hu[0].astype(float)
    body, region = at_120.body[0] > 0, at_120.trabecular()[0] == level.verse_id
    bmd = at_120.bmd()[level]
    bone = body | (hu > BONE_FROM_HU)
    # What bone is, whatever its HU in this patient: those behind the reference path.
    reference = np.where(bone, (hu - at_120.bone.offset_hu) / at_120.bone.slope, hu)
    yellow_hu = Beam.of(120).mean_hu(MATERIALS["yellow"], REFERENCE_PATH_MM) + yellow_shift_hu(seed)
    maps = materials_of(reference, bone, subject.yellow_marrow, yellow_hu, hu_per_mg_ha(120))
    sinogram = Sinogram.of([*maps.values()], pixel_mm)
    path = path_through_mm(at_120.volume, np.array(vertebra.centre_lps_mm))
    rows, images = [], {}
    alone = Sinogram.of([np.maximum(1 + hu / 1000, 0)], pixel_mm)
    resolved = 1000 * (alone.back_projected(alone.lines[0]) - 1)
    for kvp in voltages:
        shown = drawn[kvp].volume.hu[0].astype(float)
        images[kvp] = reconstruct(sinogram, list(maps), Beam.of(kvp))
        rows.append(
            SliceHu(seed, level, kvp, path, bmd, float(shown[region].mean()), float(images[kvp][region].mean()))
        )
    return Examined(rows, float(resolved[region].mean()), hu, images[120 if 120 in images else voltages[0]], region)


def tissue_hu(kvp: int, path_mm: float = 200.0) -> dict[str, float]:
    """HU of the materials behind a water path, to hold against the specification's table."""
    beam = Beam.of(kvp)
    hu = {name: beam.mean_hu(MATERIALS[name], path_mm) for name in ("yellow", "red", "adipose", "bone")}
    for marrow in ("red", "yellow"):
        hu[f"slope in {marrow}"] = (hu["bone"] - hu[marrow]) / BONE_HA_MG_CM3
    return hu


def figure(examined: Examined) -> "Figure":
    """The drawn slice, the reconstructed one, and their difference."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(9, 2.6), layout="constrained")
    axes = drawn.subplots(1, 3)
    row = next(r for r in examined.rows if r.kvp == 120)
    images = (examined.drawn, examined.physics, examined.physics - examined.drawn)
    titles = (
        f"drawn: {row.drawn_hu:.0f} HU inside {row.level.value}",
        f"polychromatic beam: {row.physics_hu:.0f} HU",
        "difference",
    )
    for ax, image, title, limits in zip(axes, images, titles, ((-160, 340), (-160, 340), (-50, 50)), strict=True):
        shown = ax.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
        ax.contour(examined.region, [0.5], colors="#e0a030", linewidths=0.6)
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
        drawn.colorbar(shown, ax=ax, shrink=0.8).ax.tick_params(labelsize=7)
    return drawn

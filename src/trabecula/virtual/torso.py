"""A torso to learn counting from: one person in one field of view on a coarse grid, scanned, with what is true of it.

    torso = draw_torso(seed)                     # 3 mm, any field of view, family a, variants often
    torso.volume.hu, torso.body, torso.ribs      # (z, y, x) HU; VerSe ids of bodies; of the vertebra a rib joins
    torso.truth.bodies[7].rib_mm                 # right and left, mm; 0: none

About a CPU-second at 3 mm (``benchmarks/generator.py``), one thread. The same seed gives the same torso.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trabecula.virtual.cohort import MASKED_HU, draw, within_skin
from trabecula.virtual.counting import CountingTruth, counting_truth
from trabecula.virtual.families import sample_person
from trabecula.virtual.fields import Field, sample_field
from trabecula.virtual.findings import VARIANTS, Rates
from trabecula.virtual.scanner import Protocol, acquire, sample_protocol
from trabecula.virtual.subject import Subject
from trabecula.volume import Volume

LOW_DOSE = ("chest", "chest-short", "trunk")
"""Fields of view that are often scanned with little dose."""


@dataclass(frozen=True)
class Torso:
    """A scanned torso: ``body`` and ``ribs`` are VerSe ids on the grid of ``volume``, of vertebral bodies and of the
    vertebrae that ribs join; ``whole`` of vertebrae with their arches; S1 (26) stands for its first body.
    """

    subject: Subject
    field: Field
    protocol: Protocol
    volume: Volume
    body: NDArray[np.uint8]
    whole: NDArray[np.uint8]
    ribs: NDArray[np.uint8]
    truth: CountingTruth


def draw_torso(
    seed: int,
    spacing_mm: float = 3.0,
    family: str = "a",
    field: str | None = None,
    rates: Rates = VARIANTS,
    bmd_mg_cm3: float | None = None,
) -> Torso:
    """A person, field of view and scan of this seed on a grid of ``spacing_mm``.

    ``field`` is one of ``fields.FIELD_KINDS``; None takes any. The affine is axial: no turn, no flip.

    Raises:
        ValueError: an unknown family or field.
    """
    subject = sample_person(seed, bmd_mg_cm3, rates, family)
    rng = np.random.default_rng([seed, 47])
    view = sample_field(subject, rng, field)
    protocol = _protocol(view, rng)
    drawn = draw(subject, view.grid(spacing_mm), protocol.kvp)
    grid = view.grid(spacing_mm)
    # A coarse voxel averages the noise of many fine ones.
    shrink = min(1.0, protocol.pixel_mm / spacing_mm * 1.5) * min(
        1.0, (max(protocol.thickness_mm, 0.5) / spacing_mm) ** 0.5
    )
    coarse = replace(protocol, noise_hu=protocol.noise_hu * shrink, noise_peak_per_mm=0.4 / spacing_mm)
    volume = acquire(drawn.volume, coarse, rng, grid)
    if view.masked:
        volume.hu[~within_skin(drawn.volume.hu)] = MASKED_HU
    return Torso(subject, view, protocol, volume, drawn.body, drawn.whole, drawn.ribs, counting_truth(subject))


def _protocol(view: Field, rng: np.random.Generator) -> Protocol:
    """A protocol as they are met; chests and trunks more often of low dose and in wide pixels, without turn."""
    protocol = sample_protocol(rng)
    if view.kind in LOW_DOSE and rng.random() < 0.4:
        protocol = replace(protocol, noise_hu=min(80.0, protocol.noise_hu * float(rng.uniform(1.2, 2.2))))
    if view.kind in ("trunk", "planning"):
        wide = float(rng.uniform(0.97, 1.4)) if rng.random() < 0.7 else float(rng.uniform(1.4, 3.0))
        protocol = replace(protocol, pixel_mm=wide, thickness_mm=max(protocol.thickness_mm, float(rng.uniform(2, 5))))
    return replace(protocol, rotation_deg=0.0, off_centre_mm=(0.0, 0.0), field_of_view_mm=None)

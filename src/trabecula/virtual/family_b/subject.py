"""Family b: virtual people built in another way, for judging what was trained on family a.

Nothing of the shapes is shared with family a. Bodies are polar profiles of a mean mesh of 87 patients instead of
superellipses of published tables; arches are boxes and ellipsoids instead of capsules; trabeculae are a network of
fibres instead of lattice noise; the spine's curve is a formula; ribs lie in planes; the iliac wings are parts
of a bowl; organs and muscles are laid out anew (``tissue``). What is no shape is shared: ages, densities,
the rates and the inner look of findings, attenuation, and the margin at which trabecular truth begins.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from trabecula.anatomy import Level
from trabecula.virtual.findings import Rates
from trabecula.virtual.subject import ANYBODY, Subject, Who, cortex_share, sample_subject, stack, upright_axes

FAMILY = 77
"""Sets the streams of this family's random numbers apart."""


def sample_subject_b(seed: int, bmd_mg_cm3: float | None, rates: Rates, asked: Who = ANYBODY) -> Subject:
    """A person of family b: who it is and what has befallen it as in family a, every dimension its own."""
    who = sample_subject(seed, bmd_mg_cm3, rates, asked)
    rng = np.random.default_rng([seed, FAMILY, 1])
    k = (0.92 if who.sex == "F" else 1.0) * rng.uniform(0.9, 1.1)
    phase, curve, tilt = rng.uniform(-2, 2), rng.uniform(0.6, 1.4), rng.uniform(-3, 3)
    sway, twist = rng.normal(0, 3.5), rng.normal(0, 3)
    slim, flat, low = rng.uniform(0.94, 1.06), rng.uniform(0.94, 1.06), rng.uniform(0.94, 1.06)
    worn = np.clip(1.12 - 0.004 * (who.age_years - 30), 0.7, 1.2) * rng.uniform(0.8, 1.15)
    waist = (float(rng.uniform(0.1, 0.2)), float(rng.uniform(0.06, 0.16)))
    traits: dict[str, Any] = {
        "waist": waist,
        "cortex_mm": float(rng.uniform(0.25, 0.75)) * cortex_share(who.vertebra(Level.L1).bmd_k2hpo4),
        "concavity_mm": float(rng.uniform(0.8, 3.2)),
    }
    names = [v.name for v in who.spine]
    shapes = []
    for index, old in enumerate(who.spine):
        step = index - names.index("L3")  # levels below L3
        own = rng.normal(1, 0.025, 8)
        width = np.clip(49.5 + 1.9 * step + (0.055 * step**2 if step < -4 else 0), 17, 53) * k * slim * own[0]
        deep = np.clip(35.2 + 0.75 * step, 16, 37) * k * flat * own[1]
        tall = np.clip(28.3 + 0.85 * min(step, 0), 12.5, 29) * k * low * own[2]
        sacrum = old.name == "S1"
        disc = float(np.clip(9.3 + 0.85 * step, 3.6, 11.5) * k * worn * own[3])
        # Lordosis as half a wave, kyphosis as a power of the height above it, the sacrum at its own slope.
        bow = -2 + 11 * np.cos((step + 3.2) / 1.9) if step > -3.2 else 9 - 0.8 * (-3.2 - step) ** 1.45
        lean = tilt + curve * bow + phase
        lean = -float(np.clip(30 * curve, 16, 50)) if sacrum else float(np.clip(lean, -34, 24))
        shapes.append(
            replace(
                old,
                width_mm=(float(0.985 * width), float(width * 1.02)) if not sacrum else (float(50 * k), float(34 * k)),
                depth_mm=(float(deep), float(deep * 1.01)) if not sacrum else (float(33 * k), float(22 * k)),
                height_mm=float(tall),
                wedge_deg=float(2.2 - 0.5 * step - 0.28 * max(step, 0) ** 2 + rng.normal(0, 1.5)),
                canal_mm=(float(22.5 * k * own[4] + 0.8 * max(step, 0)), float(15.8 * k * own[5])),
                pedicle_mm=(float((8.8 + 1.6 * max(step, -1)) * k * own[6]), float(15.0 * k)),
                transverse_span_mm=float(np.clip(84 + 4.5 * step, 48, 92) * k * own[7] * (1.2 if step < -5 else 1.0)),
                spinous_mm=float(np.clip(54 - 1.2 * abs(step), 26, 60) * k),
                disc_below_mm=max(2.4, disc * (0.4 if any(old.ala_mm) else 1.0)),
                axes=upright_axes(
                    lean, float(sway * np.sin(index / 3.1) + rng.normal(0, 0.7)), twist + float(rng.normal(0, 1))
                ),
                **traits,
            )
        )
    return replace(
        who,
        family="b",
        scale=float(k),
        spine=stack(shapes),
        half_width_mm=float(np.clip(who.half_width_mm * rng.uniform(0.9, 1.1), 122, 220)),
        half_depth_mm=float(np.clip(who.half_depth_mm * rng.uniform(0.88, 1.12), 84, 165)),
    )

"""The same person scanned once more, with one thing changed: pairs for precision, kernel, voltage and contrast."""

from dataclasses import replace
from enum import StrEnum

import numpy as np

from trabecula.virtual.attenuation import TUBE_VOLTAGES_KVP
from trabecula.virtual.cohort import VirtualCt, scan_field
from trabecula.virtual.scanner import KERNELS, NOISE_BY_KVP, Protocol, kernel_of, with_kernel


class Rescan(StrEnum):
    """What differs from the first scan beside noise, place on the table and view."""

    SAME = "same"
    KERNEL = "kernel"  # another reconstruction of the very same acquisition: place and view stay
    VOLTAGE = "voltage"
    CONTRAST = "contrast"  # enhanced where the first was plain, plain where it was enhanced


def scan_again(ct: VirtualCt, what: Rescan) -> VirtualCt:
    """A second CT of the person of ``ct``, with the same truth."""
    rng = np.random.default_rng([ct.subject.seed, 15])
    subject, protocol, field = ct.subject, ct.protocol, ct.field
    if what is not Rescan.KERNEL:
        low, high = rng.normal(0, 8, 2)
        field = replace(field, low_mm=field.low_mm + float(low), high_mm=field.high_mm + float(high))
    if what is Rescan.KERNEL:
        others = [k for k in range(len(KERNELS)) if k != kernel_of(protocol)]
        protocol = with_kernel(protocol, int(rng.choice(others)), rng)
    elif what is Rescan.VOLTAGE:
        protocol = _at_voltage(protocol, int(rng.choice([k for k in TUBE_VOLTAGES_KVP if k != protocol.kvp])))
    elif what is Rescan.CONTRAST:
        subject = replace(subject, phase="portal" if subject.phase == "none" else "none")
    return scan_field(subject, protocol, field, int(what is not Rescan.KERNEL), ct.truth)


def _at_voltage(protocol: Protocol, kvp: int) -> Protocol:
    noise_hu = protocol.noise_hu * NOISE_BY_KVP[kvp] / NOISE_BY_KVP[protocol.kvp]
    return replace(protocol, kvp=kvp, noise_hu=noise_hu)

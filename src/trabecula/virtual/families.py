"""The two families of virtual people by name: ``a``, which networks learn from, and ``b``, which only judges them."""

from trabecula.virtual.family_b.subject import sample_subject_b
from trabecula.virtual.findings import LEARNT, Rates
from trabecula.virtual.subject import Subject, sample_subject

FAMILIES = ("a", "b")


def sample_person(seed: int, bmd_mg_cm3: float | None = None, rates: Rates = LEARNT, family: str = "a") -> Subject:
    """A person of one of the ``FAMILIES``, as ``sample_subject``.

    Raises:
        ValueError: an unknown family.
    """
    samplers = {"a": sample_subject, "b": sample_subject_b}
    if family not in samplers:
        raise ValueError(f"unknown family {family!r}")
    return samplers[family](seed, bmd_mg_cm3, rates)

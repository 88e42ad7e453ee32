"""The two families of virtual people by name: ``a``, which networks learn from, and ``b``, which only judges them."""

from collections.abc import Callable

from trabecula.virtual.family_b.subject import sample_subject_b
from trabecula.virtual.findings import LEARNT, Rates
from trabecula.virtual.subject import ANYBODY, Subject, Who, sample_subject

FAMILIES = ("a", "b")

Sampler = Callable[[int, float | None, Rates, Who], Subject]


def sample_person(
    seed: int, bmd_mg_cm3: float | None = None, rates: Rates = LEARNT, family: str = "a", who: Who = ANYBODY
) -> Subject:
    """A person of one of the ``FAMILIES``, as ``sample_subject``.

    Raises:
        ValueError: an unknown family.
    """
    samplers: dict[str, Sampler] = {"a": sample_subject, "b": sample_subject_b}
    if family not in samplers:
        raise ValueError(f"unknown family {family!r}")
    return samplers[family](seed, bmd_mg_cm3, rates, who)

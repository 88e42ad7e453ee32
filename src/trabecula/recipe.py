"""A recipe: which function does each stage, with which settings. Recipes are instances, never subclasses."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trabecula.records import Densities, Diagnosis, Regions, Scan, Spine


@dataclass(frozen=True)
class Recipe:
    """The four stages of a screening between reading and reporting, each already holding its settings."""

    name: str
    source: str  # the publication it follows
    localise: Callable[[Scan], Spine]
    segment: Callable[[Scan, Spine], Regions]
    measure: Callable[[Scan, Regions], Densities]
    diagnose: Callable[[Densities], Diagnosis]
    weights: tuple[str, ...] = ()  # names in the weights manifest
    settings: dict[str, Any] = field(default_factory=dict)  # for the run record

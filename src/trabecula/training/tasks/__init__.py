"""The trainings there are, by the weights that come of them; each module is loaded when its weights are asked for."""

from collections.abc import Callable
from importlib import import_module

from trabecula.errors import wrong_usage
from trabecula.training.task import Task

MODULES: dict[str, str] = {
    "house-counter": "counting",
    "house-finder": "house",
    "house-segmenter": "house",
    "niu2023-localiser": "niu2023",
    "niu2023-segmenter": "niu2023",
    "niu2023-densitometer": "niu2023",
    "niu2023-block-densitometer": "niu2023",
    "fang2021-segmenter": "fang2021",
    "fang2021-densitometer": "fang2021",
    "peng2023-segmenter": "peng2023",
    "peng2023-densitometer": "peng2023",
    "peng2023-classifier": "peng2023",
    "pan2024-segmenter": "pan2024",
    "pan2024-classifier": "pan2024",
    "pan2024-classifier-l1": "pan2024",
    "yasaka2020-reader": "yasaka2020",
}
"""Weights and the module here whose ``TASKS`` holds a function that makes their task."""


def task_for(weights: str) -> Task:
    """The training of some weights.

    Raises:
        WrongUsage: ``no-training``: there is none; ``package-missing``: it takes a package that is not installed.
    """
    if weights not in MODULES:
        raise wrong_usage("no-training", weights=weights, choices=tuple(MODULES))
    makers: dict[str, Callable[[], Task]] = import_module(f"{__name__}.{MODULES[weights]}").TASKS
    try:
        return makers[weights]()
    except ModuleNotFoundError as error:
        raise wrong_usage("package-missing", weights=weights, package=str(error.name)) from error

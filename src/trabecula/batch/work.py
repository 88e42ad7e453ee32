"""What a worker does: one study, whatever it brings, and its row. Networks stay compiled for the worker's life."""

import gc
import os
import sys
import time
import warnings
from pathlib import Path

from trabecula.batch.rows import Asked, Row, row_of, row_without
from trabecula.batch.studies import Item, Untaken
from trabecula.errors import TrabeculaError, fault, refusal, wrong_usage

OUT_OF_MEMORY = refusal("scan-too-large-for-memory.batch")
MISSING = wrong_usage("input-missing.table")


def version() -> str:
    """Which Trabecula a worker runs."""
    from trabecula import __version__

    return __version__


def begin(place: int, workers: int, memory_bytes: int) -> None:
    """Readies one of several workers of a machine: cores of its own, and a bound on its memory.

    Networks of several would crowd one another. The bound makes a scan that is too large fail by itself, and be told,
    before the system kills the worker for it.
    """
    warnings.simplefilter("ignore")  # libraries quote headers
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if workers <= len(cores):
            os.sched_setaffinity(0, cores[place % workers :: workers])
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def screen_item(item: Item, asked: Asked) -> Row:
    """The row of a study; nothing that one study does is an exception to the others."""
    from trabecula.dicom.contents import Choice
    from trabecula.export.bundle import Wanted
    from trabecula.recipes import recipe_named
    from trabecula.screening import assess, read_input, screen_to_folder

    started = time.perf_counter()
    try:
        if item.trouble[0]:
            raise Untaken(*item.trouble)
        path = Path(item.local or item.path)
        if not item.path or not path.exists():
            raise MISSING
        recipe, choice = recipe_named(asked.recipe), Choice(item.study, item.series)
        wanted = Wanted(deidentify=asked.deidentify, language=asked.language)
        if asked.reports:
            folder = Path(asked.reports) / f"{item.number:06d}"
            assessment, _ = screen_to_folder(path, folder, recipe, wanted, choice=choice)
        else:
            assessment = assess(read_input(path, wanted, choice=choice), recipe)
        return row_of(item, asked, assessment, time.perf_counter() - started)
    except TrabeculaError as error:
        failed: TrabeculaError = error
    except MemoryError:
        failed = OUT_OF_MEMORY
    except Exception as error:
        failed = fault(error)
    finally:
        gc.collect()
    return row_without(item, asked, failed, time.perf_counter() - started)

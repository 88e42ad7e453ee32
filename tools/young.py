"""The young reference of virtual people: mean and SD of their areal BMD by DXA, L1 to L4, at 20 to 29 years.

    python tools/young.py --people 200

Prints a line for each sex, for T-scores of virtual patients. Simulated: no reference for anybody.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Annotated

import numpy as np
import typer

from trabecula.virtual.dxa import YOUNG_SEED, young_areal_bmd


def main(
    people: Annotated[int, typer.Option(min=2, max=10_000, help="How many of each sex.")] = 200,
    workers: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 1,
) -> None:
    """Measures young women and men."""
    print(f"Areal BMD by virtual DXA, L1 to L4, g/cm2, {people} people of each sex, seeds from {YOUNG_SEED}; simulated")
    with ProcessPoolExecutor(workers) as pool:
        for sex in ("F", "M"):
            measured = np.array(list(pool.map(partial(young_areal_bmd, sex), range(people), chunksize=10)))
            error = measured.std(ddof=1) / np.sqrt(people)
            print(f"{sex}: mean {measured.mean():.4f} (standard error {error:.4f}), SD {measured.std(ddof=1):.4f}")


if __name__ == "__main__":
    typer.run(main)

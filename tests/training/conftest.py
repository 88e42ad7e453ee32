"""Two simulated patients, made once."""

from pathlib import Path

import pytest

from trabecula.virtual.order import Order, simulate


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("training") / "simulated"
    simulate(Order(seed=31, protocol="abdomen-thick", format="nifti"), 2, out, 2, lambda done: None)
    return out

"""A simulated cohort of one patient, with a second scan, made once."""

from pathlib import Path

import pytest

from trabecula.virtual.order import Order, simulate


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "simulated"
    order = Order(seed=11, protocol="abdomen-thick", format="nifti", rescan="same")
    simulate(order, 1, out, 1, lambda done: None)
    return out

"""What a number means: its bands and their closed ends, how it is shown; rounding never changes its category."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trabecula.quantity import (
    AREAL_BMD,
    BANDS,
    QCT_BANDS,
    QUANTITIES,
    VBMD_HA,
    VBMD_K2HPO4,
    Category,
    Measurement,
    rounded,
)


@pytest.mark.parametrize(
    ("bmd", "expected"),
    [
        *((-20.0, "osteoporosis"), (79.999, "osteoporosis"), (80.0, "osteopenia"), (80.001, "osteopenia")),
        *((119.999, "osteopenia"), (120.0, "osteopenia"), (120.001, "normal"), (250.0, "normal")),
    ],
)
def test_the_closed_ends_of_the_bands(bmd: float, expected: str) -> None:
    assert QCT_BANDS.category(bmd) == Category(expected)


def test_only_k2hpo4_density_has_bands_of_its_own() -> None:
    assert {key: bands.quantity for key, bands in BANDS.items()} == {VBMD_K2HPO4.key: VBMD_K2HPO4}


@pytest.mark.parametrize(
    ("bmd", "shown"),
    [
        *((79.97, "79.97"), (80.0, "80.0"), (79.9996, "79.9996"), (120.04, "120.04"), (120.0, "120.0")),
        *((97.26, "97.3"), (0.0, "0.0"), (100.0, "100.0")),
    ],
)
def test_a_density_is_shown_on_its_side_of_the_bands(bmd: float, shown: str) -> None:
    assert Measurement(bmd, (0.0, 200.0)).shown == shown


@given(st.floats(-100, 400), st.integers(0, 3))
def test_rounding_never_crosses_a_band(bmd: float, digits: int) -> None:
    kept = rounded(VBMD_K2HPO4, bmd, digits)
    assert kept == pytest.approx(bmd, abs=0.5 * 10**-digits + 1e-9)
    assert QCT_BANDS.category(kept) is QCT_BANDS.category(round(bmd, 12))


@pytest.mark.parametrize(
    ("quantity", "value", "interval", "shown", "ends"),
    [
        (AREAL_BMD, 0.8, (0.7049, 0.9), "0.800", ("0.70", "0.90")),
        (AREAL_BMD, 0.81249, (0.7, 0.95), "0.812", ("0.70", "0.95")),
        (VBMD_K2HPO4, 104.76, (90.0, 119.5), "104.8", ("90", "120")),
        (VBMD_HA, 79.97, (60.4, 99.0), "80.0", ("60", "99")),  # it has no bands to stay on a side of
    ],
)
def test_a_value_and_its_interval_are_shown_with_the_digits_of_their_kind(
    quantity: object, value: float, interval: tuple[float, float], shown: str, ends: tuple[str, str]
) -> None:
    measured = Measurement(value, interval, quantity)  # type: ignore[arg-type]
    assert (measured.shown, measured.interval_shown) == (shown, ends)


def test_quantities_are_found_by_their_keys_and_compared_by_value() -> None:
    for key, quantity in QUANTITIES.items():
        assert quantity.key == key
        assert pickle.loads(pickle.dumps(quantity)) == quantity
    assert len(set(QUANTITIES.values())) == len(QUANTITIES)

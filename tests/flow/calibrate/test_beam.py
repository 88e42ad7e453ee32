"""What a beam shows of mineral, iodine and tissues: against other computations and the literature."""

import ast
from pathlib import Path

import numpy as np
import pytest

from trabecula.flow.calibrate import beam
from trabecula.flow.calibrate.beam import Beam, at_energies, energies_kev, slope_at_energy
from trabecula.flow.calibrate.voltage import beam_of, possible_slopes, tin_filter_mm, to_reference_voltage, voltage_rung
from trabecula.records import Acquisition
from trabecula.virtual import attenuation


def test_another_computation_agrees() -> None:
    """Mean of tungsten spectra behind 20 cm of water, from the specification: K2HPO4, iodine, marrow at 120 kVp."""
    found = Beam(120, 200)
    assert found.slope_k2hpo4 == pytest.approx(1.422, rel=0.02)
    assert found.iodine == pytest.approx(28, rel=0.05)
    assert found.tissue_hu("yellow_marrow") == pytest.approx(-52, abs=3)
    assert found.tissue_hu("red_marrow") == pytest.approx(10, abs=3)
    assert Beam(80, 200).slope_k2hpo4 == pytest.approx(1.906, rel=0.02)
    assert Beam(140, 200).slope_k2hpo4 == pytest.approx(1.308, rel=0.03)


def test_neither_computation_knows_the_other() -> None:
    """The judge's physics must not be the product's: neither module's imports reach the other's."""
    for module, forbidden in ((beam, "virtual"), (attenuation, "flow")):
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(forbidden in (name or "").split(".") for name in names)


def test_the_table_is_what_its_command_computes() -> None:
    xraylib = pytest.importorskip("xraylib")
    potassium_phosphate = {19: 2 * 39.0983, 1: 1.00794, 15: 30.97376, 8: 4 * 15.9994}
    for kev in (50.0, 70.0, 100.0):
        salt = sum(mass * xraylib.CS_Total(z, kev) for z, mass in potassium_phosphate.items())
        water = 0.1119 * xraylib.CS_Total(1, kev) + 0.8881 * xraylib.CS_Total(8, kev)
        by_hand = salt / sum(potassium_phosphate.values()) / water - 0.2174
        assert slope_at_energy(kev) == pytest.approx(by_hand, rel=1e-3)


def test_every_voltage_from_70_to_150_and_none_beyond() -> None:
    slopes = [Beam(kvp, 235).slope_k2hpo4 for kvp in np.arange(70, 150.1, 2.5)]
    assert (np.diff(slopes) < 0).all()
    for kvp in (60.0, 69.0, 151.0, 0.0):
        with pytest.raises(ValueError, match="no computation"):
            Beam(kvp, 235)


def test_a_larger_body_and_tin_harden_the_beam() -> None:
    paths = [Beam(120, path).slope_k2hpo4 for path in (150, 200, 250, 300, 350, 450, 600)]
    assert (np.diff(paths) < 0).all()
    # The published size dependence, an exponent of -0.19, between 20 and 30 cm.
    assert paths[3] / paths[1] == pytest.approx((300 / 200) ** -0.19, rel=0.02)
    assert Beam(100, 235, 0.6).slope_k2hpo4 < Beam(100, 235, 0.4).slope_k2hpo4 < Beam(100, 235).slope_k2hpo4
    # 100 kVp behind tin is about as hard as 140 kVp without.
    assert Beam(100, 235, 0.6).slope_k2hpo4 == pytest.approx(Beam(140, 235).slope_k2hpo4, rel=0.06)


def test_marrow_reads_lower_below_120_kvp_and_higher_above() -> None:
    assert Beam(80, 235).marrow_shift_hu < Beam(100, 235).marrow_shift_hu < 0 < Beam(140, 235).marrow_shift_hu
    assert Beam(120, 235).marrow_shift_hu == 0


def test_the_slope_falls_with_energy_and_fat_brightens() -> None:
    assert (np.diff(at_energies("k2hpo4")) < 0).all()
    assert (np.diff(at_energies("subcutaneous_fat")) > 0).all()
    assert len(energies_kev()) == len(at_energies("muscle"))


@pytest.mark.parametrize(
    ("said", "tin"),
    [
        ({}, 0.0),
        ({"filter_material": "TIN"}, 0.6),
        ({"series_description": "Chest Sn100 1.0 Br40"}, 0.6),
        ({"series_description": "Thorax Sn 140kV", "model": "SOMATOM Definition Flash"}, 0.4),
        ({"series_description": "Snapshot abdomen", "filter_material": "FLAT"}, 0.0),
    ],
)
def test_tin_is_known_by_the_headers(said: dict[str, str], tin: float) -> None:
    assert tin_filter_mm(Acquisition("dicom", **said)) == tin


@pytest.mark.parametrize("kvp", [None, 50.0, 200.0])
def test_a_voltage_that_is_not_known_is_taken_for_120_and_errs_more(kvp: float | None) -> None:
    found = beam_of(Acquisition("dicom", tube_voltage_kvp=kvp), 235)
    assert found is None
    assumed = voltage_rung(found, 235, size_known=True)
    known = voltage_rung(Beam(120, 235), 235, size_known=True)
    assert assumed.slope_hu_cm3_mg == known.slope_hu_cm3_mg
    assert assumed.slope_sd_fraction > voltage_rung(Beam(120, 235), 235, size_known=False).slope_sd_fraction
    steep, flat = possible_slopes(235)
    assert steep > known.slope_hu_cm3_mg > flat


def test_networks_are_shown_every_voltage_as_120() -> None:
    assert to_reference_voltage(120.0) == to_reference_voltage(None) == 1.0
    assert to_reference_voltage(80.0) < 0.8 < 1 < to_reference_voltage(140.0)

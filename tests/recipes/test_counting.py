"""Names by counting, on virtual torsos whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.recipes import RECIPES
from trabecula.recipes.counting import COUNTING
from trabecula.records import Acquisition, Scan, Spine
from trabecula.virtual.findings import POPULATION
from trabecula.virtual.torso import Torso, draw_torso
from trabecula.volume import Orientation, Volume


def scan_of(volume: Volume) -> Scan:
    return Scan(volume, Orientation(), Acquisition("virtual"))


def draw(seed: int, field: str) -> Torso:
    """A person numbered as most are."""
    rates = replace(
        POPULATION, sacralised=0, four_lumbar=0, lumbarised=0, thirteen_ribs=0, eleven_ribs=0, lumbar_ribs=0
    )
    return draw_torso(seed, 3.0, "a", field, replace(rates, short_rib12=0, neck_ribs=0, fractures=0, rare=0))


def true_names(torso: Torso, spine: Spine) -> list[tuple[str, str]]:
    """The name given to each vertebra and the true one of the body it lies in."""
    middles = np.array([one.centre_lps_mm for one in torso.truth.bodies])
    pairs = []
    for box in spine.vertebrae:
        away = np.linalg.norm(middles - torso.volume.to_lps(spine.middle(box)), axis=1)
        assert away.min() < 15
        pairs.append((box.level.value, torso.truth.bodies[int(away.argmin())].name))
    return pairs


@pytest.fixture(scope="module")
def chest() -> Torso:
    return draw(902_000, "chest")


def test_it_is_a_choice() -> None:
    assert RECIPES["counting"] is COUNTING
    assert "house-counter" in COUNTING.weights
    assert "niu2023-localiser" not in COUNTING.weights


@pytest.mark.slow
def test_a_chest_and_an_abdomen_are_named_by_count(chest: Torso) -> None:
    for torso in (chest, draw(902_004, "abdomen-pelvis")):
        spine = COUNTING.localise(scan_of(torso.volume))
        assert all(named == true for named, true in true_names(torso, spine))
        evidence = [one for one in spine.reasons if one.code == "level-evidence"]
        assert len(evidence) == 1
        assert "T12" in evidence[0].message


@pytest.mark.slow
def test_a_scan_upside_down_against_its_header_has_no_names(chest: Torso) -> None:
    turned = Volume(np.ascontiguousarray(chest.volume.hu[::-1]), chest.volume.affine)
    spine = COUNTING.localise(scan_of(turned))
    assert not any(box.level.is_named for box in spine.vertebrae)
    assert any("upside down" in one.message for one in spine.reasons)


@pytest.mark.slow
def test_a_few_ribs_without_a_landmark_have_no_certain_name(chest: Torso) -> None:
    middle = next(one for one in chest.truth.bodies if one.name == "T6").centre_lps_mm
    z = int(chest.volume.to_index(np.array(middle))[0])
    part = Volume(np.ascontiguousarray(chest.volume.hu[z - 14 : z + 14]), chest.volume.affine)
    spine = COUNTING.localise(scan_of(part))
    assert {one.code for one in spine.reasons} & {"level-unknown", "level-uncertain"}

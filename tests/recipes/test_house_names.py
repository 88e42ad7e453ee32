"""Names by counting on virtual torsos whose truth is known, and on what is no torso or lies wrongly."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.errors import Refusal
from trabecula.recipes.house import HOUSE
from trabecula.records import Acquisition, Scan, Spine
from trabecula.virtual.findings import POPULATION
from trabecula.virtual.torso import Torso, draw_torso
from trabecula.volume import Float32, Grid, Orientation, Volume

MEASURED = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
COARSE_MM = (3.0, 3.0, 3.0)


def named(volume: Volume) -> Spine:
    return HOUSE.localise(Scan(volume, Orientation(), Acquisition("virtual")))


def draw(seed: int, field: str) -> Torso:
    """A person numbered as most are."""
    rates = replace(
        POPULATION, sacralised=0, four_lumbar=0, lumbarised=0, thirteen_ribs=0, eleven_ribs=0, lumbar_ribs=0
    )
    return draw_torso(seed, 3.0, "a", field, replace(rates, short_rib12=0, neck_ribs=0, fractures=0, rare=0))


def part(
    torso: Torso, first: int = 0, last: int | None = None, left_of: int = 0, right_of: int | None = None
) -> Volume:
    """Slices and columns of a torso."""
    hu = torso.volume.hu[first:last, :, left_of:right_of]
    return Volume(np.ascontiguousarray(hu), torso.volume.affine)


def index_of(torso: Torso, name: str) -> tuple[int, int, int]:
    z, y, x = torso.volume.to_index(np.array(torso.truth.by_name[name].centre_lps_mm))
    return int(z), int(y), int(x)


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


@pytest.fixture(scope="module")
def abdomen() -> Torso:
    return draw(902_004, "abdomen-pelvis")


@pytest.mark.slow
def test_a_chest_and_an_abdomen_are_named_and_why_is_said(chest: Torso, abdomen: Torso) -> None:
    for torso in (chest, abdomen):
        spine = named(torso.volume)
        assert all(name == true for name, true in true_names(torso, spine))
        evidence = [one for one in spine.reasons if one.code == "level-evidence"]
        assert len(evidence) == 1
        assert "T12" in evidence[0].message
        assert not any("probability" in one.message for one in spine.reasons if one.code == "level-uncertain")


@pytest.mark.slow
@pytest.mark.parametrize("axes", [(0, 2), (0, 1)])
def test_a_scan_that_lies_otherwise_than_its_header_says_has_no_names(
    abdomen: Torso, chest: Torso, axes: tuple[int, int]
) -> None:
    """Turned about the patient's own axes, as where feet and head, or those and back and front, were taken wrongly."""
    for torso in (abdomen, chest):
        spine = named(Volume(np.ascontiguousarray(np.flip(torso.volume.hu, axes)), torso.volume.affine))
        assert not any(box.level.is_named for box in spine.vertebrae)
        assert any("upside down" in one.message for one in spine.reasons)


@pytest.mark.slow
def test_a_few_ribs_without_a_landmark_have_no_certain_name(chest: Torso) -> None:
    z = index_of(chest, "T6")[0]
    spine = named(part(chest, z - 14, z + 14))
    assert {one.code for one in spine.reasons} & {"level-unknown", "level-uncertain"}


def names_or_refusal(volume: Volume) -> set[str]:
    """The names given without a doubt; none where the scan is refused."""
    try:
        spine = named(volume)
    except Refusal as refused:
        assert refused.code == "no-vertebrae-found"
        return set()
    doubted = {"level-uncertain", "level-unknown"} & {one.code for one in spine.reasons}
    return set() if doubted else {box.level.value for box in spine.vertebrae}


def noisy(hu: Float32) -> Volume:
    rng = np.random.default_rng(1)
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    made = (hu + rng.normal(0, 8, shape)).astype(np.float32)
    return Volume(made, Grid.axial((0.0, 0.0, 0.0), shape, COARSE_MM).affine)


def head() -> Volume:
    z, y, x = (axis - 35.0 for axis in np.indices((70, 70, 70)))
    out = [np.sqrt((z / (33 - k)) ** 2 + (y / (31 - k)) ** 2 + (x / (25 - k)) ** 2) for k in (-1, 0, 2)]
    hu = np.where(out[0] < 1, 40.0, -1000.0)
    hu[(out[1] < 1) & (out[2] > 1)] = 1200.0
    return noisy(hu.astype(np.float32))


def legs() -> Volume:
    _, y, x = np.indices((120, 60, 120))
    away = np.minimum(np.hypot(y - 30, x - 32), np.hypot(y - 30, x - 88))
    hu = np.select([away < 2.5, away < 5, away < 24], [-60.0, 1300.0, 50.0], -1000.0)
    return noisy(hu.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [head, legs])
def test_what_is_no_torso_is_refused(drawn: object) -> None:
    with pytest.raises(Refusal, match="No two neighbouring vertebrae"):
        named(drawn())  # type: ignore[operator]


@pytest.mark.slow
def test_a_neck_and_half_a_body_have_no_sure_name_that_is_wrong(chest: Torso, abdomen: Torso) -> None:
    neck = draw(902_016, "planning")
    assert not names_or_refusal(part(neck, index_of(neck, "T1")[0] - 4)) & set(MEASURED)
    x = index_of(abdomen, "L2")[2]
    for half in (part(abdomen, right_of=x), part(abdomen, left_of=x)):
        given = names_or_refusal(half)
        assert not given or given >= {"L1", "L2", "L3"}
    assert not names_or_refusal(part(abdomen, right_of=x - 12)) & set(MEASURED)

"""What in a vertebra is no trabecular bone: each check on a body whose content is known."""

from dataclasses import replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.flow.exclude import Check, Evidence, widened
from trabecula.flow.exclude.lesion import Cement, DenseFocus, FattyFocus, Osteophytes, Sclerosis
from trabecula.flow.exclude.metal import Screws
from trabecula.flow.exclude.outlier import DensityOutlier
from trabecula.messages import Phrase
from trabecula.quantity import AREAL_BMD, Measurement
from trabecula.records import (
    Acquisition,
    Calibration,
    Effect,
    Readings,
    Reason,
    Regions,
    Scan,
    Spine,
    VertebraReading,
    VertebraRegion,
    reason,
)
from trabecula.volume import Grid, Orientation, Volume

SHAPE = (40, 90, 70)
CALIBRATION = Calibration(Phrase("rung-default"), 1.4, 0.0, 0.04)
CHECKS: tuple[Check, ...] = (Cement(), DenseFocus(), Sclerosis(), FattyFocus(), Osteophytes(), Screws())


class Body:
    """An L1 of 40 x 28 x 24 mm, 140 HU with noise and the rise towards its end plates that health has."""

    def __init__(self, hu: float = 140.0, noise_hu: float = 25.0) -> None:
        self.up, self.back, self.left = (
            axis - middle for axis, middle in zip(np.indices(SHAPE).astype(float), (19.5, 35.0, 34.5), strict=True)
        )
        self.mask = (np.hypot(self.left / 20, self.back / 14) < 1) & (np.abs(self.up) < 12)
        inside = hu * (1 + 0.22 * np.abs(self.up / 12) ** 3)
        self.hu = np.where(self.mask, inside, 40.0) + np.random.default_rng(3).normal(0, noise_hu, SHAPE)

    def ball(self, up: float, back: float, left: float, radius: float, hu: float) -> "Body":
        gap = np.sqrt((self.up - up) ** 2 + (self.back - back) ** 2 + (self.left - left) ** 2)
        self.hu[gap < radius] = hu
        return self

    def evidence(self) -> Evidence:
        grid = Grid.axial((0.0, 0.0, 0.0), SHAPE, (1.0, 1.0, 1.0))
        labels = np.where(self.mask, Level.L1.verse_id, 0).astype(np.uint8)
        region = VertebraRegion(Level.L1, 0.9, (0.0, 0.0, 0.0), float(self.mask.sum()))
        scan = Scan(Volume(self.hu.astype(np.float32), grid.affine), Orientation(), Acquisition("nifti"))
        return Evidence(scan, Spine((), 35.0), Regions(labels, (region,)), CALIBRATION)


def reading(level: Level = Level.L1, bmd: float = 100.0, reasons: tuple[Reason, ...] = ()) -> VertebraReading:
    density = Measurement(bmd, (bmd - 15, bmd + 15), own_sd=3.0)
    return VertebraReading(level, (0.0, 0.0, 0.0), 12000.0, 140.0, 30.0, density, reasons=reasons)


def said(body: Body) -> dict[str, Effect]:
    """What every check says of a body, by code."""
    one = reading()
    found = [check(body.evidence(), one, Readings((one,), Phrase("method-region"))) for check in CHECKS]
    return {reason.code: reason.effect for reason in found if reason is not None}


@pytest.mark.parametrize(("hu", "noise_hu"), [(60.0, 20.0), (140.0, 25.0), (140.0, 60.0), (280.0, 30.0)])
def test_a_healthy_body_has_none_of_it(hu: float, noise_hu: float) -> None:
    assert said(Body(hu, noise_hu)) == {}


@pytest.mark.parametrize("hu", [900.0, 1500.0, 3000.0])
def test_cement_is_withheld_faint_or_not(hu: float) -> None:
    assert said(Body().ball(0, 0, 0, 8, hu))["cement"] is Effect.WITHHOLD


def test_a_dense_island_is_withheld_and_a_small_one_doubted() -> None:
    assert said(Body().ball(0, 2, 6, 4.6, 600.0)) == {"dense-focus": Effect.WITHHOLD}
    assert said(Body().ball(0, 2, 6, 3.0, 600.0)) == {"dense-focus": Effect.DOUBT}
    assert said(Body().ball(0, 2, 6, 1.0, 600.0)) == {}


def test_a_fatty_focus_is_withheld_and_the_venous_cleft_is_none() -> None:
    assert said(Body().ball(0, -3, -6, 6.5, 10.0))["fatty-focus"] is Effect.WITHHOLD
    assert said(Body().ball(0, 12, 0, 6.0, 60.0)) == {}


def test_sclerosis_under_an_end_plate() -> None:
    body = Body()
    body.hu[body.mask & (body.up > 6)] += 260
    assert said(body)["sclerosis"] is Effect.WITHHOLD
    body = Body()
    body.hu[body.mask & (body.up > 6)] += 130
    assert said(body)["sclerosis"] is Effect.DOUBT


def test_a_dense_rim_is_osteophytes() -> None:
    body = Body()
    body.hu[body.mask & (np.hypot(body.left / 20, body.back / 14) > 0.8)] += 300
    assert said(body)["osteophytes"] is Effect.WITHHOLD


def test_screws_behind_the_body() -> None:
    body = Body()
    body.hu[(np.abs(body.up) < 3) & (np.abs(body.left - 14) < 3) & (body.back > 16) & (body.back < 40)] = 3000.0
    assert said(body) == {"screws": Effect.WITHHOLD}


def test_without_regions_or_where_already_withheld_nothing_is_looked_at() -> None:
    body = Body().ball(0, 0, 0, 8, 1500.0)
    metal = reason("metal", Effect.WITHHOLD, level=Level.L1, limit_hu=2000.0)
    withheld = reading(reasons=(metal,))
    for check in CHECKS:
        everything = Readings((withheld,), Phrase("method-region"))
        assert check(body.evidence(), withheld, everything) is None
        assert check(replace(body.evidence(), regions=None, looked_at={}), reading(), everything) is None


@pytest.mark.parametrize(
    ("bmd", "found"),
    [
        ({"T12": 103.0, "L1": 100.0, "L2": 98.0, "L3": 96.0}, []),
        ({"T12": 103.0, "L1": 100.0, "L2": 128.0, "L3": 96.0}, [Level.L2]),
        ({"T12": 61.0, "L1": 60.0, "L2": 80.0}, []),  # 20 of 60, but under 25
        ({"T12": 206.0, "L1": 200.0, "L2": 230.0}, []),  # 34, but under a fifth
        ({"L1": 50.0, "L2": 150.0}, []),  # which of two it is cannot be told
    ],
)
def test_a_level_unlike_the_persons_others_is_withheld(bmd: dict[str, float], found: list[Level]) -> None:
    all_of_them = tuple(reading(Level(level), value) for level, value in bmd.items())
    everything = Readings(all_of_them, Phrase("method-region"))
    told = {one.level: DensityOutlier()(Body().evidence(), one, everything) for one in all_of_them}
    assert [level for level, reason in told.items() if reason is not None] == found
    assert all(reason is None or reason.effect is Effect.WITHHOLD for reason in told.values())


def test_a_doubt_widens_the_interval() -> None:
    plain, uneven = reading(), reading(reasons=(reason("uneven-density", level=Level.L1, sd_hu=120.0),))
    assert widened(plain, set()) == plain
    own, names = widened(uneven, set()).density, widened(plain, {"level-uncertain"}).density
    assert own is not None and names is not None
    assert own.interval == pytest.approx(
        (100 - (15**2 + (1.96 * 6) ** 2) ** 0.5, 100 + (15**2 + (1.96 * 6) ** 2) ** 0.5)
    )
    assert names.interval[1] - 100 > 15 and names.own_sd > 3
    areal = replace(uneven, density=Measurement(0.9, (0.8, 1.0), AREAL_BMD))
    assert widened(areal, set()) == areal

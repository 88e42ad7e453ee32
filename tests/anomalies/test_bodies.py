"""What has befallen a body is withheld or said, and what is measured beside it is right."""

import pytest
from _pytest.mark import ParameterSet

from anomalies.bodies import NO_SPINE, Body, bodies, complaint, refused_code, scanned, screened

ALL = bodies()
NOT_YET = {"Thirteen pairs of ribs": "T13 is called T12 and T12 T11, without a doubt"}


def case(body: Body) -> ParameterSet:
    marks = [pytest.mark.xfail(reason=NOT_YET[body.name], strict=True)] if body.name in NOT_YET else []
    return pytest.param(body, id=f"{body.row}: {body.name}", marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize("body", [case(one) for one in ALL])
def test_a_finding_is_withheld_or_said(body: Body) -> None:
    ct, volume = scanned(body)
    found = screened(volume)
    told = [(str(one.level), one.density, [r.code for r in one.reasons]) for one in found.readings.vertebrae]
    assert complaint(body, ct, found) is None, (told, [one.code for one in found.reasons])


@pytest.mark.parametrize("name", NO_SPINE)
def test_where_there_is_no_spine_there_is_no_answer(name: str) -> None:
    assert refused_code(NO_SPINE[name]()) == "no-vertebrae-found"

"""Every anomaly of the library gets what is right for it; none is silently wrong."""

from pathlib import Path

import numpy as np
import pytest

from anomalies.library import ANOMALIES, Anomaly, Right
from anomalies.scene import errors_of
from trabecula.errors import Refusal
from trabecula.flow.read import read
from trabecula.records import Scan, withholds

EXPECTED = {"acquisition-unknown"}
"""What is said of every NIfTI."""


def outcome(scan: Scan) -> Right:
    return Right.SAY if {reason.code for reason in scan.reasons} - EXPECTED else Right.OK


def unmeasurable(scan: Scan) -> np.ndarray:
    """Where the reader says that nothing can be measured, a voxel around."""
    masked = np.zeros(scan.volume.shape, bool)
    for gap in scan.gaps:
        np.moveaxis(masked, gap.axis, 0)[max(0, int(gap.start) - 1) : int(gap.stop) + 2] = True
    return masked


@pytest.mark.parametrize("anomaly", ANOMALIES, ids=[f"{one.row}: {one.name}" for one in ANOMALIES])
def test_an_anomaly_gets_what_is_right_for_it(anomaly: Anomaly, tmp_path: Path) -> None:
    given = anomaly.make(tmp_path)
    try:
        scan = read(given)
    except Refusal as refused:
        assert Right.REFUSE in anomaly.right, refused.message
        return
    if withholds(scan.reasons):  # nothing is measured
        assert Right.SAY in anomaly.right
        return
    errors = errors_of(scan.volume.hu, scan.volume.affine, unmeasurable(scan))
    assert errors.right, (errors, [reason.code for reason in scan.reasons])
    assert outcome(scan) in anomaly.right, [reason.code for reason in scan.reasons]

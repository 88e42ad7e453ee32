"""What a reading says of a series."""

import pytest

from trabecula.errors import Refusal
from trabecula.flow.read import read


def codes(scan):
    return {reason.code for reason in scan.reasons}


def message(scan, code):
    return next(reason.message for reason in scan.reasons if reason.code == code)


def refused(path):
    with pytest.raises(Refusal) as caught:
        read(path)
    assert "Doe" not in caught.value.message and "4711" not in caught.value.message
    return caught.value.code

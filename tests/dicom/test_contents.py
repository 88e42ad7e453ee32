"""Several studies and series in one input: they are listed, and the one that is chosen is read."""

import pytest

from trabecula.dicom.contents import Choice
from trabecula.errors import WrongUsage
from trabecula.flow.read import read
from trabecula.screening import studies_in

LATER = {"StudyInstanceUID": "1.2.3.4", "StudyDate": "20240310"}


@pytest.fixture
def folder(ct):
    """Two studies, the later one of 22 slices in a soft kernel and 24 in a sharp one."""
    soft = ct.make(count=22, SeriesNumber=4, **LATER)
    sharp = ct.make(count=24, SeriesNumber=2, ConvolutionKernel="B70f", **LATER)
    return ct.save([*soft, *ct.make(StudyDate="20240301"), *sharp])


def test_studies_are_listed_by_time_and_series_by_their_number(folder):
    first, second = studies_in(folder)
    assert (first.number, first.days, first.images, len(first.series)) == (1, 0, 40, 1)
    assert (second.number, second.days, second.images) == (2, 9, 46)
    assert [(one.number, one.series_number, one.slices, one.best) for one in second.series] == [
        (1, "2", 24, False),
        (2, "4", 22, True),
    ]
    assert first.person == second.person == 1


@pytest.mark.parametrize("study", ["2", LATER["StudyInstanceUID"]])
def test_the_study_chosen_is_read_and_the_others_are_said(folder, study):
    scan = read(folder, choice=Choice(study))
    assert scan.volume.shape[0] == 22
    left_out = next(one for one in scan.reasons if one.code == "files-left-out")
    assert "40 of another study" in left_out.message


def test_the_series_chosen_is_read_though_another_is_better(folder):
    scan = read(folder, choice=Choice("2", "1"))
    assert scan.volume.shape[0] == 24
    said = next(one for one in scan.reasons if one.code == "series-chosen").message
    assert "series 2" in said and "as was asked" in said and said.endswith("left aside: 1.")
    assert read(folder, choice=Choice("2", scan.acquisition.series_instance_uid)).volume.shape[0] == 24


@pytest.mark.parametrize("choice", [Choice("3"), Choice("0"), Choice("1.9"), Choice("2", "3"), Choice("1", "1.9")])
def test_what_is_not_there_is_wrong_usage(folder, choice):
    with pytest.raises(WrongUsage, match="There is no"):
        read(folder, choice=choice)

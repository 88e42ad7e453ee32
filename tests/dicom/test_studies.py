"""A result comes of one study of one person, whatever lies in a folder."""

import pytest
from pydicom.uid import generate_uid

from dicom.said import codes, message, refused
from trabecula.errors import Refusal
from trabecula.flow.read import read


def test_two_people_are_never_mixed(ct):
    other = ct.make(count=60, PatientID="ID-4712", PatientName="Roe^Jane", StudyInstanceUID="1.2.3.4")
    assert refused(ct.save([*ct.make(), *other])) == "several-studies"


def test_two_studies_of_one_person_are_never_mixed(ct):
    folder = ct.save([*ct.make(), *ct.make(StudyInstanceUID="1.2.3.4", count=20)])
    with pytest.raises(Refusal, match=r"2 studies of 1 patient .* the earliest first with 20, 40 CT images"):
        read(folder)


def test_two_people_under_one_study_uid_are_never_mixed(ct):
    assert refused(ct.save([*ct.make(), *ct.make(PatientID="ID-4712")])) == "several-studies"


def test_a_slice_that_strayed_in_from_another_study_is_left_out(ct):
    scan = read(ct.save([*ct.make(), *ct.make(count=1, StudyInstanceUID="1.2.3.4", PatientID="ID-4712")]))
    assert scan.volume.shape[0] == 40 and "1 of another study" in message(scan, "files-left-out")


def test_one_person_is_one_however_the_name_is_written(ct):
    slices = ct.make()
    for one in slices[::2]:
        one.PatientName = "DOE^JANE^^"
    assert read(ct.save(slices)).volume.shape[0] == 40


@pytest.mark.parametrize("keyword", ["SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_uid_of_its_own_in_each_slice_makes_no_scan_of_each(ct, keyword):
    slices = ct.make()
    for one in slices:
        setattr(one, keyword, generate_uid())
    scan = read(ct.save(slices))
    assert scan.volume.shape[0] == 40
    said = {"SeriesInstanceUID": {"series-uids-differ"}, "FrameOfReferenceUID": {"frames-of-reference-differ"}}
    assert codes(scan) == said.get(keyword, set())

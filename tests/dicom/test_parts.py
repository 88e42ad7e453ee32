"""Headers of many parts: counted, and those of what is no CT not read to their end."""

from pydicom import Dataset
from pydicom.sequence import Sequence

from trabecula.dicom.files import open_dataset
from trabecula.dicom.parts import READS_PER_CHECK, has_items
from trabecula.flow.read import read
from trabecula.formats.budget import FREE_PARTS, PARTS_PER_FILE, Budget


def outlines(ct, number):
    """A structure set of so many contours."""
    made = ct.make(count=1, Modality="RTSTRUCT", SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3")[0]
    del made.PixelData, made.Rows, made.Columns
    made.ROIContourSequence = Sequence([Dataset()] * number)
    made["ROIContourSequence"].is_undefined_length = True  # so that it is parsed as it is read
    return made


def test_a_large_object_of_another_kind_is_left_out_early(ct):
    path = ct.save([outlines(ct, FREE_PARTS + PARTS_PER_FILE)])
    with Budget() as budget:
        head = open_dataset(next(path.iterdir()), budget)
    assert head.Modality == "RTSTRUCT"
    assert head.StudyInstanceUID
    assert "ROIContourSequence" not in head
    ct.save(ct.make())
    assert "files-left-out" in {reason.code for reason in read(path).reasons}


def test_a_long_lookup_table_is_told_though_not_kept(ct):
    slices = ct.make(count=3)
    table = Dataset()
    table.add_new("LUTData", "OW", bytes(2 * READS_PER_CHECK * 4))
    slices[0].ModalityLUTSequence = Sequence([table])
    path = ct.save(slices[:1])
    with Budget() as budget:
        found = open_dataset(next(path.iterdir()), budget)
    assert "ModalityLUTSequence" in found
    assert not has_items(found, "ModalityLUTSequence")

"""Which instances are the CT, which series is read, and what is refused."""

import pytest
from pydicom import Dataset

from dicom.said import codes, message, refused
from trabecula.flow.read import read


def test_an_mr_series_is_not_ct(ct):
    assert refused(ct.save(ct.make(Modality="MR"))) == "not-ct"


def test_a_localizer_alone_is_refused(ct):
    assert refused(ct.save(ct.make(count=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))) == "localizer-only"


def test_only_text_files_are_no_dicom(ct):
    (ct.folder / "notes.txt").write_text("a text that is long enough to be looked into " * 10)
    assert refused(ct.folder) == "no-dicom"


def test_a_report_alone_holds_no_images(ct):
    report = ct.make(count=1, Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22")[0]
    del report.Rows, report.Columns, report.PixelData
    assert refused(ct.save([report])) == "no-images"


def test_images_without_geometry_are_refused(ct):
    slices = ct.make()
    for one in slices:
        del one.ImagePositionPatient
    assert refused(ct.save(slices)) == "geometry-missing"


@pytest.mark.parametrize(
    "headers",
    [
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
        {"ImageType": ["DERIVED", "SECONDARY", "GSI MONO"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "VNC"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 MIP"]},
        {"SeriesDescription": "Abd_Mono+_70keV"},
        {"SeriesDescription": "Iodine no Water [mg/ml]"},
        {"RescaleType": "MGML"},
        {"RescaleSlope": 0},
    ],
    ids=str,
)
def test_numbers_other_than_plain_ct_are_refused(ct, headers):
    assert refused(ct.save(ct.make(**headers))) == "not-hounsfield-units"


def test_what_is_no_part_of_the_ct_is_dropped_and_counted(ct):
    scout = ct.make(count=2, row=(0, 1, 0), column=(0, 0, -1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    slices = ct.make()
    for one in scout:
        one.SeriesInstanceUID = slices[0].SeriesInstanceUID
    ct.save([*scout, *slices])
    (ct.folder / "LICENSE").write_text("free")
    (ct.folder / "cut").write_bytes(next(ct.folder.iterdir()).read_bytes()[:600])
    scan = read(ct.folder)
    assert scan.volume.shape == (40, 48, 48)
    assert "1 damaged, 2 localizers, 1 not DICOM" in message(scan, "files-left-out")


def test_a_stray_orientation_is_left_aside(ct):
    slices = ct.make()
    stray = ct.make(count=1, row=(0, 1, 0), column=(0, 0, -1))[0]
    stray.SeriesInstanceUID = slices[0].SeriesInstanceUID
    scan = read(ct.save([*slices, stray]))
    assert scan.volume.shape == (40, 48, 48) and codes(scan) == {"series-chosen"}


def test_the_softer_kernel_is_chosen(ct):
    scan = read(ct.save([*ct.make(ConvolutionKernel=["B70f", "3"], SeriesNumber=1), *ct.make(SeriesNumber=2)]))
    assert scan.acquisition.kernel == "B30f"
    chosen = message(scan, "series-chosen")
    assert "series 2 (40 slices" in chosen and "kernel is softer; left aside: 1" in chosen


def test_the_longest_of_like_series_is_chosen_and_two_others_counted(ct):
    scan = read(ct.save([*ct.make(count=20), *ct.make(count=40), *ct.make(count=3)]))
    assert scan.volume.shape[0] == 40
    assert "covers the longest range; left aside: 2" in message(scan, "series-chosen")


def test_a_series_with_other_values_gives_way_to_a_sound_one(ct):
    off = ct.make(count=60, RescaleIntercept=-924)
    scan = read(ct.save([*off, *ct.make(count=40)]))
    assert scan.volume.shape[0] == 40
    assert "could not be read: 1 (not-hounsfield-units)" in message(scan, "series-chosen")


def test_a_reference_image_between_slices_is_left_aside(ct):
    slices = ct.make()
    stray = ct.make(count=1, ImageType=["DERIVED", "SECONDARY", "REFERENCE"])[0]
    stray.SeriesInstanceUID = slices[0].SeriesInstanceUID
    x, y, z = (float(v) for v in slices[12].ImagePositionPatient)
    stray.ImagePositionPatient = [x, y, z + 0.8]
    scan = read(ct.save([*slices, stray]))
    assert scan.volume.shape[0] == 40 and codes(scan) == {"series-chosen"}


def test_progress_counts_files(ct):
    seen = []
    read(ct.save(ct.make(count=12)), lambda done, total: seen.append((done, total)))
    assert seen == [(n, 12) for n in range(1, 13)]


def test_an_index_beside_the_series_is_not_followed(ct):
    index = ct.make(count=1)[0]
    del index.Rows, index.Columns, index.PixelData, index.Modality
    index.SOPClassUID = index.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    record = Dataset()
    record.ReferencedFileID = "SECRET"
    index.DirectoryRecordSequence = [record]
    index.save_as(ct.folder / "DICOMDIR", enforce_file_format=False)
    assert "1 without an image" in message(read(ct.save(ct.make())), "files-left-out")

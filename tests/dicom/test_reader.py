"""Which instances are the CT, which series is read, what is said of it, and what is refused."""

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from trabecula.dicom.derived import why_not_hounsfield
from trabecula.dicom.headers import is_sharp
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


@pytest.mark.parametrize(
    "description",
    [
        "Calcium Suppressed 50",
        "MONO40",
        "MonoE 40 keV",
        "Water (Iodine)",
        "IODINE(WATER)",
        "Virtual Non Contrast",
        "virtual unenhanced",
        "VNCa",
        "Iodine Map",
        "MD Iodine",
        "Z Effective",
        "Electron Density",
        "Uric Acid",
        "thin MIP",
        "Abd_VUE",
    ],
)
def test_a_derived_image_is_known_by_its_description(description):
    assert why_not_hounsfield(["ORIGINAL", "PRIMARY", "AXIAL"], description, "HU")


@pytest.mark.parametrize(
    ("image_type", "description"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], "Abdomen monophasic 120kV"),
        (["DERIVED", "SECONDARY", "PROCESSED"], ""),
        (["DERIVED", "SECONDARY", "REFORMATTED"], "sag mpr bone, iodine contrast"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "VIRTUAL COLONOSCOPY SUPINE"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "ABD W IODINE"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "CALCIUM SCORING"),
        (["ORIGINAL", "PRIMARY", "AXIAL"], "oral water, W/O IODINE"),
        (["DERIVED", "PRIMARY", "VOLUME", "ENERGY_PROP_WT"], "Mixed 120 kV"),
    ],
)
def test_plain_ct_is_not_taken_for_something_derived(image_type, description):
    assert why_not_hounsfield(image_type, description, "HU") is None


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


@pytest.mark.parametrize("apart_mm", [0, 0.05, 0.3], ids=["same place", "a hair apart", "shifted"])
def test_copies_of_slices_are_dropped(ct, apart_mm):
    slices = ct.make()
    again = ct.make()
    for one, copy in zip(slices, again, strict=True):
        copy.SeriesInstanceUID = one.SeriesInstanceUID
        x, y, z = (float(v) for v in copy.ImagePositionPatient)
        copy.ImagePositionPatient = [x, y, z + apart_mm]
    scan = read(ct.save([*slices, *again[::2]]))
    assert scan.volume.shape[0] == 40 and codes(scan) == set()


def two_phases(ct, second):
    """Two acquisitions under one series UID; the second, ``second`` HU denser, ends lower to be told apart."""
    first = ct.make()
    later = ct.make(scene=lambda lps: ct.scene_hu(lps) + second * (ct.scene_hu(lps) > 0))
    for one in later:
        one.SeriesInstanceUID = first[0].SeriesInstanceUID
        one.ContentTime = one.ContentTime.replace("12", "13", 1)
    return first, later


def test_phases_are_split_by_acquisition(ct):
    first, later = two_phases(ct, 60)
    for one in later:
        one.AcquisitionNumber, one.ContrastBolusAgent = 2, "Iohexol"
    scan = read(ct.save([*first, *later]))
    assert scan.volume.hu.max() == 900
    assert "no contrast medium" in message(scan, "series-chosen")


def test_phases_are_split_by_time_where_nothing_else_tells(ct):
    first, later = two_phases(ct, 60)
    scan = read(ct.save([*later, *first]))
    assert scan.volume.shape[0] == 40 and scan.volume.hu.max() == 900
    assert "series-chosen" in codes(scan)


def test_different_images_at_one_place_without_any_mark_are_refused(ct):
    first, later = two_phases(ct, 60)
    for one in (*first, *later):
        del one.ContentTime
    assert refused(ct.save([*first, *later])) == "positions-repeated"


def test_interleaved_acquisitions_are_not_mixed(ct):
    first, later = two_phases(ct, 60)
    for one in later:
        x, y, z = (float(v) for v in one.ImagePositionPatient)
        one.ImagePositionPatient, one.AcquisitionNumber = [x, y, z + 1.25], 2
    scan = read(ct.save([*first, *later]))
    assert scan.volume.shape[0] == 40 and scan.volume.spacing_mm[0] == pytest.approx(2.5)


def test_two_people_are_never_mixed(ct):
    other = ct.make(count=60, PatientID="ID-4712", PatientName="Roe^Jane", StudyInstanceUID="1.2.3.4")
    assert refused(ct.save([*ct.make(), *other])) == "several-studies"


def test_two_studies_of_one_person_are_never_mixed(ct):
    folder = ct.save([*ct.make(), *ct.make(StudyInstanceUID="1.2.3.4", count=20)])
    with pytest.raises(Refusal, match=r"2 studies of 1 patient\(s\) were found, with 40, 20 CT images"):
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


def test_a_reference_image_between_slices_is_left_aside(ct):
    slices = ct.make()
    stray = ct.make(count=1, ImageType=["DERIVED", "SECONDARY", "REFERENCE"])[0]
    stray.SeriesInstanceUID = slices[0].SeriesInstanceUID
    x, y, z = (float(v) for v in slices[12].ImagePositionPatient)
    stray.ImagePositionPatient = [x, y, z + 0.8]
    scan = read(ct.save([*slices, stray]))
    assert scan.volume.shape[0] == 40 and codes(scan) == {"series-chosen"}


def half_a_slice_off(ct, **headers):
    first, later = two_phases(ct, 60)
    for one in later:
        x, y, z = (float(v) for v in one.ImagePositionPatient)
        one.ImagePositionPatient = [x, y, z + 1.25]
        for keyword, value in headers.items():
            setattr(one, keyword, value)
    return [*first, *later]


@pytest.mark.parametrize(
    "headers",
    [{"KVP": 80}, {"ConvolutionKernel": "B70f"}, {"ContrastBolusAgent": "Iohexol"}, {"SliceThickness": 5}],
    ids=str,
)
def test_phases_half_a_slice_off_are_told_apart_by_their_headers(ct, headers):
    scan = read(ct.save(half_a_slice_off(ct, **headers)))
    assert scan.volume.shape[0] == 40 and scan.volume.hu.max() == 900
    assert scan.volume.spacing_mm[0] == pytest.approx(2.5)


def test_phases_half_a_slice_off_are_told_apart_by_their_pixels(ct):
    slices = half_a_slice_off(ct)
    for one in slices:
        del one.ContentTime
    scan = read(ct.save(slices))
    assert scan.volume.hu.max() == 900 and scan.volume.spacing_mm[0] == pytest.approx(2.5)
    assert {"scans-interleaved", "series-chosen"} <= codes(scan)


def test_stations_of_another_phase_are_not_measured(ct):
    first, later = two_phases(ct, 60)
    for one in later:
        one.AcquisitionNumber = 2
    scan = read(ct.save([*first[:24], *later[24:]]))
    (gap,) = scan.gaps
    assert (gap.start, gap.stop) == (23, 39) and "slices-off-level" in codes(scan)


def test_stations_of_one_scan_are_one(ct):
    slices = ct.make()
    for one in slices[24:]:
        one.AcquisitionNumber = 2
    scan = read(ct.save(slices))
    assert scan.volume.shape[0] == 40 and scan.gaps == () and codes(scan) == set()


def test_a_slice_without_its_intercept_is_left_out(ct):
    slices = ct.make()
    slices[20].RescaleIntercept = 0
    scan = read(ct.save(slices))
    assert {"slices-off-level", "slices-interpolated"} <= codes(scan)
    assert scan.volume.shape[0] == 40 and scan.volume.hu.max() == 900


def test_slices_of_which_every_other_has_no_intercept_are_refused(ct):
    slices = ct.make()
    for one in slices[::2]:
        one.RescaleIntercept = 0
    with pytest.raises(Refusal, match=r"of 40 slices hold values that differ .* 1024 HU") as caught:
        read(ct.save(slices))
    assert caught.value.code == "not-hounsfield-units"


def replaced(folder, old, new):
    for path in folder.iterdir():
        whole = path.read_bytes()
        assert old in whole
        path.write_bytes(whole.replace(old, new))
    return folder


def test_a_decimal_comma_is_read_and_said(ct):
    folder = replaced(ct.save(ct.make()), rb"2.5\2.5 ", rb"2,5\2,5 ")
    scan = read(folder)
    assert scan.volume.spacing_mm == pytest.approx((2.5, 2.5, 2.5)) and codes(scan) == {"decimal-comma"}


@pytest.mark.parametrize("written", [b"2.5\\2.5\0", b"2.5\\2.50"], ids=["NUL", "zero"])
def test_a_number_with_something_behind_it_is_read(ct, written):
    assert codes(read(replaced(ct.save(ct.make()), b"2.5\\2.5 ", written))) == set()


def test_a_padding_value_that_is_text_is_passed_over(ct):
    slices = ct.make()
    for one in slices:
        one.add_new("PixelPaddingValue", "LO", "NONE")
    assert codes(read(ct.save(slices))) == set()


def cut_short(folder, number):
    """Cut the pixels of the slice with this instance number."""
    path = next(path for path in folder.iterdir() if dcmread(path, stop_before_pixels=True).InstanceNumber == number)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(("number", "gaps"), [(1, 0), (20, 1), (40, 0)])
def test_a_truncated_slice_is_as_good_as_missing(ct, number, gaps):
    folder = ct.save(ct.make(step=(0, 0, 3)))
    cut_short(folder, number)
    scan = read(folder)
    assert "slices-missing" in codes(scan) and len(scan.gaps) == gaps


@pytest.mark.parametrize(
    ("number", "count", "code"), [(1, 59, "slices-missing"), (20, 60, "slices-interpolated")], ids=["end", "middle"]
)
def test_a_truncated_thin_slice_is_bridged_and_disclosed(ct, number, count, code):
    folder = ct.save(ct.make(count=60, step=(0, 0, 1.25)))
    cut_short(folder, number)
    scan = read(folder)
    assert scan.volume.shape[0] == count and code in codes(scan) and scan.gaps == ()
    whole = scan.volume.to_index((20, 15, 10)).round().astype(int)
    assert scan.volume.hu[tuple(whole)] == 300


def test_a_series_of_truncated_slices_is_refused(ct):
    folder = ct.save(ct.make(count=5))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-1000])
    assert refused(folder) == "file-unreadable"


def test_the_headers_become_doubts(ct):
    scan = read(
        ct.save(
            ct.make(
                step=(0, 0, 5),
                SliceThickness=5,
                KVP=100,
                ConvolutionKernel="B70f",
                ContrastBolusAgent="Iohexol",
                LossyImageCompression="01",
            )
        )
    )
    assert codes(scan) == {
        "thick-slices",
        "tube-voltage",
        "sharp-kernel",
        "contrast-agent-recorded",
        "lossy-compression",
    }


def test_the_acquisition_holds_no_identifier(ct):
    hostile = "../../etc\x07<b>é;\u2028"
    folder = ct.save(
        ct.make(
            SpecificCharacterSet="ISO_IR 192", SeriesDescription=hostile, KVP=None, StudyInstanceUID="1.2.3.4.5.6.7.89"
        )
    )
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"1.2.3.4.5.6.7.89", b"../../etc/passwd"))
    scan = read(folder)
    assert scan.acquisition.study_instance_uid is None
    assert scan.acquisition.series_description.isprintable()
    assert scan.acquisition.patient_age_years == 69
    assert "Doe" not in repr(scan.acquisition) and "4711" not in repr((scan.acquisition, scan.reasons))
    assert "tube-voltage-unknown" in codes(scan)


def test_a_wrong_charset_and_wrong_values_raise_and_log_nothing(ct, caplog):
    folder = ct.save(ct.make(SpecificCharacterSet="ISO_IR 100", PatientBirthDate="yesterday"))
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 999"))
    assert read(folder).volume.shape == (40, 48, 48)
    assert caplog.text == ""


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


@pytest.mark.parametrize(
    ("maker", "kernel", "sharp"),
    [
        ("SIEMENS", "B30f", False),
        ("SIEMENS", "Br38f", False),
        ("Siemens Healthineers", "Br64d", True),
        ("SIEMENS", "B70f", True),
        ("GE MEDICAL SYSTEMS", "STANDARD", False),
        ("GE MEDICAL SYSTEMS", "BONEPLUS", True),
        ("Philips", "B", False),
        ("Philips", "YE", True),
        ("TOSHIBA", "FC13", False),
        ("Canon Medical Systems", "FC30", True),
        ("TOSHIBA", "FC51", True),
    ],
)
def test_sharp_kernels_are_known_by_their_vendors_names(maker, kernel, sharp):
    assert is_sharp(maker, (kernel, "3")) is sharp

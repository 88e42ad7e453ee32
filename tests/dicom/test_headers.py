"""What headers say of a scan, also where they are written in another country's way, and what is kept of them."""

import pytest

from dicom.said import codes
from trabecula.dicom.headers import is_sharp
from trabecula.flow.read import read


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


@pytest.mark.parametrize(
    ("start", "taken", "delay_s"),
    [
        ("140216.694022", "140353.694022", 97.0),
        ("235950", "000100", 70.0),  # across midnight
        ("130000", "140353", None),  # the injector was armed, or another examination's
        ("140353", "140353", None),
        ("", "140353", None),
        ("noon", "140353", None),
    ],
)
def test_the_time_since_the_injection_is_read_where_it_can_be_true(ct, start, taken, delay_s):
    said = {"ContrastBolusStartTime": start, "AcquisitionTime": taken}
    assert read(ct.save(ct.make(count=12, **said))).acquisition.contrast_delay_s == delay_s

"""Every lie of a scan in every form that archives hold it in, written by other programs' encoders, is one patient."""

from collections.abc import Callable
from itertools import cycle, permutations, product
from zlib import crc32

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from trabecula.flow.read import read

Encode = Callable[[NDArray[np.uint16]], bytes]


def jpeg_lossless(predictor: int) -> Encode:
    return lambda stored: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=predictor, bitspersample=16)


def jpeg_2000(stored: NDArray[np.uint16]) -> bytes:
    return imagecodecs.jpeg2k_encode(stored, reversible=True, level=0, codecformat="j2k")


def high_throughput(stored: NDArray[np.uint16]) -> bytes:
    return imagecodecs.htj2k_encode(stored, reversible=True)


FORMS: dict[str, tuple[UID, Encode | None]] = {
    "implicit": (ImplicitVRLittleEndian, None),
    "explicit": (ExplicitVRLittleEndian, None),
    "big endian": (ExplicitVRBigEndian, None),
    "deflated": (DeflatedExplicitVRLittleEndian, None),
    "encapsulated": (UID("1.2.840.10008.1.2.1.98"), lambda stored: stored.tobytes()),
    "RLE": (RLELossless, None),
    "JPEG lossless": (JPEGLosslessSV1, jpeg_lossless(1)),
    "JPEG lossless, lj92": (JPEGLosslessSV1, imagecodecs.ljpeg_encode),
    "JPEG lossless, predictor 4": (JPEGLossless, jpeg_lossless(4)),
    "JPEG lossless, predictor 7": (JPEGLossless, jpeg_lossless(7)),
    "JPEG-LS": (JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000": (JPEG2000Lossless, jpeg_2000),
    "JPEG 2000, reversible": (JPEG2000, jpeg_2000),
    "HTJ2K": (HTJ2KLossless, high_throughput),
    "HTJ2K RPCL": (HTJ2KLosslessRPCL, high_throughput),
}
AXES = [np.eye(3)[axis] * sign for axis, sign in product(range(3), (1, -1))]
LIES = [(row, column, order) for row, column in permutations(AXES, 2) if row @ column == 0 for order in (1, -1)]


def signed(one: FileDataset, stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    one.PixelRepresentation, one.RescaleIntercept = 1, 0
    return (stored.astype(np.int16) - 1024).view(np.uint16)


def half_steps(one: FileDataset, stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    one.RescaleSlope = "0.5"
    return stored * np.uint16(2)


def falling(one: FileDataset, stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    one.RescaleSlope, one.RescaleIntercept = -1, 2976
    return np.uint16(4000) - stored


def plain(one: FileDataset, stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return stored


RESCALES = (plain, signed, half_steps, falling)


def write(ct, slices, syntax: UID, encode: Encode | None, rescale) -> None:
    for number, one in enumerate(slices):
        stored = rescale(one, ct.pixels(one))
        one.PixelData = stored.tobytes()
        if syntax == RLELossless:
            one.compress(syntax)
        elif encode is not None:
            one.PixelData = encapsulate([encode(stored)])
            one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
        elif syntax == ExplicitVRBigEndian:
            one.PixelData = stored.byteswap().tobytes()
        one.file_meta.TransferSyntaxUID = syntax
        little = syntax != ExplicitVRBigEndian
        dcmwrite(
            ct.folder / str(number),
            one,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=little,
            force_encoding=not little,
            enforce_file_format=little,
        )


def off(scan, ct) -> float:
    """The share of voxels that do not hold the scene's value of their own place."""
    index = np.stack(np.meshgrid(*map(np.arange, scan.volume.shape), indexing="ij"), -1)
    return float((np.abs(scan.volume.hu - ct.scene_hu(scan.volume.to_lps(index))) > 0.01).mean())


COMBINED = list(zip(LIES, cycle(FORMS), cycle([r for r in RESCALES for _ in range(4)]), strict=False))


@pytest.mark.parametrize(("lie", "form", "rescale"), COMBINED)
def test_every_lie_form_and_rescale_is_one_patient(ct, lie, form, rescale):
    """All 48 lies, each form and each way to write values in several of them; ``exhaustive`` crosses all with all."""
    row, column, order = lie
    write(ct, ct.make(row=row, column=column)[::order], *FORMS[form], rescale)
    scan = read(ct.folder)
    assert off(scan, ct) < 1e-4
    assert {reason.code for reason in scan.reasons} <= {"lossy-compression"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("rescale", RESCALES)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_and_rescale_in_every_lie(ct, form, rescale):
    for row, column, order in LIES:
        write(ct, ct.make(row=row, column=column)[::order], *FORMS[form], rescale)
        assert off(read(ct.folder), ct) < 1e-4


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (JPEGExtended12Bit, lambda stored: imagecodecs.jpeg8_encode(stored, level=100, bitspersample=12)),
        (JPEGLSNearLossless, lambda stored: imagecodecs.jpegls_encode(stored, level=2)),
        (HTJ2K, lambda stored: imagecodecs.htj2k_encode(stored, level=0.0001, reversible=False)),
    ],
    ids=["JPEG extended", "JPEG-LS near-lossless", "HTJ2K"],
)
def test_lossy_forms_are_read_and_said(ct, syntax, encode):
    slices = ct.make(BitsStored=12, HighBit=11)
    truth = np.stack([ct.pixels(one) for one in slices]).astype(np.float32) - 1024
    write(ct, slices, syntax, encode, plain)
    scan = read(ct.folder)
    assert "lossy-compression" in {reason.code for reason in scan.reasons}
    assert np.abs(scan.volume.hu - truth).mean() < 5


def cut_short(stored: NDArray[np.uint16]) -> bytes:
    """The reversible wavelet, of which only so many bits are kept: no marker says so."""
    return imagecodecs.jpeg2k_encode(stored, reversible=True, level=70, codecformat="j2k")


UNSAID: dict[str, tuple[UID, Encode]] = {
    "JPEG 2000, 9/7": (
        JPEG2000Lossless,
        lambda stored: imagecodecs.jpeg2k_encode(stored, reversible=False, level=85, codecformat="j2k"),
    ),
    "JPEG 2000, 9/7, in a box": (
        JPEG2000Lossless,
        lambda stored: imagecodecs.jpeg2k_encode(stored, reversible=False, level=85, codecformat="jp2"),
    ),
    "JPEG 2000, cut short": (JPEG2000Lossless, cut_short),
    "JPEG 2000, either way, cut short": (JPEG2000, cut_short),
    "JPEG-LS, off by two": (JPEGLSLossless, lambda stored: imagecodecs.jpegls_encode(stored, level=2)),
    "JPEG of cosines": (
        JPEGLosslessSV1,
        lambda stored: imagecodecs.jpeg8_encode(stored, level=100, bitspersample=12),
    ),
    "HTJ2K, 9/7": (HTJ2KLossless, lambda stored: imagecodecs.htj2k_encode(stored, level=0.0001, reversible=False)),
    "HTJ2K RPCL, 9/7": (
        HTJ2KLosslessRPCL,
        lambda stored: imagecodecs.htj2k_encode(stored, level=0.0001, reversible=False),
    ),
}
"""Written with loss under a transfer syntax without."""


@pytest.fixture
def grainy(ct):
    """The scene with a scanner's noise, without which there is next to nothing to code."""

    def hu(lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = np.random.default_rng(crc32(lps_mm.tobytes())).normal(0, 12, lps_mm.shape[:-1])
        return ct.scene_hu(lps_mm) + noise

    return hu


@pytest.mark.parametrize("form", UNSAID)
def test_loss_that_headers_tell_nothing_of_is_said(ct, grainy, form):
    slices = ct.make(scene=grainy, BitsStored=12, HighBit=11, LossyImageCompression="00")
    truth = np.stack([ct.pixels(one) for one in slices]).astype(np.float32) - 1024
    write(ct, slices, *UNSAID[form], plain)
    scan = read(ct.folder)
    assert not np.array_equal(scan.volume.hu, truth)
    assert [reason.phrase.key for reason in scan.reasons] == ["lossy-compression.undeclared"]


@pytest.mark.parametrize("form", FORMS)
def test_forms_without_loss_are_not_called_lossy(ct, grainy, form):
    write(ct, ct.make(scene=grainy, LossyImageCompression="00"), *FORMS[form], plain)
    assert read(ct.folder).reasons == ()

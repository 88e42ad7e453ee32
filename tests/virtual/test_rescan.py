"""Pairs of scans: one thing changed, the same person, the same truth."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from trabecula.anatomy import Level
from trabecula.virtual.cohort import VirtualCt, scan_patient
from trabecula.virtual.rescan import Rescan, scan_again
from trabecula.virtual.scanner import Protocol, kernel_of
from trabecula.virtual.subject import sample_subject

PERSON = replace(sample_subject(3), phase="none")
PROTOCOL = Protocol(1.6, 5.0, 5.0, noise_hu=10.0)
VIEW = (Level.L1, Level.L2)


@pytest.fixture(scope="module")
def first() -> VirtualCt:
    return scan_patient(PERSON, PROTOCOL, *VIEW)


def changed(one: VirtualCt, other: VirtualCt) -> set[str]:
    before, after = asdict(one.protocol), asdict(other.protocol)
    return {name for name in before if before[name] != after[name]}


def mean_hu(ct: VirtualCt, level: Level) -> float:
    return float(ct.volume.hu[ct.trabecular == level.verse_id].mean())


@pytest.mark.parametrize(
    ("what", "differs"),
    [
        (Rescan.SAME, set()),
        (Rescan.VOLTAGE, {"kvp", "noise_hu"}),
        (Rescan.CONTRAST, set()),
    ],
)
def test_another_acquisition_changes_what_it_says_and_its_place(
    first: VirtualCt, what: Rescan, differs: set[str]
) -> None:
    again = scan_again(first, what)
    assert changed(first, again) == differs
    assert again.truth == first.truth
    assert not np.array_equal(again.volume.affine, first.volume.affine)
    assert (again.subject.phase == first.subject.phase) is (what is not Rescan.CONTRAST)
    np.testing.assert_array_equal(scan_again(first, what).volume.hu, again.volume.hu)


def test_another_kernel_is_of_the_same_acquisition(first: VirtualCt) -> None:
    again = scan_again(first, Rescan.KERNEL)
    assert kernel_of(again.protocol) != kernel_of(first.protocol)
    assert changed(first, again) <= {"psf_fwhm_mm", "edge_overshoot", "noise_hu", "noise_peak_per_mm"}
    np.testing.assert_array_equal(again.volume.affine, first.volume.affine)
    np.testing.assert_array_equal(again.trabecular, first.trabecular)
    assert (again.volume.hu != first.volume.hu).mean() > 0.5


def test_a_repeated_scan_reads_nearly_the_same_and_contrast_reads_more(first: VirtualCt) -> None:
    same, contrast = (scan_again(first, what) for what in (Rescan.SAME, Rescan.CONTRAST))
    for level in VIEW:
        assert mean_hu(same, level) == pytest.approx(mean_hu(first, level), abs=5)
        assert mean_hu(contrast, level) > mean_hu(first, level) + 5

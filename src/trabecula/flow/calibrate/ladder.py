"""The calibration ladder: every line that a scan allows, and the one of them that errs least.

A phantom's rods in the scan come first, then a phantom scanned on the same scanner in the same mode, then the line
computed for the voltage and the patient's size; the patient's own tissues say less than the voltage does where that is
known, and stand beside it.
"""

from dataclasses import dataclass, replace

import numpy as np

from trabecula.errors import refusal
from trabecula.flow.calibrate.around import surroundings
from trabecula.flow.calibrate.asynchronous import Profiles
from trabecula.flow.calibrate.beam import REFERENCE_KVP, Beam
from trabecula.flow.calibrate.certificate import Certificate
from trabecula.flow.calibrate.phantom import read_phantom
from trabecula.flow.calibrate.phase import Contrast, judge, read_organs
from trabecula.flow.calibrate.size import USUAL_MM, WaterPath, water_path
from trabecula.flow.calibrate.tissues import effective_energy, read_tissues, tissues_rung
from trabecula.flow.calibrate.voltage import beam_of, possible_slopes, to_reference_voltage, voltage_rung
from trabecula.messages import Phrase
from trabecula.records import Acquisition, Calibration, Effect, Reason, Regions, Rung, Scan, Spine, reason
from trabecula.volume import Float64


@dataclass(frozen=True)
class LadderCalibration:
    """Every rung that the scan allows, the contrast medium in it, and the line that errs least.

    ``phantom`` is the certificate of a phantom that may lie in the scan, ``profiles`` the kept lines of scanners.
    """

    phantom: Certificate | None = None
    profiles: Profiles | None = None

    def __call__(self, scan: Scan, spine: Spine, regions: Regions | None) -> Calibration:
        """The calibration of a scan; 120 kVp is assumed where the voltage is not known, and the interval is wider.

        Raises:
            Refusal: the rods of a phantom that was asked for are not all in the scan.
            WrongUsage: the scanner's profile is damaged, or another scanner's.
        """
        acquisition, middles = scan.acquisition, _middles(scan, spine, regions)
        if not len(middles):
            return _unseen(acquisition)
        path = water_path(scan.volume, np.median(middles, axis=0))
        path_mm = path.hardening_mm if path.whole else max(path.hardening_mm, USUAL_MM)
        beam = beam_of(acquisition, path_mm)
        around = surroundings(scan.volume, middles)
        organs = read_organs(around)
        at_120 = Beam(REFERENCE_KVP, path_mm)
        contrast = judge(
            organs,
            (beam or at_120).iodine / at_120.iodine,
            acquisition.contrast_agent is not None,
            acquisition.contrast_delay_s,
        )
        energy = effective_energy(read_tissues(around, None if contrast.enhanced else organs.get("aorta")))
        lines = [voltage_rung(beam, path_mm, path.whole)] + ([] if energy is None else [tissues_rung(energy)])
        known, reasons = self._by_phantom(scan, middles, beam, path_mm)
        rungs = tuple(sorted((*known, *lines), key=lambda rung: rung.slope_sd_fraction))
        best = rungs[0] if beam is not None or known else lines[0]
        rungs = (best, *(rung for rung in rungs if rung is not best))
        reasons += _contrast_reasons(contrast, best, acquisition)
        if not path.whole:
            reasons += (reason("size-unknown", Effect.NOTE),)
        return Calibration(
            rung=best.name,
            slope_hu_cm3_mg=round(best.slope_hu_cm3_mg, 4),
            offset_hu=round(best.offset_hu, 2),
            systematic_sd_fraction=best.slope_sd_fraction,
            hu_factor=1.0 if beam is None else to_reference_voltage(beam.kvp),
            contrast_rise=contrast.rise_hu / best.slope_hu_cm3_mg,
            contrast_rise_sd=contrast.rise_sd_hu / best.slope_hu_cm3_mg,
            offset_sd_hu=best.offset_sd_hu,
            slope_range=possible_slopes(path_mm) if beam is None and not known else None,
            rungs=rungs,
            facts=_facts(acquisition, beam, path, contrast, rungs),
            reasons=reasons,
        )

    def _by_phantom(
        self, scan: Scan, middles: Float64, beam: Beam | None, path_mm: float
    ) -> tuple[tuple[Rung, ...], tuple[Reason, ...]]:
        """The rungs that phantoms give, best first, and what is to be said where no profile is kept."""
        rungs: tuple[Rung, ...] = ()
        reasons: tuple[Reason, ...] = ()
        kvp = REFERENCE_KVP if beam is None else beam.kvp
        if self.phantom is not None:
            reading = read_phantom(scan.volume, middles, self.phantom, kvp)
            if reading is None:
                raise refusal("phantom-rods-missing.patient", phantom=self.phantom.name, rods=len(self.phantom.rods))
            rungs += (_for_voltage(reading.rung, beam),)
        if self.profiles is not None and beam is not None:
            profile = self.profiles.find(scan.acquisition)
            if profile is None:
                reasons += (reason("profile-missing", Effect.NOTE),)
            else:
                there = Beam(beam.kvp, profile.path_mm, beam.tin_mm).slope_k2hpo4
                rungs += (_for_voltage(profile.rung(beam.slope_k2hpo4 / there), beam),)
        return rungs, reasons


def _for_voltage(rung: Rung, beam: Beam | None) -> Rung:
    """A phantom's line with what marrow is darker or brighter than at 120 kVp, where QCT's bands belong."""
    shift = 0.0 if beam is None else beam.marrow_shift_hu
    return replace(rung, offset_hu=rung.offset_hu + shift)


def _middles(scan: Scan, spine: Spine, regions: Regions | None) -> Float64:
    """The middles of the bodies (n, 3), LPS mm: of their regions, or where the localiser saw them."""
    if regions is not None and regions.vertebrae:
        return np.array([one.centroid_lps_mm for one in regions.vertebrae])
    found = [scan.volume.to_lps(spine.middle(box)) for box in spine.vertebrae]
    return np.array(found) if found else np.zeros((0, 3))


def _unseen(acquisition: Acquisition) -> Calibration:
    """Where no vertebra is in view there is nothing to calibrate for; the voltage's line stands for the report."""
    beam = beam_of(acquisition, USUAL_MM)
    rung = voltage_rung(beam, USUAL_MM, size_known=False)
    return Calibration(
        rung.name, round(rung.slope_hu_cm3_mg, 4), rung.offset_hu, rung.slope_sd_fraction, rungs=(rung,),
        facts={"tube_voltage_kvp": acquisition.tube_voltage_kvp},
    )  # fmt: skip


def _contrast_reasons(contrast: Contrast, rung: Rung, acquisition: Acquisition) -> tuple[Reason, ...]:
    rise, sd = (hu / rung.slope_hu_cm3_mg for hu in (contrast.rise_hu, contrast.rise_sd_hu))
    phase = Phrase(f"phase-{contrast.phase}")
    if contrast.enhanced and contrast.organs_hu:
        blood = max(contrast.organs_hu.get(name, -1000.0) for name in contrast.organs_hu)
        share = contrast.probabilities[contrast.phase]
        return (
            reason("contrast-medium.phase", phase=phase, probability=share, brightest_hu=blood, rise=rise, rise_sd=sd),
        )
    if acquisition.contrast_agent is not None:
        return (reason("contrast-medium.header", rise=rise, rise_sd=sd),)
    if not contrast.organs_hu:
        return (reason("contrast-unknown", rise=rise, rise_sd=sd),)
    return ()


def _facts(
    acquisition: Acquisition, beam: Beam | None, path: WaterPath, contrast: Contrast, rungs: tuple[Rung, ...]
) -> dict[str, object]:
    """What else the calibration rests on."""
    slopes = [rung.slope_hu_cm3_mg for rung in rungs]
    return {
        "tube_voltage_kvp": acquisition.tube_voltage_kvp,
        "tin_filter_mm": None if beam is None else beam.tin_mm,
        "water_path_mm": round(path.hardening_mm, 1) if path.whole else None,
        "contrast_phase": str(contrast.phase),
        "contrast_probabilities": {str(phase): round(share, 3) for phase, share in contrast.probabilities.items()},
        "blood_hu": round(contrast.organs_hu["aorta"]) if "aorta" in contrast.organs_hu else None,
        "organs_hu": {name: round(hu) for name, hu in contrast.organs_hu.items()},
        "rungs_differ_fraction": round(max(slopes) / min(slopes) - 1, 3) if len(slopes) > 1 else None,
    }

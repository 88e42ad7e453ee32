"""The small print of a report: how the scan was made, what calibrated it, what was run."""

from collections.abc import Mapping
from typing import Any

from trabecula.messages import Phrase, messages
from trabecula.records import Rung
from trabecula.records.codec import plain
from trabecula.report.words import Words

OF_DENSITIES = ("material", "contrast_rise", "contrast_rise_sd")
"""What a calibration says of densities in its own quantity alone."""

CALIBRATION_UNITS = {
    "slope_hu_cm3_mg": " HU/(mg/cm³)",
    "offset_hu": " HU",
    "tube_voltage_kvp": " kVp",
    "offset_sd_hu": " HU",
    "contrast_rise": " mg/cm³",
    "contrast_rise_sd": " mg/cm³",
    "tin_filter_mm": " mm",
    "water_path_mm": " mm",
    "blood_hu": " HU",
}


class Facts(Words):
    """Names and values, as the template takes them."""

    def protocol(self) -> str:
        """How the scan was made, in one line."""
        said = self.assessment.scan.acquisition
        facts = (
            self._scanner(),
            None if said.tube_voltage_kvp is None else f"{said.tube_voltage_kvp:g} kVp",
            self.say("slices", thickness_mm=said.slice_thickness_mm or self.assessment.scan.volume.spacing_mm[0]),
            said.kernel and self.say("kernel", name=said.kernel),
            self.say("contrast", agent=self._agent()),
        )
        return " · ".join(fact for fact in facts if fact)

    def calibrated(self) -> str:
        """What the numbers rest on, in one line."""
        said = [self._words(self.assessment.readings.method), self._words(self.assessment.calibration.rung)]
        quantity = self.assessment.quantity
        material = None if quantity is None else quantity.material
        return " · ".join([*said, *([] if material is None else [self.say("equivalent", material=material)])])

    def acquisition(self) -> list[tuple[str, str]]:
        """What the headers say, and the grid. A silent header is said to be silent."""
        said = self.assessment.scan.acquisition
        depth, rows, columns = self.assessment.scan.volume.shape
        step, row, column = self.assessment.scan.volume.spacing_mm
        patient = [self.say(f"sex-{said.patient_sex.lower()}")] if said.patient_sex in ("F", "M", "O") else []
        if said.patient_age_years is not None:
            patient.append(self.say("age", years=said.patient_age_years))
        silent = self.say("not-recorded")
        facts = {
            "given-as": {"dicom": "DICOM", "nifti": "NIfTI", "nrrd": "NRRD"}.get(said.source, said.source),
            "patient": self.several(patient) if patient else silent,
            "scanner": self._scanner() or silent,
            "tube-voltage-name": silent if said.tube_voltage_kvp is None else f"{said.tube_voltage_kvp:g} kVp",
            "kernel-name": said.kernel or silent,
            "slice-thickness": silent if said.slice_thickness_mm is None else f"{said.slice_thickness_mm:g} mm",
            "voxels": f"{columns} × {rows} × {depth}",
            "voxel-size": f"{column:.2f} × {row:.2f} × {step:.2f} mm",
            "contrast-medium-name": self._agent(),
            "series-name": said.series_description or silent,
        }
        return self.named(facts)

    def _agent(self) -> str:
        """The contrast medium as the header calls it; where its name is not kept, that there is one."""
        agent = self.assessment.scan.acquisition.contrast_agent
        return self.say("recorded") if agent == "recorded" else agent or self.say("not-recorded")

    def _scanner(self) -> str:
        said = self.assessment.scan.acquisition
        return " ".join(part for part in (said.manufacturer, said.model) if part)

    def calibration(self) -> list[tuple[str, str]]:
        """Every fact of the calibration; one that no message names is named by its key."""
        known, line = messages(self.language), self.assessment.calibration
        facts: dict[str, Any] = {
            "method": self.assessment.readings.method,
            "rung": line.rung,
            "material": line.quantity.material,
            "slope_hu_cm3_mg": line.slope_hu_cm3_mg,
            "offset_hu": line.offset_hu,
            "systematic_sd_fraction": line.systematic_sd_fraction,
            "offset_sd_hu": line.offset_sd_hu,
            "contrast_rise": line.contrast_rise,
            "contrast_rise_sd": line.contrast_rise_sd,
            "rungs": [self._rung(one) for one in line.rungs[1:]] or self.say("none"),
            **line.facts,
        }
        if self.assessment.quantity != line.quantity:  # the line led to none of the numbers that are shown
            facts = {key: value for key, value in facts.items() if key not in OF_DENSITIES}
        return [
            (known.get(f"calibration-{key}", key.replace("_", " ").capitalize()), self._calibration_value(key, value))
            for key, value in facts.items()
        ]

    def _rung(self, rung: Rung) -> str:
        """Another line that the scan allows, in short."""
        slope = f"{rung.slope_hu_cm3_mg:.3f}{CALIBRATION_UNITS['slope_hu_cm3_mg']}"
        return f"{self._words(rung.name)} {slope}"

    def _calibration_value(self, key: str, value: Any) -> str:
        if value is None:
            return self.say("not-recorded")
        if key.endswith("_fraction") and isinstance(value, int | float):
            return self.share(value)
        if key == "contrast_phase":
            return self._known(str(value))
        if key.startswith("contrast_rise"):
            value = round(float(value), 1)
        return self._words(value) + CALIBRATION_UNITS.get(key, "")

    def _known(self, word: str) -> str:
        """A phase or an organ in this language; any other key as it is written."""
        known = messages(self.language)
        return known.get(f"phase-{word}") or known.get(f"organ-{word}") or word.replace("_", " ")

    def _words(self, value: Any) -> str:
        """A value in a line of text."""
        if isinstance(value, Phrase):
            return value.told(self.language)
        value = plain(value)
        if isinstance(value, dict):
            return self.several([f"{self._known(key)} {self._words(item)}" for key, item in value.items()])
        if isinstance(value, list):
            return self.several([self._words(item) for item in value])
        return f"{value:g}" if isinstance(value, float) else str(value)

    def run(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The run record in short; assessment.json holds the whole of it."""
        seconds = [float(taken) for taken in run.get("seconds", {}).values()]
        weights = [f"{name} {str(digest)[:8]}" for name, digest in run.get("weights_sha256", {}).items()]
        place = [str(run["device"])] if "device" in run else []
        place += [f"Python {run['python']}"] if "python" in run else []
        day = str(run["written_utc"]).replace("T", " ").replace("+00:00", " UTC")
        facts = {
            "program": f"Trabecula {run.get('version', '')}",
            "recipe": " · ".join(str(part) for part in (self.assessment.recipe, run.get("source")) if part),
            "weights": self.several(weights),
            "run-on": self.several(place) if place else self.say("not-recorded"),
            "took": self.say("took-seconds", seconds=sum(seconds)),
            "written": self.say("removed") if day == "removed" else day,
        }
        series = self.assessment.scan.acquisition.series_instance_uid
        return self.named(facts | ({"series-uid": series} if series else {}))

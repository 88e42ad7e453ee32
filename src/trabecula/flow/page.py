"""report.html: the assessment as one page for people, in their language, self-contained and printable on A4."""

import math
import struct
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trabecula.flow.document import BANDS_MG_CM3, plain, rounded_bmd
from trabecula.messages import DEFAULT_LANGUAGE, Fact, Phrase, messages
from trabecula.records import Assessment, Diagnosis, Reason, VertebraDensity

RESEARCH_ONLY = messages(DEFAULT_LANGUAGE)["research-only"]
NO_RULING_OUT = messages(DEFAULT_LANGUAGE)["no-ruling-out"]
TEMPLATES = Path(__file__).parent / "templates"
BAND_STEP_MG_CM3 = 20.0
"""To which the ends of the band figure are rounded."""

CALIBRATION_UNITS = {
    "slope_hu_cm3_mg": " HU/(mg/cm³)",
    "offset_hu": " HU",
    "tube_voltage_kvp": " kVp",
    "simulated_sd_mg_cm3": " mg/cm³",
    "blood_hu": " HU",
}


def page(
    assessment: Assessment, run: Mapping[str, Any], pictures: Mapping[str, bytes], language: str = DEFAULT_LANGUAGE
) -> str:
    """The HTML text; every picture is part of it and nothing is fetched from elsewhere."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made = _Page(assessment, language)
    return templates.get_template("report.html").render(
        say=made.say,
        result=made.result(),
        bands=made.bands(),
        vertebrae=[made.vertebra(v) for v in assessment.densities.vertebrae],
        reasons=made.reasons(assessment.reasons),
        views=[made.picture(name, pictures[name]) for name in ("sagittal.png", "coronal.png")],
        axial=[made.picture(name, data) for name, data in pictures.items() if name.startswith("axial-")],
        in_view=made.several([box.level for box in assessment.spine.vertebrae]),
        unnamed=any(not box.level.is_named for box in assessment.spine.vertebrae),
        protocol=made.protocol(),
        calibrated=made.calibrated(),
        acquisition=made.acquisition(),
        calibration=made.calibration(),
        run=made.run(run),
    )


@dataclass(frozen=True)
class _Page:
    """The parts of the page, each as the template takes it."""

    assessment: Assessment
    language: str

    def say(self, key: str, **facts: Fact) -> str:
        return Phrase(key, facts).told(self.language)

    def several(self, words: Sequence[str]) -> str:
        """Words with the language's separator between them; "none" where there are none."""
        return self.say("list", words=tuple(words))

    def _joined(self, words: Sequence[str]) -> str:
        """Words as they stand in a sentence: "L1 and L2"."""
        if len(words) < 2:
            return self.several(words)
        return self.say("and", first=self.several(words[:-1]), last=words[-1])

    @property
    def _diagnosis(self) -> Diagnosis:
        return self.assessment.diagnosis

    def result(self) -> dict[str, Any]:
        """The answer in words; ``number`` is None where there is no category."""
        diagnosis = self._diagnosis
        bmd, interval = diagnosis.bmd_mg_cm3, diagnosis.bmd_interval_mg_cm3
        levels = self._joined(diagnosis.levels_used)
        low, high = BANDS_MG_CM3
        likely = sorted(plain(diagnosis.probabilities).items(), key=lambda item: -item[1])
        shares = [self.say("probability", category=self._category(key), share=self._share(p)) for key, p in likely]
        return {
            "category": self._category(diagnosis.category),
            "number": None if bmd is None else f"{rounded_bmd(bmd, 1)}",
            "interval": None if interval is None else self._range(interval),
            "levels": self.say("levels-measured" if bmd is None else "levels-used", levels=levels),
            "sentence": self.say(
                f"lies-{diagnosis.category if bmd is not None else 'undetermined'}", levels=levels, low=low, high=high
            ),
            "probabilities": self.say("probabilities", shares=self.several(shares)) if shares else "",
        }

    def _category(self, category: str) -> str:
        return self.say(f"category-{category}")

    def _share(self, share: float) -> str:
        return self.say("percent-least") if share < 0.005 else self.say("percent", share=share)

    def _range(self, interval: tuple[float, float]) -> str:
        return self.say("range", low=interval[0], high=interval[1])

    def _ends(self) -> tuple[float, float]:
        """First and last value of the scale that the band figure and the bars of the vertebrae share."""
        shown: list[Diagnosis | VertebraDensity] = [self._diagnosis, *self.assessment.densities.vertebrae]
        reach = [x for one in shown for x in (one.bmd_mg_cm3, *(one.bmd_interval_mg_cm3 or ())) if x is not None]
        step = BAND_STEP_MG_CM3
        first = min(0.0, math.floor(min(reach, default=0.0) / step) * step)
        return first, max(200.0, math.ceil(max(reach, default=0.0) / step) * step)

    def _place(self, one: Diagnosis | VertebraDensity) -> dict[str, float | None]:
        """Where a density and its interval lie on the scale, in percent of its width."""
        share, interval = self._percent(), one.bmd_interval_mg_cm3
        return {
            "at": None if one.bmd_mg_cm3 is None else share(one.bmd_mg_cm3),
            "from": None if interval is None else share(interval[0]),
            "width": None if interval is None else share(interval[1]) - share(interval[0]),
        }

    def _percent(self) -> Callable[[float], float]:
        first, last = self._ends()
        return lambda value: round(100 * (value - first) / (last - first), 2)

    def bands(self) -> dict[str, Any]:
        """The band figure: each band's share of the width, and where the value and its interval lie, in percent."""
        share, (first, last), (low, high) = self._percent(), self._ends(), BANDS_MG_CM3
        zones = (
            ("osteoporosis", self.say("band-below", value=low), first, low),
            ("osteopenia", self.say("band-between", low=low, high=high), low, high),
            ("normal", self.say("band-above", value=high), high, last),
        )
        return {
            "zones": [
                {
                    "key": key,
                    "name": self._category(key),
                    "range": text,
                    "from": share(start),
                    "width": round(share(end) - share(start), 2),
                    "here": self._diagnosis.category == key,
                }
                for key, text, start, end in zones
            ],
            "ticks": [{"at": share(value), "text": f"{value:g}"} for value in (first, low, high, last)],
            "low": low,
            "high": high,
            **self._place(self._diagnosis),
        }

    def vertebra(self, vertebra: VertebraDensity) -> dict[str, Any]:
        """One row of the table, and what is to be said of it below."""
        bmd, interval = vertebra.bmd_mg_cm3, vertebra.bmd_interval_mg_cm3
        used = self._diagnosis.bmd_mg_cm3 is not None and vertebra.level in self._diagnosis.levels_used
        return {
            "level": self.several([vertebra.level]),
            "standing": "used" if used else "not-used" if vertebra.measurable else "withheld",
            "bmd": "-" if bmd is None else f"{rounded_bmd(bmd, 1)}",
            "interval": None if interval is None else self._range(interval),
            "mean_hu": _number(vertebra.mean_hu, 0),
            "sd_hu": _number(vertebra.sd_hu, 0),
            "volume_cm3": _number(vertebra.volume_mm3 / 1000, 1),
            "reasons": self.reasons(vertebra.reasons),
            **self._place(vertebra),
        }

    def reasons(self, reasons: Sequence[Reason]) -> list[tuple[str, str]]:
        """Code and sentence of each."""
        return [(reason.code, reason.told(self.language)) for reason in reasons]

    def protocol(self) -> str:
        """How the scan was made, in one line."""
        said = self.assessment.scan.acquisition
        silent = self.say("not-recorded")
        facts = (
            self._scanner(),
            None if said.tube_voltage_kvp is None else f"{said.tube_voltage_kvp:g} kVp",
            self.say("slices", thickness_mm=said.slice_thickness_mm or self.assessment.scan.volume.spacing_mm[0]),
            said.kernel and self.say("kernel", name=said.kernel),
            self.say("contrast", agent=said.contrast_agent or silent),
        )
        return " · ".join(fact for fact in facts if fact)

    def calibrated(self) -> str:
        """What the numbers rest on, in one line."""
        rung = self.assessment.densities.calibration.get("rung")
        return " · ".join([*([self._words(rung)] if rung else []), self.say("k2hpo4-equivalent")])

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
            "contrast-medium-name": said.contrast_agent or silent,
            "series-name": said.series_description or silent,
        }
        return self._named(facts)

    def _scanner(self) -> str:
        said = self.assessment.scan.acquisition
        return " ".join(part for part in (said.manufacturer, said.model) if part)

    def calibration(self) -> list[tuple[str, str]]:
        """Every fact of the calibration; one that no message names is named by its key."""
        known = messages(self.language)
        return [
            (known.get(f"calibration-{key}", key.replace("_", " ").capitalize()), self._calibration_value(key, value))
            for key, value in self.assessment.densities.calibration.items()
        ]

    def _calibration_value(self, key: str, value: Any) -> str:
        if value is None:
            return self.say("not-recorded")
        if key.endswith("_fraction") and isinstance(value, int | float):
            return self._share(value)
        return self._words(value) + CALIBRATION_UNITS.get(key, "")

    def _words(self, value: Any) -> str:
        """A value in a line of text."""
        if isinstance(value, Phrase):
            return value.told(self.language)
        value = plain(value)
        if isinstance(value, dict):
            return self.several([f"{key.replace('_', ' ')} {self._words(item)}" for key, item in value.items()])
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
        return self._named(facts | ({"series-uid": series} if series else {}))

    def _named(self, facts: Mapping[str, str]) -> list[tuple[str, str]]:
        return [(self.say(key), value) for key, value in facts.items()]

    def picture(self, name: str, png: bytes) -> dict[str, Any]:
        """A picture as a data URI, with its size from the PNG's own header and what it shows in words."""
        width, height = struct.unpack(">II", png[16:24])
        plane, _, level = name.removesuffix(".png").partition("-")
        return {
            "uri": f"data:image/png;base64,{b64encode(png).decode('ascii')}",
            "width": width,
            "height": height,
            "shows": self.say(f"view-{plane}", level=level),
        }


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"

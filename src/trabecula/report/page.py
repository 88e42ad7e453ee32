"""report.html: the assessment as one page for people, in their language, self-contained and printable on A4."""

import math
import struct
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trabecula.messages import DEFAULT_LANGUAGE, Fact, Phrase, joined, messages
from trabecula.quantity import BANDS, VBMD_HA, VBMD_K2HPO4, Bands, Category, Interval, Measurement, Quantity
from trabecula.records import Assessment, Basis, Diagnosis, Reason, Rung, VertebraReading
from trabecula.records.codec import plain

RESEARCH_ONLY = messages(DEFAULT_LANGUAGE)["research-only"]
NO_RULING_OUT = messages(DEFAULT_LANGUAGE)["no-ruling-out"]
TEMPLATES = Path(__file__).parent / "templates"
BAND_STEP_MG_CM3 = 20.0
"""To which the ends of the band figure are rounded."""

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
        unit=made.unit(),
        subtitle=made.subtitle(),
        shown=made.shown(),
        footer=made.footer(),
        vertebrae=[made.vertebra(v) for v in assessment.readings.vertebrae],
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


def answer(assessment: Assessment, language: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
    """The answer in words, as the page's head shows it: category, number, interval, levels, probabilities."""
    return _Page(assessment, language).result()


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
        return joined(words).told(self.language)

    @property
    def _diagnosis(self) -> Diagnosis:
        return self.assessment.diagnosis

    @property
    def _bands(self) -> Bands | None:
        """The bands that the densities are held against; None where their quantity has none."""
        quantity = self.assessment.quantity
        return None if quantity is None else BANDS.get(quantity.key)

    def result(self) -> dict[str, Any]:
        """The answer in words; ``number`` is None where no density led to the category."""
        diagnosis, density = self._diagnosis, self._diagnosis.density
        levels = self._joined(diagnosis.levels_used)
        likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
        shares = [self.say("probability", category=self._category(key), share=self._share(p)) for key, p in likely]
        return {
            "category": self._headline(),
            "fractures": [one.told(self.language) for one in self.assessment.fractures],
            "number": None if density is None else density.shown,
            "unit": None if density is None else unit_shown(density.quantity),
            "interval": None if density is None else self._interval(density),
            "levels": self.say("levels-used" if diagnosis.determined else "levels-measured", levels=levels),
            "sentence": self._sentence(levels),
            "probabilities": self.say(self._shares_key, shares=self.several(shares)) if shares else "",
        }

    @property
    def _shares_key(self) -> str:
        classified = self._diagnosis.basis is Basis.CLASSIFIER
        return "probabilities-classifier" if classified else "probabilities"

    def _headline(self) -> str:
        """The category, or in the grey zone all that it may be: "Osteopenia or normal"."""
        first, *others = (self._category(one) for one in self._diagnosis.candidates)
        for other in others:
            first = self.say("or", first=first, last=other.lower())
        return first

    def _sentence(self, levels: str) -> str:
        """Why it is this category."""
        diagnosis, bands = self._diagnosis, self._bands
        if not diagnosis.determined:
            return self.say("lies-undetermined")
        if diagnosis.basis is Basis.BANDS and bands is not None:
            low, high = bands.edges
            return self.say(f"lies-{diagnosis.category}", levels=levels, low=low, high=high)
        return self.say(f"by-{diagnosis.basis}", levels=levels, category=self._category(diagnosis.category))

    def _category(self, category: Category) -> str:
        return self.say(f"category-{category}")

    def _share(self, share: float) -> str:
        return self.say("percent-least") if share < 0.005 else self.say("percent", share=share)

    def _interval(self, density: Measurement) -> str:
        """The interval with its unit; a quantity of more digits has more of them here too."""
        return self.say("interval", range=self._range(density), unit=unit_shown(density.quantity))

    def _range(self, density: Measurement) -> str:
        low, high = density.interval_shown
        return self.say("range", low=low, high=high)

    def _ends(self) -> Interval:
        """First and last value of the scale that the band figure and the bars of the vertebrae share."""
        shown = [self._diagnosis.density, *(one.density for one in self.assessment.readings.vertebrae)]
        reach = [x for one in shown if one is not None for x in (one.value, *one.interval)]
        step = BAND_STEP_MG_CM3
        first = min(0.0, math.floor(min(reach, default=0.0) / step) * step)
        return first, max(200.0, math.ceil(max(reach, default=0.0) / step) * step)

    def _place(self, density: Measurement | None) -> dict[str, float | None]:
        """Where a density and its interval lie on the scale, in percent of its width."""
        if density is None or self._bands is None:
            return {"at": None, "from": None, "width": None}
        share, (low, high) = self._percent(), density.interval
        return {"at": share(density.value), "from": share(low), "width": share(high) - share(low)}

    def _percent(self) -> Callable[[float], float]:
        first, last = self._ends()
        return lambda value: round(100 * (value - first) / (last - first), 2)

    def bands(self) -> dict[str, Any] | None:
        """The band figure: each band's share of the width, and where the value and its interval lie, in percent."""
        if self._bands is None:
            return None
        share, (first, last), (low, high) = self._percent(), self._ends(), self._bands.edges
        zones = (
            (Category.OSTEOPOROSIS, self.say("band-below", value=low), first, low),
            (Category.OSTEOPENIA, self.say("band-between", low=low, high=high), low, high),
            (Category.NORMAL, self.say("band-above", value=high), high, last),
        )
        return {
            "zones": [
                {
                    "key": key.value,
                    "name": self._category(key),
                    "range": text,
                    "from": share(start),
                    "width": round(share(end) - share(start), 2),
                    "here": self._diagnosis.category is key and self._diagnosis.basis is Basis.BANDS,
                }
                for key, text, start, end in zones
            ],
            "ticks": [{"at": share(value), "text": f"{value:g}"} for value in (first, low, high, last)],
            "low": low,
            "high": high,
            **self._place(self._diagnosis.density),
        }

    def unit(self) -> str | None:
        """That of the densities in the table; None where there is none to have."""
        quantity = self.assessment.quantity
        return None if quantity is None else unit_shown(quantity)

    def vertebra(self, vertebra: VertebraReading) -> dict[str, Any]:
        """One row of the table, and what is to be said of it below."""
        density, used = vertebra.density, self._diagnosis.decided_by(vertebra.level)
        return {
            "level": self.several([vertebra.level]),
            "standing": "used" if used else "withheld" if vertebra.withheld else "not-used",
            "density": "-" if density is None else density.shown,
            "interval": None if density is None else self._range(density),
            "mean_hu": _number(vertebra.mean_hu, 0),
            "sd_hu": _number(vertebra.sd_hu, 0),
            "volume_cm3": _number(vertebra.volume_mm3 / 1000, 1),
            "category": self._vertebra_category(vertebra),
            "reasons": self.reasons(vertebra.reasons),
            **self._place(density),
        }

    def _vertebra_category(self, vertebra: VertebraReading) -> str:
        """What a classifier finds likeliest of one vertebra, and how likely."""
        likeliest = vertebra.likeliest
        if likeliest is None or vertebra.probabilities is None:
            return ""
        share = self._share(vertebra.probabilities[likeliest])
        return self.say("probability", category=self._category(likeliest), share=share)

    def shown(self) -> dict[str, bool]:
        """Which columns of the table this kind of result fills, and whether anything is outlined."""
        vertebrae = self.assessment.readings.vertebrae
        outlined = not vertebrae or any(one.volume_mm3 > 0 for one in vertebrae)
        return {
            "hu": not vertebrae or any(math.isfinite(one.mean_hu) for one in vertebrae),
            "outlined": outlined,
        }

    def subtitle(self) -> str:
        """What the page is about."""
        volumetric = self.assessment.quantity in (VBMD_K2HPO4, VBMD_HA)
        return self.say("page-subtitle" if volumetric else "page-subtitle-plain")

    def footer(self) -> str:
        """What the category is by, and is not."""
        if self._diagnosis.basis is Basis.BANDS and self._bands is not None:
            low, high = self._bands.edges
            return self.say("footer", low=low, high=high)
        return self.say(f"footer-{self._diagnosis.basis}")

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
            "contrast-medium-name": said.contrast_agent or silent,
            "series-name": said.series_description or silent,
        }
        return self._named(facts)

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
            return self._share(value)
        if key.startswith("contrast_rise"):
            value = round(float(value), 1)
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


def unit_shown(quantity: Quantity) -> str:
    """The unit with its exponent raised."""
    return quantity.unit.replace("cm3", "cm³").replace("cm2", "cm²")


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"

"""report.html: the assessment as one page for people, in their language, self-contained and printable on A4."""

import math
import struct
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from trabecula.messages import DEFAULT_LANGUAGE
from trabecula.quantity import BANDS, VBMD_HA, VBMD_K2HPO4, Bands, Category, Interval, Measurement
from trabecula.records import FRACTURE, Assessment, Basis, Diagnosis, Reason, VertebraReading
from trabecula.report.beside import beside
from trabecula.report.curve import curve
from trabecula.report.facts import Facts
from trabecula.report.figures import marked
from trabecula.report.masthead import UNNAMED, Masthead, masthead
from trabecula.report.verdict import Verdict
from trabecula.report.words import templates, unit_shown

BAND_STEP_MG_CM3 = 20.0
"""To which the ends of the band figure are rounded."""


def page(
    assessment: Assessment,
    run: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    language: str = DEFAULT_LANGUAGE,
    head: Masthead = UNNAMED,
) -> str:
    """The HTML text; every picture is part of it and nothing is fetched from elsewhere."""
    made, facts = _Page(assessment, language), Facts(assessment, language)
    return (
        templates()
        .get_template("report.html")
        .render(
            say=made.say,
            masthead=masthead(head, made),
            result=made.result(),
            bands=made.bands(),
            unit=made.unit(),
            subtitle=made.subtitle(),
            shown=made.shown(),
            footer=made.footer(),
            vertebrae=[made.vertebra(v) for v in assessment.readings.vertebrae],
            doubts=made.reasons(made.told.doubts),
            notes=made.reasons(made.told.notes),
            curve=curve(made),
            views=[made.picture(name, pictures[name]) for name in ("sagittal.png", "coronal.png")],
            axial=[made.picture(name, data) for name, data in pictures.items() if name.startswith("axial-")],
            legend=made.legend(),
            protocol=facts.protocol(),
            calibrated=facts.calibrated(),
            acquisition=facts.acquisition(),
            calibration=facts.calibration(),
            beside=beside(assessment, language),
            run=facts.run(run),
        )
    )


def answer(assessment: Assessment, language: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
    """The answer in words, as the page's head shows it: category, number, interval, levels, probabilities, doubt."""
    return _Page(assessment, language).result()


class _Page(Verdict):
    """The parts of the page, each as the template takes it."""

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
        likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
        shares = [self.say("probability", category=self.category(key), share=self.share(p)) for key, p in likely]
        return {
            "category": self.either(diagnosis.candidates, opening=True),
            "fractures": self.fractures(),
            "first": None if self.told.first is None else self.reasons([self.told.first])[0],
            "undoubted": self.undoubted(),
            "number": None if density is None else density.shown,
            "unit": None if density is None else unit_shown(density.quantity),
            "interval": None if density is None else self._interval(density),
            "levels": self._levels(),
            "sentence": self.sentences([self._sentence(), self.crossing()]),
            "probabilities": self.say(self._shares_key, shares=self.several(shares)) if shares else "",
        }

    def _levels(self) -> str:
        """Those that decide, or without a category those that were measured."""
        if self._diagnosis.determined:
            return self.say("levels-used", levels=self.joined(self._diagnosis.levels_used))
        vertebrae = self.assessment.readings.vertebrae
        measured = [one.level for one in vertebrae if one.density is not None or one.likeliest is not None]
        return self.say("levels-measured", levels=self.joined(measured))

    @property
    def _shares_key(self) -> str:
        classified = self._diagnosis.basis is Basis.CLASSIFIER
        return "probabilities-classifier" if classified else "probabilities"

    def _sentence(self) -> str:
        """Why it is this category."""
        diagnosis, bands = self._diagnosis, self._bands
        levels = self.joined(diagnosis.levels_used)
        if not diagnosis.determined:
            return self.say("lies-undetermined")
        if diagnosis.basis is Basis.BANDS and bands is not None:
            low, high = bands.edges
            return self.say(f"lies-{diagnosis.category}", levels=levels, low=low, high=high)
        return self.say(f"by-{diagnosis.basis}", levels=levels, category=self.say(f"word-{diagnosis.category}"))

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
                    "name": self.category(key),
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
            "reasons": [self._once(one) for one in vertebra.reasons],
            **self._place(density),
        }

    def _vertebra_category(self, vertebra: VertebraReading) -> str:
        """What a classifier finds likeliest of one vertebra, and how likely."""
        likeliest = vertebra.likeliest
        if likeliest is None or vertebra.probabilities is None:
            return ""
        share = self.share(vertebra.probabilities[likeliest])
        return self.say("probability", category=self.category(likeliest), share=share)

    def _once(self, said: Reason) -> tuple[str, str]:
        """Code and sentence; the code alone where the page's head has told it."""
        at_the_head = said.code == FRACTURE or said == self.told.first
        return said.code, "" if at_the_head else said.told(self.language)

    def shown(self) -> dict[str, bool]:
        """Which columns of the table this kind of result fills, whether anything is outlined or lies on the bands."""
        vertebrae = self.assessment.readings.vertebrae
        outlined = not vertebrae or any(one.volume_mm3 > 0 for one in vertebrae)
        on_bands = self._bands is not None and any(one.density is not None for one in vertebrae)
        return {
            "hu": not vertebrae or any(math.isfinite(one.mean_hu) for one in vertebrae),
            "outlined": outlined,
            "bars": on_bands,
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

    def legend(self) -> str:
        """What the lines and names in the pictures mean: of those that are in them."""
        levels = [box.level for box in self.assessment.spine.vertebrae]
        shown, standings = self.shown(), {one.standing for one in marked(self.assessment)}
        if shown["outlined"]:
            marks = [self.say(f"legend-{one}") for one in ("used", "measured", "withheld", "seen") if one in standings]
        else:
            marks = [self.say("legend-whole")]
        unnamed = [self.say("legend-unnamed")] if any(not level.is_named for level in levels) else []
        views = [self.say("legend"), *marks, self.say("legend-in-view", levels=self.several(levels)), *unnamed]
        return self.sentences(views)

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

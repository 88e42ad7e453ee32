"""The answer in a few sentences, as the terminal, the SR, FHIR and the captured picture tell it."""

from functools import cached_property

from trabecula.records import Basis, Reason
from trabecula.records.doubts import Weighed, reach, weighed
from trabecula.report.words import Words


class Verdict(Words):
    """The category with what it was read from, what else it may be, and what to check first."""

    @cached_property
    def told(self) -> Weighed:
        """The reasons in the order in which they are told."""
        return weighed(self.assessment)

    def headline(self) -> str:
        """The category, what it was read from, its number and its interval in one line."""
        diagnosis, density = self.assessment.diagnosis, self.assessment.diagnosis.density
        category, levels = self.either(diagnosis.candidates, opening=True), self.joined(diagnosis.levels_used)
        if not diagnosis.determined:
            return category
        said = []
        if diagnosis.basis is Basis.CLASSIFIER:
            likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
            shares = [
                self.say("probability", category=self.say(f"word-{one}"), share=self.share(p)) for one, p in likely
            ]
            if shares:
                said.append(self.say("measured-by-classifier-shares", levels=levels, shares=self.several(shares)))
            else:
                said.append(self.say("measured-by-classifier", levels=levels))
        if density is not None:
            low, high = density.interval_shown
            interval = self.say("interval-bare", range=self.say("range", low=low, high=high))
            value, unit = density.shown, density.quantity.unit
            said.append(self.say("measured-density", value=value, unit=unit, interval=interval, levels=levels))
            if density.quantity.material is not None:
                said.append(self.say("measured-equivalent", material=density.quantity.material))
        if diagnosis.basis is Basis.T_SCORE:
            said.append(self.say("measured-by-t-score"))
        return self.say(
            "headline", category=category, said=self.several(said or [self.say("measured-from", levels=levels)])
        )

    def crossing(self) -> str:
        """What else it may be by its interval, where the headline does not say it already."""
        touched = reach(self.assessment.diagnosis)
        if len(touched) < 2 or set(touched) <= set(self.assessment.diagnosis.candidates):
            return ""
        return self.say("interval-crosses", categories=self.either(touched))

    def check_first(self) -> str:
        """The weightiest doubt, or that there is none."""
        first = self.told.first
        return self.undoubted() if first is None else self.sentences([self.say("check-first"), self.with_code(first)])

    def undoubted(self) -> str:
        """What is said where nothing is to be checked first: that there is no doubt, or only of single vertebrae."""
        rows = [one for one in self.assessment.readings.vertebrae if one.reasons]
        return self.say("no-doubts-of-whole" if rows else "no-doubts")

    def fractures(self) -> list[str]:
        """Suspected fractures, each a finding of its own."""
        return [one.told(self.language) for one in self.assessment.fractures]

    def use(self) -> str:
        """What the result is not for."""
        return self.sentences([self.say("research-only"), self.say("no-ruling-out")])

    def with_code(self, said: Reason) -> str:
        """A reason's sentence with its code."""
        return f"{said.told(self.language)} [{said.code}]"

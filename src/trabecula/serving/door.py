"""What ``trabecula screen`` asks for, carried out for one study after another."""

import json
import webbrowser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trabecula.dicom.contents import UNCHOSEN, Choice
from trabecula.errors import TrabeculaError, wrong_usage
from trabecula.export.bundle import Wanted
from trabecula.messages import Phrase
from trabecula.recipe import Recipe
from trabecula.recipes import ALL, recipe_named, recipes_named
from trabecula.records.population import Population
from trabecula.records.reference import read_reference
from trabecula.report.folder import ASSESSMENT, COMPARISON
from trabecula.screening import Beside, Progress, read_prior, require_known, screen_to_folder, with_phantoms
from trabecula.serving.spoken import say, tell
from trabecula.serving.terminal import progress_shown, summary, summary_of_several
from trabecula.serving.wrapping import wrapped
from trabecula.side_by_side import screen_side_by_side


@dataclass(frozen=True)
class Asked:
    """The options, as they were given."""

    wanted: Wanted
    recipe: str | None = None
    phantom: Path | None = None
    profiles: Path | None = None
    priors: tuple[Path, ...] = ()
    reference: str | None = None
    weights: Path | None = None
    choice: Choice = UNCHOSEN


class Door:
    """Screens studies as asked; what is the same for all of them is read once.

    Raises:
        WrongUsage: there is no such recipe, language or version of FHIR, or the options contradict one another.
    """

    def __init__(self, asked: Asked, shown: bool = True) -> None:
        require_known(asked.wanted)
        self.asked, self.shown = asked, shown
        if asked.weights is not None:
            _use(asked.weights, asked.recipe)
        recipes = recipes_named(asked.recipe)
        self.recipes: list[Recipe] = [with_phantoms(one, asked.phantom, asked.profiles) for one in recipes]
        self.several = len(self.recipes) > 1 or asked.recipe == ALL
        if self.several and asked.priors:
            raise wrong_usage("prior-of-several")

    @cached_property
    def reference(self) -> Population | None:
        """People of the same age and sex."""
        return None if self.asked.reference is None else read_reference(self.asked.reference)

    @property
    def language(self) -> str:
        """That in which all is told."""
        return self.asked.wanted.language

    def screen(self, given: Path, out: Path) -> tuple[str, Path]:
        """Screens one study with a bar; returns the result in words and where its page is."""
        with progress_shown(self.shown, self.language) as progress:
            told, written = self.carry_out(given, out, progress)
        return wrapped(told), written

    def carry_out(self, given: Path, out: Path, progress: Progress) -> tuple[str, Path]:
        """As ``screen``, without a bar of its own."""
        wanted, choice = self.asked.wanted, self.asked.choice
        if self.several:
            outcomes, written = screen_side_by_side(given, out, self.recipes, wanted, progress, self.reference, choice)
            return summary_of_several(outcomes, self.language), written
        beside = Beside(tuple(map(read_prior, self.asked.priors)), self.reference)
        assessment, written = screen_to_folder(given, out, self.recipes[0], wanted, progress, beside, choice)
        return summary(assessment, self.language), written

    def record(self, out: Path) -> Path:
        """The file for programs of a result in ``out``."""
        return out / (COMPARISON if self.several else ASSESSMENT)

    def json_of(self, out: Path) -> str:
        """What the file for programs holds."""
        return self.record(out).read_text(encoding="utf-8").rstrip("\n")

    def report_at(self, written: Path) -> str:
        """Where the report is, in words."""
        return Phrase("report-at", {"path": str(written)}).told(self.language)


def told_as_json(error: TrabeculaError) -> str:
    """A failure for programs."""
    return json.dumps({"refused": {"code": error.code, "message": error.message, "exit": error.exit_code}})


def open_page(written: Path) -> None:
    """Opens a page in the browser; where there is none it says so."""
    if not webbrowser.open(written.as_uri()):
        tell(say("no-browser"))


def _use(weights: Path, recipe: str | None) -> None:
    """Screens with a folder of weights instead of those shipped."""
    from trabecula.training.fit import use_fitting

    if recipe is not None and (recipe == ALL or "," in recipe):
        raise wrong_usage("weights-of-several")
    use_fitting(recipe_named(recipe, trained=False), weights)

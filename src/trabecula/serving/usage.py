"""What is told of a command line that cannot be understood: typer tells it in English alone."""

import difflib
import re
from typing import Any

import typer

from trabecula.errors import WrongUsage, wrong_usage
from trabecula.messages import Fact, Phrase
from trabecula.serving.spoken import OPTION, say

# Typer brings a click of its own, and names of its exceptions only this one.
NOT_UNDERSTOOD: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises where it does not understand a command line."""

VALUES = {
    r"valid integer": "value-whole",
    r"valid (number|float)": "value-number",
    r"greater than or equal to (?P<limit>\S+)": "value-least",
    r"less than or equal to (?P<limit>\S+)": "value-most",
    r"'(?P<path>.+)' is not readable": "value-unreadable",
}
"""What typer says of a value, and what is told instead."""


def misunderstood(error: Any) -> WrongUsage | None:
    """Why a command line was not understood; None where help was asked for, and printed, by giving nothing."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        return None
    if kind == "NoSuchOption":
        return _no_option(error)
    if kind == "MissingParameter":
        return wrong_usage("value-not-given", name=_named(error))
    if kind == "BadParameter":
        return wrong_usage("value-unfit", name=_named(error), cause=_cause(error.message))
    if kind == "BadOptionUsage":
        if "requires" in error.message:
            return wrong_usage("option-alone", option=error.option_name)
        return wrong_usage("option-with-value", option=error.option_name)
    if command := re.match(r"No such command '(.*?)'", error.message):
        known = list(getattr(getattr(error.ctx, "command", None), "commands", {}))
        return wrong_usage("unknown-command", name=command[1], cure=_cure(command[1], known))
    if extra := re.search(r"extra arguments? ?(?:\(s\) )?\((.*)\)", error.message):
        return wrong_usage("too-many-arguments", extra=extra[1])
    return wrong_usage("not-understood", cause=error.message)


def help_at(error: Any) -> str:
    """Where help on the command is found."""
    context = getattr(error, "ctx", None)
    return say("help-at", command="trabecula" if context is None else context.command_path)


def _no_option(error: Any) -> WrongUsage:
    if error.option_name == OPTION:
        return wrong_usage("unknown-option.language")
    known = [name for one in error.ctx.command.params for name in one.opts if name.startswith("--")]
    return wrong_usage("unknown-option", name=error.option_name, cure=_cure(error.option_name, known))


def _cure(name: str, known: list[str]) -> Phrase:
    near = difflib.get_close_matches(name, known, 1)
    return Phrase("did-you-mean", {"name": near[0]}) if near else Phrase("choose-among", {"choices": known})


def _named(error: Any) -> str:
    """An option by its names, an argument by what the help calls it."""
    parameter = error.param
    if parameter is None:
        return str(error.param_hint or "")
    if parameter.opts[0].startswith("-"):
        return " / ".join(parameter.opts)
    return str(parameter.metavar or parameter.name.upper())


def _cause(said: str) -> Fact:
    for pattern, key in VALUES.items():
        if found := re.search(pattern, said):
            return Phrase(key, found.groupdict())
    return said

"""A site's settings: a TOML file whose tables are commands and whose keys are their long options.

``[screen]`` with ``recipe = "house"`` and ``dicom = true`` is as if these stood on every command line; what does stand
there comes first.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trabecula.errors import WrongUsage


def defaults_from(path: Path, commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The defaults of each command by the name of its parameter; ``commands`` are those of the program.

    Raises:
        WrongUsage: the file cannot be read, or names a command or an option that there is not.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage("config-unreadable", f"The settings in {path} cannot be read: {error}.") from error
    return {name: _of(name, options, commands) for name, options in told.items()}


def _of(command: str, options: Any, commands: Mapping[str, Any]) -> dict[str, Any]:
    if command not in commands:
        raise _unknown(f"[{command}]", commands)
    if not isinstance(options, dict):
        raise WrongUsage("config-unknown", f"The settings hold {command} outside a table. Write it below [screen].")
    if hasattr(commands[command], "commands"):  # [users.add] is the command "users add"
        return {name: _of(name, those, commands[command].commands) for name, those in options.items()}
    known = {
        option.removeprefix("--"): one.name
        for one in commands[command].params
        for option in one.opts
        if option.startswith("--") and option != "--help"
    }
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        raise _unknown(f"{unknown} in [{command}]", known)
    return {known[name]: value for name, value in options.items()}


def _unknown(what: str, known: Iterable[str]) -> WrongUsage:
    return WrongUsage("config-unknown", f"The settings hold {what}, which is none. There are: {', '.join(known)}.")

"""A site's settings: a TOML file whose tables are commands and whose keys are their long options.

``[screen]`` with ``recipe = "house"`` and ``dicom = true`` is as if these stood on every command line; what does stand
there comes first.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trabecula.causes import cause_of
from trabecula.errors import wrong_usage


def defaults_from(path: Path, commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The defaults of each command by the name of its parameter; ``commands`` are those of the program.

    Raises:
        WrongUsage: the file cannot be read, or names a command or an option that there is not.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise wrong_usage("config-unreadable", path=str(path), cause=cause_of(error)) from error
    return {name: _of(name, options, commands) for name, options in told.items()}


def _of(command: str, options: Any, commands: Mapping[str, Any]) -> dict[str, Any]:
    if command not in commands:
        raise wrong_usage("config-unknown", name=f"[{command}]", known=tuple(commands))
    if not isinstance(options, dict):
        raise wrong_usage("config-unknown.outside", name=command)
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
        raise wrong_usage("config-unknown.option", name=unknown, command=command, known=tuple(known))
    return {known[name]: value for name, value in options.items()}

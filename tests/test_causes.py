"""Causes as phrases: of the system, of files, of settings."""

import errno
import socket
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trabecula.causes import CAUSES, Unfit, cause_invalid, cause_of
from trabecula.messages import LANGUAGES, Phrase, messages


def said(cause: object, language: str) -> str:
    return Phrase("list", {"words": (cause,)}).told(language)  # type: ignore[dict-item]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_system_fails_with_is_told_in_the_language(language: str, tmp_path: Path) -> None:
    with pytest.raises(OSError) as missing:
        (tmp_path / "Doe^Jane").read_text()
    assert said(cause_of(missing.value), language) == messages(language)["cause-missing"]
    full = OSError(errno.ENOSPC, "No space left on /mnt/Doe^Jane")
    assert said(cause_of(full), language) == messages(language)["cause-disk-full"]
    assert said(cause_of(OSError("of a library")), language) == messages(language)["cause-unknown"]
    assert said(cause_of(socket.gaierror(-2, "unknown")), language) == messages(language)["cause-no-host"]


def test_a_rare_failure_is_told_in_the_systems_words_and_never_with_a_path() -> None:
    assert errno.EMFILE not in CAUSES
    assert cause_of(OSError(errno.EMFILE, "/home/doe")) == "too many open files"


def test_where_a_file_is_no_toml_is_told() -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as wrong:
        tomllib.loads("a = 1\nb = maybe\n")
    assert said(cause_of(wrong.value), "de") == "Zeile 2, Spalte 5 ist kein TOML"
    with pytest.raises(UnicodeDecodeError) as letters:
        b"\xff".decode()
    assert cause_of(letters.value) == Phrase("cause-no-utf8")


class Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    days: Annotated[int, Field(ge=1)] = 1
    name: Annotated[str, Field(max_length=3)] = ""
    on: bool = False

    @model_validator(mode="after")
    def _named(self) -> "Setting":
        if self.name == "no":
            raise Unfit("value-https")
        return self


@pytest.mark.parametrize(
    ("given", "key", "limit"),
    [
        ({"days": 0}, "value-least", "1"),
        ({"days": "x"}, "value-whole", None),
        ({"name": "long"}, "value-too-long", "3"),
        ({"on": 3}, "value-true-or-false", None),
        ({"of": 3}, "value-unknown", None),
        ({"name": "no"}, "value-https", None),
    ],
)
def test_what_is_wrong_with_a_setting_is_told(given: dict[str, object], key: str, limit: str | None) -> None:
    with pytest.raises(ValidationError) as wrong:
        Setting.model_validate(given)
    facts = {} if limit is None else {"limit": limit}
    for language in LANGUAGES:
        assert said(cause_invalid(wrong.value.errors()[0]), language) == Phrase(key, facts).told(language)

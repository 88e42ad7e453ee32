"""What a node does with what it receives, as its TOML file says: who may send, what is screened, where answers go."""

import difflib
import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from trabecula.archives.address import Port, Title, Tls
from trabecula.causes import Unfit, cause_invalid, cause_of
from trabecula.errors import WrongUsage, wrong_usage
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES, Fact, Phrase
from trabecula.recipes import RECIPES

Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Object = Literal["seg", "sr", "pdf", "capture"]
OBJECTS: tuple[Object, ...] = ("seg", "sr", "pdf", "capture")


class Table(BaseModel):
    """A table of the file: a key that is not known is an error, so that a slip of the pen is told."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NodeTable(Table):
    """Where the node listens, and what it may take in all."""

    title: Title = "TRABECULA"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65535)] = 11180
    language: str = DEFAULT_LANGUAGE
    tls: Tls | None = None
    quiet_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    interrupted_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600.0  # as quiet_seconds, where the node was ended
    associations: Annotated[int, Field(ge=1, le=500)] = 50
    memory_mib: Annotated[int, Field(ge=16, le=65_536)] = 256  # of what all associations hold at a time
    instance_mib: Annotated[int, Field(ge=1, le=16_384)] = 2048
    free_disk_mib: Annotated[int, Field(ge=0)] = 2048
    associations_per_minute: Annotated[int, Field(ge=1)] = 600  # from one address
    idle_seconds: Annotated[float, Field(gt=0, le=3600)] = 300.0


class Peer(Table):
    """Who may send: a title from these addresses or networks; without any, from anywhere. Commitment goes to port."""

    title: Title
    addresses: list[str] = []
    port: Port | None = None
    host: str | None = None

    def at(self, address: str) -> bool:
        """Whether the title may come from there."""
        came_from = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(came_from, "ipv4_mapped", None)
        return not self.addresses or any(
            (mapped or came_from) in ipaddress.ip_network(one, strict=False) for one in self.addresses
        )


class Source(Table):
    """An archive that is asked for new studies by DICOMweb (QIDO-RS, WADO-RS), beside what peers send."""

    name: Name
    dicomweb: Annotated[str, StringConstraints(pattern=r"^https?://")]
    authorization_file: str | None = None  # holds the Authorization header
    tls: Tls | None = None
    every_seconds: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    days: Annotated[int, Field(ge=1, le=3650)] = 2  # studies dated today and on the days before: 2 is since yesterday
    description: str = ""  # of the study, with * and ?
    seconds_silent: Annotated[float, Field(gt=0, le=3600)] = 60.0

    @model_validator(mode="after")
    def _secure(self) -> "Source":
        if self.tls is not None and self.dicomweb.startswith("http:"):
            raise Unfit("value-https")
        return self


class Destination(Table):
    """Where answers go: a DICOM address (C-STORE) or a DICOMweb one (STOW-RS)."""

    name: Name
    title: Title | None = None
    host: str | None = None
    port: Port | None = None
    tls: Tls | None = None
    stow: str | None = None
    authorization_file: str | None = None  # holds the Authorization header, which does not belong into this file

    @model_validator(mode="after")
    def _one_way(self) -> "Destination":
        dicom = self.title is not None and self.host is not None and self.port is not None
        if dicom == (self.stow is not None):
            raise Unfit("value-one-way")
        if self.stow is not None and not re.match(r"https?://", self.stow):
            raise Unfit("value-http")
        return self


class Rule(Table):
    """Which series are screened by which recipe, and where the answers go. The first rule that fits is followed."""

    name: Name
    senders: list[Name] = []  # titles of peers, names of sources
    slice_thickness_mm_most: float | None = None
    slice_thickness_mm_least: float | None = None
    kernels: list[str] = []
    kernels_not: list[str] = []
    body_parts: list[str] = []
    descriptions: list[str] = []
    age_years_least: float | None = None
    age_years_most: float | None = None
    slices_least: Annotated[int, Field(ge=1)] = 3
    recipe: str | None = None
    destinations: Annotated[list[Name], Field(min_length=1)]
    answer: list[Object] = list(OBJECTS)


class Never(Table):
    """What is screened but not answered, or not even screened."""

    senders: list[Name] = []  # titles of peers, names of sources
    descriptions: list[str] = []  # patterns of study or series descriptions: *phantom*
    age_years_under: float | None = None
    reasons: list[str] = []  # a result with one of these codes stays here, for a person
    undetermined: bool = False


class Retry(Table):
    """How long to wait for a destination that does not answer: doubled from first to most."""

    first_seconds: Annotated[float, Field(gt=0)] = 5.0
    most_seconds: Annotated[float, Field(gt=0)] = 900.0

    def after(self, attempts: int) -> float:
        """Seconds until the next try when ``attempts`` have failed."""
        return min(self.first_seconds * 2.0 ** min(attempts - 1, 30), self.most_seconds)


class Rules(Table):
    """The whole file."""

    node: NodeTable = NodeTable()
    peer: list[Peer] = []
    source: list[Source] = []
    destination: Annotated[list[Destination], Field(min_length=1)]
    rule: Annotated[list[Rule], Field(min_length=1)]
    never: Never = Never()
    retry: Retry = Retry()

    @model_validator(mode="after")
    def _something_comes(self) -> "Rules":
        if not self.peer and not self.source:
            raise Unfit("value-nothing-comes")
        return self

    def destination_named(self, name: str) -> Destination | None:
        return next((one for one in self.destination if one.name == name), None)

    def peer_titled(self, title: str) -> Peer | None:
        return next((one for one in self.peer if one.title == title), None)


def read_rules(path: Path) -> Rules:
    """The rules in a TOML file.

    Raises:
        WrongUsage: ``rules-wrong``; the sentence names the line, the key and the cure.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, None, "", Phrase("value-no-file", {"cause": cause_of(error)})) from error
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise _wrong(path, int(found.group(1)) if found else None, "", cause_of(error)) from error
    try:
        rules = Rules.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(path, line_of(text, first["loc"]), _key(first["loc"]), _cause(first)) from error
    _require_known(rules, path, text)
    return rules


def _require_known(rules: Rules, path: Path, text: str) -> None:
    """Names that lead nowhere: destinations, senders, recipes, a language, an address."""

    def require(value: str, known: list[str], loc: tuple[int | str, ...], what: str) -> None:
        if value not in known:
            facts: dict[str, Fact] = {"what": Phrase(f"rules-{what}"), "name": value, "cure": _cure(value, known)}
            raise _wrong(path, line_of(text, loc), _key(loc), Phrase("value-none-such", facts))

    def once(values: list[str], table: str, key: str) -> None:
        for number, value in enumerate(values):
            if value in values[:number]:
                loc = (table, number, key)
                twice = Phrase("value-twice", {"name": value, "key": f"{table}.{key}"})
                raise _wrong(path, line_of(text, loc), _key(loc), twice)

    titles, places = [one.title for one in rules.peer], [one.name for one in rules.destination]
    once(titles, "peer", "title")
    once([one.name for one in rules.source], "source", "name")
    for number, source in enumerate(rules.source):
        if source.name in titles:
            loc: tuple[int | str, ...] = ("source", number, "name")
            raise _wrong(path, line_of(text, loc), _key(loc), Phrase("value-of-a-peer", {"name": source.name}))
    titles += [one.name for one in rules.source]
    once(places, "destination", "name")
    once([one.name for one in rules.rule], "rule", "name")
    require(rules.node.language, list(LANGUAGES), ("node", "language"), "language")
    for number, one in enumerate(rules.rule):
        for name in one.destinations:
            require(name, places, ("rule", number, "destinations"), "destination")
        for title in one.senders:
            require(title, titles, ("rule", number, "senders"), "sender")
        if one.recipe is not None:
            require(one.recipe, list(RECIPES), ("rule", number, "recipe"), "recipe")
    for title in rules.never.senders:
        require(title, titles, ("never", "senders"), "sender")
    for number, peer in enumerate(rules.peer):
        for address in peer.addresses:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError as error:
                loc = ("peer", number, "addresses")
                no_network = Phrase("value-no-network", {"address": address})
                raise _wrong(path, line_of(text, loc), _key(loc), no_network) from error


def line_of(text: str, loc: tuple[int | str, ...]) -> int | None:
    """The line on which a key stands, or the table it is missing from: the parser itself does not keep lines."""
    words = [str(one) for one in loc if isinstance(one, str)]
    number = next((one for one in loc if isinstance(one, int)), 0)
    best: int | None = None
    table, counts = "", dict[str, int]()
    for line, written in enumerate(text.splitlines(), 1):
        if found := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]\]?", written):
            table = found.group(2)
            counts[table] = counts.get(table, -1) + 1
        key = re.match(r"\s*([\w.-]+|\"[^\"]*\")\s*=", written)
        names = [part for part in table.split(".") if part]
        if key is not None:
            names.append(key.group(1).strip('"'))
        in_order = (
            not table or counts[table] == number or table.split(".")[0] not in ("peer", "source", "destination", "rule")
        )
        if in_order and names and names == words[: len(names)] and (key is not None or found):
            best = line
            if names == words:
                return line
    return best


def _key(loc: tuple[int | str, ...]) -> str:
    """A key as the file would write it: rule[2].recipe counts from one, as people do."""
    told = ""
    for one in loc:
        told += f"[{one + 1}]" if isinstance(one, int) else f".{one}" if told else str(one)
    return told


def _cause(error: ErrorDetails) -> Fact:
    if error["type"] == "extra_forbidden":
        return Phrase("value-unknown-key", {"cure": _cure(str(error["loc"][-1]), _known_keys(error["loc"]))})
    return cause_invalid(error)


def _cure(value: str, known: list[str]) -> Phrase:
    """What may have been meant."""
    near = difflib.get_close_matches(value, known, 1)
    return Phrase("did-you-mean", {"name": near[0]}) if near else Phrase("choose-among", {"choices": known})


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    tables: dict[str, type[Table]] = {
        "node": NodeTable,
        "peer": Peer,
        "source": Source,
        "destination": Destination,
        "rule": Rule,
    }
    tables |= {"never": Never, "retry": Retry}
    words = [one for one in loc if isinstance(one, str)]
    if "tls" in words[:-1]:
        return list(Tls.model_fields)
    table: type[BaseModel] = tables.get(words[0], Rules) if len(words) > 1 else Rules
    return list(table.model_fields)


def _wrong(path: Path, line: int | None, key: str, cause: Fact) -> WrongUsage:
    place: list[Fact] = [
        path.name,
        *([] if line is None else [Phrase("on-line", {"line": line})]),
        *([key] if key else []),
    ]
    return wrong_usage("rules-wrong", place=place, cause=cause)


def as_dict(rules: Rules) -> dict[str, Any]:
    """The rules as plain values."""
    return rules.model_dump()

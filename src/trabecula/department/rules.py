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
from trabecula.errors import WrongUsage
from trabecula.messages import DEFAULT_LANGUAGE, LANGUAGES
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
            raise ValueError("tls is given: write dicomweb with https")
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
            raise ValueError("give either title, host and port (C-STORE) or stow (the address of /studies)")
        if self.stow is not None and not re.match(r"https?://", self.stow):
            raise ValueError("stow must begin with http:// or https://")
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
            raise ValueError("nothing could come: write a [[peer]] that sends, or a [[source]] that is asked")
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
        raise _wrong(path, None, "", "it cannot be read. Name a TOML file in UTF-8") from error
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        said = re.sub(r" \(at.*\)", "", str(error)).lower()
        raise _wrong(path, int(found.group(1)) if found else None, "", f"this is no TOML: {said}") from error
    try:
        rules = Rules.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(path, line_of(text, first["loc"]), _key(first["loc"]), _cure(first)) from error
    _require_known(rules, path, text)
    return rules


def _require_known(rules: Rules, path: Path, text: str) -> None:
    """Names that lead nowhere: destinations, senders, recipes, a language, an address."""

    def require(value: str, known: list[str], loc: tuple[int | str, ...], what: str) -> None:
        if value not in known:
            near = difflib.get_close_matches(value, known, 1)
            cure = f"did you mean {near[0]!r}?" if near else f"choose among: {', '.join(known)}"
            raise _wrong(path, line_of(text, loc), _key(loc), f"there is no {what} {value!r}; {cure}")

    def once(values: list[str], table: str, key: str) -> None:
        for number, value in enumerate(values):
            if value in values[:number]:
                loc = (table, number, key)
                cure = f"{value!r} is given twice; give each {table} a {key} of its own"
                raise _wrong(path, line_of(text, loc), _key(loc), cure)

    titles, places = [one.title for one in rules.peer], [one.name for one in rules.destination]
    once(titles, "peer", "title")
    once([one.name for one in rules.source], "source", "name")
    for number, source in enumerate(rules.source):
        if source.name in titles:
            loc: tuple[int | str, ...] = ("source", number, "name")
            cure = f"{source.name!r} is the title of a peer; rules could not tell them apart, give it another name"
            raise _wrong(path, line_of(text, loc), _key(loc), cure)
    titles += [one.name for one in rules.source]
    once(places, "destination", "name")
    once([one.name for one in rules.rule], "rule", "name")
    require(rules.node.language, list(LANGUAGES), ("node", "language"), "language")
    for number, one in enumerate(rules.rule):
        for name in one.destinations:
            require(name, places, ("rule", number, "destinations"), "destination")
        for title in one.senders:
            require(title, titles, ("rule", number, "senders"), "peer or source")
        if one.recipe is not None:
            require(one.recipe, list(RECIPES), ("rule", number, "recipe"), "recipe")
    for title in rules.never.senders:
        require(title, titles, ("never", "senders"), "peer or source")
    for number, peer in enumerate(rules.peer):
        for address in peer.addresses:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError as error:
                loc = ("peer", number, "addresses")
                cure = f"{address!r} is no address or network; write 10.1.2.3 or 10.1.0.0/16"
                raise _wrong(path, line_of(text, loc), _key(loc), cure) from error


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


def _cure(error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        known = _known_keys(error["loc"])
        near = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
        return f"this key is not known; {f'did you mean {near[0]!r}?' if near else 'known are ' + ', '.join(known)}"
    if error["type"] == "missing":
        return "this is missing; write it"
    said = str(error["msg"])
    said = said.removeprefix("Value error, ").removeprefix("Input ")
    return said[0].lower() + said[1:]


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


def _wrong(path: Path, line: int | None, key: str, cure: str) -> WrongUsage:
    place = path.name + ("" if line is None else f", line {line}") + (f", {key}" if key else "")
    return WrongUsage("rules-wrong", f"{place}: {cure.rstrip('.')}.")


def as_dict(rules: Rules) -> dict[str, Any]:
    """The rules as plain values."""
    return rules.model_dump()

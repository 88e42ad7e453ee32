"""Frozen dataclasses from the JSON that ``dataclasses.asdict`` of them became."""

from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from trabecula.messages import Fact, Phrase

Kind = TypeVar("Kind")


def decoded(kind: type[Kind], value: Any) -> Kind:
    """``value`` (of dicts, lists and scalars) as a ``kind``; keys that the dataclass no longer has are left aside.

    Raises:
        TypeError: a field is missing.
    """
    made: Kind = _decoded(kind, value)
    return made


def _decoded(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = [one for one in arguments if one is not NoneType]
        return None if value is None else _decoded(inner[0], value) if len(inner) == 1 else value
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_decoded(one, item) for one, item in zip(kinds, value, strict=True))
    if kind is Phrase:
        return _phrase(value)
    if is_dataclass(kind):
        hints = _hints(cast(type, kind))
        known = [field.name for field in fields(kind) if field.init and field.name in value]
        return kind(**{name: _decoded(hints[name], value[name]) for name in known})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return float(value) if kind is float else value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _phrase(value: Any) -> Phrase:
    return Phrase(value["key"], {name: _fact(fact) for name, fact in value["facts"].items()})


def _fact(value: Any) -> Fact:
    if isinstance(value, dict):
        return _phrase(value)
    fact: Fact = tuple(_fact(one) for one in value) if isinstance(value, list) else value
    return fact

"""Records as text, and back: JSON by field name without what is as by default, times as whole microseconds."""

from __future__ import annotations

import base64
import enum
import functools
import json
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs

__all__ = ["microseconds", "moment", "pack", "unpack"]

R = TypeVar("R")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_dumps = json.JSONEncoder(separators=(",", ":")).encode


def microseconds(when: datetime) -> int:
    """Since 1970, exactly."""
    return (when - _EPOCH) // _MICROSECOND


def moment(since: str | int) -> datetime:
    """Of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=int(since))


def pack(record: Any) -> str:
    """A record as text. Nothing but ASCII is in it, whatever a vendor sent."""
    return _dumps(_plain(record))


def unpack(kind: type[R], text: str) -> R:
    """The record of this text. Fields that this version does not know are left out."""
    record: R = _record(kind, json.loads(text))
    return record


Converter = Callable[[Any], Any]

_SCALARS: Mapping[type, tuple[Converter, Converter]] = {
    datetime: (microseconds, moment),
    Decimal: (str, Decimal),
    bytes: ((lambda value: base64.b64encode(value).decode()), base64.b64decode),
}


def _plain(record: Any) -> dict[str, Any]:
    kind: Any = type(record)
    return {
        name: value if to_plain is None or value is None else to_plain(value)
        for (name, default, to_plain, _), value in zip(_fields(kind), _values(kind)(record), strict=True)
        if value is not default and value != default
    }


@functools.cache
def _values(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """All fields of a record at once; records have two fields at least."""
    return operator.attrgetter(*(field.name for field in attrs.fields(kind)))


def _record(kind: Any, values: dict[str, Any]) -> Any:
    known = {}
    for name, _, _, from_plain in _fields(kind):
        if name in values:
            value = values[name]
            known[name] = value if from_plain is None or value is None else from_plain(value)
    return kind(**known)


@functools.cache
def _fields(kind: type[Any]) -> tuple[tuple[str, Any, Converter | None, Converter | None], ...]:
    """Name, default, and how a value becomes plain and is read again."""
    attrs.resolve_types(kind)
    return tuple((field.name, _default(field), *_converters(field.type)) for field in attrs.fields(kind))


def _default(field: attrs.Attribute[Any]) -> Any:
    """Its value where nothing is said."""
    made: Any = field.default
    return made.factory() if isinstance(made, attrs.Factory) else made  # type: ignore[arg-type] # the stubs call the class a function


def _converters(kind: Any) -> tuple[Converter | None, Converter | None]:
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (choice for choice in get_args(kind) if choice is not type(None))
    if get_origin(kind) is tuple:
        to_plain, from_plain = _converters(get_args(kind)[0])
        if to_plain is None or from_plain is None:
            return list, tuple
        return (lambda values: [to_plain(one) for one in values]), (lambda values: tuple(map(from_plain, values)))
    if get_origin(kind) is Mapping:
        return _converters_of_table(*get_args(kind))
    if attrs.has(kind):
        return _plain, functools.partial(_record, kind)
    for plain_kind, (to_plain, from_plain) in _SCALARS.items():
        if issubclass(kind, plain_kind):
            return to_plain, from_plain
    if issubclass(kind, enum.Enum):
        return (lambda member: member.value), kind
    if issubclass(kind, str) and kind is not str:
        return str.__str__, kind
    return None, None


def _converters_of_table(key_kind: Any, value_kind: Any) -> tuple[Converter, Converter]:
    """Of a mapping whose keys are words of one kind."""
    (key_to, key_from), (value_to, value_from) = map(_either, (key_kind, value_kind))
    return (
        lambda table: {key_to(key): value_to(value) for key, value in table.items()},
        lambda plain: {key_from(key): value_from(value) for key, value in plain.items()},
    )


def _either(kind: Any) -> tuple[Converter, Converter]:
    to_plain, from_plain = _converters(kind)
    return to_plain or _same, from_plain or _same


def _same(value: Any) -> Any:
    return value

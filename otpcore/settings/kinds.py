"""What each kind of setting accepts, and what it says of everything else."""

from __future__ import annotations

import contextlib
import enum
import math
import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeVar, get_args

import attrs

__all__ = [
    "TEXT_OR_TABLE",
    "RefusedError",
    "boolean",
    "day",
    "inline",
    "integer",
    "literal",
    "member",
    "number",
    "table",
    "text",
    "text_or_table",
]

T = TypeVar("T")

TEXT_OR_TABLE = str | Mapping[str, Any] | None
"""How a setting is annotated that is one text, or a table of them."""

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_KINDS = {
    bool: "true/false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
    date: "a date",
}
_SHOWN_LENGTH = 40


class RefusedError(ValueError):
    """One refused value; ``value`` is shown only where its field is no secret."""

    def __init__(self, problem: str, value: Any = attrs.NOTHING) -> None:
        super().__init__(problem)
        self.problem = problem
        self.value = value

    def text(self, *, secret: bool) -> str:
        """The problem, with the start of the value where it may be shown."""
        if secret or self.value is attrs.NOTHING:
            return self.problem
        shown = repr(self.value)
        return f"{self.problem}, not {shown if len(shown) <= _SHOWN_LENGTH else shown[: _SHOWN_LENGTH - 1] + '…'}"


def text(value: Any, cls: Any) -> Any:
    """Text only: what a number was before it lost its quotes, a plus or zeros, nobody knows."""
    if issubclass(cls, enum.Enum):  # StrEnum: cattrs finds the hook of str first
        return member(value, cls)
    if isinstance(value, str):
        return str(value)
    lost = "; write it in quotes" if isinstance(value, (bool, int, float)) else ""
    raise RefusedError(f"must be text, but is {_kind(value)}{lost}")


def boolean(value: Any, _: Any) -> bool:
    """True and false, and the words for them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise RefusedError("must be true or false", value)


def integer(value: Any, cls: Any) -> Any:
    """A whole number, or its decimal text."""
    if issubclass(cls, enum.Enum):
        return member(value, cls)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value)
    raise RefusedError("must be a whole number", value)


def number(value: Any, _: Any) -> float:
    """A finite number, or its text."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
        if math.isfinite(result):
            return result
    raise RefusedError("must be a number", value)


def day(value: Any, _: Any) -> date:
    """A date, or its ISO 8601 text."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(value.strip())
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise RefusedError("must be a date like 2027-01-31", value)


def member(value: Any, cls: type[enum.Enum]) -> enum.Enum:
    """A member of an enum, by its value."""
    if isinstance(value, cls):
        return value
    return _choose(value, {str(choice.value): choice for choice in cls})


def literal(value: Any, cls: Any) -> Any:
    """One of the words of a ``Literal``."""
    return _choose(value, {str(choice): choice for choice in get_args(cls)})


def _choose(value: Any, choices: Mapping[str, T]) -> T:
    folded = str(value).strip().casefold()
    for name, choice in choices.items():
        if name.casefold() == folded:
            return choice
    raise RefusedError(f"must be one of {', '.join(choices)}", value)


def table(value: Any) -> Mapping[str, Any]:
    """A mapping, or an inline table in text."""
    if isinstance(value, str):
        value = inline(value, "{", otherwise=value)
    if not isinstance(value, Mapping):
        raise RefusedError(f"must be a table of settings, but is {_kind(value)}")
    return value


def text_or_table(value: Any, _: Any) -> Any:
    """One text, or a table of them, which the setting's own check looks into; None: not set."""
    if isinstance(value, str):
        value = inline(value, "{", otherwise=str(value))
    if value is None or isinstance(value, (str, Mapping)):
        return value
    lost = "; write it in quotes" if isinstance(value, (bool, int, float)) else ""
    raise RefusedError(f"must be text or a table of texts, but is {_kind(value)}{lost}")


def inline(text: str, opening: str, *, otherwise: Any) -> Any:
    """Read ``[…]`` or ``{…}`` as TOML does."""
    if not text.strip().startswith(opening):
        return otherwise
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        raise RefusedError(f"begins with {opening} but is not written as in TOML") from None


def _kind(value: Any) -> str:
    return next((kind for cls, kind in _KINDS.items() if isinstance(value, cls)), f"of type {type(value).__name__}")

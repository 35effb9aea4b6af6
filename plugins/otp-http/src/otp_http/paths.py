"""Paths into what a vendor says, such as ``messages.0.status``: look up, compare as text, set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

__all__ = ["as_text", "each", "first", "look_up", "parsed", "place"]

_LONGEST = 500  # characters of a value that is looked at
_MOST = 1_000  # reports in one request


def parsed(texts: Iterable[str]) -> Any:
    """The first of these texts that is JSON, with its numbers as they are written; None where none is."""
    for text in texts:
        try:
            return json.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError):
            continue
    return None


def look_up(value: Any, path: str) -> Any:
    """What lies at the path; None where nothing does. A key that has dots is found whole first."""
    if not path:
        return value
    if isinstance(value, Mapping) and path in value:
        return value[path]
    step, _, rest = path.partition(".")
    if isinstance(value, Mapping):
        return look_up(value[step], rest) if step in value else None
    if isinstance(value, list) and step.isdigit() and int(step) < len(value):
        return look_up(value[int(step)], rest)
    return None


def as_text(value: Any) -> str:
    """A text, number or truth value as it is compared; empty for anything else, and for what no vendor would say."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal):
        said = str(value)
        return said if len(said) <= _LONGEST else ""
    return ""


def first(value: Any, paths: tuple[str, ...]) -> str:
    """The first text that is there; empty: none is."""
    return next((said for path in paths if (said := as_text(look_up(value, path)))), "")


def each(value: Any, path: str) -> list[Any]:
    """All that a path with ``*`` for each of a list leads to; at most a thousand."""
    found: list[Any] = []
    for one in _each(value, path):
        if len(found) == _MOST:
            break
        found.append(one)
    return found


def _each(value: Any, path: str) -> Iterator[Any]:
    step, _, rest = path.partition(".")
    if not step:
        yield value
    elif step == "*":
        for one in value if isinstance(value, list) else ():
            yield from _each(one, rest)
    elif (below := look_up(value, step)) is not None:
        yield from _each(below, rest)


def place(value: Any, path: str, said: Any) -> Any:
    """A copy with this at the path; tables and lists on the way are made."""
    step, _, rest = path.partition(".")
    if not step:
        return said
    if step == "*" or re.fullmatch("[0-9]+", step):
        index, items = 0 if step == "*" else int(step), list(value) if isinstance(value, list) else []
        items += [{}] * (index + 1 - len(items))
        items[index] = place(items[index], rest, said)
        return items
    table = dict(value) if isinstance(value, Mapping) else {}
    if path in table:
        return {**table, path: said}
    return {**table, step: place(table.get(step), rest, said)}

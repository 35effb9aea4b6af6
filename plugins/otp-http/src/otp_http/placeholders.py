"""Texts, lists and tables with placeholders, such as ``"App {api_key}"``: read once, filled for each message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

__all__ = ["LEFT_OUT", "Node", "PlaceholderError", "Template", "compiled", "fill", "names_in"]


class _LeftOut:
    """What is there instead of a field that has nothing to say."""

    def __repr__(self) -> str:
        return "LEFT_OUT"


LEFT_OUT: Final = _LeftOut()

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?::(?P<type>[a-z]+))?\}|[{}]")
_TYPES: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "bool": lambda text: text == "true"}
_PLAIN = (bool, int, float)


class PlaceholderError(ValueError):
    """A text is no template; says what is wrong."""


@attrs.frozen
class _Field:
    name: str


@attrs.frozen
class Template:
    """A text with at least one placeholder.

    Args:
        parts: Literal texts and placeholders in their order.
        cast: What a placeholder that stands alone becomes; None: text.
    """

    parts: tuple[str | _Field, ...]
    cast: Callable[[str], Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders' names."""
        return tuple(part.name for part in self.parts if isinstance(part, _Field))

    def fill(self, values: Mapping[str, str], quote: Callable[[str], str] = str) -> Any:
        """The text, or ``LEFT_OUT`` where all its placeholders are empty.

        Args:
            values: By name; what is missing is empty.
            quote: Applied to each value, such as for a URL.
        """
        if not any(values.get(name) for name in self.names):
            return LEFT_OUT
        said = "".join(part if isinstance(part, str) else quote(values.get(part.name, "")) for part in self.parts)
        return said if self.cast is None else self.cast(said)


Node: TypeAlias = "Template | str | bool | int | float | dict[str, Any] | list[Any]"


def compiled(value: Any) -> Node:
    """A value of a table, with each text that holds placeholders read.

    Raises:
        PlaceholderError: A brace stands alone, a type is unknown, or a value is neither text, number, list nor table.
    """
    if isinstance(value, str):
        return _template(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {str(name): compiled(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [compiled(part) for part in value]
    raise PlaceholderError(f"is {type(value).__name__}; write text, a number, true or false, a list or a table")


def names_in(node: Node) -> Iterator[str]:
    """All placeholders below it."""
    match node:
        case Template():
            yield from node.names
        case dict():
            for part in node.values():
                yield from names_in(part)
        case list():
            for part in node:
                yield from names_in(part)


def fill(node: Node, values: Mapping[str, str]) -> Any:
    """The value with its placeholders filled; a list or table goes with the last of its placeholders.

    Returns:
        ``LEFT_OUT`` where nothing is left that the message has to say.
    """
    match node:
        case Template():
            return node.fill(values)
        case dict():
            filled = {name: fill(part, values) for name, part in node.items()}
            return LEFT_OUT if _is_over(node, list(filled.values())) else _kept(filled)
        case list():
            items = [fill(part, values) for part in node]
            return LEFT_OUT if _is_over(node, items) else [item for item in items if item is not LEFT_OUT]
        case _:
            return node


def _kept(filled: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in filled.items() if part is not LEFT_OUT}


def _is_over(node: dict[str, Any] | list[Any], filled: list[Any]) -> bool:
    """Whether all that had placeholders in it was left out."""
    parts = node.values() if isinstance(node, dict) else node
    telling = [said for part, said in zip(parts, filled, strict=True) if any(names_in(part))]
    return bool(telling) and all(said is LEFT_OUT for said in telling)


def _template(text: str) -> Template | str:
    parts: list[str | _Field] = []
    literal, end, cast = "", 0, ""
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if (name := token["name"]) is not None:
            parts += [literal, _Field(name)] if literal else [_Field(name)]
            literal, cast = "", token["type"] or cast
        elif token.group() in ("{{", "}}"):
            literal += token.group()[0]
        else:
            raise PlaceholderError("a brace stands alone; write {{ or }} for one that is meant")
    literal += text[end:]
    parts += [literal] if literal else []
    if not any(isinstance(part, _Field) for part in parts):
        return literal
    return Template(tuple(parts), _cast(cast, alone=len(parts) == 1))


def _cast(name: str, *, alone: bool) -> Callable[[str], Any] | None:
    if not name:
        return None
    if name not in _TYPES:
        raise PlaceholderError(f"{name} is no type; there are {', '.join(_TYPES)}")
    if not alone:
        raise PlaceholderError(f"with the type {name} a placeholder stands alone")
    return _TYPES[name]

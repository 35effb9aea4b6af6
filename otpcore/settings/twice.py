"""What stands twice in a settings file: where, under which name, and what to do; never a value, which may be a secret."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator

__all__ = ["twice_in_json", "twice_in_toml", "twice_in_yaml"]

_NAME = r"""(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)"""
_PATH = rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*"
_HEADER = re.compile(rf"\s*\[\s*({_PATH})\s*\]\s*(?:#.*)?")
_ENTRY = re.compile(rf"\s*({_PATH})\s*=")
_YAML_ENTRY = re.compile(rf"[\s-]*({_NAME})\s*:")
_LINE = re.compile(r"at line (\d+)")

_Path = tuple[str, ...]


def twice_in_toml(text: str) -> str:
    """The first table or key that is defined a second time; empty where that is not what a parser stumbles over."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _LINE.search(str(error))
        if place is None or not str(error).startswith("Cannot "):
            return ""
        return _first_twice(text.splitlines()[: int(place[1])])
    return ""


def _first_twice(lines: list[str]) -> str:
    """The last of the repetitions: the one in the line at which the parser stopped."""
    first: dict[_Path, int] = {}
    found = ""
    table: _Path = ()
    for number, line in enumerate(lines, 1):
        if header := _HEADER.fullmatch(line):
            table = _path(header[1])
            if table in first:
                name = ".".join(table)
                found = (
                    f"line {number}: [{name}] is there already, since line {first[table]}. "
                    f"Fix: put the keys of both under one [{name}]"
                )
            first.setdefault(table, number)
        elif entry := _ENTRY.match(line):
            path = (*table, *_path(entry[1]))
            if path in first:
                found = (
                    f"line {number}: {path[-1]} is there already{_of(path[:-1])}, since line {first[path]}. "
                    "Fix: keep one of the two"
                )
            for parent in _parents(path, len(table)):
                first.setdefault(parent, number)
            first.setdefault(path, number)
    return found


def _parents(path: _Path, depth: int) -> Iterator[_Path]:
    """The tables that a dotted key makes below the table that it stands in."""
    return (path[:length] for length in range(depth + 1, len(path)))


def _path(written: str) -> _Path:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, written))


def _of(table: _Path) -> str:
    return f" in [{'.'.join(table)}]" if table else ""


def twice_in_yaml(text: str, line: int) -> str:
    """The key in the line at which a parser found that it is there already."""
    lines = text.splitlines()
    entry = _YAML_ENTRY.match(lines[line - 1]) if line <= len(lines) else None
    name = f"{entry[1]} is" if entry else "this key is"
    return f"line {line}: {name} there already in this table. Fix: keep one of the two, with all that both say"


def twice_in_json(text: str) -> str:
    """The first key that an object holds twice, of which a parser keeps the last without a word; empty: none is."""
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        repeated.extend(name for number, name in enumerate(names) if name in names[:number])

    json.loads(text, object_pairs_hook=look)
    if not repeated:
        return ""
    key = json.dumps(repeated[0], ensure_ascii=False)
    places = [text.count("\n", 0, found.start()) + 1 for found in re.finditer(rf"{re.escape(key)}\s*:", text)]
    where = f"line {places[-1]}: " if len(places) == 2 else ""  # noqa: PLR2004 - elsewhere it may stand rightly
    return f"{where}{key} is there already in this table. Fix: keep one of the two, with all that both say"

"""Core statements compiled once and run on the driver's own cursor.

SQLAlchemy's execution costs five to ten times as much as the statement itself (measured; see ``benchmarks``). What is
compiled here is the same Core statement with the same types; only the way to the driver is shorter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from sqlalchemy import Connection, Dialect, Executable, TypeDecorator

Converter = Callable[[Any], Any] | None


@attrs.frozen
class Prepared:
    """One statement for one set of parameter names.

    Args:
        text: For the driver, with a placeholder for each parameter.
        binds: Name, fixed value and converter of each, in the order of the text; without a name the value is always the same.
        converters: Of the result's columns.
    """

    text: str
    binds: tuple[tuple[str | None, Any, Converter], ...]
    converters: tuple[Converter, ...]

    def run(self, raw: Any, parameters: Mapping[str, Any]) -> tuple[list[list[Any]], int]:
        """All rows, converted, and how many rows were changed. Leaves no cursor open."""
        values = [
            fixed if name is None else parameters[name] if convert is None else convert(parameters[name])
            for name, fixed, convert in self.binds
        ]
        cursor = raw.cursor()
        cursor.execute(self.text, values)
        found = cursor.fetchall() if self.converters else []
        changed = cursor.rowcount
        cursor.close()
        return [
            [
                value if convert is None or value is None else convert(value)
                for value, convert in zip(row, self.converters, strict=True)
            ]
            for row in found
        ], changed


def run(
    connection: Connection, raw: Any, statement: Executable, parameters: Mapping[str, Any]
) -> tuple[list[Any], int]:
    """Run a statement: its rows, and how many rows it changed."""
    prepared = _prepare(statement, connection.dialect, tuple(parameters))
    if prepared is not None:
        return prepared.run(raw, parameters)
    result = connection.execute(statement, dict(parameters), execution_options={"preserve_rowcount": True})
    return (list(result.all()) if result.returns_rows else []), result.rowcount


@functools.lru_cache(maxsize=512)
def _prepare(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> Prepared | None:
    """None: SQLAlchemy runs it, since the text depends on the values (a list of unknown length), or parameters have names."""
    compiled = statement.compile(dialect=dialect, column_keys=sorted(names))
    if compiled.positiontup is None:  # a host's own engine
        return None
    binds = [compiled.binds[name] for name in compiled.positiontup or ()]
    if any(bind.expanding for bind in binds):
        return None
    converters = tuple(_reader(column.type, dialect) for column in statement.exported_columns)
    return Prepared(
        text=str(compiled),
        binds=tuple(
            _bound(name, bind, dialect, names) for name, bind in zip(compiled.positiontup or (), binds, strict=True)
        ),
        converters=converters,
    )


def _bound(name: str, bind: Any, dialect: Dialect, names: tuple[str, ...]) -> tuple[str | None, Any, Converter]:
    if bind.required and name not in names:
        raise TypeError(f"a statement was run without its parameter {name}")
    convert = _writer(bind.type, dialect)
    if name in names:
        return name, None, convert
    fixed = bind.effective_value
    return None, fixed if convert is None else convert(fixed), None


def _writer(type_: Any, dialect: Dialect) -> Converter:
    convert: Converter = type_.dialect_impl(dialect).bind_processor(dialect)
    if isinstance(type_, TypeDecorator) and type_.impl_instance.bind_processor(dialect) is None:
        return functools.partial(type_.process_bind_param, dialect=dialect)  # without a layer that does nothing
    return convert


def _reader(type_: Any, dialect: Dialect) -> Converter:
    convert: Converter = type_.dialect_impl(dialect).result_processor(dialect, None)
    if isinstance(type_, TypeDecorator) and type_.impl_instance.result_processor(dialect, None) is None:
        return functools.partial(type_.process_result_value, dialect=dialect)
    return convert

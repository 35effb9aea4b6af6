"""Core statements compiled once and run on the driver's own cursor.

SQLAlchemy's execution costs five to ten times as much as the statement itself (measured; see ``benchmarks``). What is
compiled here is the same Core statement with the same types; only the way to the driver is shorter.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Dialect, Executable

from otpcore.stores.records import names_of, values_of
from otpcore.stores.sql.columns import Stored

__all__ = ["Prepared", "prepared_for", "prepared_write", "run", "write"]

Converter = Callable[[Any], Any] | None


@attrs.frozen
class Prepared:
    """One statement for one set of parameter names.

    Args:
        text: For the driver, with a placeholder for each parameter.
        given: Takes the values out of what a caller gives, in the order of the text.
        fixed: Values that are always the same, each with its place among all of them.
        writers: Converters of values, with their places.
        readers: Converters of the result's columns, with their places; None: it has no rows.
    """

    text: str
    given: Callable[[Any], Iterable[Any]]
    fixed: tuple[tuple[int, Any], ...]
    writers: tuple[tuple[int, Callable[[Any], Any]], ...]
    readers: tuple[tuple[int, Callable[[Any], Any]], ...] | None

    def values(self, given: Any) -> Sequence[Any]:
        """What the driver gets, in the order of the text."""
        if not self.fixed and not self.writers:
            return tuple(self.given(given))
        values = list(self.given(given))
        for place, value in self.fixed:
            values.insert(place, value)
        return _converted(values, self.writers)

    def run(self, raw: Any, given: Any) -> tuple[list[Any], int]:
        """All rows, converted, and how many rows were changed. Leaves no cursor open."""
        cursor = raw.cursor()
        cursor.execute(self.text, self.values(given))
        rows = [] if self.readers is None else cursor.fetchall()
        changed = cursor.rowcount
        cursor.close()
        return self.read(rows), changed

    def read(self, rows: list[Any]) -> list[Any]:
        """The driver's rows, converted."""
        return [_converted(list(row), self.readers) for row in rows] if rows and self.readers else rows


def _converted(values: list[Any], converters: Iterable[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    """With some of them converted; nothing stays nothing."""
    for place, convert in converters:
        value = values[place]
        if value is not None:
            values[place] = convert(value)
    return values


def run(
    connection: Connection, raw: Any, statement: Executable, parameters: Mapping[str, Any]
) -> tuple[list[Any], int]:
    """Run a statement: its rows, and how many rows it changed."""
    prepared = prepared_for(statement, connection.dialect, tuple(parameters))
    if prepared is not None:
        return prepared.run(raw, parameters)
    result = connection.execute(statement, dict(parameters), execution_options={"preserve_rowcount": True})
    return (list(result.all()) if result.returns_rows else []), result.rowcount


def write(connection: Connection, raw: Any, statement: Executable, record: Any, more: Mapping[str, Any]) -> int:
    """Run a statement with a record's fields for parameters, and some ``more``; how many rows it changed."""
    kind: Any = type(record)
    prepared = prepared_write(statement, connection.dialect, kind, tuple(more))
    if prepared is not None:
        return prepared.run(raw, (record, more))[1]
    return run(connection, raw, statement, {**values_of(record), **more})[1]


@functools.lru_cache(maxsize=128)
def prepared_write(statement: Any, dialect: Dialect, kind: Any, more: tuple[str, ...]) -> Prepared | None:
    """The same as for a mapping, but straight from the record."""
    fields = names_of(kind)
    prepared = prepared_for(statement, dialect, (*fields, *more))
    if prepared is None:
        return None
    names = prepared.given({name: name for name in (*fields, *more)})  # in the order of the text
    of_record = operator.attrgetter(*(name for name in names if name not in more))
    added = [(place, name) for place, name in enumerate(names) if name in more]

    def given(both: tuple[Any, Mapping[str, Any]]) -> list[Any]:
        record, others = both
        values = list(of_record(record))
        for place, name in added:
            values.insert(place, others[name])
        return values

    return attrs.evolve(prepared, given=given)


@functools.lru_cache(maxsize=512)
def prepared_for(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> Prepared | None:
    """None: SQLAlchemy runs it, since the text depends on the values (a list of unknown length), or parameters have names."""
    compiled = statement.compile(dialect=dialect, column_keys=sorted(names))
    if compiled.positiontup is None:  # a host's own engine
        return None
    binds = [compiled.binds[name] for name in compiled.positiontup or ()]
    if any(bind.expanding for bind in binds):
        return None
    columns = statement.exported_columns
    fixed, writers, wanted = [], [], []
    for place, (name, bind) in enumerate(zip(compiled.positiontup, binds, strict=True)):
        convert = _writer(bind.type, dialect)
        if name in names:
            wanted.append(name)
            writers += [(place, convert)] if convert is not None else []
        elif bind.required:
            raise TypeError(f"a statement was run without its parameter {name}")
        else:
            value = bind.effective_value
            fixed.append((place, value if value is None or convert is None else convert(value)))
    readers = ((place, _reader(column.type, dialect)) for place, column in enumerate(columns))
    return Prepared(
        text=str(compiled),
        given=_getter(wanted),
        fixed=tuple(fixed),
        writers=tuple(writers),
        readers=tuple((place, convert) for place, convert in readers if convert is not None) if len(columns) else None,
    )


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The values of these names, always as a tuple."""
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda parameters: tuple(parameters[name] for name in names)


def _writer(type_: Any, dialect: Dialect) -> Converter:
    convert: Converter = type_.dialect_impl(dialect).bind_processor(dialect)
    if isinstance(type_, Stored) and type_.impl_instance.bind_processor(dialect) is None:
        into: Converter = type_.into  # without layers that do nothing
        return into
    return convert


def _reader(type_: Any, dialect: Dialect) -> Converter:
    convert: Converter = type_.dialect_impl(dialect).result_processor(dialect, None)
    if isinstance(type_, Stored) and type_.impl_instance.result_processor(dialect, None) is None:
        out_of: Converter = type_.out_of
        return out_of
    return convert

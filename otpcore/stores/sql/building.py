"""What the statements of the SQL store are built of."""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy import Column, ColumnElement, Select, Table, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from otpcore.stores.sql.columns import Moment

__all__ = ["NOW", "begins", "columns", "own", "own_found_otherwise", "records", "unindexed", "upsert"]

NOW = bindparam("now", type_=Moment())


def records(kind: type[Any], table: Table) -> Select[Any]:
    """Read records."""
    return select(*columns(kind, table))


def columns(kind: type[Any], table: Table) -> tuple[Column[Any], ...]:
    """The columns that make one record, in the order of its fields."""
    return tuple(table.c[field.name] for field in attrs.fields(kind))


def upsert(table: Table) -> Any:
    """Insert, or replace everything but the primary key."""
    statement = insert(table)
    others = {
        column.name: statement.excluded[column.name]
        for column in table.c
        if not column.primary_key and column.computed is None
    }
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)


def begins(table: Table) -> Any:
    """The key begins so, as a range of the index; LIKE would read % and _, ignore case, and scan the table."""
    return (table.c.key >= bindparam("prefix")) & (table.c.key < bindparam("after"))


def own(table: Table) -> ColumnElement[bool]:
    """The row is one of the world of the unit."""
    return table.c.world == bindparam("own_world", type_=table.c.world.type)


class unindexed(FunctionElement[Any]):  # noqa: N801 - reads as a function of SQL
    """A column by which SQLite finds no rows, where another index is the better one.

    SQLite, which has no statistics, takes all that is equal to something for rare. Servers know better.
    """

    inherit_cache = True

    def __init__(self, column: Column[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _as_it_is(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(unindexed, "sqlite")
def _with_a_plus(element: Any, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


def own_found_otherwise(table: Table) -> ColumnElement[bool]:
    """As ``own``, in a statement that finds its rows by an index without the world."""
    return unindexed(table.c.world) == bindparam("own_world", type_=table.c.world.type)

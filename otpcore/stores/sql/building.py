"""What the statements of the SQL store are built of."""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy import Column, ColumnElement, Select, Table, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from otpcore.stores.sql.columns import Moment

__all__ = ["NOW", "begins", "columns", "own", "records", "upsert"]

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

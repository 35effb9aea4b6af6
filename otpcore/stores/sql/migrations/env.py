"""Alembic's environment for the tables of otpcore, run by the store, and by hand to write a new migration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine

from otpcore.stores.sql import tables as _tables


def _ours(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Only the tables of otpcore: the database may belong to a host."""
    return type_ != "table" or not _tables.include_name(name, type_, parent_names)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=_tables.metadata,
        version_table=_tables.VERSION_TABLE,
        render_as_batch=True,  # SQLite changes a table by copying it
        transaction_per_migration=False,
        include_name=_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


_given: Connection | None = context.config.attributes.get("connection")
if _given is not None:
    _run(_given)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url") or "").begin() as _connection:
        _run(_connection)

"""A migration as a later release would bring it: workers of the release before go on beside it.

It only adds, with defaults for those who do not write the new column; it can be run again after it was cut off half-way; it
takes all tables or none, since workers lock them in any order; and it leaves word which older workers it serves.
"""

from __future__ import annotations

import contextlib
import random
import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMN = "note"
_TABLES = ("otp_schedule", "otp_challenge", "otp_delivery")
_INDEX = "ix_otp_schedule_note_due_at"
_VERSIONS = "otp_alembic_version"
_TRIES = 200
_LOCK_WAIT = (
    200  # milliseconds: shorter than the time after which PostgreSQL looks for deadlocks, so that nobody else loses one
)


def upgrade() -> None:
    """Add the column to the tables, an index, and the mark that older workers may go on."""
    _take_all_tables()
    found = sa.inspect(op.get_bind())
    for table in _TABLES:  # MariaDB and MySQL commit each step by itself: one that an earlier try took is left out
        if _COLUMN not in {column["name"] for column in found.get_columns(table)}:
            op.add_column(table, sa.Column(_COLUMN, sa.String(20), nullable=False, server_default=""))
    if _INDEX not in {index["name"] for index in found.get_indexes("otp_schedule")}:
        op.create_index(_INDEX, "otp_schedule", [_COLUMN, "due_at"])
    op.execute(f"UPDATE {_VERSIONS} SET serves = '{down_revision}-{revision}'")


def _take_all_tables() -> None:
    """On PostgreSQL, where the steps are one transaction."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    connection.execute(sa.text(f"SET LOCAL lock_timeout = {_LOCK_WAIT}"))
    for tries_left in reversed(range(_TRIES)):
        with contextlib.ExitStack() as stack:
            if tries_left:
                stack.enter_context(contextlib.suppress(sa.exc.OperationalError))
            with connection.begin_nested():
                connection.execute(sa.text(f"LOCK TABLE {', '.join(_TABLES)} IN ACCESS EXCLUSIVE MODE"))
            break
        time.sleep(random.uniform(0.01, 0.1))
    connection.execute(sa.text("SET LOCAL lock_timeout = DEFAULT"))

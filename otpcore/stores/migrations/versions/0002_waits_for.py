"""What a retry waits for. Workers of revision 0001 go on beside it: they neither write nor read the new column."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMN = "waits_for"
_INDEX = "ix_otp_schedule_waits_for_due_at"
_VERSIONS = "otp_alembic_version"
_SERVES = "serves"
_KEY = (
    sa.String(255)
    .with_variant(sa.String(255, collation="C"), "postgresql")
    .with_variant(mysql.VARCHAR(255, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
)
_WAITS = sa.text("waits_for IS NOT NULL")


def upgrade() -> None:
    """Add the column, its index, and the mark that older workers may go on.

    MariaDB and MySQL commit each step by itself, so a step that an earlier try took is left out. PostgreSQL could build
    the index beside writers only outside of a transaction; the table has no more rows than sends that wait, and none that
    the index takes in, so it is built in one short look at them.
    """
    found = sa.inspect(op.get_bind())
    if _COLUMN not in {column["name"] for column in found.get_columns("otp_schedule")}:
        op.add_column("otp_schedule", sa.Column(_COLUMN, _KEY, nullable=True))
    if _INDEX not in {index["name"] for index in found.get_indexes("otp_schedule")}:
        op.create_index(_INDEX, "otp_schedule", [_COLUMN, "due_at"], postgresql_where=_WAITS, sqlite_where=_WAITS)
    if _SERVES not in {column["name"] for column in found.get_columns(_VERSIONS)}:
        op.add_column(_VERSIONS, sa.Column(_SERVES, sa.String(80), nullable=True))
    op.execute(f"UPDATE {_VERSIONS} SET {_SERVES} = '{down_revision}-{revision}'")  # noqa: S608 - constants of ours


def downgrade() -> None:
    """Retries wait for their time alone."""
    op.drop_column(_VERSIONS, _SERVES)
    op.drop_index(_INDEX, "otp_schedule")
    op.drop_column("otp_schedule", _COLUMN)

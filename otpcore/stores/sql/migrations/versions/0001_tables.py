"""The tables of otpcore 0.1."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_VERSIONS = "otp_alembic_version"
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = (
    "otp_challenge",
    "otp_delivery",
    "otp_receipt",
    "otp_schedule",
    "otp_slot",
    "otp_counter",
    "otp_failure",
    "otp_budget",
    "otp_verified",
    "otp_refusal",
    "otp_breaker",
    "otp_change",
    "otp_sealed",
    "otp_series",
    "otp_fold",
    "otp_worker",
    "otp_audit",
    "otp_setting",
)
_WAITS = sa.text("waits IS NOT NULL")
_REFERRED = sa.text("reference <> ''")


def _key(length: int) -> sa.String:
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")
    )


def _create_table(name: str, *parts: sa.schema.SchemaItem) -> None:
    """Its key is those of its columns that say so.

    In UTF-8 and with transactions, whatever the server's or the database's default: some have MyISAM, which has none.
    """
    key = [part.name for part in parts if isinstance(part, sa.Column) and part.primary_key]
    op.create_table(
        name,
        *parts,
        sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


def _create_index(table: str, *columns: str, where: sa.TextClause | None = None) -> None:
    """Named by its columns; ``where`` is for the databases that have partial indexes."""
    name = "_".join(("ix", table, *columns))
    op.create_index(name, table, list(columns), postgresql_where=where, sqlite_where=where)


def upgrade() -> None:
    """Create the tables, and the place where later migrations leave word which older versions they serve."""
    _challenge()
    _delivery()
    _receipt()
    _schedule()
    _slot()
    _counter()
    _failure()
    _budget()
    _verified()
    _refusal()
    _breaker()
    _change()
    _sealed()
    _series()
    _fold()
    _worker()
    _audit()
    _setting()
    op.add_column(_VERSIONS, sa.Column("serves", sa.String(80), nullable=True))


def downgrade() -> None:
    """Remove the tables and all that is in them."""
    op.drop_column(_VERSIONS, "serves")
    for name in reversed(_TABLES):
        op.drop_table(name)


def _challenge() -> None:
    _create_table(
        "otp_challenge",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("id", _key(64), nullable=False),
        sa.Column("live_key", _key(255)),
        sa.Column("subject", _key(255), nullable=False),
        sa.Column("phone_key", _key(255), nullable=False),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("phone_masked", sa.Text(), nullable=False),
        sa.Column("key_id", _key(255), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("app", _key(40), nullable=False),
        sa.Column("verifiable", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(20)),
        sa.Column("provider", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("givebacks", sa.Integer(), nullable=False),
        sa.Column("first_sent_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("code_digest", sa.Text(), nullable=False),
        sa.Column("code_sealed", sa.LargeBinary()),
        sa.Column("code_number", sa.Integer(), nullable=False),
        sa.Column("message_sealed", sa.LargeBinary()),
        sa.Column("extras_sealed", sa.LargeBinary()),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("forced", sa.Text()),
        sa.Column("core_recorded", sa.Boolean(), nullable=False),
        sa.Column("budget", _key(255), nullable=False),
        sa.Column("cooldowns", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.BigInteger()),
        sa.Column("world", sa.String(20), nullable=False),
        sa.UniqueConstraint("id", name="uq_otp_challenge_id"),
        sa.UniqueConstraint("live_key", name="uq_otp_challenge_live_key"),
    )
    _create_index("otp_challenge", "subject")
    _create_index("otp_challenge", "phone_key")
    _create_index("otp_challenge", "state", "expires_at")
    _create_index("otp_challenge", "world", "first_sent_at")


def _delivery() -> None:
    _create_table(
        "otp_delivery",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("id", _key(64), nullable=False),
        sa.Column("challenge_id", _key(64), nullable=False),
        sa.Column("phone_key", _key(255), nullable=False),
        sa.Column("send_id", _key(64), nullable=False),
        sa.Column("instance", _key(255), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("owner", sa.String(20), nullable=False),
        sa.Column("scope", _key(255), nullable=False),
        sa.Column("code_number", sa.Integer(), nullable=False),
        sa.Column("prefix", sa.String(20), nullable=False),
        sa.Column("is_retry", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("reference", _key(255), nullable=False),
        sa.Column("provider_code", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger()),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.Column("price", sa.String(40)),
        sa.Column("world", sa.String(20), nullable=False),
        sa.UniqueConstraint("id", name="uq_otp_delivery_id"),
    )
    _create_index("otp_delivery", "challenge_id")
    _create_index("otp_delivery", "phone_key")
    _create_index("otp_delivery", "world", "recorded_at")
    _create_index("otp_delivery", "instance", "world", "recorded_at")
    _create_index("otp_delivery", "reference", "instance", where=_REFERRED)


def _receipt() -> None:
    _create_table(
        "otp_receipt",
        sa.Column("reference", _key(255), primary_key=True),
        sa.Column("instance", _key(255), primary_key=True),
        sa.Column("delivery_id", _key(64), primary_key=True),
        sa.Column("status", sa.String(20), primary_key=True),
        sa.Column("kind", sa.String(20)),
        sa.Column("provider_code", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("price", sa.String(40)),
        sa.Column("world", sa.String(20), nullable=False),
    )
    _create_index("otp_receipt", "delivery_id")
    _create_index("otp_receipt", "received_at")


def _schedule() -> None:
    _create_table(
        "otp_schedule",
        sa.Column("challenge_id", _key(64), primary_key=True),
        sa.Column("channel", sa.String(20), primary_key=True),
        sa.Column("send_id", _key(64), nullable=False),
        sa.Column("token", _key(255), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("claimable_at", sa.BigInteger(), sa.Computed("coalesce(lease_until, due_at)", persisted=True)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("charges", sa.Text(), nullable=False),
        sa.Column("key_id", _key(255), nullable=False),
        sa.Column("forced", sa.Text()),
        sa.Column("waits", sa.String(20)),
        sa.Column("waits_for", _key(255), nullable=False),
        sa.Column("world", sa.String(20), nullable=False),
    )
    _create_index("otp_schedule", "world", "claimable_at", "challenge_id", "channel")
    _create_index("otp_schedule", "waits", "waits_for", "due_at", where=_WAITS)


def _slot() -> None:
    _create_table(
        "otp_slot",
        sa.Column("scope", _key(255), primary_key=True),
        sa.Column("phone_key", _key(255), primary_key=True),
        sa.Column("holder", _key(64), nullable=False),
        sa.Column("mark", sa.Text()),
        sa.Column("world", sa.String(20), nullable=False),
    )
    _create_index("otp_slot", "holder")


def _counter() -> None:
    _create_table(
        "otp_counter",
        sa.Column("key", _key(255), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("window_ends_at", sa.BigInteger(), nullable=False),
    )
    _create_index("otp_counter", "window_ends_at")


def _failure() -> None:
    _create_table(
        "otp_failure",
        sa.Column("key", _key(255), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
    )


def _budget() -> None:
    _create_table(
        "otp_budget",
        sa.Column("key", _key(255), primary_key=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("verified", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("window_ends_at", sa.BigInteger(), nullable=False),
    )


def _verified() -> None:
    _create_table(
        "otp_verified",
        sa.Column("phone_key", _key(255), primary_key=True),
        sa.Column("verified_at", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", sa.BigInteger(), nullable=False),
        sa.Column("world", sa.String(20), nullable=False),
    )
    _create_index("otp_verified", "verified_at")


def _refusal() -> None:
    _create_table(
        "otp_refusal",
        sa.Column("key", _key(64), primary_key=True),
        sa.Column("asked", sa.String(20), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("phone_key", _key(255), nullable=False),
        sa.Column("phone_masked", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("enforced", sa.Boolean(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("world", sa.String(20), nullable=False),
    )
    _create_index("otp_refusal", "phone_key")
    _create_index("otp_refusal", "last_at")


def _breaker() -> None:
    _create_table(
        "otp_breaker",
        sa.Column("instance", _key(255), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probe_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger()),
        sa.Column("misconfigured_at", sa.BigInteger()),
        sa.Column("code", sa.String(80), nullable=False),
        sa.Column("words", sa.String(200), nullable=False),
    )


def _change() -> None:
    _create_table(
        "otp_change",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("challenge_id", _key(64), nullable=False),
        sa.Column("delivery_id", _key(64), nullable=False),
        sa.Column("state", sa.String(20)),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("token", _key(255), nullable=False),
        sa.Column("world", sa.String(20), nullable=False),
    )
    _create_index("otp_change", "world", "due_at")
    _create_index("otp_change", "happened_at")


def _sealed() -> None:
    _create_table(
        "otp_sealed",
        sa.Column("world", sa.String(20), primary_key=True),
        sa.Column("namespace", _key(64), primary_key=True),
        sa.Column("key", _key(255), primary_key=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("about", _key(255), nullable=False),
    )
    _create_index("otp_sealed", "about")
    _create_index("otp_sealed", "expires_at")


def _series() -> None:
    _create_table(
        "otp_series",
        sa.Column("world", sa.String(20), primary_key=True),
        sa.Column("span", sa.Integer(), primary_key=True),
        sa.Column("minute", sa.Integer(), primary_key=True),
        sa.Column("instance", _key(255), primary_key=True),
        sa.Column("prefix", sa.String(20), primary_key=True),
        sa.Column("channel", sa.String(20), primary_key=True),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
    )


def _fold() -> None:
    _create_table(
        "otp_fold",
        sa.Column("world", sa.String(20), primary_key=True),
        sa.Column("folded_until", sa.BigInteger(), nullable=False),
    )


def _worker() -> None:
    _create_table(
        "otp_worker",
        sa.Column("name", _key(64), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
    )


def _audit() -> None:
    _create_table(
        "otp_audit",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", _key(64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("by", "target", "reason", "detail")),
        sa.Column("about", _key(255), nullable=False),
    )
    _create_index("otp_audit", "about")
    _create_index("otp_audit", "at")
    _create_index("otp_audit", "action", "number")


def _setting() -> None:
    _create_table(
        "otp_setting",
        sa.Column("name", _key(255), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )

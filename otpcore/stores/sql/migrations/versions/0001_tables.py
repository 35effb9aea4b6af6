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
    """In UTF-8 and with transactions, whatever the server's or the database's default: some have MyISAM, which has none."""
    op.create_table(
        name,
        *parts,
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )


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
        sa.Column("number", _NUMBER, primary_key=True, nullable=False),
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
        sa.PrimaryKeyConstraint("number", name="pk_otp_challenge"),
        sa.UniqueConstraint("id", name="uq_otp_challenge_id"),
        sa.UniqueConstraint("live_key", name="uq_otp_challenge_live_key"),
    )
    op.create_index("ix_otp_challenge_subject", "otp_challenge", ["subject"])
    op.create_index("ix_otp_challenge_phone_key", "otp_challenge", ["phone_key"])
    op.create_index("ix_otp_challenge_state_expires_at", "otp_challenge", ["state", "expires_at"])
    op.create_index("ix_otp_challenge_world_first_sent_at", "otp_challenge", ["world", "first_sent_at"])


def _delivery() -> None:
    _create_table(
        "otp_delivery",
        sa.Column("number", _NUMBER, primary_key=True, nullable=False),
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
        sa.PrimaryKeyConstraint("number", name="pk_otp_delivery"),
        sa.UniqueConstraint("id", name="uq_otp_delivery_id"),
    )
    op.create_index("ix_otp_delivery_challenge_id", "otp_delivery", ["challenge_id"])
    op.create_index("ix_otp_delivery_phone_key", "otp_delivery", ["phone_key"])
    op.create_index("ix_otp_delivery_world_recorded_at", "otp_delivery", ["world", "recorded_at"])
    op.create_index("ix_otp_delivery_instance_world_recorded_at", "otp_delivery", ["instance", "world", "recorded_at"])
    op.create_index(
        "ix_otp_delivery_reference_instance",
        "otp_delivery",
        ["reference", "instance"],
        postgresql_where=_REFERRED,
        sqlite_where=_REFERRED,
    )


def _receipt() -> None:
    _create_table(
        "otp_receipt",
        sa.Column("reference", _key(255), nullable=False),
        sa.Column("instance", _key(255), nullable=False),
        sa.Column("delivery_id", _key(64), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("kind", sa.String(20)),
        sa.Column("provider_code", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("price", sa.String(40)),
        sa.Column("world", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("reference", "instance", "delivery_id", "status", name="pk_otp_receipt"),
    )
    op.create_index("ix_otp_receipt_delivery_id", "otp_receipt", ["delivery_id"])
    op.create_index("ix_otp_receipt_received_at", "otp_receipt", ["received_at"])


def _schedule() -> None:
    _create_table(
        "otp_schedule",
        sa.Column("challenge_id", _key(64), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
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
        sa.PrimaryKeyConstraint("challenge_id", "channel", name="pk_otp_schedule"),
    )
    op.create_index(
        "ix_otp_schedule_world_claimable_at_challenge_id_channel",
        "otp_schedule",
        ["world", "claimable_at", "challenge_id", "channel"],
    )
    op.create_index(
        "ix_otp_schedule_waits_waits_for_due_at",
        "otp_schedule",
        ["waits", "waits_for", "due_at"],
        postgresql_where=_WAITS,
        sqlite_where=_WAITS,
    )


def _slot() -> None:
    _create_table(
        "otp_slot",
        sa.Column("scope", _key(255), nullable=False),
        sa.Column("phone_key", _key(255), nullable=False),
        sa.Column("holder", _key(64), nullable=False),
        sa.Column("mark", sa.Text()),
        sa.Column("world", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("scope", "phone_key", name="pk_otp_slot"),
    )
    op.create_index("ix_otp_slot_holder", "otp_slot", ["holder"])


def _counter() -> None:
    _create_table(
        "otp_counter",
        sa.Column("key", _key(255), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("window_ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_otp_counter"),
    )
    op.create_index("ix_otp_counter_window_ends_at", "otp_counter", ["window_ends_at"])


def _failure() -> None:
    _create_table(
        "otp_failure",
        sa.Column("key", _key(255), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key", name="pk_otp_failure"),
    )


def _budget() -> None:
    _create_table(
        "otp_budget",
        sa.Column("key", _key(255), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("verified", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("window_ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_otp_budget"),
    )


def _verified() -> None:
    _create_table(
        "otp_verified",
        sa.Column("phone_key", _key(255), nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=False),
        sa.Column("counted_at", sa.BigInteger(), nullable=False),
        sa.Column("world", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("phone_key", name="pk_otp_verified"),
    )
    op.create_index("ix_otp_verified_verified_at", "otp_verified", ["verified_at"])


def _refusal() -> None:
    _create_table(
        "otp_refusal",
        sa.Column("key", _key(64), nullable=False),
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
        sa.PrimaryKeyConstraint("key", name="pk_otp_refusal"),
    )
    op.create_index("ix_otp_refusal_phone_key", "otp_refusal", ["phone_key"])
    op.create_index("ix_otp_refusal_last_at", "otp_refusal", ["last_at"])


def _breaker() -> None:
    _create_table(
        "otp_breaker",
        sa.Column("instance", _key(255), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("probe_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger()),
        sa.Column("misconfigured_at", sa.BigInteger()),
        sa.Column("code", sa.String(80), nullable=False),
        sa.Column("words", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("instance", name="pk_otp_breaker"),
    )


def _change() -> None:
    _create_table(
        "otp_change",
        sa.Column("number", _NUMBER, primary_key=True, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("challenge_id", _key(64), nullable=False),
        sa.Column("delivery_id", _key(64), nullable=False),
        sa.Column("state", sa.String(20)),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("token", _key(255), nullable=False),
        sa.Column("world", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_otp_change"),
    )
    op.create_index("ix_otp_change_world_due_at", "otp_change", ["world", "due_at"])
    op.create_index("ix_otp_change_happened_at", "otp_change", ["happened_at"])


def _sealed() -> None:
    _create_table(
        "otp_sealed",
        sa.Column("world", sa.String(20), nullable=False),
        sa.Column("namespace", _key(64), nullable=False),
        sa.Column("key", _key(255), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("about", _key(255), nullable=False),
        sa.PrimaryKeyConstraint("world", "namespace", "key", name="pk_otp_sealed"),
    )
    op.create_index("ix_otp_sealed_about", "otp_sealed", ["about"])
    op.create_index("ix_otp_sealed_expires_at", "otp_sealed", ["expires_at"])


def _series() -> None:
    _create_table(
        "otp_series",
        sa.Column("world", sa.String(20), nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("instance", _key(255), nullable=False),
        sa.Column("prefix", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("world", "span", "minute", "instance", "prefix", "channel", name="pk_otp_series"),
    )


def _fold() -> None:
    _create_table(
        "otp_fold",
        sa.Column("world", sa.String(20), nullable=False),
        sa.Column("folded_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("world", name="pk_otp_fold"),
    )


def _worker() -> None:
    _create_table(
        "otp_worker",
        sa.Column("name", _key(64), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_otp_worker"),
    )


def _audit() -> None:
    _create_table(
        "otp_audit",
        sa.Column("number", _NUMBER, primary_key=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", _key(64), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("by", "target", "reason", "detail")),
        sa.Column("about", _key(255), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_otp_audit"),
    )
    op.create_index("ix_otp_audit_about", "otp_audit", ["about"])
    op.create_index("ix_otp_audit_at", "otp_audit", ["at"])
    op.create_index("ix_otp_audit_action_number", "otp_audit", ["action", "number"])


def _setting() -> None:
    _create_table(
        "otp_setting",
        sa.Column("name", _key(255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_otp_setting"),
    )

"""The tables of the SQL store: SQLModel classes on a registry and MetaData of their own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Computed, Index, Integer, LargeBinary, MetaData, String, Table, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, CodeOwner, Outcome, ReceiptStatus, UnsendableReason, World
from otpcore.rate_limits.admission import Asked
from otpcore.stores.changes import Change
from otpcore.stores.records import Waits
from otpcore.stores.sql.columns import ChannelWord, Charges, Cooldowns, Key, MarkText, Moment, Names, PriceText, Word

__all__ = [
    "VERSION_TABLE",
    "audits",
    "breakers",
    "budgets",
    "challenges",
    "changes",
    "counters",
    "deliveries",
    "failures",
    "folds",
    "include_name",
    "metadata",
    "receipts",
    "refusals",
    "schedule",
    "sealed",
    "series",
    "settings",
    "slots",
    "verified",
    "workers",
]

VERSION_TABLE = "otp_alembic_version"
"""Where Alembic keeps the revision of these tables, apart from the host's own."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables of otpcore, and nobody else's."""

_KEY_LENGTH = 255


def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:  # noqa: ARG001 - Alembic's signature
    """False for the tables of otpcore: a host's Alembic takes it as ``include_name``, so that autogenerate leaves them alone."""
    return type_ != "table" or not (name in metadata.tables or name == VERSION_TABLE)


_WAITS = text("waits IS NOT NULL")
_REFERRED = text("reference <> ''")  # every delivery is written without one
_CLAIMABLE_AT = Computed("coalesce(lease_until, due_at)", persisted=True)
_NUMBERED = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in an INTEGER primary key


def _world() -> Any:
    """Whose row it is."""
    return Field(sa_type=Word(World), nullable=False)


class _Row(SQLModel, registry=registry(metadata=metadata)):
    """Base of the tables. They are declared here and read through Core: an ORM session costs 15 to 20 times as much."""


class ChallengeRow(_Row, table=True):
    """`ChallengeRecord`. ``number`` is the order of creation; ``live_key`` is the subject until the challenge is over."""

    __tablename__ = "otp_challenge"
    __table_args__ = (Index(None, "state", "expires_at"), Index(None, "world", "first_sent_at"))

    number: int | None = Field(default=None, sa_type=_NUMBERED, primary_key=True)
    id: str = Field(sa_type=Key(64), unique=True)
    live_key: str | None = Field(sa_type=Key(_KEY_LENGTH), unique=True)
    subject: str = Field(sa_type=Key(_KEY_LENGTH), index=True)
    phone_key: str = Field(sa_type=Key(_KEY_LENGTH), index=True)
    phone_sealed: bytes = Field(sa_type=LargeBinary)
    phone_masked: str = Field(sa_type=Text)
    key_id: str = Field(sa_type=Key(_KEY_LENGTH))
    purpose: str = Field(sa_type=Text)
    app: str = Field(sa_type=Key(40))
    verifiable: bool = Field(sa_type=Boolean)
    state: ChallengeState = Field(sa_type=Word(ChallengeState))
    confirmed: bool = Field(sa_type=Boolean)
    reason: UnsendableReason | None = Field(sa_type=Word(UnsendableReason))
    provider: str | None = Field(sa_type=Text)
    attempts: int
    max_attempts: int
    givebacks: int
    first_sent_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    code_digest: str = Field(sa_type=Text)
    code_sealed: bytes | None = Field(sa_type=LargeBinary)
    code_number: int
    message_sealed: bytes | None = Field(sa_type=LargeBinary)
    extras_sealed: bytes | None = Field(sa_type=LargeBinary)
    locale: str = Field(sa_type=Text)
    forced: Any = Field(sa_type=Names, nullable=True)
    core_recorded: bool = Field(sa_type=Boolean)
    budget: str = Field(sa_type=Key(_KEY_LENGTH))
    cooldowns: Any = Field(sa_type=Cooldowns, nullable=False)
    approved_at: datetime | None = Field(sa_type=Moment)
    world: World = _world()


class DeliveryRow(_Row, table=True):
    """`DeliveryRecord`. ``number`` is the order of recording; ``phone_key`` finds what is left of an erased person."""

    __tablename__ = "otp_delivery"
    __table_args__ = (
        Index(None, "reference", "instance", postgresql_where=_REFERRED, sqlite_where=_REFERRED),
        Index(None, "world", "recorded_at"),
        Index(None, "instance", "world", "recorded_at"),
    )

    number: int | None = Field(default=None, sa_type=_NUMBERED, primary_key=True)
    id: str = Field(sa_type=Key(64), unique=True)
    challenge_id: str = Field(sa_type=Key(64), index=True)
    phone_key: str = Field(sa_type=Key(_KEY_LENGTH), index=True)
    send_id: str = Field(sa_type=Key(64))
    instance: str = Field(sa_type=Key(_KEY_LENGTH))
    channel: str = Field(sa_type=ChannelWord)
    owner: CodeOwner = Field(sa_type=Word(CodeOwner))
    scope: str = Field(sa_type=Key(_KEY_LENGTH))
    code_number: int
    prefix: str = Field(sa_type=String(20))
    is_retry: bool = Field(sa_type=Boolean)
    outcome: Outcome = Field(sa_type=Word(Outcome))
    reference: str = Field(sa_type=Key(_KEY_LENGTH))
    provider_code: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=Moment)
    lease_until: datetime = Field(sa_type=Moment)
    not_before: datetime | None = Field(sa_type=Moment)
    gone: bool = Field(sa_type=Boolean)
    answered_at: datetime | None = Field(sa_type=Moment)
    delivered_at: datetime | None = Field(sa_type=Moment)
    price: Any = Field(sa_type=PriceText, nullable=True)
    world: World = _world()


class ReceiptRow(_Row, table=True):
    """`ReceiptRecord`."""

    __tablename__ = "otp_receipt"

    reference: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    instance: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    delivery_id: str = Field(sa_type=Key(64), primary_key=True, index=True)
    status: ReceiptStatus = Field(sa_type=Word(ReceiptStatus), primary_key=True)
    kind: ErrorKind | None = Field(sa_type=Word(ErrorKind))
    provider_code: str = Field(sa_type=Text)
    received_at: datetime = Field(sa_type=Moment, index=True)
    applied: bool = Field(sa_type=Boolean)
    price: Any = Field(sa_type=PriceText, nullable=True)
    world: World = _world()


class ScheduleRow(_Row, table=True):
    """`ScheduleRecord`. ``claimable_at`` is made by the database, so that one index tells what may be claimed."""

    __tablename__ = "otp_schedule"
    __table_args__ = (
        Index(None, "world", "claimable_at", "challenge_id", "channel"),
        Index(None, "waits", "waits_for", "due_at", postgresql_where=_WAITS, sqlite_where=_WAITS),
    )

    challenge_id: str = Field(sa_type=Key(64), primary_key=True)
    channel: str = Field(sa_type=ChannelWord, primary_key=True)
    send_id: str = Field(sa_type=Key(64))
    token: str = Field(sa_type=Key(_KEY_LENGTH))
    due_at: datetime = Field(sa_type=Moment)
    lease_until: datetime | None = Field(sa_type=Moment)
    claimable_at: datetime = Field(sa_type=Moment, sa_column_args=(_CLAIMABLE_AT,), nullable=True)
    attempts: int
    charges: Any = Field(sa_type=Charges, nullable=False)
    key_id: str = Field(sa_type=Key(_KEY_LENGTH))
    forced: Any = Field(sa_type=Names, nullable=True)
    waits: Waits | None = Field(sa_type=Word(Waits))
    waits_for: str = Field(sa_type=Key(_KEY_LENGTH))
    world: World = _world()


class SlotRow(_Row, table=True):
    """`SlotRecord`."""

    __tablename__ = "otp_slot"

    scope: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    phone_key: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    holder: str = Field(sa_type=Key(64), index=True)
    mark: Any = Field(sa_type=MarkText, nullable=True)
    world: World = _world()


class CounterRow(_Row, table=True):
    """`CounterRecord`."""

    __tablename__ = "otp_counter"

    key: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    count: int
    window_ends_at: datetime = Field(sa_type=Moment, index=True)


class FailureRow(_Row, table=True):
    """`FailureRecord`."""

    __tablename__ = "otp_failure"

    key: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    failures: int
    locked_until: datetime | None = Field(sa_type=Moment)


class BudgetRow(_Row, table=True):
    """`BudgetRecord`. A window that has ended stays: the next one goes by what it was."""

    __tablename__ = "otp_budget"

    key: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    used: int
    verified: int
    base: int
    window_ends_at: datetime = Field(sa_type=Moment)


class VerifiedRow(_Row, table=True):
    """A phone that verified; ``counted_at`` is when it last raised the budget."""

    __tablename__ = "otp_verified"

    phone_key: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    verified_at: datetime = Field(sa_type=Moment, index=True)
    counted_at: datetime = Field(sa_type=Moment)
    world: World = _world()


class RefusalRow(_Row, table=True):
    """`RefusalRecord`."""

    __tablename__ = "otp_refusal"

    key: str = Field(sa_type=Key(64), primary_key=True)
    asked: Asked = Field(sa_type=Word(Asked))
    reason: str = Field(sa_type=String(20))
    phone_key: str = Field(sa_type=Key(_KEY_LENGTH), index=True)
    phone_masked: str = Field(sa_type=Text)
    channel: str = Field(sa_type=String(20))
    purpose: str = Field(sa_type=Text)
    enforced: bool = Field(sa_type=Boolean)
    first_at: datetime = Field(sa_type=Moment)
    last_at: datetime = Field(sa_type=Moment, index=True)
    count: int
    world: World = _world()


class BreakerRow(_Row, table=True):
    """`BreakerRecord`."""

    __tablename__ = "otp_breaker"

    instance: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    failures: int
    probe_at: datetime = Field(sa_type=Moment)
    opened_at: datetime | None = Field(sa_type=Moment)
    misconfigured_at: datetime | None = Field(sa_type=Moment)
    code: str = Field(sa_type=String(80))
    words: str = Field(sa_type=String(200))


class SealedRow(_Row, table=True):
    """`SealedRecord`."""

    __tablename__ = "otp_sealed"

    world: World = Field(sa_type=Word(World), primary_key=True)
    namespace: str = Field(sa_type=Key(64), primary_key=True)
    key: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    version: int = Field(sa_type=BigInteger)
    sealed: bytes = Field(sa_type=LargeBinary)
    expires_at: datetime | None = Field(sa_type=Moment, index=True)
    about: str = Field(sa_type=Key(_KEY_LENGTH), index=True)


class SeriesRow(_Row, table=True):
    """The counts of one span of minutes and route, as ``otpcore.stores.series`` reads them."""

    __tablename__ = "otp_series"

    world: World = Field(sa_type=Word(World), primary_key=True)
    span: int = Field(primary_key=True)
    minute: int = Field(primary_key=True)
    instance: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    prefix: str = Field(sa_type=String(20), primary_key=True)
    channel: str = Field(sa_type=ChannelWord, primary_key=True)
    counts: bytes = Field(sa_type=LargeBinary)


class FoldRow(_Row, table=True):
    """As far as the series of a world are counted."""

    __tablename__ = "otp_fold"

    world: World = Field(sa_type=Word(World), primary_key=True)
    folded_until: datetime = Field(sa_type=Moment)


class ChangeRow(_Row, table=True):
    """`ChangeRecord`."""

    __tablename__ = "otp_change"
    __table_args__ = (Index(None, "world", "due_at"),)

    number: int | None = Field(default=None, sa_type=_NUMBERED, primary_key=True)
    kind: Change = Field(sa_type=Word(Change))
    challenge_id: str = Field(sa_type=Key(64))
    delivery_id: str = Field(sa_type=Key(64))
    state: ChallengeState | None = Field(sa_type=Word(ChallengeState))
    happened_at: datetime = Field(sa_type=Moment, index=True)
    due_at: datetime = Field(sa_type=Moment)
    tries: int
    token: str = Field(sa_type=Key(_KEY_LENGTH))
    world: World = _world()


class WorkerRow(_Row, table=True):
    """`WorkerRecord`."""

    __tablename__ = "otp_worker"

    name: str = Field(sa_type=Key(64), primary_key=True)
    kind: str = Field(sa_type=Text)
    started_at: datetime = Field(sa_type=Moment)
    seen_at: datetime = Field(sa_type=Moment)
    running: int


class AuditRow(_Row, table=True):
    """`AuditRecord`. ``number`` is the order of writing."""

    __tablename__ = "otp_audit"
    __table_args__ = (Index(None, "action", "number"),)

    number: int | None = Field(default=None, sa_type=_NUMBERED, primary_key=True)
    at: datetime = Field(sa_type=Moment, index=True)
    action: str = Field(sa_type=Key(64))
    by: str = Field(sa_type=Text)
    target: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    about: str = Field(sa_type=Key(_KEY_LENGTH), index=True)


class SettingRow(_Row, table=True):
    """One setting that lives in the database."""

    __tablename__ = "otp_setting"

    name: str = Field(sa_type=Key(_KEY_LENGTH), primary_key=True)
    value: str = Field(sa_type=Text)


challenges: Table = metadata.tables["otp_challenge"]
deliveries: Table = metadata.tables["otp_delivery"]
receipts: Table = metadata.tables["otp_receipt"]
schedule: Table = metadata.tables["otp_schedule"]
slots: Table = metadata.tables["otp_slot"]
counters: Table = metadata.tables["otp_counter"]
failures: Table = metadata.tables["otp_failure"]
budgets: Table = metadata.tables["otp_budget"]
verified: Table = metadata.tables["otp_verified"]
refusals: Table = metadata.tables["otp_refusal"]
breakers: Table = metadata.tables["otp_breaker"]
changes: Table = metadata.tables["otp_change"]
sealed: Table = metadata.tables["otp_sealed"]
series: Table = metadata.tables["otp_series"]
folds: Table = metadata.tables["otp_fold"]
workers: Table = metadata.tables["otp_worker"]
audits: Table = metadata.tables["otp_audit"]
settings: Table = metadata.tables["otp_setting"]

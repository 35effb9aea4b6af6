"""What a store is: its contract, the rows it keeps and what it is told and answers; our own stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.errors import SettingsError, StoreError
    from otpcore.models import ChallengeState, Channel, Outcome, Receipt, World
    from otpcore.rate_limits.admission import UNCOUNTED, BudgetRecord, BudgetRule, BudgetWindow, Charge, RefusalRecord
    from otpcore.retrying import backoff
    from otpcore.stores.commands import (
        Beginning,
        ClaimBatch,
        ClaimRule,
        LockRule,
        NewSend,
        ReceiptRule,
        Received,
        RecordedGuess,
        Reservation,
    )
    from otpcore.stores.contract import Store
    from otpcore.stores.counts import KeyUse, OutcomeCount, RouteCount, StoreStatus, Waiting
    from otpcore.stores.crew import Crew, still_wanted
    from otpcore.stores.derived_rows import DerivedRows
    from otpcore.stores.failover import CallResult, FailoverPlan, FailoverRef, Recorded, Step
    from otpcore.stores.lifecycle import CLOCK_SLACK, ERASED, OVER, TAKEN, is_living, is_spent
    from otpcore.stores.memory.store import MemoryRows, MemoryStore
    from otpcore.stores.records import (
        AuditRecord,
        BreakerRecord,
        ChallengeRecord,
        Charged,
        CounterRecord,
        DeliveryRecord,
        FailureRecord,
        ReceiptRecord,
        ScheduleRecord,
        SlotRecord,
        Waits,
        WorkerRecord,
        changed,
    )
    from otpcore.stores.rows import OutrunError, Rows, Wanted
    from otpcore.stores.sql.store import SqlStore

__all__ = [
    "CLOCK_SLACK",
    "ERASED",
    "OVER",
    "TAKEN",
    "UNCOUNTED",
    "AuditRecord",
    "Beginning",
    "BreakerRecord",
    "BudgetRecord",
    "BudgetRule",
    "BudgetWindow",
    "CallResult",
    "ChallengeRecord",
    "ChallengeState",
    "Channel",
    "Charge",
    "Charged",
    "ClaimBatch",
    "ClaimRule",
    "CounterRecord",
    "Crew",
    "DeliveryRecord",
    "DerivedRows",
    "FailoverPlan",
    "FailoverRef",
    "FailureRecord",
    "KeyUse",
    "LockRule",
    "MemoryRows",
    "MemoryStore",
    "NewSend",
    "Outcome",
    "OutcomeCount",
    "OutrunError",
    "Receipt",
    "ReceiptRecord",
    "ReceiptRule",
    "Received",
    "Recorded",
    "RecordedGuess",
    "RefusalRecord",
    "Reservation",
    "RouteCount",
    "Rows",
    "ScheduleRecord",
    "SettingsError",
    "SlotRecord",
    "SqlStore",
    "Step",
    "Store",
    "StoreError",
    "StoreStatus",
    "Waiting",
    "Waits",
    "Wanted",
    "WorkerRecord",
    "World",
    "backoff",
    "changed",
    "is_living",
    "is_spent",
    "still_wanted",
]

_MODULES = {
    "otpcore.errors": ("SettingsError", "StoreError"),
    "otpcore.models": ("ChallengeState", "Channel", "Outcome", "Receipt", "World"),
    "otpcore.rate_limits.admission": (
        "UNCOUNTED",
        "BudgetRecord",
        "BudgetRule",
        "BudgetWindow",
        "Charge",
        "RefusalRecord",
    ),
    "otpcore.retrying": ("backoff",),
    "otpcore.stores.commands": (
        "Beginning",
        "ClaimBatch",
        "ClaimRule",
        "LockRule",
        "NewSend",
        "ReceiptRule",
        "Received",
        "RecordedGuess",
        "Reservation",
    ),
    "otpcore.stores.contract": ("Store",),
    "otpcore.stores.counts": ("KeyUse", "OutcomeCount", "RouteCount", "StoreStatus", "Waiting"),
    "otpcore.stores.crew": ("Crew", "still_wanted"),
    "otpcore.stores.derived_rows": ("DerivedRows",),
    "otpcore.stores.failover": ("CallResult", "Recorded", "Step", "FailoverPlan", "FailoverRef"),
    "otpcore.stores.lifecycle": ("CLOCK_SLACK", "ERASED", "OVER", "TAKEN", "is_living", "is_spent"),
    "otpcore.stores.memory.store": ("MemoryRows", "MemoryStore"),
    "otpcore.stores.records": (
        "AuditRecord",
        "BreakerRecord",
        "ChallengeRecord",
        "Charged",
        "CounterRecord",
        "DeliveryRecord",
        "FailureRecord",
        "ReceiptRecord",
        "ScheduleRecord",
        "SlotRecord",
        "Waits",
        "WorkerRecord",
        "changed",
    ),
    "otpcore.stores.rows": ("OutrunError", "Rows", "Wanted"),
    "otpcore.stores.sql.store": ("SqlStore",),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)

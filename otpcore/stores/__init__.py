"""What a store is: its contract, the rows it keeps and what it is told and answers; our own stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.errors import SettingsError, StoreError
    from otpcore.models import ChallengeState, Channel, Outcome, Receipt, World
    from otpcore.rate_limits.admission import (
        UNCOUNTED,
        BudgetRecord,
        BudgetRule,
        BudgetWindow,
        Charge,
        RefusalRecord,
        overdrawn,
    )
    from otpcore.retrying import backoff
    from otpcore.stores.changes import Change, ChangeRecord
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
    from otpcore.stores.costs import Cost, Costs, CostSums
    from otpcore.stores.counts import KeyUse, OutcomeCount, RouteCount, StoreStatus, Waiting
    from otpcore.stores.crew import Crew, still_wanted
    from otpcore.stores.derived_rows import DerivedRows
    from otpcore.stores.lifecycle import CLOCK_SLACK, ERASED, OVER, TAKEN, is_living, is_spent
    from otpcore.stores.lists import ChallengeFilter, DeliveryFilter, Filter, Page, Place
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
    from otpcore.stores.rows import OutrunError, Rows
    from otpcore.stores.sealed import SealedRecord, is_kept
    from otpcore.stores.series import SPANS, SeriesKey, SeriesPoint
    from otpcore.stores.sql.store import SqlStore
    from otpcore.stores.steps import CallResult, FailoverPlan, FailoverRef, Recorded, Step
    from otpcore.stores.wanted import Wanted

__all__ = [
    "CLOCK_SLACK",
    "ERASED",
    "OVER",
    "SPANS",
    "TAKEN",
    "UNCOUNTED",
    "AuditRecord",
    "Beginning",
    "BreakerRecord",
    "BudgetRecord",
    "BudgetRule",
    "BudgetWindow",
    "CallResult",
    "ChallengeFilter",
    "ChallengeRecord",
    "ChallengeState",
    "Change",
    "ChangeRecord",
    "Channel",
    "Charge",
    "Charged",
    "ClaimBatch",
    "ClaimRule",
    "Cost",
    "CostSums",
    "Costs",
    "CounterRecord",
    "Crew",
    "DeliveryFilter",
    "DeliveryRecord",
    "DerivedRows",
    "FailoverPlan",
    "FailoverRef",
    "FailureRecord",
    "Filter",
    "KeyUse",
    "LockRule",
    "MemoryRows",
    "MemoryStore",
    "NewSend",
    "Outcome",
    "OutcomeCount",
    "OutrunError",
    "Page",
    "Place",
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
    "SealedRecord",
    "SeriesKey",
    "SeriesPoint",
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
    "is_kept",
    "is_living",
    "is_spent",
    "overdrawn",
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
        "overdrawn",
    ),
    "otpcore.retrying": ("backoff",),
    "otpcore.stores.changes": ("Change", "ChangeRecord"),
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
    "otpcore.stores.costs": ("Cost", "CostSums", "Costs"),
    "otpcore.stores.counts": ("KeyUse", "OutcomeCount", "RouteCount", "StoreStatus", "Waiting"),
    "otpcore.stores.crew": ("Crew", "still_wanted"),
    "otpcore.stores.derived_rows": ("DerivedRows",),
    "otpcore.stores.steps": ("CallResult", "Recorded", "Step", "FailoverPlan", "FailoverRef"),
    "otpcore.stores.lifecycle": ("CLOCK_SLACK", "ERASED", "OVER", "TAKEN", "is_living", "is_spent"),
    "otpcore.stores.lists": ("ChallengeFilter", "DeliveryFilter", "Filter", "Page", "Place"),
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
    "otpcore.stores.rows": ("OutrunError", "Rows"),
    "otpcore.stores.sealed": ("SealedRecord", "is_kept"),
    "otpcore.stores.series": ("SPANS", "SeriesKey", "SeriesPoint"),
    "otpcore.stores.sql.store": ("SqlStore",),
    "otpcore.stores.wanted": ("Wanted",),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)

"""What a store keeps, row by row: the primitives on which the shared transactions run.

All calls of one unit of work see one consistent state and take effect together. Where two units may race, a primitive is
a conditional update that says whether it took place. ``challenge`` locks its row until the end of the unit, so that the
units of one challenge follow one another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from otpcore.models import Channel
from otpcore.rate_limits.admission import BudgetRecord, Charge, RefusalRecord
from otpcore.stores.change_rows import ChangeRows
from otpcore.stores.counts import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.stores.list_rows import ListRows
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
)
from otpcore.stores.sealed_rows import SealedRows
from otpcore.stores.series_rows import SeriesRows
from otpcore.stores.wanted import Wanted

__all__ = ["EndedRow", "OutrunError", "Rows"]


class OutrunError(Exception):
    """Another unit of work was faster; this one is run again, on what is there now."""


class EndedRow(Protocol):
    """What somebody must know of a schedule row that was removed, to give its charges back."""

    @property
    def challenge_id(self) -> str: ...  # noqa: D102 - as in ScheduleRecord
    @property
    def send_id(self) -> str: ...  # noqa: D102
    @property
    def charges(self) -> tuple[Charged, ...]: ...  # noqa: D102


class Rows(ListRows, SealedRows, SeriesRows, ChangeRows, Protocol):
    """The rows of one unit of work."""

    def prefetch(self, wanted: Wanted, now: datetime | None) -> None:
        """Told first, if at all: what the unit will look at, and its clock. A store that is a round trip away reads it in one."""

    def now(self, now: datetime | None) -> datetime:
        """The clock that decides: the given one, else the database's."""

    # Challenges.

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        """By id; locked until the end of the unit."""

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        """By id, not locked: for a look at somebody else's challenge."""

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
        """By id; locked, unless another unit holds it: then None. For whoever holds a schedule row already."""

    def latest(self, subject: str) -> ChallengeRecord | None:
        """The newest of a subject; locked until the end of the unit."""

    def peek_latest(self, subject: str) -> ChallengeRecord | None:
        """The newest of a subject, not locked: for whoever holds counters, as others refund those while they hold it."""

    def challenges_of(self, phone_key: str) -> Sequence[ChallengeRecord]:
        """All of one phone, newest first."""

    def recent(self, since: datetime, channel: Channel, limit: int) -> Sequence[ChallengeRecord]:
        """Those with a delivery over this channel that was recorded since then, not locked; the latest delivery first."""

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        """False, and nothing is written, when the subject has another one that is not over."""

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        """Set columns; a state that is over frees the subject."""

    def accept(self, challenge_id: str, code_number: int, now: datetime) -> ChallengeRecord | None:
        """A living challenge is sent, and confirmed; as it is now.

        None: it does not live, or another code has replaced that of this number; nothing is written.
        """

    def take_attempt(self, challenge_id: str, now: datetime) -> bool:
        """One more attempt of a living challenge that has any left."""

    def give_attempt_back(self, challenge_id: str, givebacks: int) -> bool:
        """One attempt less, at most ``givebacks`` times."""

    def consume(self, challenge_id: str, now: datetime, *, attempts: int) -> bool:
        """Approve a living challenge, erase what was sealed, and count so many attempts; True for one caller only."""

    def expired(self, now: datetime, limit: int) -> Sequence[ChallengeRecord]:
        """Challenges that are not over though their life is; locked."""

    def begun_after(self, moment: datetime, limit: int) -> Sequence[ChallengeRecord]:
        """Challenges that are not over and began after then; locked. Looks at all that are not over."""

    # Deliveries.

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        """All of a challenge, in the order in which they were recorded."""

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        """By id."""

    def delivery_by_reference(self, instance: str, reference: str) -> DeliveryRecord | None:
        """The newest of an instance to which the vendor gave this reference."""

    def insert_delivery(self, delivery: DeliveryRecord, phone_key: str) -> None:
        """A new one; ``phone_key`` finds it when its challenge is gone already."""

    def count_taken(self, challenge_id: str) -> int:
        """How many of its deliveries a provider took (`TAKEN`)."""

    def answer_delivery(self, delivery_id: str, **answer: Any) -> bool:
        """Set columns; False where it was purged."""

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        """The vendor no longer has their verifications."""

    # Receipts.

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        """False, and nothing is written, when the same one was here before."""

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        """Those about a delivery, and those of any instance under its reference; the oldest first."""

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        """One that waited is about this delivery, and has taken effect."""

    # Schedule rows.

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        """Of one challenge and channel."""

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        """Of one challenge."""

    def put_schedule(self, row: ScheduleRecord) -> None:
        """Insert or replace; the caller holds the challenge."""

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        """Remove."""

    def end_schedules(self, challenge_id: str) -> Sequence[EndedRow]:
        """Remove all rows of a challenge; what they were."""

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        channels: Collection[Channel],
        key_ids: Collection[str] | None = None,
        instances: Collection[str] | None = None,
    ) -> Sequence[ScheduleRecord]:
        """The earliest claimable rows that this process can handle; nobody else's locked ones where the database can skip them.

        ``instances``: a forced list must lie within. None: no such condition.
        """

    def next_due(self) -> datetime | None:
        """When the earliest of all rows may be claimed."""

    def upcoming(self, limit: int, after: ScheduleRecord | None = None) -> Sequence[ScheduleRecord]:
        """All rows, the earliest claimable first; those that come after one of them."""

    def waiting(self, waits: Waits, waits_for: str, until: datetime, limit: int) -> int:
        """How many rows wait so and are due by then; counted up to ``limit``."""

    def waited_for(self) -> Sequence[tuple[Waits, str]]:
        """What rows wait for, in order."""

    def wake(self, waits: Waits, waits_for: str, due_at: datetime, limit: int) -> int:
        """Rows that wait so, and are under way nowhere, do no more and are due then at the latest; how many."""

    def due_keys(self, now: datetime) -> frozenset[str]:
        """Key ids of the claimable rows."""

    # Vendor slots.

    def slot(self, scope: str, phone_key: str) -> SlotRecord | None:
        """Who holds it; locked until the end of the unit."""

    def take_slot(self, slot: SlotRecord, held_by: str | None) -> bool:
        """Write the slot if it is still held so (None: there is no row)."""

    def purge_slots(self, limit: int) -> int:
        """Remove those that nobody holds and that have no mark."""

    def free_slots(self, limit: int) -> Sequence[SlotRecord]:
        """Those that nobody holds."""

    def delete_slot(self, scope: str, phone_key: str) -> None:
        """Remove."""

    # Counters.

    def charge(self, charges: Sequence[Charge], now: datetime) -> Sequence[Charged]:
        """Count one in each window that is not full; those that were counted, in the order of ``charges``.

        A store that divides a ``shared`` counter names the stripe: the key, ``!``, and what it likes.
        """

    def refund(self, charged: Charged) -> None:
        """Count one less, if the window is still the same."""

    def counters(self, prefix: str, now: datetime) -> Sequence[CounterRecord]:
        """Those whose key begins so, of windows that have not ended; by key."""

    def failure_counters(self, prefix: str) -> Sequence[FailureRecord]:
        """Those whose key begins so."""

    def reset_counters(self, prefix: str) -> int:
        """Remove send and failure counters whose key begins so."""

    def peek_failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        """Failures in a row under these keys, not locked: for whoever counts none."""

    def failures(self, keys: tuple[str, str]) -> Sequence[FailureRecord]:
        """Failures in a row, of those keys that have any."""

    def count_failure(self, key: str) -> int:
        """One more; how many there are now."""

    def put_failures(self, record: FailureRecord) -> None:
        """Replace."""

    def clear_failures(self, keys: tuple[str, str]) -> None:
        """Remove."""

    # Budgets of sends that need not verify.

    def budgets(self, prefix: str) -> Sequence[BudgetRecord]:
        """Those whose key begins so, ended windows too; by key."""

    def move_budget(self, key: str, used: int, verified: int, now: datetime, ends_at: datetime) -> None:
        """Add to both, never below none; a window that has ended, or is not there, begins anew and ends at ``ends_at``."""

    # Phones that verified.

    def verified(self, phone_key: str) -> datetime | None:
        """When it last did."""

    def note_verified(self, phone_key: str, now: datetime, counted_before: datetime) -> bool:
        """It did now; True for one caller if it was last counted by then or never, and now it is."""

    # Refusals.

    def count_refusal(self, key: str, now: datetime) -> bool:
        """One more of those that are there; False: there are none."""

    def put_refusal(self, refusal: RefusalRecord) -> None:
        """The first of its key, or one more."""

    def refusals(self, phone_key: str | None, limit: int) -> Sequence[RefusalRecord]:
        """Of one phone or of all, the latest first."""

    # Breakers.

    def breakers(self, least: int) -> Sequence[BreakerRecord]:
        """Those with at least so many failures in a row; by instance."""

    def count_breaker(self, instance: str, code: str, words: str) -> int:
        """One more failure, with what was said; how many there are now."""

    def note_misconfigured(self, instance: str, code: str, words: str, now: datetime) -> bool:
        """It is misconfigured since now, if it was not before: then True, for one caller. What was said last is kept."""

    def open_breaker(self, instance: str, now: datetime, probe_at: datetime) -> None:
        """It is open since now; the first probe is due then."""

    def close_breaker(self, instance: str) -> BreakerRecord | None:
        """Nothing is wrong with it any more; what was."""

    def win_probe(self, instance: str, now: datetime, next_probe: datetime) -> bool:
        """True for one caller: the probe was due, or lies so far ahead that the clock was set back; the next is due later."""

    # Watching.

    def put_worker(self, worker: WorkerRecord) -> None:
        """Insert or replace."""

    def remove_worker(self, name: str) -> None:
        """Remove."""

    def remove_stale_workers(self, before: datetime) -> Sequence[WorkerRecord]:
        """Remove those last seen before then; what they were."""

    def workers(self) -> Sequence[WorkerRecord]:
        """All, by name."""

    def count_outcomes(self, since: datetime) -> Sequence[OutcomeCount]:
        """Deliveries recorded since then, by instance, prefix and outcome."""

    def count_verified(self, since: datetime) -> Sequence[RouteCount]:
        """Approved challenges by the instances and prefixes of their deliveries that were recorded since then and accepted."""

    def count_relayed(self, since: datetime) -> Sequence[RouteCount]:
        """Accepted deliveries recorded since then of kept challenges that are not verifiable, by instance and prefix."""

    def count_waiting(self, now: datetime) -> Sequence[Waiting]:
        """Schedule rows that wait or whose lease has run out, by instance and prefix of the latest delivery of their send."""

    # Settings and upkeep.

    def settings(self) -> dict[str, str]:
        """All."""

    def setting(self, name: str) -> str | None:
        """One; locked until the end of the unit."""

    def put_setting(self, name: str, value: str | None) -> None:
        """Set, or remove with None."""

    def insert_setting(self, name: str, value: str) -> bool:
        """Set one that is not there; False: it is, and nothing was written."""

    # The trail of what operators changed; all worlds share it.

    def add_audit(self, record: AuditRecord) -> None:
        """One more; the store gives it a number, higher than those before."""

    def audits(self, action: str, below: int | None, limit: int) -> Sequence[AuditRecord]:
        """The latest first: those of one action, or of all where it is empty, with a lower number where one is given."""

    def purge_audits(self, before: datetime, limit: int) -> int:
        """Remove those written before then."""

    def blank_audits(self, phone_key: str, blank: Mapping[str, str]) -> int:
        """Set these fields of those that are about this phone; how many."""

    def keys_in_use(self) -> Sequence[KeyUse]:
        """Each code key of the challenges, with what it is needed for; by id."""

    def purge_challenges(self, before: datetime, limit: int) -> int:
        """Remove those that are over and expired before then, with their schedule rows and the slots they hold."""

    def purge_deliveries(self, before: datetime, limit: int) -> int:
        """Remove those recorded before then."""

    def purge_receipts(self, before: datetime, limit: int) -> int:
        """Remove those received before then."""

    def purge_counters(self, now: datetime, limit: int) -> int:
        """Remove counters whose window has ended."""

    def purge_refusals(self, before: datetime, limit: int) -> int:
        """Remove those of which the last was before then."""

    def purge_verified(self, before: datetime, limit: int) -> int:
        """Forget phones that last verified before then."""

    def forget(self, phone_key: str) -> tuple[int, int]:
        """Remove the refusals of a phone, and that it verified; how many of the two there were."""

    def erase(self, phone_key: str) -> tuple[int, int]:
        """Remove all challenges and deliveries of a phone, with schedule rows, slots and receipts.

        How many of the two there were.
        """

"""What a store and a retry runner must do; each docstring is the contract.

A store speaks in intent verbs. Each verb is one atomic unit of work that can be run again after a lost transaction,
changes state by conditional updates, and returns plain values. ``now`` is the service's clock; None lets a database
that many machines share use its own. All times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Protocol

from otpcore.admission import UNCOUNTED, BudgetRecord, BudgetRule, RefusalRecord
from otpcore.figures import KeyUse, PurgeCount, StoreStatus
from otpcore.models import Channel, Receipt, RetryJob
from otpcore.records import (
    BreakerRecord,
    ChallengeRecord,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ScheduleRecord,
    WorkerRecord,
)
from otpcore.verbs import (
    Begun,
    ChallengeView,
    Claim,
    ClaimBatch,
    ClaimRule,
    EndedSend,
    LockRule,
    NewSend,
    ReceiptRule,
    Received,
    RecordedGuess,
    Reservation,
    Settled,
)
from otpcore.walks import BreakerRule, CallResult, Step, WalkPlan, WalkRef

__all__ = ["RetryHost", "RetryRunner", "Store"]


class Store(Protocol):
    """Where state lives. Every verb may raise ``StoreError``, and then nothing was half done."""

    durable: bool
    """Survives the process; the worker and production refuse a store that does not."""

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open what is needed and push its closing. Creates or checks the schema as its documentation says."""

    async def latest(self, subject: str) -> ChallengeRecord | None:
        """The newest challenge of a subject, living or not."""

    async def view(self, *, challenge_id: str = "", phone_key: str = "") -> tuple[ChallengeView, ...]:
        """One challenge by id, or all that are kept of one phone, newest first."""

    async def begin(self, send: NewSend, now: datetime | None) -> Begun:
        """Charge the send, then write challenge, schedule row and first delivery, in one transaction; born leased.

        A store whose transactions wait for one another's rows may charge in one of its own before; a crash between the two
        then loses the charge, and nothing else.

        The limits come first, in this order: the barrier, an enforced budget, the counters; all of those are charged or
        none. A call that would only cool down is not refused but gets its living challenge. What only records (a budget
        that is not enforced, neighbours) is recorded of a send that begins.

        A new challenge frees an expired holder of its subject first. A resend takes the channel's row over (new token,
        no attempts), ends the older send (refund), moves ``expires_at`` and keeps the attempt count.

        A refusal is recorded, gives back what is refundable, and changes nothing else. One that is needless, as nobody
        had to send (a cooldown, a faster caller), gives everything back and is not recorded.
        """

    async def record(
        self, walk: WalkRef, delivery: DeliveryRecord, result: CallResult, plan: WalkPlan, now: datetime | None
    ) -> Step:
        """Write a provider's answer to a delivery that this walk recorded, and go on, in one transaction.

        Outcome and reference are always written to the delivery. An acceptance, whatever the token, sets ``sent`` and
        ends all rows of a living challenge. Everything else needs the token. A receipt that came before the answer is
        heeded: it knows more than the answer does.
        """

    async def clear_mark(self, walk: WalkRef, scope: str, now: datetime | None) -> bool:
        """The marked verification is cancelled; False: this walk no longer owns its row, do not start."""

    async def claim(self, rule: ClaimRule, limit: int, now: datetime | None) -> ClaimBatch:
        """Claim at most ``limit`` due retries, atomically; an attempt counts when it is claimed."""

    async def begin_retry(self, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
        """Record the first delivery of a claimed retry.

        A walk that finds every instance held by a slot or behind an open breaker, or that a pause or an enforced budget
        holds back, is put off, and its attempt given back. One whose number is denied ends as ``permanent``.
        """

    async def receive(self, instance: str, receipt: Receipt, rule: ReceiptRule, now: datetime | None) -> Received:
        """Write one delivery receipt; the same one again, by (instance, reference, status), changes nothing.

        The delivery is found by reference, else by its id. ``delivered`` counts as an acceptance, whatever was recorded
        before, and is final. ``undelivered`` leaves the instance out of the send; where the delivery was the latest that
        could have arrived, the challenge is ``undelivered`` and the send goes on under a fresh token, born leased, or is
        over. While the call is under way, it waits for ``record``; so does a receipt whose reference nobody knows yet.
        """

    async def go_on(self, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
        """The next delivery of a send whose message was not delivered, a retry, or the end of sending."""

    async def wake(self, closed: str | None, rule: BreakerRule, now: datetime | None) -> int:
        """Make due what waits for a breaker that is closed, a few hundred rows every quarter of a second; how many.

        Args:
            closed: The instance whose breaker has just closed: what waits for several is due too. None: look at all that
                is waited for, as whoever closed a breaker may have died.
        """

    async def next_due(self) -> datetime | None:
        """When the earliest schedule row is due."""

    async def reserve(
        self,
        *,
        subject: str | None,
        challenge_id: str | None,
        purpose: str,
        locks: LockRule,
        guess: RecordedGuess | None = None,
        now: datetime | None,
    ) -> Reservation:
        """Use up one attempt and count one failure before anybody hears how a comparison ended.

        By ``challenge_id`` where given (purpose, and subject if given, must match), else the newest of the subject.
        A ``guess`` that fits what is recorded consumes the challenge in the same transaction, as ``approve`` does, and counts no
        failure: APPROVED, for exactly one caller.
        """

    async def settle(
        self, reservation: Reservation, *, give_back: bool, gone: Collection[str], now: datetime | None
    ) -> Settled | None:
        """An attempt that did not match: mark ``gone`` deliveries; give the attempt and the failure back if so told.

        None: the challenge was purged meanwhile.
        """

    async def ask(self, challenge_id: str, digest: str, now: datetime | None) -> None:
        """Note that a guess goes to a vendor that remembers approvals: until ``answered``, it may be what was approved."""

    async def answered(self, challenge_id: str, digest: str) -> tuple[str, ...]:
        """The vendor did not approve this guess: take one note of it back; those that are left."""

    async def approve(
        self,
        reservation: Reservation,
        *,
        settled: Collection[str],
        budget: BudgetRule = UNCOUNTED,
        now: datetime | None,
    ) -> bool:
        """Consume a living challenge; True for exactly one caller. Sealed code and rows go in the same transaction.

        ``settled`` deliveries need no cancelling at the vendor any more. Clears the phone's failure counters, notes that
        it verified, and gives the budget of the challenge back what its accepted sends used.
        """

    async def cancel(self, challenge_id: str, now: datetime | None) -> ChallengeView | None:
        """End a living challenge; None when there is none.

        One whose life was over, and which nobody had ended yet, is ended as ``expired``, and comes back so.
        """

    async def sweep(
        self, *, retried: Collection[Channel], limit: int, set_back: bool = False, now: datetime | None
    ) -> tuple[EndedSend, ...]:
        """Expire what is over; end as ``interrupted`` what died half-way on channels that are not retried.

        Args:
            set_back: The clock may have been set back: expire what begins in the future too.
        """

    async def purge(
        self,
        *,
        challenges_before: datetime,
        deliveries_before: datetime,
        verified_before: datetime | None = None,
        phone_key: str | None,
        now: datetime | None,
    ) -> PurgeCount:
        """Remove what ended before the given times; with ``phone_key``, everything of that phone at once.

        What is removed for a phone is gone from the medium too, as far as the database can say: it is in no free page
        and in no log when the verb returns.
        Refusals go with the deliveries of their time. None: nobody is forgotten to have verified.
        """

    async def settings(self) -> Mapping[str, str]:
        """All settings that live in the store."""

    async def write_setting(self, name: str, value: str | None) -> None:
        """Set or, with None, remove one."""

    async def breakers(self) -> tuple[BreakerRecord, ...]:
        """All breakers that have failures."""

    async def counters(self, prefix: str, now: datetime | None) -> tuple[CounterRecord | FailureRecord, ...]:
        """Counters whose key begins so, of windows that have not ended; then failure counters, with their lock."""

    async def reset_counters(self, prefix: str) -> int:
        """Remove counters and failure counters whose key begins so."""

    async def budgets(self, prefix: str = "") -> tuple[BudgetRecord, ...]:
        """Unverified budgets whose key begins so, ended windows too."""

    async def verified(self, phone_key: str) -> datetime | None:
        """When a phone last verified; None: it did not, or so long ago that it was forgotten."""

    async def refusals(self, limit: int, *, phone_key: str | None = None) -> tuple[RefusalRecord, ...]:
        """What was refused, of one phone or of all, the latest first."""

    async def retries(
        self, limit: int, *, after: ScheduleRecord | None = None
    ) -> tuple[tuple[ScheduleRecord, ChallengeRecord], ...]:
        """Schedule rows, the earliest due first; those that come after one of them."""

    async def requeue(self, challenge_id: str, now: datetime | None) -> int:
        """Make the waiting rows of a challenge due now; those under way are left alone."""

    async def drop(self, challenge_id: str, now: datetime | None) -> EndedSend | None:
        """End sending of a living challenge as ``failed``; verifying goes on."""

    async def keys_in_use(self) -> tuple[KeyUse, ...]:
        """The code keys that kept challenges were written under, by id. A slow look at all of them."""

    async def due_keys(self, now: datetime | None) -> frozenset[str]:
        """Ids of the code keys that due schedule rows need."""

    async def beat(self, worker: WorkerRecord, stale: timedelta, now: datetime | None) -> tuple[WorkerRecord, ...]:
        """Write a worker's sign of life, seen now; remove, and return, those that were not seen for longer than ``stale``."""

    async def leave(self, name: str) -> None:
        """Take a worker's sign of life back."""

    async def status(self, since: datetime, now: datetime | None) -> StoreStatus:
        """What happened since then, and what is waiting now. Changes nothing."""

    async def diagnose(self) -> Mapping[str, str]:
        """Facts for ``otp doctor``: kind, place, schema."""


class RetryHost(Protocol):
    """What the service gives a retry runner."""

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Claim retries that this process can run and that are due, or come due within ``CLAIM_AHEAD``."""

    async def run(self, claim: Claim) -> RetryJob | None:
        """Run one claimed retry to its end, the provider's call not before it is due; never raises ``Exception``.

        Returns:
            The job that is due next, if any.
        """

    async def run_retry(self, job: RetryJob) -> RetryJob | None:
        """Claim and run one retry by name, for runners that keep their own queue. May raise ``StoreError``.

        Do not call it before the job is due: a claim by name believes the job.

        Returns:
            The job that is due next for this send: after a run, its next retry; where somebody else has the lease, this
            one again when the lease runs out, since its holder may die. The same job: it is due, and this process has not
            its key or its instances; leave it to another. None: it is over, or further on, and whoever brought it there
            has the job.
        """

    async def next_due(self) -> datetime | None:
        """When anything is due next."""

    async def upkeep(self, *, kind: str = "background", running: int = 0) -> None:
        """Sweep, purge and leave a sign of life; cheap when nothing of it is due. Call it at least every few seconds.

        Args:
            kind: Of the runner, for people.
            running: Retries under way in it.
        """

    async def leave(self) -> None:
        """The runner has ended: take its sign of life back. Never raises ``Exception``."""

    def now(self) -> datetime:
        """The service's clock."""


class RetryRunner(Protocol):
    """Where due retries are executed."""

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        """Begin to execute due retries; push the end on the stack. Never cancels its host."""

    async def submit(self, job: RetryJob) -> None:
        """A send of this process left a retry due. The row is in the store already; this is only a hint."""

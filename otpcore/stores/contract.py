"""The store: every command, its contract, and the transaction that it runs.

A command is one atomic unit of work that can be run again after a lost transaction, changes state by conditional updates, and
returns plain values. ``now`` is the service's clock; None lets a database that many machines share use its own. All times are
aware UTC. ``audit`` is an operator's record; it is written where the command changes something, and only then.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import EllipsisType

from otpcore.models import Channel, Receipt, World
from otpcore.rate_limits.admission import UNCOUNTED, BudgetRule
from otpcore.stores.change_commands import ChangeCommands
from otpcore.stores.commands import (
    Beginning,
    Begun,
    ChallengeView,
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
from otpcore.stores.counts import KeyUse, PurgeCount, StoreStatus
from otpcore.stores.limit_commands import LimitCommands
from otpcore.stores.list_commands import ListCommands
from otpcore.stores.records import (
    AuditRecord,
    ChallengeRecord,
    DeliveryRecord,
    ScheduleRecord,
    WorkerRecord,
)
from otpcore.stores.rows import Rows
from otpcore.stores.sealed_commands import SealedCommands
from otpcore.stores.series_commands import SeriesCommands
from otpcore.stores.steps import CallResult, FailoverPlan, FailoverRef, Recorded, Step
from otpcore.stores.transactions import auditing, begin, choosing, failover, receipts, retry, upkeep, verify
from otpcore.stores.transactions.limits import Admitted

__all__ = ["Store"]

_PURGE_LIMIT = 500
_WAKE_LIMIT = 500
_WAKE_APART = timedelta(seconds=0.25)


class Store(LimitCommands, ListCommands, SealedCommands, SeriesCommands, ChangeCommands):
    """Where state lives. Every command may raise ``StoreError``, and then nothing was half done."""

    @abc.abstractmethod
    def within(self, world: World) -> Store:
        """This store as one world sees it; a store as it is made is the real one's. It is open as long as this one is.

        A world finds, claims, lists, counts, sweeps and purges its own challenges, deliveries, receipts, limits, budgets,
        breakers, refusals, sealed records and changes, and none of another's. Settings, signs of life and the trail of
        operators are shared. Phones, subjects and clients come as look-ups that differ from world to world (``KeyRing``).
        """

    async def latest(self, subject: str) -> ChallengeRecord | None:
        """The newest challenge of a subject, living or not."""
        return await self._read(lambda rows: rows.latest(subject))

    async def view(self, *, challenge_id: str = "", phone_key: str = "") -> tuple[ChallengeView, ...]:
        """One challenge by id, or all that are kept of one phone, newest first."""
        return await self._read(lambda rows: upkeep.view(rows, challenge_id=challenge_id, phone_key=phone_key))

    async def begin(self, send: NewSend, now: datetime | None) -> Beginning:
        """Charge the send, then write challenge, schedule row and first delivery, in one transaction; born leased.

        A store whose transactions wait for one another's rows may charge in one of its own before. What fails between the
        two (a lock, a lost connection, a caller who is cancelled) gives the charge back, as soon as the store answers within
        its patience; only the death of the process loses it, and nothing else.

        A caller who is cancelled and never hears that the send began finds it withdrawn, as ``withdraw`` does.

        The limits come first, in this order: the barrier, an enforced budget, the counters; all of those are charged or
        none. A call that would only cool down is not refused but gets its living challenge. What only records (a budget
        that is not enforced, neighbours) is recorded of a send that begins.

        A new challenge frees an expired holder of its subject first. A resend takes the channel's row over (new token,
        no attempts), ends the older send (refund), moves ``expires_at`` and keeps the attempt count. One with another code
        (``NewSend.code``) puts it in the place of the first at the same time: what is under way on other channels is over,
        and what the first code still comes to, an acceptance, a receipt or a vendor's approval, changes nothing. A resend
        of a code that somebody has replaced since is ``Raced``.

        A refusal is recorded, gives back what is refundable, and changes nothing else. One that is needless, as nobody
        had to send (a cooldown, a faster caller), gives everything back and is not recorded.
        """

        def take_back(rows: Rows, done: tuple[Beginning, Admitted | None] | None) -> None:
            if done is not None and done[1] is not None and isinstance(done[0], Begun):
                begin.take_back(rows, send, done[1], now)

        if self._charges_apart:
            return await self._begin_apart(send, now)
        begun, _ = await self._write(partial(begin.begin, send=send, now=now), otherwise=take_back, last=True)
        return begun

    async def _begin_apart(self, send: NewSend, now: datetime | None) -> Beginning:
        """Charge, then begin; what was charged is given back if nobody hears that the send began."""

        def uncharge(rows: Rows, admitted: Admitted | Beginning | None) -> None:
            if isinstance(admitted, Admitted):
                begin.take_back(rows, send, admitted, now)

        admitted = await self._write(lambda rows: begin.charge_apart(rows, send, now), otherwise=uncharge, last=True)
        if not isinstance(admitted, Admitted):
            return admitted

        def take_back(rows: Rows, begun: Beginning | None) -> None:
            if begun is None or isinstance(begun, Begun):  # a refusal has given back what it gives back
                begin.take_back(rows, send, admitted, now)

        return await self._write(lambda rows: begin.begin_apart(rows, send, admitted, now), otherwise=take_back)

    async def record(
        self, ref: FailoverRef, delivery: DeliveryRecord, result: CallResult, plan: FailoverPlan, now: datetime | None
    ) -> Recorded:
        """Write a provider's answer to a delivery that this failover recorded, and go on, in one transaction.

        Outcome and reference are always written to the delivery. An acceptance, whatever the token, sets ``sent`` and
        ends all rows of a living challenge. Everything else needs the token. A receipt that came before the answer is
        heeded: it knows more than the answer does.
        """
        unit = partial(failover.record, ref=ref, delivery=delivery, result=result, plan=plan, now=now)
        return await self._write(unit, even_if_cancelled=True)

    async def withdraw(self, ref: FailoverRef, plan: FailoverPlan, now: datetime | None) -> None:
        """The failover does nothing more, and the delivery ``plan.delivery_id``, if it was recorded, was not handed over.

        A first send ends as ``failed`` and gives back what it was charged: without a cooldown, so that the next call sends
        at once. A retry (``plan.is_retry``) waits again: due now, and not counted. Without the token only the delivery is
        answered. Takes place though its caller is cancelled.
        """
        await self._write(lambda rows: failover.withdraw(rows, ref, plan, now), even_if_cancelled=True)

    async def clear_mark(self, ref: FailoverRef, scope: str, now: datetime | None) -> bool:
        """The marked verification is cancelled; False: this failover no longer owns its row, do not start."""
        return await self._write(lambda rows: failover.clear_mark(rows, ref, scope, now))

    async def claim(self, rule: ClaimRule, limit: int, now: datetime | None) -> ClaimBatch:
        """Claim at most ``limit`` due retries, atomically; an attempt counts when it is claimed.

        Claims of which a cancelled caller never hears are due again, and not counted.
        """
        return await self._write(
            lambda rows: retry.claim(rows, rule, limit, now),
            otherwise=lambda rows, batch: retry.unclaim(rows, batch, now),
        )

    async def begin_retry(self, ref: FailoverRef, plan: FailoverPlan, now: datetime | None) -> Step:
        """Record the first delivery of a claimed retry.

        A failover that finds every instance held by a slot, behind an open breaker or asking to wait, or that a pause or an
        enforced budget holds back, is put off, and its attempt given back. One whose number is denied ends as ``denied``.
        """
        return await self._write(
            lambda rows: retry.begin_retry(rows, ref, plan, now),
            otherwise=lambda rows, _: failover.withdraw(rows, ref, plan, now),
        )

    async def receive(self, instance: str, receipt: Receipt, rule: ReceiptRule, now: datetime | None) -> Received:
        """Write one delivery receipt; the same one again, by (instance, reference, status), changes nothing.

        The delivery is found by reference, else by its id; where instance, reference and id do not agree, nothing is
        changed. A receipt that asks (``denial``) changes nothing either: the challenge comes back with IGNORED where the
        delivery may still be sent. ``delivered`` counts as an acceptance, whatever was recorded
        before, and is final. ``undelivered`` leaves the instance out of the send; where the delivery was the latest that
        could have arrived, the challenge is ``undelivered`` and the send goes on under a fresh token, born leased, or is
        over. While the call is under way, it waits for ``record``; so does a receipt whose reference nobody knows yet.
        """
        return await self._write(
            lambda rows: receipts.receive(rows, instance, receipt, rule, now), even_if_cancelled=True
        )

    async def go_on(self, ref: FailoverRef, plan: FailoverPlan, now: datetime | None) -> Step:
        """The next delivery of a send whose message was not delivered, a retry, or the end of sending."""
        return await self._write(
            lambda rows: receipts.go_on(rows, ref, plan, now),
            otherwise=lambda rows, _: failover.withdraw(rows, ref, plan, now, is_counted=False),
        )

    async def wake(self, closed: str | None, breaker_threshold: int, now: datetime | None) -> int:
        """Make due what waits for a breaker that is closed, a few hundred rows every quarter of a second; how many.

        Args:
            closed: The instance whose breaker has just closed: what waits for several is due too. None: look at all that
                is waited for, as whoever closed a breaker may have died.
        """
        total, late = 0, timedelta()
        while True:  # in small units, so that sends and verifications go on between them
            unit = partial(
                choosing.wake,
                closed=closed,
                breaker_threshold=breaker_threshold,
                limit=_WAKE_LIMIT,
                late=late,
                now=now,
            )
            woken = await self._write(unit)
            total, late = total + woken, late + _WAKE_APART
            if woken < _WAKE_LIMIT:
                return total

    async def next_due(self) -> datetime | None:
        """When the earliest schedule row may be claimed: it is due, or its lease runs out."""
        return await self._read(lambda rows: rows.next_due())

    async def reserve(
        self,
        *,
        subject: str | None,
        challenge_id: str | None,
        purpose: str,
        app: str = "",
        locks: LockRule,
        guess: RecordedGuess | None = None,
        now: datetime | None,
    ) -> Reservation:
        """Use up one attempt and count one failure before anybody hears how a comparison ended.

        By ``challenge_id`` where given (purpose, app, and subject if given, must match), else the newest of the subject; never
        one that is not ``verifiable``.
        A ``guess`` that fits what is recorded consumes the challenge in the same transaction, as ``approve`` does, and counts no
        failure: APPROVED, for exactly one caller.
        """
        find = partial(verify.reserve, subject=subject, challenge_id=challenge_id, purpose=purpose, app=app)
        return await self._write(partial(find, locks=locks, guess=guess, now=now))

    async def settle(
        self, reservation: Reservation, *, give_back: bool, gone: Collection[str], now: datetime | None
    ) -> Settled | None:
        """An attempt that did not match: mark ``gone`` deliveries; give the attempt and the failure back if so told.

        None: the challenge was purged meanwhile.
        """
        return await self._write(
            lambda rows: verify.settle(rows, reservation, give_back=give_back, gone=gone, now=now),
            even_if_cancelled=True,
        )

    async def approve(
        self,
        reservation: Reservation,
        *,
        settled: Collection[str],
        budget: BudgetRule = UNCOUNTED,
        now: datetime | None,
    ) -> bool:
        """Consume a living challenge; True for exactly one caller. Sealed code and rows go in the same transaction.

        False too where another code has replaced the one that was reserved for.

        ``settled`` deliveries need no cancelling at the vendor any more. Clears the phone's failure counters, notes that
        it verified, and gives the budget of the challenge back what its accepted sends used.
        """
        unit = partial(verify.approve, reservation=reservation, settled=settled, budget=budget, now=now)
        return await self._write(unit, even_if_cancelled=True)

    async def cancel(
        self, challenge_id: str, now: datetime | None, *, audit: AuditRecord | None = None
    ) -> ChallengeView | None:
        """End a living challenge; None when there is none.

        One whose life was over, and which nobody had ended yet, is ended as ``expired``, and comes back so.
        """
        return await self._write(lambda rows: verify.cancel(rows, challenge_id, now, audit))

    async def sweep(
        self, *, unretried: Collection[Channel], limit: int, set_back: bool = False, now: datetime | None
    ) -> tuple[EndedSend, ...]:
        """Expire what is over; end as ``interrupted`` what died half-way on channels that are not retried.

        Args:
            unretried: Those channels. What is on any other one is left to a process that retries it.
            set_back: The clock may have been set back: expire what begins in the future too.
        """
        return await self._write(
            lambda rows: upkeep.sweep(rows, unretried=unretried, limit=limit, set_back=set_back, now=now)
        )

    async def purge(
        self,
        *,
        challenges_before: datetime,
        deliveries_before: datetime,
        verified_before: datetime | None = None,
        audit_before: datetime | None = None,
        series_before: datetime | None = None,
        phone_key: str | None,
        limit: int | None = None,
        now: datetime | None,
        audit: AuditRecord | None = None,
    ) -> PurgeCount:
        """Remove what ended before the given times; with ``phone_key``, everything of that phone at once.

        In small units, so that sends and verifications go on between them. With ``limit`` only one of them, of at most so many
        rows of each kind: more may be left where as many of any kind were removed.

        What is removed for a phone is gone from the medium too, as far as the database can say: it is in no free page
        and in no log when the command returns. Records of the trail that are ``about`` it, of whatever world, are blanked in the
        same transaction: number, time, name and action stay, and ``{"erased": true}`` as the detail.
        Refusals and the outbox go with the deliveries of their time, sealed records when they expire. None: nobody is
        forgotten to have verified, no series goes, and the trail is kept.
        """
        if phone_key is not None:
            erased = await self._write(lambda rows: upkeep.erase(rows, phone_key, audit))
            await self._wipe()
            return erased
        most = _PURGE_LIMIT if limit is None else limit
        total, is_done = PurgeCount(), False
        while not is_done:  # in small units, so that sends and verifications go on between them
            unit = partial(
                upkeep.purge,
                challenges_before=challenges_before,
                deliveries_before=deliveries_before,
                verified_before=verified_before,
                audit_before=audit_before,
                series_before=series_before,
                limit=most,
                now=now,
                audit=None if total.most() else audit,  # once, with the first that goes
            )
            count = await self._write(unit)
            total, is_done = total.plus(count), limit is not None or count.most() < most
        while await self._write(lambda rows: upkeep.purge_slots(rows, most)) >= most and limit is None:
            pass
        return total

    async def settings(self) -> Mapping[str, str]:
        """All settings that live in the store."""
        return await self._read(lambda rows: rows.settings())

    async def write_setting(
        self,
        name: str,
        value: str | None,
        *,
        expect: str | EllipsisType | None = ...,
        audit: AuditRecord | None = None,
    ) -> bool:
        """Set or, with None, remove one. False: it was so before, and nothing is written of an operator's.

        False too where another value is there than ``expect`` (None: none; not given: any), and nothing is written.
        """
        return await self._write(lambda rows: auditing.write_setting(rows, name, value, expect, audit))

    async def retries(
        self, limit: int, *, after: ScheduleRecord | None = None
    ) -> tuple[tuple[ScheduleRecord, ChallengeRecord], ...]:
        """Schedule rows, the earliest claimable first; those that come after one of them."""
        return await self._read(lambda rows: upkeep.retries(rows, limit, after))

    async def last_deliveries(self, sends: Sequence[ScheduleRecord]) -> tuple[DeliveryRecord | None, ...]:
        """The latest delivery of each of these sends; None: it has tried nobody yet, or is over."""
        return await self._read(lambda rows: upkeep.last_deliveries(rows, sends))

    async def requeue(self, challenge_id: str, now: datetime | None, *, audit: AuditRecord | None = None) -> int | None:
        """Make the waiting rows of a challenge due now; those under way are left alone. None: it has no rows at all."""
        return await self._write(lambda rows: upkeep.requeue(rows, challenge_id, now, audit))

    async def drop(
        self, challenge_id: str, now: datetime | None, *, audit: AuditRecord | None = None
    ) -> EndedSend | None:
        """End sending of a living challenge as ``failed``; verifying goes on."""
        return await self._write(lambda rows: upkeep.drop(rows, challenge_id, now, audit))

    async def keys_in_use(self) -> tuple[KeyUse, ...]:
        """The code keys that kept challenges were written under, by id. A slow look at all of them."""
        return await self._read(lambda rows: tuple(rows.keys_in_use()))

    async def due_keys(self, now: datetime | None) -> frozenset[str]:
        """Ids of the code keys that due schedule rows need."""
        return await self._read(lambda rows: rows.due_keys(rows.now(now)))

    async def beat(self, worker: WorkerRecord, stale: timedelta, now: datetime | None) -> tuple[WorkerRecord, ...]:
        """Write a worker's sign of life, seen now; remove, and return, those that were not seen for longer than ``stale``."""
        return await self._write(lambda rows: upkeep.beat(rows, worker, stale, now))

    async def leave(self, name: str) -> None:
        """Take a worker's sign of life back."""
        await self._write(lambda rows: rows.remove_worker(name), even_if_cancelled=True)

    async def status(self, since: datetime, now: datetime | None) -> StoreStatus:
        """What happened since then, and what is waiting now. Changes nothing."""
        return await self._read(lambda rows: upkeep.status(rows, since, now))

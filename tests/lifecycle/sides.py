"""A store and its model side by side: each command is done by both, and what they answer is compared at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from otpcore.errors import ErrorKind
from otpcore.events import EventType
from otpcore.models import ChallengeState, Channel, Outcome, Receipt, ReceiptStatus, RetryJob
from otpcore.stores.commands import (
    Begun,
    ClaimRule,
    CoolingDown,
    LockRule,
    NewSend,
    Raced,
    ReceiptRule,
    RecordedGuess,
    Refused,
    Reservation,
)
from otpcore.stores.contract import Store
from otpcore.stores.records import ChallengeRecord, Charged, DeliveryRecord
from otpcore.stores.steps import (
    Accepted,
    CallInstance,
    CallResult,
    CancelLate,
    Ended,
    FailoverRef,
    Queued,
    Step,
    Stopped,
)
from otpcore.testing.stores.world import CHANNELS

from .caller import PHONE, START, Caller
from .kept import Failover, Reserved, Rules, Said, Windows
from .told import Heard

_NO_NEWS: Mapping[EventType, str] = {}
_KINDS = {
    CallInstance: "call",
    Accepted: "accepted",
    Queued: "queued",
    Ended: "ended",
    Stopped: "stopped",
    CancelLate: "cancel_late",
}


class Sides(Caller):
    """Both sides of one person's challenges.

    Args:
        store: Started, empty.
        wait: Runs a coroutine to its end.
    """

    def __init__(self, store: Store, wait: Callable[[Coroutine[Any, Any, Any]], Any], rules: Rules) -> None:
        super().__init__(rules)
        self.store = store
        self.wait = wait
        self.routes = dict(rules.routes)  # in force
        self.called: dict[str, DeliveryRecord] = {}
        self.barrier = ""  # that stands now

    # Sending.

    def latest(self, purpose: str) -> ChallengeRecord | None:
        found: ChallengeRecord | None = self.wait(self.store.latest(purpose))
        newest = self.model.of(purpose)
        same(found and found.id, newest and newest.id, "latest")
        return found

    def begin(self, new: NewSend, failover: Failover, barrier: str) -> tuple[Said, ChallengeRecord | None, Windows]:
        """What both say; with a refusal, the living challenge; and what it was charged to, else."""
        begun = self.wait(self.store.begin(new, self.now))
        charged = self.model.charge(new.challenge.purpose, failover.channel, new.client, barrier)
        if isinstance(charged, set):
            same(
                not isinstance(begun, Begun) and self._not_begun(begun, failover)[0].at in charged,
                True,
                "over the limit",
            )
            return Said("refused", reason="limit"), None, ()
        charges, tolls = charged
        said = self.model.begin(
            failover,
            new.challenge.purpose,
            is_resend=new.is_resend,
            charges=charges,
            tolls=tolls,
            client=new.client,
            delivery=new.plan.delivery_id,
            key=new.challenge.key_id,
        )
        if isinstance(begun, Begun):
            (view,) = self.wait(self.store.view(challenge_id=new.challenge.id))
            (row,) = [one for one in view.schedule if one.send_id == new.send_id]
            same(set(windows_of(row.charges)), set(charges), "charged")
            return self._same_step(begun.step, said), None, (*charges, *tolls)
        refused, living = self._not_begun(begun, failover)
        same(refused, said, "refusal")
        return said, living, ()

    def _not_begun(
        self, begun: Refused | CoolingDown | Raced, failover: Failover
    ) -> tuple[Said, ChallengeRecord | None]:
        """As the model says it, with the living challenge."""
        match begun:
            case Refused():
                return Said("refused", reason=begun.reason, at=begun.retry_after), begun.challenge
            case CoolingDown(challenge=challenge):
                until = challenge.cooldown(Channel(failover.channel))
                wait = (until - self.now).total_seconds() if until else None
                return Said("refused", reason="cooldown", at=wait), challenge
            case Raced():
                return Said("refused", reason="conflict"), begun.living

    def begin_retry(self, ref: FailoverRef, failover: Failover) -> Said:
        failover.route, failover.barrier = self.routes[failover.channel], self.barrier
        plan = self._plan(failover)
        step = self.wait(self.store.begin_retry(ref, plan, self.now))
        return self._same_step(step, self.model.begin_retry(failover, plan.delivery_id))

    def record(
        self, ref: FailoverRef, failover: Failover, delivery: str, answer: tuple[str, str, float], *, go_on: bool
    ) -> Said:
        """``answer``: outcome, reference and the seconds to wait."""
        outcome, reference, retry_after = answer
        plan = self._plan(failover, go_on=go_on)
        result = CallResult(outcome=Outcome(outcome), reference=reference, retry_after=retry_after or None)
        recorded = self.wait(self.store.record(ref, self.called[delivery], result, plan, self.now))
        said = self.model.record(failover, delivery, outcome, reference, retry_after, plan.delivery_id, go_on=go_on)
        return self._same_step(recorded.step, said, dict.fromkeys(recorded.news, self.called[delivery].instance))

    def _same_step(self, step: Step, said: Said, news: Mapping[EventType, str] = _NO_NEWS) -> Said:
        delivery = step.delivery if isinstance(step, CallInstance | CancelLate | Accepted) else None
        mark, repeat = None, ""
        if isinstance(step, CallInstance):
            self.called[step.delivery.id] = step.delivery
            mark, repeat = step.mark, step.repeat
        seen = Said(
            _KINDS[type(step)],
            delivery.id if delivery else "",
            delivery.instance if delivery else "",
            mark.reference if mark else None,
            repeat,
            at(step.due_at) if isinstance(step, Queued) else None,
            "",
            opened=news.get(EventType.BREAKER_OPENED),
            closed=news.get(EventType.BREAKER_CLOSED),
        )
        same(seen, said, "step")
        return said

    def receive(
        self, receipt: Heard, kind: str, keys: frozenset[str]
    ) -> tuple[str, tuple[FailoverRef, Failover] | None]:
        """What became of a receipt, and the failover that goes on."""
        rule = ReceiptRule(
            token=f"receipt-{next(self.numbers)}",
            lease=timedelta(seconds=self.rules.lease),
            min_useful_life=timedelta(seconds=self.rules.useful_life),
            retried=frozenset(Channel(channel) for channel in self.rules.retries),
            key_ids=keys,
            instances=frozenset(itertools.chain(*self.routes.values())),
        )
        told = Receipt(
            status=ReceiptStatus(receipt.status),
            reference=receipt.reference,
            delivery_id=receipt.delivery,
            kind=ErrorKind(kind) if kind else None,
        )
        received = self.wait(self.store.receive(receipt.instance, told, rule, self.now))
        outcome, failover = self.model.receive(receipt, kind, rule.token, keys)
        ref = received.follows if isinstance(received.follows, FailoverRef) else None
        seen = ref and (ref.challenge_id, ref.channel, ref.send_id)
        same(
            (received.outcome, seen),
            (outcome, failover and (failover.challenge, failover.channel, failover.send)),
            "receipt",
        )
        return outcome, (ref, failover) if ref and failover else None

    def go_on(self, ref: FailoverRef, failover: Failover) -> Said:
        failover.route, failover.barrier = self.routes[failover.channel], self.barrier
        plan = self._plan(failover)
        step = self.wait(self.store.go_on(ref, plan, self.now))
        return self._same_step(step, self.model.go_on(failover, plan.delivery_id))

    def clear_mark(self, ref: FailoverRef, failover: Failover, scope: str) -> bool:
        cleared = self.model.clear_mark(failover, scope)
        same(self.wait(self.store.clear_mark(ref, scope, self.now)), cleared, "mark cleared")
        return cleared

    def claim(self, only: tuple[str, str] | None, keys: frozenset[str]) -> list[tuple[FailoverRef, Failover]]:
        """Claim all that is due, or one retry by name, in a process with these keys."""
        token = f"claim-{next(self.numbers)}"
        rule = ClaimRule(
            token=token,
            key_ids=keys,
            instances=frozenset(itertools.chain(*self.routes.values())),
            lease=timedelta(seconds=self.rules.lease),
            max_retries={Channel(channel): most for channel, most in self.rules.retries.items()},
            min_useful_life=timedelta(seconds=self.rules.useful_life),
            job=RetryJob(challenge_id=only[0], channel=Channel(only[1]), due_at=self.now) if only else None,
        )
        claims = self.wait(self.store.claim(rule, 10, self.now)).claims
        due = [key for key in self.model.due(keys) if only in (None, key)]
        failovers = [self.model.claim(key, f"{token}/{key}") for key in due if key in self.model.rows]
        made = [failover for failover in failovers if failover is not None]
        same(
            [(claim.ref.challenge_id, claim.ref.channel, claim.ref.send_id) for claim in claims],
            [(failover.challenge, failover.channel, failover.send) for failover in made],
            "claims",
        )
        return [(claim.ref, failover) for claim, failover in zip(claims, made, strict=True)]

    # Verifying.

    def reserve(
        self, purpose: str, challenge_id: str, client: str, fits: Callable[[ChallengeRecord], bool]
    ) -> tuple[Reservation, Reserved]:
        """``fits``: whether the code is the core's own."""
        rules = self.rules
        locks = LockRule(client=client, lock_after=rules.lock_from, hard_limit=rules.hard_limit)
        reservation = self.wait(
            self.store.reserve(
                subject=None if challenge_id else purpose,
                challenge_id=challenge_id or None,
                purpose=purpose,
                locks=locks,
                guess=RecordedGuess(fits=fits),
                now=self.now,
            )
        )
        reserved = self.model.reserve(purpose, challenge_id, client)
        if (
            reserved.status == "reserved"
            and fits(reservation.challenge)
            and self.model.approve(reserved, client, set())
        ):
            reserved = Reserved("approved", reserved.challenge)
        same((reservation.status, reservation.marked), (reserved.status, reserved.marked), "reservation")
        return reservation, reserved

    def settle(
        self, reservation: Reservation, reserved: Reserved, client: str, *, give_back: bool, gone: set[str]
    ) -> None:
        self.wait(self.store.settle(reservation, give_back=give_back, gone=gone, now=self.now))
        self.model.settle(reserved, client, give_back=give_back, gone=gone)

    def approve(self, reservation: Reservation, reserved: Reserved, client: str, settled: set[str]) -> bool:
        approved = self.model.approve(reserved, client, settled)
        same(self.wait(self.store.approve(reservation, settled=settled, now=self.now)), approved, "approved")
        return approved

    # Upkeep and operators.

    def sweep(self, *, set_back: bool) -> None:
        unretried = [channel for channel in CHANNELS if channel not in self.rules.retries]
        self.wait(self.store.sweep(unretried=unretried, limit=100, set_back=set_back, now=self.now))
        self.model.sweep(set_back=set_back)

    def cancel(self, challenge: str) -> None:
        view = self.wait(self.store.cancel(challenge, self.now))
        cancelled = view is not None and view.challenge.state is ChallengeState.CANCELLED
        same(cancelled, self.model.cancel(self.model.challenges[challenge]), "cancelled")

    def drop(self, challenge: str) -> None:
        self.wait(self.store.drop(challenge, self.now))
        self.model.drop(self.model.challenges[challenge])

    def requeue(self, challenge: str) -> None:
        self.wait(self.store.requeue(challenge, self.now))
        self.model.requeue(self.model.challenges[challenge])

    def purge(self, keep_challenges: float, keep_deliveries: float) -> None:
        self._purge(keep_challenges, keep_deliveries, None)
        self.model.purge(self.model.now - keep_challenges, self.model.now - keep_deliveries)

    def erase(self) -> None:
        """Everything of the person."""
        self._purge(0, 0, PHONE)
        self.model.erase()

    def reset_limits(self) -> None:
        self.wait(self.store.reset_counters(f"{PHONE}/"))
        self.model.counters.clear()
        self.model.failures.clear()

    def _purge(self, keep_challenges: float, keep_deliveries: float, phone_key: str | None) -> None:
        self.wait(
            self.store.purge(
                challenges_before=self.now - timedelta(seconds=keep_challenges),
                deliveries_before=self.now - timedelta(seconds=keep_deliveries),
                phone_key=phone_key,
                now=self.now,
            )
        )


def windows_of(charges: Sequence[Charged]) -> Windows:
    """Names of counters, and when their windows end."""
    return tuple((one.key.rpartition("/")[2], at(one.window_ends_at)) for one in charges)


def at(moment: datetime | None) -> float:
    """Seconds since the start; 0 for none."""
    return 0 if moment is None else (moment - START).total_seconds()


def same(seen: Any, expected: Any, what: str) -> None:
    """Raise, naming what differs, unless store and model agree."""
    if seen == expected:
        return
    if isinstance(seen, dict) and isinstance(expected, dict):
        keys = [key for key in {**seen, **expected} if seen.get(key) != expected.get(key)]
        seen, expected = {key: seen.get(key) for key in keys}, {key: expected.get(key) for key in keys}
    raise AssertionError(f"{what}: the store says {seen}, the model {expected}")

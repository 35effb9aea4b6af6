"""A store and its model side by side, the tasks of two processes that use them step by step, vendors, and a person.

Each task is a generator that goes the way of the service (otpcore/_sending.py, _delivery.py, _retries.py,
_verifying.py) and stops before each transaction and each network call, so that anything may happen in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from otpcore._verifying import _checks
from otpcore.interfaces import Store
from otpcore.lifecycle import OVER, is_living
from otpcore.models import ChallengeState, Channel, CodeOwner, Outcome, RetryJob
from otpcore.records import (
    BreakerRule,
    CallResult,
    Candidate,
    ChallengeRecord,
    ChallengeView,
    Charge,
    Charged,
    ChargeRefused,
    ClaimRule,
    CounterRecord,
    LockRule,
    NewSend,
    Refusal,
    Reservation,
    Step,
    WalkPlan,
    WalkRef,
)
from otpcore.retrying import RetryPolicy

from .model import FOREVER, Model, Reserved, Rules, Said, Walk
from .vendor import Vendor, Verification

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
PHONE = "phone"
KEY = "key-1"

ANSWERS = {
    "call": (
        *("ok", "ok", "ok", "ok", "lost", "lost after delivery", "lost after delivery", "unavailable", "unavailable"),
        *("throttled", "throttled for long", "misconfigured", "limit_reached", "rejected_number", "cancelled"),
        "cancelled after delivery",
    ),
    "record": ("", "", "", "", "", "out of time"),
    "cancel old": ("ok", "ok", "lost", "unavailable"),
    "check": ("up", "up", "down", "lost"),
}
"""How each network call may end, the likely more often; "out of time": the walk may not go on to another instance."""

Steps = Generator[str, str, None]


@dataclass(eq=False)
class Task:
    """A send, retry or verification under way in one process; ``at`` names its next step."""

    process: str
    steps: Steps
    at: str = ""

    def go(self, answer: str) -> bool:
        """Take the next step; False when it was the last."""
        try:
            self.at = self.steps.send(answer) if self.at else next(self.steps)
        except StopIteration:
            return False
        return True


@dataclass
class Memory:
    """What nobody in the system may know, but the invariants need."""

    codes: dict[str, str] = field(default_factory=dict)  # delivery -> the code that the person received
    sends: dict[str, str] = field(default_factory=dict)  # send -> challenge
    charged: dict[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)  # send -> windows
    leases_lost: dict[str, int] = field(default_factory=dict)  # send -> how often
    reserved: dict[str, int] = field(default_factory=dict)  # challenge -> attempts that were reserved
    answered: dict[str, int] = field(default_factory=dict)  # challenge -> guesses that were compared by anybody
    successes: dict[str, int] = field(default_factory=dict)  # challenge -> how often it was approved
    crossed: str = ""  # a code of one purpose that verified another


class World:
    """Everything around one person's challenges.

    Args:
        store: Started, empty.
        wait: Runs a coroutine to its end.
    """

    def __init__(self, store: Store, wait: Callable[[Coroutine[Any, Any, Any]], Any], rules: Rules) -> None:
        self.store = store
        self.rules = rules
        self.model = Model(rules)
        self.tasks: list[Task] = []
        self.memory = Memory()
        self.vendors = {scope: Vendor(scope, replaces=scope == "sinch") for scope in set(rules.scopes.values())}
        self._wait = wait
        self._numbers = itertools.count(1)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.model.now)

    # What may happen.

    def start_send(self, purpose: str, channel: str, client: str) -> None:
        self._start("host", self._send(purpose, Channel(channel), client))

    def start_verify(self, purpose: str, code: str, client: str, challenge: str = "") -> None:
        self._start("host", self._verify(purpose, code, client, challenge))

    def go(self, task: Task, answer: str = "") -> None:
        """One step of a task."""
        if not task.go(answer):
            self.tasks.remove(task)

    def crash(self, process: str) -> None:
        """A process dies, and all that it was doing."""
        self.tasks = [task for task in self.tasks if task.process != process]

    def tick(self, to: float) -> None:
        """The clock moves on; with tasks under way, these are slow."""
        self.model.now = to

    def claim(self, only: tuple[str, str] | None = None) -> None:
        """The worker claims what is due, or one retry by name."""
        token = f"claim-{next(self._numbers)}"
        due = self.model.due()
        job = None
        if only is not None:
            due = [key for key in due if key == only]
            job = RetryJob(challenge_id=only[0], channel=Channel(only[1]), due_at=self.now)
        claim_rule = ClaimRule(
            token=token,
            key_ids=frozenset({KEY}),
            instances=frozenset(itertools.chain(*self.rules.routes.values())),
            lease=timedelta(seconds=self.rules.lease),
            max_retries={Channel(channel): most for channel, most in self.rules.retries.items()},
            min_useful_life=timedelta(seconds=self.rules.useful_life),
            job=job,
        )
        batch = self._wait(self.store.claim(claim_rule, 10, self.now))
        walks = []
        for key in due:
            if row := self.model.rows.get(key):
                self.memory.leases_lost[row.send] = self.memory.leases_lost.get(row.send, 0) + row.leased
                if walk := self.model.claim(key, f"{token}/{key}"):
                    walks.append(walk)
        same(
            [(c.walk.challenge_id, c.walk.channel, c.walk.send_id) for c in batch.claims],
            [(walk.challenge, walk.channel, walk.send) for walk in walks],
            "claims",
        )
        for claim, walk in zip(batch.claims, walks, strict=True):
            self._start("worker", self._retry(claim.walk, walk))

    def sweep(self) -> None:
        retried = frozenset(Channel(channel) for channel in self.rules.retries)
        self._wait(self.store.sweep(retried=retried, limit=100, now=self.now))
        for row in self.model.rows.values():
            if row.due_at <= self.model.now:
                self.memory.leases_lost[row.send] = self.memory.leases_lost.get(row.send, 0) + row.leased
        self.model.sweep()

    def to_sweep(self) -> bool:
        """There is something that a sweep changes."""
        model = self.model
        over = any(c.state not in OVER and not model.lives(c) for c in model.challenges.values())
        overdue = {key for key, row in model.rows.items() if row.due_at <= model.now}
        return over or bool(overdue.difference(model.due()))

    def cancel(self, challenge: str) -> None:
        view = self._wait(self.store.cancel(challenge, self.now))
        same(view is not None, self.model.cancel(self.model.challenges[challenge]), "cancelled")

    def drop(self, challenge: str) -> None:
        self._wait(self.store.drop(challenge, self.now))
        self.model.drop(self.model.challenges[challenge])

    def requeue(self, challenge: str) -> None:
        self._wait(self.store.requeue(challenge, self.now))
        self.model.requeue(self.model.challenges[challenge])

    def purge(self, keep_challenges: float, keep_deliveries: float) -> None:
        before, old = (self.model.now - keep for keep in (keep_challenges, keep_deliveries))
        self._purge(challenges_before=before, deliveries_before=old, phone_key=None)
        self.model.purge(before, old)

    def erase(self) -> None:
        """An operator erases the person; what is under way goes on and finds nothing."""
        self._purge(challenges_before=0, deliveries_before=0, phone_key=PHONE)
        self.model.erase()
        self.memory = Memory()
        for vendor in self.vendors.values():
            vendor.forget()

    def reset_limits(self) -> None:
        self._wait(self.store.reset_counters(f"{PHONE}/"))
        self.model.counters.clear()
        self.model.failures.clear()
        self.memory.charged.clear()

    # What can be seen.

    def views(self) -> dict[str, ChallengeView]:
        """All challenges of the store with what belongs to them, oldest first."""
        views = self._wait(self.store.view(phone_key=PHONE))
        return {view.challenge.id: view for view in reversed(views)}

    def compare(self, views: dict[str, ChallengeView]) -> None:
        """What people can see in the store is what the model says."""
        counters = self._wait(self.store.counters(f"{PHONE}/", self.now))
        counted = [one for one in counters if isinstance(one, CounterRecord)]
        failed = [one for one in counters if not isinstance(one, CounterRecord) and one.failures]
        seen = {
            "challenges": {view.challenge.id: self._challenge(view.challenge) for view in views.values()},
            "rows": {
                (row.challenge_id, row.channel): (
                    row.send_id,
                    at(row.due_at),
                    row.leased,
                    row.attempts,
                    len(row.charges),
                )
                for view in views.values()
                for row in view.schedule
            },
            "deliveries": {
                d.id: {
                    "id": d.id,
                    "challenge": d.challenge_id,
                    "send": d.send_id,
                    "instance": d.instance,
                    "channel": d.channel,
                    "is_retry": d.is_retry,
                    "recorded_at": at(d.recorded_at),
                    "lease_until": at(d.lease_until),
                    "outcome": d.outcome,
                    "reference": d.reference,
                    "not_before": at(d.not_before),
                    "gone": d.gone,
                }
                for view in views.values()
                for d in view.deliveries
            },
            "counters": {int(one.key.rpartition("/")[2]): one.count for one in counted},
            "failures": {one.key.rpartition("/")[2]: (one.failures, self._lock(one.locked_until)) for one in failed},
            "breakers": {one.instance: one.failures for one in self._wait(self.store.breakers())},
        }
        expected = self.model.observe()
        for name, value in seen.items():
            same(
                value,
                {key: one for key, one in expected[name].items() if name != "counters" or one or key in value},
                name,
            )

    def _challenge(self, c: ChallengeRecord) -> tuple[Any, ...]:
        over = c.state in OVER
        if (c.code_sealed is None) != over:
            raise AssertionError(f"{c.id} is {c.state}, and its sealed code is {'there' if c.code_sealed else 'gone'}")
        cooldown = {str(channel): at(until) for channel in Channel if (until := c.cooldown(channel))}
        shown = (c.purpose, c.state, at(c.expires_at), c.attempts, c.givebacks, c.core_recorded, c.provider or "")
        return shown if over else (*shown, c.confirmed, c.reason or "", cooldown)

    def _lock(self, until: datetime | None) -> float:
        if until is None or until <= self.now:
            return 0
        return FOREVER if until.year == datetime.max.year else at(until)

    # Tasks.

    def _start(self, process: str, steps: Steps) -> None:
        task = Task(process, steps)
        self.tasks.append(task)
        task.go("")

    def _send(self, purpose: str, channel: Channel, client: str) -> Steps:
        for _ in range(5):
            yield "charge"
            latest = self._wait(self.store.latest(purpose))
            newest = self.model.of(purpose)
            same(latest and latest.id, newest and newest.id, "latest")
            living = latest if latest is not None and is_living(latest, self.now) else None
            if living is not None and (until := living.cooldown(channel)) and until > self.now:
                return
            charged = self._charge()
            if charged is None:
                return
            yield "begin"
            new = self._new_send(purpose, channel, client, living, *charged)
            begun = self._wait(self.store.begin(new, self.now))
            walk = Walk(new.challenge.id, channel.value, new.token, new.send_id)
            said = self.model.begin(
                walk,
                purpose,
                is_resend=new.is_resend,
                charges=charged[1],
                client=client,
                delivery=new.plan.delivery_id,
            )
            if begun.step is not None:
                self.memory.sends[new.send_id] = new.challenge.id
                self.memory.charged[new.send_id] = charged[1]
                ref = WalkRef(challenge_id=new.challenge.id, channel=channel, send_id=new.send_id, token=new.token)
                yield from self._walk(ref, walk, self._compare_step(begun.step, said))
                return
            same((said.kind, begun.refusal, begun.retry_after), ("refused", said.reason, said.at), "refusal")
            if begun.refusal is not Refusal.CONFLICT:
                return

    def _retry(self, ref: WalkRef, walk: Walk) -> Steps:
        yield "begin retry"
        plan = self._plan(walk)
        step = self._wait(self.store.begin_retry(ref, plan, self.now))
        yield from self._walk(ref, walk, self._compare_step(step, self.model.begin_retry(walk, plan.delivery_id)))

    def _walk(self, ref: WalkRef, walk: Walk, said: Said) -> Steps:
        """From a recorded delivery to the end of the walk."""
        while said.kind == "call":
            walk.tried.append(said.instance)
            scope, answer = self.rules.scopes.get(said.instance, ""), ""
            outcome, reference, retry_after = "unavailable", "", 0.0
            cleared = True
            if said.mark is not None:
                cleared = yield from self._clear_mark(ref, walk, scope, said)
            if cleared:
                answer = yield "call"
                outcome, reference, retry_after = self._call(said, walk.challenge, answer)
            leaves = answer.startswith("cancelled")
            hint = yield "record"
            go_on = not leaves and hint == ""
            plan = self._plan(walk, go_on=go_on)
            result = CallResult(outcome=Outcome(outcome), reference=reference, retry_after=retry_after or None)
            step = self._wait(self.store.record(ref, said.delivery, result, plan, self.now))
            following = self.model.record(
                walk, said.delivery, outcome, reference, retry_after, plan.delivery_id, go_on=go_on
            )
            late = said
            said = self._compare_step(step, following)
            if leaves:
                return
        if said.kind == "cancel_late":
            yield "cancel late"
            self.vendors[self.rules.scopes[late.instance]].cancel(reference, self.model.now, stale=False)

    def _clear_mark(self, ref: WalkRef, walk: Walk, scope: str, said: Said) -> Generator[str, str, bool]:
        """Cancel the old verification, then say so; False: the call counts as unavailable."""
        vendor = self.vendors[scope]
        if not vendor.replaces:
            answer = yield "cancel old"
            if answer != "unavailable":
                vendor.cancel(said.mark or "", self.model.now, stale=self._is_stale(said.delivery))
            if answer != "ok":
                return False
        yield "clear mark"
        cleared = self._wait(self.store.clear_mark(ref, scope, self.now))
        same(cleared, self.model.clear_mark(walk, scope), "mark cleared")
        return bool(cleared)

    def _call(self, said: Said, challenge: str, answer: str) -> tuple[str, str, float]:
        """The provider call: outcome, reference and seconds to wait."""
        scope = self.rules.scopes.get(said.instance, "")
        outcome = {"ok": "accepted", "throttled for long": "throttled"}.get(answer, answer)
        if answer.startswith(("lost", "cancelled")):
            outcome = "ambiguous"
        retry_after = {"throttled": 20.0, "throttled for long": 290.0}.get(answer, 0.0)
        if answer != "ok" and not answer.endswith("after delivery"):
            return outcome, "", retry_after
        if not scope:
            self.memory.codes[said.delivery] = f"core {challenge}"
            return outcome, "message", 0
        vendor = self.vendors[scope]
        verification = vendor.send(challenge, self.model.now, stale=self._is_stale(said.delivery))
        if verification is None:
            return "limit_reached" if answer == "ok" else "ambiguous", "", 0
        self.memory.codes[said.delivery] = vendor.code(verification)
        return outcome, verification.reference if answer == "ok" else "", 0

    def _verify(self, purpose: str, code: str, client: str, challenge_id: str) -> Steps:
        yield "reserve"
        reservation = self._wait(
            self.store.reserve(
                subject=None if challenge_id else purpose,
                challenge_id=challenge_id or None,
                purpose=purpose,
                locks=self._locks(client),
                now=self.now,
            )
        )
        reserved = self.model.reserve(purpose, challenge_id, client)
        same((reservation.status, reservation.marked), (reserved.status, reserved.marked), "reservation")
        challenge = reservation.challenge
        if reserved.status != "reserved" or challenge is None:
            return
        self._count(self.memory.reserved, challenge.id)
        checks = list(_checks(reservation.deliveries, reservation.marked))
        same([(check.scope, check.reference) for check in checks], self.model.checks(challenge.id), "checks")
        if challenge.core_recorded:
            self._count(self.memory.answered, challenge.id)
            if code == f"core {challenge.id}":
                yield "approve"
                self._approve(reservation, reserved, client, code, set())
                return
        said: list[tuple[str, str, str]] = []
        for check in checks:
            if any(scope == check.scope and word != "gone" for scope, _, word in said):
                continue
            answer = yield "check"
            word = "no answer"
            if answer != "down":
                heard = self.vendors[check.scope].check(check.reference, code, self.model.now)
                word = heard if answer == "up" else word
            said.append((check.scope, check.reference, word))
            if word == "approved":
                break
        words = {word for _, _, word in said}
        if not challenge.core_recorded and words & {"approved", "incorrect"}:
            self._count(self.memory.answered, challenge.id)

        def of(word: str) -> set[str]:
            which = {(scope, reference) for scope, reference, one in said if one == word}
            return {d.id for d in reservation.deliveries if (d.scope, d.reference) in which}

        if "approved" in words:
            yield "approve"
            self._approve(reservation, reserved, client, code, of("approved"))
            return
        gone = {one for one in of("gone") if any(d.id == one and d.reference for d in reservation.deliveries)}
        give_back = words == {"no answer"} and not challenge.core_recorded
        yield "settle"
        self._wait(self.store.settle(reservation, give_back=give_back, gone=gone, now=self.now))
        self.model.settle(reserved, client, give_back=give_back, gone=gone)

    def _approve(self, reservation: Reservation, reserved: Reserved, client: str, code: str, settled: set[str]) -> None:
        approved = self._wait(self.store.approve(reservation, settled=settled, now=self.now))
        same(approved, self.model.approve(reserved, client, settled), "approved")
        if not approved:
            return
        self._count(self.memory.successes, reserved.challenge)
        verification = self.verification(code)
        receivers = {
            self.model.deliveries[one].challenge
            for one, got in self.memory.codes.items()
            if got == code and one in self.model.deliveries
        }
        if verification is not None:
            receivers.add(verification.starter)
            if verification.stale:
                return
        known = [self.model.challenges[one].purpose for one in receivers if one in self.model.challenges]
        if set(known) - {self.model.challenges[reserved.challenge].purpose}:
            self.memory.crossed = code

    # Parts.

    def verification(self, code: str) -> Verification | None:
        """The verification at a vendor whose code this is."""
        return next((one for vendor in self.vendors.values() for one in vendor.all if vendor.code(one) == code), None)

    def _is_stale(self, delivery: str) -> bool:
        """The process stalled between recording and calling, for longer than its lease."""
        recorded = self.model.deliveries.get(delivery)
        return recorded is None or recorded.lease_until <= self.model.now

    def _charge(self) -> tuple[tuple[Charged, ...], tuple[tuple[int, float], ...]] | None:
        charges = [
            Charge(key=f"{PHONE}/send/{window}", limit=limit, window=timedelta(seconds=window), reason="phone")
            for limit, window in self.rules.limits
        ]
        charged = self._wait(self.store.charge(charges, self.now))
        expected = self.model.charge()
        if isinstance(charged, ChargeRefused):
            same(isinstance(expected, set) and charged.retry_after in expected, True, "charge refused")
            return None
        if isinstance(expected, set):
            raise AssertionError(f"charged, though a window is full: {expected}")
        same({int(one.key.rpartition("/")[2]): at(one.window_ends_at) for one in charged}, dict(expected), "charged")
        return charged, expected

    def _new_send(
        self,
        purpose: str,
        channel: Channel,
        client: str,
        living: ChallengeRecord | None,
        charged: tuple[Charged, ...],
        _: object,
    ) -> NewSend:
        number, rules = next(self._numbers), self.rules
        challenge = living or ChallengeRecord(
            id=f"c{number}",
            subject=purpose,
            phone_key=PHONE,
            phone_sealed=b"sealed",
            phone_masked="+359•••567",
            purpose=purpose,
            state=ChallengeState.SENDING,
            max_attempts=rules.attempts,
            first_sent_at=self.now,
            expires_at=self.now,
            code_digest="digest",
            code_sealed=b"sealed",
            locale="en",
        )
        walk = Walk(challenge.id, channel.value, f"host-{number}", f"s{number}")
        return NewSend(
            challenge=challenge,
            is_resend=living is not None,
            send_id=walk.send,
            token=walk.owner,
            channel=channel,
            plan=self._plan(walk),
            life=timedelta(seconds=rules.life),
            cap=timedelta(seconds=rules.cap),
            renewal=timedelta(seconds=rules.renewal),
            lease=timedelta(seconds=rules.lease),
            key_id=KEY,
            charges=charged,
            client=client,
        )

    def _plan(self, walk: Walk, *, go_on: bool = True) -> WalkPlan:
        rules = self.rules
        route = tuple(
            Candidate(instance=one, owner=CodeOwner.PROVIDER, scope=rules.scopes[one])
            if one in rules.scopes
            else Candidate(instance=one)
            for one in rules.routes[walk.channel]
        )
        most = rules.retries.get(walk.channel)
        policy = None if most is None else RetryPolicy(max_retries=most, first_delay=1, max_delay=30, jitter=0)
        return WalkPlan(
            delivery_id=f"d{next(self._numbers)}",
            route=route,
            untried=tuple(one for one in route if one.instance not in walk.tried) if go_on else (),
            is_retry=walk.is_retry,
            call_lease=timedelta(seconds=rules.call_lease),
            cooldown=timedelta(seconds=rules.cooldown),
            min_useful_life=timedelta(seconds=rules.useful_life),
            retry=policy,
            breaker=BreakerRule(threshold=rules.breaker_from, probe_every=rules.probe_every),
        )

    def _locks(self, client: str) -> LockRule:
        rules = self.rules
        return LockRule(
            client=client,
            lock_after=rules.lock_from,
            first_wait=rules.first_wait,
            max_wait=rules.max_wait,
            hard_limit=rules.hard_limit,
        )

    def _compare_step(self, step: Step, said: Said) -> Said:
        """The step of the store is that of the model."""
        delivery = step.delivery if step.kind.name in ("CALL", "CANCEL_LATE", "ACCEPTED") else None
        seen = Said(
            step.kind.name.lower(),
            delivery.id if delivery else "",
            delivery.instance if delivery else "",
            step.mark.reference if step.mark else None,
            step.repeat,
            at(step.due_at) or None,
            "",
            step.opened,
            step.closed,
        )
        same(seen, said, "step")
        return said

    def _purge(self, *, challenges_before: float, deliveries_before: float, phone_key: str | None) -> None:
        self._wait(
            self.store.purge(
                challenges_before=START + timedelta(seconds=challenges_before),
                deliveries_before=START + timedelta(seconds=deliveries_before),
                phone_key=phone_key,
                now=self.now,
            )
        )

    @staticmethod
    def _count(counts: dict[str, int], key: str) -> None:
        counts[key] = counts.get(key, 0) + 1


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

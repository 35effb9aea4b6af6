"""Contract tests against the oracle: whatever happens in whatever order, a store answers and keeps what ``MemoryStore`` does."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from otpcore.admission import Barrier, BudgetRule, BudgetWindow, LimitReason
from otpcore.errors import ErrorKind
from otpcore.interfaces import Store
from otpcore.lifecycle import OVER
from otpcore.models import Channel, Outcome, Receipt, ReceiptStatus, RetryJob
from otpcore.records import WorkerRecord
from otpcore.stores.memory import MemoryStore
from otpcore.testing._store_base import EXAMPLES, StoreBase
from otpcore.testing._store_world import World
from otpcore.verbs import Admission, LockRule, NewSend, ReceiptRule, RecordedGuess
from otpcore.walks import CallResult, Candidate, StepKind, WalkRef

__all__ = ["EquivalenceTests"]

Kept = Callable[[Store, datetime], Awaitable[Mapping[str, Any]]]
_PHONES = ("phone-1", "phone-2")
_SUBJECTS = ("login", "payment")
_SECONDS = (0.5, 1, 5, 10, 15, 30, 60, 240, 300, 600)
_COUNTERS = ("phone-1/send", "phone-2/send")
_ANSWERS = tuple(outcome for outcome in Outcome if outcome is not Outcome.OPEN)

_index = st.integers(0, 1_000_000)
_phones, _subjects, _channels = st.sampled_from(_PHONES), st.sampled_from(_SUBJECTS), st.sampled_from(list(Channel))
_BUDGET = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(seconds=60)),), share=0.5)
_COUNTED = Admission(budget="BG/+35987")
_BARRIERS = (
    *(None,) * 5,
    Barrier(reason=LimitReason.PAUSED),
    Barrier(reason=LimitReason.DENIED),
    Barrier(reason=LimitReason.DENIED, unless_verified=True),
)
_forced_lists = st.sampled_from([None, None, ("mada",), ("in_house", "mada")])


@attrs.define
class _Running:
    """A walk under way: who it is, what it calls now, what it tried."""

    ref: WalkRef
    route: Sequence[Candidate]
    delivery: Any
    is_retry: bool
    tried: list[str] = attrs.field(factory=list)


class _Machine(RuleBasedStateMachine):
    """Gives both stores the same verbs and compares every answer, and everything that is kept."""

    def __init__(self, portal: BlockingPortal, store: Store, kept: Kept) -> None:
        super().__init__()
        self.portal, self.kept, self.world = portal, kept, World(store=store)
        self.memory, self.store = MemoryStore(), store
        self.stack = AsyncExitStack()
        portal.call(store.start, self.stack)
        self.walks: list[_Running] = []
        self.claims: list[Any] = []
        self.reservations: list[Any] = []
        self.asked = _COUNTED
        self.challenges: list[str] = []
        world = self.world
        self.routes = [
            world.core("mada"),
            tuple(attrs.evolve(candidate, prefix="+35987") for candidate in world.core("mada", "backup")),
            world.vendor("twilio") + world.core("mada"),
            world.vendor("twilio") + world.vendor("sinch"),
            world.vendor("sinch", "sinch:app"),
        ]

    def teardown(self) -> None:
        self.portal.call(self.stack.aclose)

    def both(self, verb: str, *args: Any, **more: Any) -> Any:
        """Run a verb on both stores; the answer, which must be the same."""
        expected, found = (
            self.portal.call(functools.partial(getattr(store, verb), *args, **more))
            for store in (self.memory, self.store)
        )
        assert found == expected
        return found

    def one_of(self, things: Sequence[Any], number: int) -> Any:
        return things[number % len(things)]

    @rule(seconds=st.sampled_from(_SECONDS))
    def time_passes(self, seconds: float) -> None:
        self.world.later(seconds)

    @rule(
        key=st.sampled_from(_COUNTERS),
        limit=st.integers(1, 3),
        seconds=st.sampled_from((60, 600)),
        phone=_phones,
        barrier=st.sampled_from(_BARRIERS),
        enforce=st.booleans(),
    )
    def limits(self, key: str, limit: int, seconds: float, phone: str, barrier: Barrier | None, enforce: bool) -> None:
        """Those of the next send."""
        self.asked = Admission(
            charges=(self.world.limit(key, limit, seconds), self.world.limit("all", 5, 600)),
            neighbours=((self.world.limit(f"{phone}/near", 1, 60), self.world.limit("block/near", 1, 60)),),
            barrier=barrier,
            budget="BG/+35987",
            budget_rule=attrs.evolve(_BUDGET, enforce=enforce),
        )

    @rule(
        phone=_phones,
        subject=_subjects,
        channel=_channels,
        route=_index,
        forced=_forced_lists,
        key_id=st.sampled_from(["key-1", "key-1", "key-2"]),
        retried=st.booleans(),
    )
    def begin(
        self,
        phone: str,
        subject: str,
        channel: Channel,
        route: int,
        forced: tuple[str, ...] | None,
        key_id: str,
        retried: bool,
    ) -> None:
        self.world.retry = None
        if retried:
            self.world.with_retries()
        challenge = self.world.challenge(subject, phone, forced=forced, key_id=key_id, max_attempts=3)
        self.challenges.append(challenge.id)
        send = self.world.new_send(
            challenge,
            self.one_of(self.routes, route),
            channel=channel,
            forced=forced,
            asked=self.asked,
        )
        self.run_send(send)

    @rule(phone=_phones, subject=_subjects, channel=_channels, route=_index, forced=_forced_lists)
    def resend(self, phone: str, subject: str, channel: Channel, route: int, forced: tuple[str, ...] | None) -> None:
        challenge = self.both("latest", f"{phone}/{subject}")
        if challenge is not None:
            self.run_send(
                self.world.new_send(
                    challenge,
                    self.one_of(self.routes, route),
                    is_resend=True,
                    channel=channel,
                    forced=forced,
                    asked=self.asked,
                )
            )

    def run_send(self, send: NewSend) -> None:
        self.asked = _COUNTED
        begun = self.both("begin", send, self.world.now)
        ref = WalkRef(challenge_id=send.challenge.id, channel=send.channel, send_id=send.send_id, token=send.token)
        if begun.step is not None and begun.step.kind is StepKind.CALL:
            self.walks.append(_Running(ref, send.plan.route, begun.step.delivery, is_retry=False))

    @precondition(lambda self: self.walks)
    @rule(
        walk=_index,
        outcome=st.sampled_from(_ANSWERS),
        reference=st.sampled_from(["", "VE1", "VE2"]),
        retry_after=st.sampled_from([None, None, 5.0, 280.0]),
        ends=st.booleans(),
    )
    def answer(self, walk: int, outcome: Outcome, reference: str, retry_after: float | None, ends: bool) -> None:
        running = self.one_of(self.walks, walk)
        running.tried.append(running.delivery.instance)
        result = CallResult(
            outcome=outcome, reference=reference if outcome is Outcome.ACCEPTED else "", retry_after=retry_after
        )
        plan = self.world.plan(running.route, running.tried, is_retry=running.is_retry, budget_rule=_BUDGET)
        step = self.both("record", running.ref, running.delivery, result, plan, self.world.now)
        if step.kind is StepKind.CALL:
            running.delivery = step.delivery
        elif ends:  # else the answer may come once more, too late
            self.walks.remove(running)

    @precondition(lambda self: self.challenges)
    @rule(
        challenge=_index,
        delivery=_index,
        status=st.sampled_from(list(ReceiptStatus)),
        kind=st.sampled_from([None, None, ErrorKind.UNAVAILABLE, ErrorKind.BLOCKED]),
        reference=st.sampled_from(["", "VE1", "VE2", "VE3"]),
        named=st.booleans(),
        retried=st.booleans(),
        able=st.booleans(),
        route=_index,
    )
    def receive(
        self,
        challenge: int,
        delivery: int,
        status: ReceiptStatus,
        kind: ErrorKind | None,
        reference: str,
        named: bool,
        retried: bool,
        able: bool,
        route: int,
    ) -> None:
        views = self.both("view", challenge_id=self.one_of(self.challenges, challenge))
        if not views or not views[0].deliveries:
            return
        about = self.one_of(views[0].deliveries, delivery)
        receipt = Receipt(
            status=status,
            reference=reference,
            delivery_id=about.id if named or not reference else "",
            provider_code="30003",
            kind=kind,
        )
        receipt_rule = ReceiptRule(
            token=f"receipt-{next(self.world.numbers)}",
            lease=timedelta(seconds=15),
            min_useful_life=timedelta(seconds=30),
            retried=frozenset(Channel) if retried else frozenset(),
            key_ids=frozenset({"key-1"} if able else ()),
            instances=frozenset({"mada", "backup", "twilio", "sinch", "in_house"}),
        )
        received = self.both("receive", about.instance, receipt, receipt_rule, self.world.now)
        if received.walk is None:
            return
        candidates = self.one_of(self.routes, route)
        step = self.both("go_on", received.walk, self.world.plan(candidates, is_retry=True), self.world.now)
        if step.kind is StepKind.CALL:
            self.walks.append(_Running(received.walk, candidates, step.delivery, is_retry=True))

    @precondition(lambda self: self.walks)
    @rule(walk=_index)
    def clear_mark(self, walk: int) -> None:
        running = self.one_of(self.walks, walk)
        self.both("clear_mark", running.ref, running.delivery.scope, self.world.now)

    @rule(
        limit=st.integers(1, 3),
        max_retries=st.sampled_from([0, 1, 20]),
        key_ids=st.sampled_from([{"key-1"}, {"key-1", "key-2"}]),
        instances=st.sampled_from([{"mada", "backup", "twilio", "sinch"}, {"mada", "in_house"}]),
    )
    def claim(self, limit: int, max_retries: int, key_ids: set[str], instances: set[str]) -> None:
        claim_rule = self.world.rule(
            max_retries={Channel.SMS: max_retries, Channel.CALL: 2},
            key_ids=frozenset(key_ids),
            instances=frozenset(instances),
        )
        self.claims += self.both("claim", claim_rule, limit, self.world.now).claims

    @precondition(lambda self: self.challenges)
    @rule(challenge=_index, channel=_channels)
    def claim_by_name(self, challenge: int, channel: Channel) -> None:
        job = RetryJob(challenge_id=self.one_of(self.challenges, challenge), channel=channel, due_at=self.world.now)
        self.claims += self.both("claim", self.world.rule(job=job), 1, self.world.now).claims

    @precondition(lambda self: self.claims)
    @rule(claim=_index, route=_index, barrier=st.sampled_from(_BARRIERS), enforce=st.booleans())
    def begin_retry(self, claim: int, route: int, barrier: Barrier | None, enforce: bool) -> None:
        walk, candidates = self.one_of(self.claims, claim).walk, self.one_of(self.routes, route)
        self.world.with_retries()
        rule = attrs.evolve(_BUDGET, enforce=enforce)
        plan = self.world.plan(candidates, is_retry=True, barrier=barrier, budget_rule=rule)
        step = self.both("begin_retry", walk, plan, self.world.now)
        if step.kind is StepKind.CALL:
            self.walks.append(_Running(walk, candidates, step.delivery, is_retry=True))

    @rule(
        phone=_phones,
        subject=_subjects,
        client=st.sampled_from(["", "client"]),
        purpose=_subjects,
        right=st.sampled_from([None, False, True]),
    )
    def reserve(self, phone: str, subject: str, client: str, purpose: str, right: bool | None) -> None:
        guess = None if right is None else RecordedGuess(fits=lambda _: bool(right), budget=_BUDGET)
        locks = LockRule(client=client, lock_after=2, hard_limit=5)
        self.reservations.append(
            self.both(
                "reserve",
                subject=f"{phone}/{subject}",
                challenge_id=None,
                purpose=purpose,
                locks=locks,
                guess=guess,
                now=self.world.now,
            )
        )

    @precondition(lambda self: self.challenges)
    @rule(challenge=_index, purpose=_subjects)
    def reserve_by_id(self, challenge: int, purpose: str) -> None:
        self.both(
            "reserve",
            subject=None,
            challenge_id=self.one_of(self.challenges, challenge),
            purpose=purpose,
            locks=LockRule(),
            now=self.world.now,
        )

    @precondition(lambda self: self.reservations)
    @rule(reservation=_index, give_back=st.booleans(), gone=st.booleans())
    def settle(self, reservation: int, give_back: bool, gone: bool) -> None:
        reserved = self.one_of(self.reservations, reservation)
        ids = [delivery.id for delivery in reserved.deliveries] if gone else []
        self.both("settle", reserved, give_back=give_back, gone=ids, now=self.world.now)

    @precondition(lambda self: self.challenges)
    @rule(challenge=_index, digest=st.sampled_from(["key-1:4:a", "key-1:4:b"]), answered=st.booleans())
    def ask(self, challenge: int, digest: str, answered: bool) -> None:
        if answered:
            self.both("answered", self.one_of(self.challenges, challenge), digest)
        else:
            self.both("ask", self.one_of(self.challenges, challenge), digest, self.world.now)

    @precondition(lambda self: self.reservations)
    @rule(reservation=_index, settled=st.booleans())
    def approve(self, reservation: int, settled: bool) -> None:
        reserved = self.one_of(self.reservations, reservation)
        ids = [delivery.id for delivery in reserved.deliveries] if settled else []
        self.both("approve", reserved, settled=ids, budget=_BUDGET, now=self.world.now)

    @precondition(lambda self: self.challenges)
    @rule(challenge=_index, verb=st.sampled_from(["cancel", "requeue", "drop"]))
    def end(self, challenge: int, verb: str) -> None:
        self.both(verb, self.one_of(self.challenges, challenge), self.world.now)

    @rule(retried=st.sampled_from([(), (Channel.SMS,), tuple(Channel)]), limit=st.integers(1, 3))
    def sweep(self, retried: Sequence[Channel], limit: int) -> None:
        self.both("sweep", retried=retried, limit=limit, now=self.world.now)

    @rule(
        challenges=st.sampled_from((0, 300)),
        deliveries=st.sampled_from((0, 900)),
        phone=st.sampled_from([None, None, *_PHONES]),
    )
    def purge(self, challenges: float, deliveries: float, phone: str | None) -> None:
        self.both(
            "purge",
            challenges_before=self.world.now - timedelta(seconds=challenges),
            deliveries_before=self.world.now - timedelta(seconds=deliveries),
            verified_before=self.world.now - timedelta(seconds=deliveries),
            phone_key=phone,
            now=self.world.now,
        )

    @rule(name=st.sampled_from(["worker-1", "background-2"]), running=st.integers(0, 3), ends=st.booleans())
    def beat(self, name: str, running: int, ends: bool) -> None:
        worker = WorkerRecord(
            name=name, kind="worker", started_at=self.world.now, seen_at=self.world.now, running=running
        )
        self.both("beat", worker, timedelta(seconds=60), self.world.now)
        if ends:
            self.both("leave", name)

    @rule(seconds=st.sampled_from((0, 60, 900)))
    def status(self, seconds: float) -> None:
        self.both("status", self.world.now - timedelta(seconds=seconds), self.world.now)

    @rule(prefix=st.sampled_from(["phone-1/", "phone", "all", ""]))
    def reset_counters(self, prefix: str) -> None:
        self.both("reset_counters", prefix)

    @rule(name=st.sampled_from(["paused", "rules"]), value=st.sampled_from([None, "a", "b"]))
    def write_setting(self, name: str, value: str | None) -> None:
        self.both("write_setting", name, value)

    @invariant()
    def both_keep_the_same(self) -> None:
        expected, found = (self.portal.call(self.kept, store, self.world.now) for store in (self.memory, self.store))
        assert found == expected
        living = [view.challenge.subject for view in found["challenges"] if view.challenge.state not in OVER]
        assert len(living) == len(set(living))


class EquivalenceTests(StoreBase):
    """Hypothesis gives a store and the oracle the same verbs."""

    async def kept(self, store: Store, now: datetime) -> Mapping[str, Any]:
        """All that a store keeps, as far as its verbs tell it; a store may add what only it can see."""
        rows = await store.retries(100)
        return {
            "challenges": [view for phone in _PHONES for view in await store.view(phone_key=phone)],
            "latest": [await store.latest(f"{phone}/{subject}") for phone in _PHONES for subject in _SUBJECTS],
            "schedule": (rows, await store.next_due()),
            "later": [await store.retries(100, after=row) for row, _ in rows],
            "keys": (sorted(await store.keys_in_use(), key=str), await store.due_keys(now)),
            "counters": await store.counters("", now),
            "budgets": await store.budgets(),
            "verified": [await store.verified(phone) for phone in _PHONES],
            "refusals": [await store.refusals(100, phone_key=phone) for phone in (None, *_PHONES)],
            "breakers": await store.breakers(),
            "status": await store.status(now - timedelta(days=1), now),
            "settings": await store.settings(),
        }

    def test_it_answers_and_keeps_what_the_memory_store_does(self, new_stores: Callable[[], Store]) -> None:
        with start_blocking_portal(self.event_loops[0]) as portal:
            run_state_machine_as_test(
                lambda: _Machine(portal, new_stores(), self.kept),  # type: ignore[arg-type] # it takes any function too
                settings=settings(
                    max_examples=self.examples,
                    stateful_step_count=30,
                    derandomize=self.examples <= EXAMPLES,  # who wants more wants others
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )

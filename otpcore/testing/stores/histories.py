"""Random histories of a store: each command is given to it and to the oracle, and what both answer and keep is compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
from anyio.from_thread import BlockingPortal
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from otpcore.errors import ErrorKind
from otpcore.models import Channel, Outcome, Receipt, ReceiptStatus, RetryJob
from otpcore.prices import Price
from otpcore.rate_limits.admission import Admission, Barrier, BudgetRule, BudgetWindow, LimitReason
from otpcore.stores.commands import Begun, LockRule, NewCode, NewSend, ReceiptRule, RecordedGuess
from otpcore.stores.contract import Store
from otpcore.stores.lifecycle import OVER
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.steps import CallInstance, CallResult, Candidate, FailoverRef
from otpcore.testing.stores.service_rules import ServiceRules
from otpcore.testing.stores.world import CHANNELS, World

__all__ = ["PHONES", "SUBJECTS", "Histories", "Kept"]

Kept = Callable[[Store, datetime], Awaitable[Mapping[str, Any]]]
PHONES = ("phone-1", "phone-2")
SUBJECTS = ("login", "payment")
_SECONDS = (0.5, 1, 5, 10, 15, 30, 60, 240, 300, 600)
_COUNTERS = ("phone-1/send", "phone-2/send")
_ANSWERS = tuple(outcome for outcome in Outcome if outcome is not Outcome.OPEN)

_index = st.integers(0, 1_000_000)
_phones, _subjects, _channels = st.sampled_from(PHONES), st.sampled_from(SUBJECTS), st.sampled_from(CHANNELS)
_BUDGET = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(seconds=60)),), share=0.5)
_COUNTED = Admission(budget="BG/+35987")
_BARRIERS = (
    *(None,) * 5,
    Barrier(reason=LimitReason.PAUSED),
    Barrier(reason=LimitReason.DENIED),
    Barrier(reason=LimitReason.DENIED, unless_verified=True),
)
_CODES = (None, None, *(NewCode(digest=f"digest of {name}", sealed=name.encode()) for name in ("one", "another")))
_prices = st.sampled_from(
    [None, None, *(Price(amount=Decimal(amount), currency="USD") for amount in ("0.0075", "0.01"))]
)
_forced_lists = st.sampled_from([None, None, ("mada",), ("in_house", "mada")])
_SENT: dict[str, Any] = {"phone": _phones, "subject": _subjects, "channel": _channels, "route": _index}


@attrs.define
class _Running:
    """A failover under way: who it is, what it calls now, what it tried."""

    ref: FailoverRef
    route: Sequence[Candidate]
    delivery: Any
    is_retry: bool
    tried: list[str] = attrs.field(factory=list)


class Histories(ServiceRules):
    """Gives both stores the same commands and compares every answer, and everything that is kept."""

    def __init__(self, portal: BlockingPortal, store: Store, kept: Kept) -> None:
        super().__init__()
        self.portal, self.kept, self.world = portal, kept, World(store=store)
        self.memory, self.store = MemoryStore(keeps_outbox=True), store
        store.keeps_outbox = True
        self.stack = AsyncExitStack()
        portal.call(store.start, self.stack)
        self.failovers: list[_Running] = []
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
        **_SENT,
        forced=_forced_lists,
        key_id=st.sampled_from(["key-1", "key-1", "key-2"]),
        retried=st.booleans(),
        verifiable=st.sampled_from([True, True, True, False]),
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
        verifiable: bool,
    ) -> None:
        self.world.retry = None
        if retried:
            self.world.with_retries()
        said = {"forced": forced, "key_id": key_id, "verifiable": verifiable}
        challenge = self.world.challenge(subject, phone, max_attempts=3, **said)
        self.challenges.append(challenge.id)
        send = self.world.new_send(
            challenge,
            self.one_of(self.routes, route),
            channel=channel,
            forced=forced,
            asked=self.asked,
        )
        self.run_send(send)

    @rule(code=st.sampled_from(_CODES), forced=_forced_lists, **_SENT)
    def resend(
        self,
        phone: str,
        subject: str,
        channel: Channel,
        route: int,
        forced: tuple[str, ...] | None,
        code: NewCode | None,
    ) -> None:
        challenge = self.both("latest", f"{phone}/{subject}")
        if challenge is not None:
            self.run_send(
                self.world.new_send(
                    challenge,
                    self.one_of(self.routes, route),
                    is_resend=True,
                    channel=channel,
                    forced=forced,
                    code=code,
                    asked=self.asked,
                )
            )

    def run_send(self, send: NewSend) -> None:
        self.asked = _COUNTED
        send = attrs.evolve(send, extras_sealed=f"said of {send.send_id}".encode())
        begun = self.both("begin", send, self.world.now)
        ref = FailoverRef(challenge_id=send.challenge.id, channel=send.channel, send_id=send.send_id, token=send.token)
        if isinstance(begun, Begun) and isinstance(begun.step, CallInstance):
            self.failovers.append(_Running(ref, send.plan.route, begun.step.delivery, is_retry=False))

    @precondition(lambda self: self.failovers)
    @rule(
        failover=_index,
        outcome=st.sampled_from(_ANSWERS),
        reference=st.sampled_from(["", "VE1", "VE2"]),
        retry_after=st.sampled_from([None, None, 5.0, 280.0]),
        price=_prices,
        ends=st.booleans(),
    )
    def answer(
        self,
        failover: int,
        outcome: Outcome,
        reference: str,
        retry_after: float | None,
        price: Price | None,
        ends: bool,
    ) -> None:
        running = self.one_of(self.failovers, failover)
        running.tried.append(running.delivery.instance)
        result = CallResult(
            outcome=outcome,
            reference=reference if outcome is Outcome.ACCEPTED else "",
            provider_code=reference if outcome is not Outcome.ACCEPTED else "",
            words=f"it answered {outcome}",
            retry_after=retry_after,
            price=price if outcome is Outcome.ACCEPTED else None,
        )
        plan = self.world.plan(running.route, running.tried, is_retry=running.is_retry, budget_rule=_BUDGET)
        step = self.both("record", running.ref, running.delivery, result, plan, self.world.now)
        if isinstance(step, CallInstance):
            running.delivery = step.delivery
        elif ends:  # else the answer may come once more, too late
            self.failovers.remove(running)

    @precondition(lambda self: self.challenges)
    @rule(
        challenge=_index,
        delivery=_index,
        status=st.sampled_from([*ReceiptStatus, *ReceiptStatus, None]),
        kind=st.sampled_from([None, None, ErrorKind.UNAVAILABLE, ErrorKind.BLOCKED]),
        reference=st.sampled_from(["", "VE1", "VE2", "VE3"]),
        price=_prices,
        named=st.booleans(),
        retried=st.booleans(),
        able=st.booleans(),
        route=_index,
    )
    def receive(
        self,
        challenge: int,
        delivery: int,
        status: ReceiptStatus | None,
        kind: ErrorKind | None,
        reference: str,
        price: Price | None,
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
            price=price,
        )
        receipt_rule = ReceiptRule(
            token=f"receipt-{next(self.world.numbers)}",
            lease=timedelta(seconds=15),
            min_useful_life=timedelta(seconds=30),
            retried=frozenset(CHANNELS) if retried else frozenset(),
            key_ids=frozenset({"key-1"} if able else ()),
            instances=frozenset({"mada", "backup", "twilio", "sinch", "in_house"}),
        )
        received = self.both("receive", about.instance, receipt, receipt_rule, self.world.now)
        ref = received.follows
        if not isinstance(ref, FailoverRef):
            return
        candidates = self.one_of(self.routes, route)
        step = self.both("go_on", ref, self.world.plan(candidates, is_retry=True), self.world.now)
        if isinstance(step, CallInstance):
            self.failovers.append(_Running(ref, candidates, step.delivery, is_retry=True))

    @precondition(lambda self: self.failovers)
    @rule(failover=_index)
    def clear_mark(self, failover: int) -> None:
        running = self.one_of(self.failovers, failover)
        self.both("clear_mark", running.ref, running.delivery.scope, self.world.now)

    @rule(
        limit=st.integers(1, 3),
        max_retries=st.sampled_from([0, 1, 20]),
        key_ids=st.sampled_from([{"key-1"}, {"key-1", "key-2"}]),
        instances=st.sampled_from([{"mada", "backup", "twilio", "sinch"}, {"mada", "in_house"}]),
    )
    def claim(self, limit: int, max_retries: int, key_ids: set[str], instances: set[str]) -> None:
        claim_rule = self.world.rule(
            max_retries={**dict.fromkeys(CHANNELS, 2), Channel.SMS: max_retries},
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
        failover, candidates = self.one_of(self.claims, claim).ref, self.one_of(self.routes, route)
        self.world.with_retries()
        rule = attrs.evolve(_BUDGET, enforce=enforce)
        plan = self.world.plan(candidates, is_retry=True, barrier=barrier, budget_rule=rule)
        step = self.both("begin_retry", failover, plan, self.world.now)
        if isinstance(step, CallInstance):
            self.failovers.append(_Running(failover, candidates, step.delivery, is_retry=True))

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

    @precondition(lambda self: self.reservations)
    @rule(reservation=_index, settled=st.booleans())
    def approve(self, reservation: int, settled: bool) -> None:
        reserved = self.one_of(self.reservations, reservation)
        ids = [delivery.id for delivery in reserved.deliveries] if settled else []
        self.both("approve", reserved, settled=ids, budget=_BUDGET, now=self.world.now)

    @precondition(lambda self: self.challenges)
    @rule(challenge=_index, command=st.sampled_from(["cancel", "requeue", "drop"]))
    def end(self, challenge: int, command: str) -> None:
        self.both(command, self.one_of(self.challenges, challenge), self.world.now, audit=self.record(command))

    @rule(unretried=st.sampled_from([(), (Channel.CALL,), CHANNELS]), limit=st.integers(1, 3))
    def sweep(self, unretried: Sequence[Channel], limit: int) -> None:
        self.both("sweep", unretried=unretried, limit=limit, now=self.world.now)

    @rule(
        challenges=st.sampled_from((0, 300)),
        deliveries=st.sampled_from((0, 900)),
        phone=st.sampled_from([None, None, *PHONES]),
    )
    def purge(self, challenges: float, deliveries: float, phone: str | None) -> None:
        self.both(
            "purge",
            challenges_before=self.world.now - timedelta(seconds=challenges),
            deliveries_before=self.world.now - timedelta(seconds=deliveries),
            verified_before=self.world.now - timedelta(seconds=deliveries),
            audit_before=self.world.now - timedelta(seconds=deliveries),
            phone_key=phone,
            now=self.world.now,
            audit=self.record("purge"),
        )

    @invariant()
    def both_keep_the_same(self) -> None:
        expected, found = (self.portal.call(self.kept, store, self.world.now) for store in (self.memory, self.store))
        assert found == expected
        living = [view.challenge.subject for view in found["challenges"] if view.challenge.state not in OVER]
        assert len(living) == len(set(living))

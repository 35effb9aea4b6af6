"""Whatever happens in whatever order, the SQL store answers and keeps the same as the memory store."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import attrs
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from otpcore.admission import Barrier, BudgetRule, BudgetWindow, LimitReason
from otpcore.errors import ErrorKind
from otpcore.lifecycle import OVER
from otpcore.models import Channel, Outcome, Receipt, ReceiptStatus, RetryJob
from otpcore.records import Admission, Admitted, CallResult, LockRule, ReceiptRule, StepKind, WalkRef, WorkerRecord
from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore

EXAMPLES = int(os.environ.get("OTPCORE_EQUIVALENCE_EXAMPLES", "15"))

PHONES = ("phone-1", "phone-2")
SUBJECTS = ("login", "payment")
SECONDS = (0.5, 1, 5, 10, 15, 30, 60, 240, 300, 600)
COUNTERS = ("phone-1/send", "phone-2/send")
ANSWERS = tuple(outcome for outcome in Outcome if outcome is not Outcome.OPEN)

index = st.integers(0, 1_000_000)
phones, subjects, channels = st.sampled_from(PHONES), st.sampled_from(SUBJECTS), st.sampled_from(list(Channel))
BUDGET = BudgetRule(windows=(BudgetWindow(least=1, length=timedelta(seconds=60)),), share=0.5)
BARRIERS = (
    *(None,) * 5,
    Barrier(reason=LimitReason.PAUSED),
    Barrier(reason=LimitReason.DENIED),
    Barrier(reason=LimitReason.DENIED, unless_verified=True),
)
forced_lists = st.sampled_from([None, None, ("mada",), ("in_house", "mada")])


@attrs.define
class Running:
    """A walk under way: who it is, what it calls now, what it tried."""

    ref: WalkRef
    route: tuple
    delivery: object
    is_retry: bool
    tried: list = attrs.field(factory=list)


class Machine(RuleBasedStateMachine):
    """Gives both stores the same verbs and compares every answer, and everything that is kept."""

    def __init__(self, portal, world, migrated):
        super().__init__()
        self.portal, self.world = portal, world
        self.directory = tempfile.TemporaryDirectory()
        path = shutil.copy(migrated, Path(self.directory.name, "otp.sqlite3"))
        self.memory, self.sql = MemoryStore(), SqlStore(f"sqlite:///{path}", synchronous="NORMAL")
        self.stack = AsyncExitStack()
        portal.call(self.sql.start, self.stack)
        self.walks, self.claims, self.reservations, self.charged, self.challenges = [], [], [], (), []
        self.routes = [
            world.core("mada"),
            tuple(attrs.evolve(candidate, prefix="+35987") for candidate in world.core("mada", "backup")),
            world.vendor("twilio") + world.core("mada"),
            world.vendor("twilio") + world.vendor("sinch"),
            world.vendor("sinch", "sinch:app"),
        ]

    def teardown(self):
        self.portal.call(self.stack.aclose)
        self.directory.cleanup()

    def both(self, verb, *args, **more):
        """Run a verb on both stores; the answer, which must be the same."""
        expected, found = (
            self.portal.call(functools.partial(getattr(store, verb), *args, **more))
            for store in (self.memory, self.sql)
        )
        assert found == expected
        return found

    def one_of(self, things, number):
        return things[number % len(things)]

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds):
        self.world.later(seconds)

    @rule(
        key=st.sampled_from(COUNTERS),
        limit=st.integers(1, 3),
        seconds=st.sampled_from((60, 600)),
        phone=phones,
        subject=subjects,
        barrier=st.sampled_from(BARRIERS),
        enforce=st.booleans(),
    )
    def charge(self, key, limit, seconds, phone, subject, barrier, enforce):
        asked = Admission(
            charges=(self.world.limit(key, limit, seconds), self.world.limit("all", 5, 600)),
            neighbours=((self.world.limit(f"{phone}/near", 1, 60), self.world.limit("block/near", 1, 60)),),
            barrier=barrier,
            budget="BG/+35987",
            budget_rule=attrs.evolve(BUDGET, enforce=enforce),
            subject=f"{phone}/{subject}",
            phone_key=phone,
        )
        admitted = self.both("charge", asked, self.world.now)
        self.charged = admitted.charges if isinstance(admitted, Admitted) else ()

    @rule(
        phone=phones,
        subject=subjects,
        channel=channels,
        route=index,
        forced=forced_lists,
        key_id=st.sampled_from(["key-1", "key-1", "key-2"]),
        retried=st.booleans(),
    )
    def begin(self, phone, subject, channel, route, forced, key_id, retried):
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
            charges=self.charged,
            budget="BG/+35987",
            noted=(LimitReason.NEIGHBOURS,) if route % 3 else (),
        )
        self.run_send(send)

    @rule(phone=phones, subject=subjects, channel=channels, route=index, forced=forced_lists)
    def resend(self, phone, subject, channel, route, forced):
        challenge = self.both("latest", f"{phone}/{subject}")
        if challenge is not None:
            route = self.one_of(self.routes, route)
            self.run_send(
                self.world.new_send(
                    challenge, route, is_resend=True, channel=channel, forced=forced, charges=self.charged
                )
            )

    def run_send(self, send):
        self.charged = ()
        begun = self.both("begin", send, self.world.now)
        ref = WalkRef(challenge_id=send.challenge.id, channel=send.channel, send_id=send.send_id, token=send.token)
        if begun.step is not None and begun.step.kind is StepKind.CALL:
            self.walks.append(Running(ref, send.plan.route, begun.step.delivery, is_retry=False))

    @precondition(lambda self: self.walks)
    @rule(
        walk=index,
        outcome=st.sampled_from(ANSWERS),
        reference=st.sampled_from(["", "VE1", "VE2"]),
        retry_after=st.sampled_from([None, None, 5.0, 280.0]),
        ends=st.booleans(),
    )
    def answer(self, walk, outcome, reference, retry_after, ends):
        running = self.one_of(self.walks, walk)
        running.tried.append(running.delivery.instance)
        result = CallResult(
            outcome=outcome, reference=reference if outcome is Outcome.ACCEPTED else "", retry_after=retry_after
        )
        plan = self.world.plan(running.route, running.tried, is_retry=running.is_retry, budget_rule=BUDGET)
        step = self.both("record", running.ref, running.delivery.id, result, plan, self.world.now)
        if step.kind is StepKind.CALL:
            running.delivery = step.delivery
        elif ends:  # else the answer may come once more, too late
            self.walks.remove(running)

    @precondition(lambda self: self.challenges)
    @rule(
        challenge=index,
        delivery=index,
        status=st.sampled_from(list(ReceiptStatus)),
        kind=st.sampled_from([None, None, ErrorKind.UNAVAILABLE, ErrorKind.BLOCKED]),
        reference=st.sampled_from(["", "VE1", "VE2", "VE3"]),
        named=st.booleans(),
        retried=st.booleans(),
        able=st.booleans(),
        route=index,
    )
    def receive(self, challenge, delivery, status, kind, reference, named, retried, able, route):
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
        route = self.one_of(self.routes, route)
        step = self.both("go_on", received.walk, self.world.plan(route, is_retry=True), self.world.now)
        if step.kind is StepKind.CALL:
            self.walks.append(Running(received.walk, route, step.delivery, is_retry=True))

    @precondition(lambda self: self.walks)
    @rule(walk=index)
    def clear_mark(self, walk):
        running = self.one_of(self.walks, walk)
        self.both("clear_mark", running.ref, running.delivery.scope, self.world.now)

    @rule(
        limit=st.integers(1, 3),
        max_retries=st.sampled_from([0, 1, 20]),
        key_ids=st.sampled_from([{"key-1"}, {"key-1", "key-2"}]),
        instances=st.sampled_from([{"mada", "backup", "twilio", "sinch"}, {"mada", "in_house"}]),
    )
    def claim(self, limit, max_retries, key_ids, instances):
        claim_rule = self.world.rule(
            max_retries={Channel.SMS: max_retries, Channel.CALL: 2},
            key_ids=frozenset(key_ids),
            instances=frozenset(instances),
        )
        self.claims += self.both("claim", claim_rule, limit, self.world.now).claims

    @precondition(lambda self: self.challenges)
    @rule(challenge=index, channel=channels)
    def claim_by_name(self, challenge, channel):
        job = RetryJob(challenge_id=self.one_of(self.challenges, challenge), channel=channel, due_at=self.world.now)
        self.claims += self.both("claim", self.world.rule(job=job), 1, self.world.now).claims

    @precondition(lambda self: self.claims)
    @rule(claim=index, route=index, barrier=st.sampled_from(BARRIERS), enforce=st.booleans())
    def begin_retry(self, claim, route, barrier, enforce):
        walk, route = self.one_of(self.claims, claim).walk, self.one_of(self.routes, route)
        self.world.with_retries()
        rule = attrs.evolve(BUDGET, enforce=enforce)
        plan = self.world.plan(route, is_retry=True, barrier=barrier, budget_rule=rule)
        step = self.both("begin_retry", walk, plan, self.world.now)
        if step.kind is StepKind.CALL:
            self.walks.append(Running(walk, route, step.delivery, is_retry=True))

    @rule(phone=phones, subject=subjects, client=st.sampled_from(["", "client"]), purpose=subjects)
    def reserve(self, phone, subject, client, purpose):
        locks = LockRule(client=client, lock_after=2, hard_limit=5)
        self.reservations.append(
            self.both(
                "reserve",
                subject=f"{phone}/{subject}",
                challenge_id=None,
                purpose=purpose,
                locks=locks,
                now=self.world.now,
            )
        )

    @precondition(lambda self: self.challenges)
    @rule(challenge=index, purpose=subjects)
    def reserve_by_id(self, challenge, purpose):
        self.both(
            "reserve",
            subject=None,
            challenge_id=self.one_of(self.challenges, challenge),
            purpose=purpose,
            locks=LockRule(),
            now=self.world.now,
        )

    @precondition(lambda self: self.reservations)
    @rule(reservation=index, give_back=st.booleans(), gone=st.booleans())
    def settle(self, reservation, give_back, gone):
        reservation = self.one_of(self.reservations, reservation)
        ids = [delivery.id for delivery in reservation.deliveries] if gone else []
        self.both("settle", reservation, give_back=give_back, gone=ids, now=self.world.now)

    @precondition(lambda self: self.challenges)
    @rule(challenge=index, digest=st.sampled_from(["key-1:4:a", "key-1:4:b"]), answered=st.booleans())
    def ask(self, challenge, digest, answered):
        if answered:
            self.both("answered", self.one_of(self.challenges, challenge), digest)
        else:
            self.both("ask", self.one_of(self.challenges, challenge), digest, self.world.now)

    @precondition(lambda self: self.reservations)
    @rule(reservation=index, settled=st.booleans())
    def approve(self, reservation, settled):
        reservation = self.one_of(self.reservations, reservation)
        ids = [delivery.id for delivery in reservation.deliveries] if settled else []
        self.both("approve", reservation, settled=ids, budget=BUDGET, now=self.world.now)

    @precondition(lambda self: self.challenges)
    @rule(challenge=index, verb=st.sampled_from(["cancel", "requeue", "drop"]))
    def end(self, challenge, verb):
        self.both(verb, self.one_of(self.challenges, challenge), self.world.now)

    @rule(retried=st.sampled_from([(), (Channel.SMS,), tuple(Channel)]), limit=st.integers(1, 3))
    def sweep(self, retried, limit):
        self.both("sweep", retried=retried, limit=limit, now=self.world.now)

    @rule(
        challenges=st.sampled_from((0, 300)),
        deliveries=st.sampled_from((0, 900)),
        phone=st.sampled_from([None, None, *PHONES]),
    )
    def purge(self, challenges, deliveries, phone):
        self.both(
            "purge",
            challenges_before=self.world.now - timedelta(seconds=challenges),
            deliveries_before=self.world.now - timedelta(seconds=deliveries),
            verified_before=self.world.now - timedelta(seconds=deliveries),
            phone_key=phone,
            now=self.world.now,
        )

    @rule(name=st.sampled_from(["worker-1", "background-2"]), running=st.integers(0, 3), ends=st.booleans())
    def beat(self, name, running, ends):
        worker = WorkerRecord(
            name=name, kind="worker", started_at=self.world.now, seen_at=self.world.now, running=running
        )
        self.both("beat", worker, timedelta(seconds=60), self.world.now)
        if ends:
            self.both("leave", name)

    @rule(seconds=st.sampled_from((0, 60, 900)))
    def status(self, seconds):
        self.both("status", self.world.now - timedelta(seconds=seconds), self.world.now)

    @rule(prefix=st.sampled_from(["phone-1/", "phone", "all", ""]))
    def reset_counters(self, prefix):
        self.both("reset_counters", prefix)

    @rule(name=st.sampled_from(["paused", "rules"]), value=st.sampled_from([None, "a", "b"]))
    def write_setting(self, name, value):
        self.both("write_setting", name, value)

    @invariant()
    def both_keep_the_same(self):
        kept = self.both("_read", functools.partial(_everything, now=self.world.now))
        living = [challenge.subject for challenge, *_ in kept["challenges"] if challenge.state not in OVER]
        assert len(living) == len(set(living))


def _everything(rows, now):
    """All that a store keeps, read in one go."""
    challenges = [challenge for phone in PHONES for challenge in rows.challenges_of(phone)]
    return {
        "challenges": [(one, list(rows.deliveries(one.id)), list(rows.schedules(one.id))) for one in challenges],
        "keys": (list(rows.keys_in_use()), rows.due_keys(now)),
        "slots": [rows.slot(scope, phone) for scope in ("twilio:VA1", "sinch:app") for phone in PHONES],
        "schedule": (list(rows.upcoming(100)), rows.next_due()),
        "counters": (list(rows.counters("", now)), list(rows.failure_counters(""))),
        "receipts": [
            list(rows.receipts_of(delivery.id, "")) for one in challenges for delivery in rows.deliveries(one.id)
        ]
        + [list(rows.receipts_of("", reference)) for reference in ("VE1", "VE2", "VE3")],
        "budgets": list(rows.budgets("")),
        "verified": [rows.verified(phone) for phone in PHONES],
        "refusals": [list(rows.refusals(phone, 100)) for phone in (None, *PHONES)],
        "later": [list(rows.upcoming(100, row)) for row in rows.upcoming(100)],
        "breakers": list(rows.breakers(1)),
        "workers": list(rows.workers()),
        "settings": rows.settings(),
    }


def test_the_sql_store_is_the_memory_store_that_survives(new_world, migrated):
    with start_blocking_portal("asyncio") as portal:
        run_state_machine_as_test(
            lambda: Machine(portal, new_world(), migrated),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=30,
                derandomize="OTPCORE_EQUIVALENCE_EXAMPLES" not in os.environ,  # as in the life cycle's state machine
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

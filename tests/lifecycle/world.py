"""The tasks of two processes around a store, step by step; vendors, and a person.

Each task is a generator that goes the way of the service (otpcore/service/sending.py, failover.py, retries.py,
verifying.py) and stops before each transaction and each network call, so that anything may happen in between.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

from otpcore.models import Channel
from otpcore.service.asking_vendors import checks_of
from otpcore.stores.commands import Reservation
from otpcore.stores.contract import Store
from otpcore.stores.lifecycle import is_living
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.steps import FailoverRef

from .kept import Failover, Reserved, Rules, Said, Windows
from .sides import Sides, same
from .told import Heard
from .vendor import Vendor, Verification

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
"""How each step may end, the likely more often; "out of time": the failover may not go on to another instance."""

_RACES = 5

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
    charged: dict[str, Windows] = field(default_factory=dict)  # send -> windows
    leases_lost: dict[str, int] = field(default_factory=dict)  # send -> how often
    reported: dict[str, int] = field(default_factory=dict)  # send, or reference -> receipts about it
    reserved: dict[str, int] = field(default_factory=dict)  # challenge -> attempts that were reserved
    answered: dict[str, int] = field(default_factory=dict)  # challenge -> guesses that somebody compared
    successes: dict[str, int] = field(default_factory=dict)  # challenge -> how often it was approved
    displaced: set[str] = field(default_factory=set)  # deliveries of the lifeless, whose account another took
    unheeded: set[str] = field(default_factory=set)  # deliveries of the lifeless that were accepted
    crossed: str = ""  # a code of one purpose that verified another
    behind: str = ""  # a delivery that a failover began with although a barrier stood
    keyless: str = ""  # a send of which a process without its key took hold


class World:
    """Everything around one person's challenges; the arguments are those of `Sides`."""

    def __init__(self, store: Store, wait: Callable[[Coroutine[Any, Any, Any]], Any], rules: Rules) -> None:
        self.sides = Sides(store, wait, rules)
        self.rules = rules
        self.model = self.sides.model
        self.tasks: list[Task] = []
        self.memory = Memory()
        self.set_back = 0.0  # by how many seconds our clocks are behind those of others
        self.unswept = False  # ... and nobody swept since
        self.keys = {"host": ("key-1",), "worker": ("key-1",)}  # of each process, the current one first
        self.vendors = {scope: Vendor(scope, replaces=scope == "sinch") for scope in set(rules.scopes.values())}

    # What may happen; cancelling and the like are in `sides`.

    def start_send(self, purpose: str, channel: str, client: str) -> None:
        self._start("host", self._send(purpose, channel, client))

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

    @property
    def true_now(self) -> float:
        """The time at the vendors, whose clocks are right."""
        return self.model.now + self.set_back

    def set_clock_back(self, seconds: float) -> None:
        """Our clocks are put back. What had just expired lives again by them, and what they hide, as it begins in the future, does
        so once they have come there: `invariants` keeps what happened meanwhile."""
        self.model.now -= seconds
        self.set_back += seconds
        self.unswept = True

    def claim(self, only: tuple[str, str] | None = None) -> None:
        """The worker claims what is due, or one retry by name."""
        keys = frozenset(self.keys["worker"])
        self._note_lost_leases({key for key in self.model.due(keys) if only in (None, key)})
        for ref, failover in self.sides.claim(only, keys):
            self._keep_to_keys(failover, "worker")
            self._start("worker", self._retry(ref, failover))

    def receive(self, delivery: str, status: str, kind: str, by: str) -> None:
        """A vendor reports on a delivery, by our id, by its own reference, or by both."""
        about = self.model.deliveries[delivery]
        reference = self.reference(delivery) if by != "id" else ""
        receipt = Heard(status, about.instance, reference, "" if by == "reference" else delivery)
        outcome, failover = self.sides.receive(receipt, kind, frozenset(self.keys["host"]))
        if outcome != "replayed":
            alike = {d.send for d in self.model.sent(instance=about.instance, reference=reference) if reference}
            for told in alike | {about.send, reference}:
                _count(self.memory.reported, told)
        if failover is not None:
            self._keep_to_keys(failover[1], "host")
            self._start("host", self._going_on(*failover))

    def reference(self, delivery: str) -> str:
        """The vendor's own, which we may not know yet."""
        scope, _, reference = self.memory.codes.get(delivery, "").partition(" ")
        return self.model.deliveries[delivery].reference or (reference if scope in self.vendors else "")

    def sweep(self) -> None:
        self._note_lost_leases(self._overdue())
        self.sides.sweep(set_back=self.unswept)
        self.unswept = False

    def to_sweep(self) -> bool:
        """There is something that a sweep changes."""
        model = self.model
        return bool(model.to_expire(set_back=self.unswept)) or bool(self._overdue())

    def erase(self) -> None:
        """An operator erases the person; what is under way goes on and finds nothing."""
        self.sides.erase()
        self.memory = Memory()
        for vendor in self.vendors.values():
            vendor.forget()

    def reset_limits(self) -> None:
        self.sides.reset_limits()
        self.memory.charged.clear()

    def verification(self, code: str) -> Verification | None:
        """The verification at a vendor whose code this is."""
        found = ((vendor, one) for vendor in self.vendors.values() for one in vendor.all)
        return next((one for vendor, one in found if vendor.code(one) == code), None)

    # Sending.

    def _send(self, purpose: str, channel: str, client: str) -> Steps:
        route, barrier = self.sides.routes[channel], self.sides.barrier
        living = None  # as the service, which finds out by being refused
        for _ in range(_RACES):
            yield "begin"
            if living is not None and (until := living.cooldown(Channel(channel))) and until > self.sides.now:
                return
            if living is not None and living.key_id not in self.keys["host"]:
                return  # its code cannot be read here
            key = self.keys["host"][0] if living is None else living.key_id
            new, ref, failover = self.sides.new_send(purpose, channel, client, living, barrier, key, route)
            said, living, charged = self.sides.begin(new, failover, barrier)
            if said.kind != "refused":
                self.memory.charged[new.send_id] = charged
                yield from self._failover(ref, failover, said)
            if said.reason != "conflict":
                return
            living = living or self._living(purpose)

    def _retry(self, ref: FailoverRef, failover: Failover) -> Steps:
        yield "begin retry"
        yield from self._failover(ref, failover, self._heeded(failover, self.sides.begin_retry(ref, failover)))

    def _going_on(self, ref: FailoverRef, failover: Failover) -> Steps:
        """After a message that did not arrive."""
        yield "go on"
        yield from self._failover(ref, failover, self._heeded(failover, self.sides.go_on(ref, failover)))

    def _failover(self, ref: FailoverRef, failover: Failover, said: Said) -> Steps:
        """From a recorded delivery to the end of the failover."""
        reference = ""
        while said.kind == "call":
            failover.tried.append(said.instance)
            how, result = "", ("unavailable", "", 0.0)
            if said.mark is None or (yield from self._clear_mark(ref, failover, said)):
                how = yield "call"
                result = self._call(said, failover.challenge, how)
            reference = result[1]
            hint = yield "record"
            go_on = not how.startswith("cancelled") and hint == ""
            said = self.sides.record(ref, failover, said.delivery, result, go_on=go_on)
            if how.startswith("cancelled"):
                return
        if said.kind == "cancel_late":
            yield "cancel late"
            self.vendors[self.rules.scopes[said.instance]].cancel(reference, self.true_now, stale=False)

    def _clear_mark(self, ref: FailoverRef, failover: Failover, said: Said) -> Generator[str, str, bool]:
        """Cancel the old verification, then say so; False: the call counts as unavailable."""
        scope = self.rules.scopes[said.instance]
        vendor = self.vendors[scope]
        if not vendor.replaces:
            answer = yield "cancel old"
            if answer != "unavailable":
                vendor.cancel(said.mark or "", self.true_now, stale=self._is_stale(said.delivery))
            if answer != "ok":
                return False
        yield "clear mark"
        return self.sides.clear_mark(ref, failover, scope)

    def _call(self, said: Said, challenge: str, how: str) -> tuple[str, str, float]:
        """The provider call: outcome, reference and the seconds to wait."""
        if how.startswith("throttled"):
            return "throttled", "", 290.0 if how.endswith("long") else 20.0
        outcome = "accepted" if how == "ok" else "ambiguous" if how.startswith(("lost", "cancelled")) else how
        if how != "ok" and not how.endswith("after delivery"):
            return outcome, "", 0
        scope = self.rules.scopes.get(said.instance)
        if scope is None:
            self.memory.codes[said.delivery] = f"core {challenge}"
            return outcome, "", 0
        vendor = self.vendors[scope]
        verification = vendor.send(challenge, self.true_now, stale=self._is_stale(said.delivery))
        if verification is None:
            return "limit_reached" if how == "ok" else outcome, "", 0
        self.memory.codes[said.delivery] = vendor.code(verification)
        return outcome, verification.reference if how == "ok" else "", 0

    # Verifying.

    def _verify(self, purpose: str, code: str, client: str, challenge_id: str) -> Steps:
        yield "reserve"
        reservation, reserved = self.sides.reserve(purpose, challenge_id, client, functools.partial(self._fits, code))
        challenge = reservation.challenge
        if reserved.status == "approved" and challenge is not None:
            _count(self.memory.reserved, challenge.id)
            _count(self.memory.answered, challenge.id)
            self._approved(reserved, code)
            return
        if reserved.status != "reserved" or challenge is None:
            return
        _count(self.memory.reserved, challenge.id)
        if (challenge.core_recorded or challenge_id) and challenge.key_id not in self.keys["host"]:
            yield "settle"
            self.sides.settle(reservation, reserved, client, give_back=True, gone=set())
            return
        compared = challenge.core_recorded
        answers = yield from self._ask_vendors(reservation, code)
        words = set(answers.values())
        if compared or words & {"approved", "incorrect"}:
            _count(self.memory.answered, challenge.id)
        meant = {d.id: answers.get((d.scope, d.reference)) for d in reservation.deliveries}
        if "approved" in words:
            yield "approve"
            settled = {one for one, word in meant.items() if word == "approved"}
            self._approve(reservation, reserved, client, code, settled)
            return
        gone = {d.id for d in reservation.deliveries if d.reference and meant[d.id] == "gone"}
        give_back = words == {"no answer"} and not compared
        yield "settle"
        self.sides.settle(reservation, reserved, client, give_back=give_back, gone=gone)

    def _ask_vendors(self, reservation: Reservation, code: str) -> Generator[str, str, dict[tuple[str, str], str]]:
        """What was said of each verification, by scope and reference."""
        found = checks_of(reservation.deliveries, reservation.marked)
        # These vendors find a verification by recipient, so they say the same of each start without an answer.
        checks = list(dict.fromkeys((check.scope, check.reference) for check in found))
        if reservation.challenge is not None:
            same(checks, self.model.checks(reservation.challenge.id), "checks")
        said: dict[tuple[str, str], str] = {}
        for scope, reference in checks:
            if any(one == scope and word != "gone" for (one, _), word in said.items()):
                continue
            answer = yield "check"
            word = "" if answer == "down" else self.vendors[scope].check(reference, code, self.true_now)
            said[scope, reference] = word if answer == "up" else "no answer"
            if "approved" in said.values():
                break
        return said

    def _approve(self, reservation: Reservation, reserved: Reserved, client: str, code: str, settled: set[str]) -> None:
        if self.sides.approve(reservation, reserved, client, settled):
            self._approved(reserved, code)

    def _fits(self, code: str, challenge: ChallengeRecord) -> bool:
        """As the host finds, who may lack the key."""
        return challenge.core_recorded and challenge.key_id in self.keys["host"] and code == f"core {challenge.id}"

    def _approved(self, reserved: Reserved, code: str) -> None:
        _count(self.memory.successes, reserved.challenge)
        verification = self.verification(code)
        deliveries = [self.model.deliveries.get(one) for one, got in self.memory.codes.items() if got == code]
        concerned = {d.challenge for d in deliveries if d is not None}
        if verification is not None:
            concerned.add(verification.starter)
        purposes = {c.purpose for c in self.model.challenges.values() if c.id in concerned | {reserved.challenge}}
        if len(purposes) > 1 and not (verification and verification.stale):
            self.memory.crossed = code

    # Parts.

    def _living(self, purpose: str) -> ChallengeRecord | None:
        latest = self.sides.latest(purpose)
        return latest if latest is not None and is_living(latest, self.sides.now) else None

    def _heeded(self, failover: Failover, said: Said) -> Said:
        """A failover that begins heeds the barrier that stands."""
        if said.kind == "call" and self.model.stands(failover.barrier):
            self.memory.behind = said.delivery
        return said

    def _keep_to_keys(self, failover: Failover, process: str) -> None:
        if self.model.challenges[failover.challenge].key not in self.keys[process]:
            self.memory.keyless = failover.send

    def _start(self, process: str, steps: Steps) -> None:
        task = Task(process, steps)
        self.tasks.append(task)
        task.go("")

    def _overdue(self) -> set[tuple[str, str]]:
        """Rows that died half-way and are not retried."""
        model = self.model
        overdue = {key for key, row in model.rows.items() if row.claimable_at <= model.now}
        return {key for key in overdue if key[1] not in self.rules.retries and model.lives(model.challenges[key[0]])}

    def _note_lost_leases(self, keys: set[tuple[str, str]]) -> None:
        for row in (self.model.rows[key] for key in keys):
            if row.lease_until is not None:
                _count(self.memory.leases_lost, row.send)

    def _is_stale(self, delivery: str) -> bool:
        """The process stalled between recording and calling, for longer than its lease."""
        recorded = self.model.deliveries.get(delivery)
        return recorded is None or recorded.lease_until <= self.model.now


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1

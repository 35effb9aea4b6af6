"""What the model keeps, and what follows from it; plain values in the design's words. Times are seconds since the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OVER = {"approved", "expired", "cancelled"}
NOT_SENT = {"unavailable", "throttled", "misconfigured", "rejected_number", "blocked", "limit_reached"}
REFUSED_FOR_GOOD = {"misconfigured", "rejected_number", "blocked", "limit_reached", "undelivered"}
STOPS = {"rejected_number", "blocked"}
IN_DOUBT = {"open", "ambiguous"}
FOREVER = float("inf")
CLOCK_SLACK = 60  # seconds that clocks are set back without consequences
PAUSED, DENIED, UNLESS_VERIFIED = "paused", "denied", "denied unless verified"
"""Barriers."""

Windows = tuple[tuple[str, float], ...]
"""What was charged: names of counters, and when their windows end."""


@dataclass(frozen=True)
class Rules:
    """The settings that matter here; times in seconds.

    Args:
        routes: Instances in order, for each channel, at first; each failover has those of its time.
        retries: The most retries, for each channel that is retried.
        scopes: The vendor account of each instance whose vendor owns the code.
        limits: How many sends in how long a window.
        toll: The same for each client that is named; given back only where nobody had to send.
    """

    routes: Mapping[str, tuple[str, ...]]
    retries: Mapping[str, int]
    scopes: Mapping[str, str]
    limits: tuple[tuple[int, int], ...] = ((6, 600), (9, 3600))
    toll: tuple[int, int] = (4, 700)
    attempts: int = 3
    givebacks: int = 3
    lock_from: int = 3
    first_wait: int = 30
    max_wait: int = 3600
    hard_limit: int = 6
    life: int = 300
    cap: int = 600
    renewal: int = 60
    cooldown: int = 30
    useful_life: int = 30
    lease: int = 15
    call_lease: int = 10
    breaker_from: int = 4
    probe_every: int = 1
    hold: int = 5

    def delay(self, attempts: int) -> int:
        return min(2**attempts, 30)


@dataclass
class Challenge:
    id: str
    purpose: str
    began_at: float
    expires_at: float
    key: str
    state: str = "sending"
    confirmed: bool = False
    reason: str = ""
    provider: str = ""
    attempts: int = 0
    givebacks: int = 0
    core_sent: bool = False
    cooldown: dict[str, float] = field(default_factory=dict)


@dataclass
class Delivery:
    id: str
    challenge: str
    send: str
    instance: str
    channel: str
    is_retry: bool
    recorded_at: float
    lease_until: float
    outcome: str = "open"
    reference: str = ""
    not_before: float = 0
    gone: bool = False


@dataclass
class Row:
    """The schedule row of a challenge and channel. ``lease_until``: while a process holds it; None: nobody does."""

    send: str
    owner: str
    due_at: float
    lease_until: float | None = None
    attempts: int = 0
    charges: Windows = ()

    @property
    def claimable_at(self) -> float:
        return self.due_at if self.lease_until is None else self.lease_until


@dataclass
class Slot:
    """``mark``: the reference to cancel before the next start; empty: by recipient; None: nothing. ``left_by``: its challenge."""

    holder: str = ""
    mark: str | None = None
    left_by: str = ""


@dataclass
class Failures:
    count: int = 0
    locked_until: float = 0
    locked_by: int = 0


@dataclass
class Breaker:
    failures: int = 0
    probe_at: float = 0


@dataclass(frozen=True)
class Reserved:
    """What a reservation came to; ``number`` tells one from another, ``known`` are the deliveries of which the vendor is asked by
    a reference of its own."""

    status: str
    challenge: str = ""
    number: int = 0
    marked: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()


@dataclass
class Failover:
    """One failover: over which route, for which row; ``tried`` in it; ``barrier``: what stood in its way when it began."""

    challenge: str
    channel: str
    owner: str
    send: str
    is_retry: bool = False
    tried: list[str] = field(default_factory=list)
    route: tuple[str, ...] = ()
    barrier: str = ""


@dataclass(frozen=True)
class Said:
    """What a command of a failover answers. ``at``: when the retry is due, or the seconds that a refusal lasts (None: unknown)."""

    kind: str
    delivery: str = ""
    instance: str = ""
    mark: str | None = None
    repeat: str = ""
    at: float | None = None
    reason: str = ""
    opened: str | None = None
    closed: str | None = None


class Kept:
    """Everything about one person. Nothing here changes anything."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now: float = 0
        self.challenges: dict[str, Challenge] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.rows: dict[tuple[str, str], Row] = {}
        self.slots: dict[str, Slot] = {}
        self.counters: dict[str, tuple[int, float]] = {}
        self.failures: dict[str, Failures] = {}
        self.breakers: dict[str, Breaker] = {}
        self.reservations = 0
        self.verified = False

    def lives(self, challenge: Challenge | None) -> bool:
        over = challenge is None or challenge.state in OVER or challenge.expires_at <= self.now
        return challenge is not None and not over and not self.begins_later(challenge)

    def begins_later(self, challenge: Challenge) -> bool:
        """The clock was set back since: it is over, as it would live for longer than anybody was told."""
        return challenge.began_at - CLOCK_SLACK > self.now

    def stands(self, barrier: str) -> bool:
        """It holds for this person."""
        return bool(barrier) and not (barrier == UNLESS_VERIFIED and self.verified)

    def spent(self, challenge: Challenge) -> bool:
        return challenge.attempts >= self.rules.attempts

    def of(self, purpose: str) -> Challenge | None:
        """The newest."""
        return next((c for c in reversed(self.challenges.values()) if c.purpose == purpose), None)

    def sent(self, **wanted: str) -> list[Delivery]:
        """Deliveries with these fields, oldest first."""
        return [d for d in self.deliveries.values() if all(getattr(d, name) == value for name, value in wanted.items())]

    def at_vendor(self, scope: str, challenge: str) -> list[Delivery]:
        return [d for d in self.sent(challenge=challenge) if self.rules.scopes.get(d.instance) == scope]

    def left_out(self, instance: str, send: str) -> bool:
        outcomes = [d.outcome for d in self.sent(send=send, instance=instance)]
        return any(o in REFUSED_FOR_GOOD for o in outcomes) or sum(o in IN_DOUBT for o in outcomes) > 1

    def nothing_left(self, send: str) -> bool:
        return all(d.outcome in NOT_SENT for d in self.sent(send=send))

    def marked(self, challenge: str) -> frozenset[str]:
        """Scopes in which a check by recipient could meet somebody else's verification."""
        scopes = {
            self.rules.scopes[d.instance] for d in self.sent(challenge=challenge) if d.instance in self.rules.scopes
        }
        slots = {scope: self.slots.get(scope, Slot()) for scope in scopes}
        return frozenset(s for s, slot in slots.items() if slot.holder != challenge or slot.mark is not None)

    def checks(self, challenge: str) -> list[tuple[str, str]]:
        """Vendor verifications to ask, as (scope, reference): newest first, those without reference last."""
        usable = [
            (self.rules.scopes[d.instance], d.reference)
            for d in reversed(self.sent(challenge=challenge))
            if d.instance in self.rules.scopes and d.outcome not in NOT_SENT and not d.gone
        ]
        marked = self.marked(challenge)
        known = [one for one in usable if one[1]]
        return list(dict.fromkeys([*known, *(one for one in usable if not one[1] and one[0] not in marked)]))

    def locked_until(self, client: str) -> float:
        return max(self.failures.get(key, Failures()).locked_until for key in (client, "*"))

    def instants(self) -> list[float]:
        """When something changes by itself, soonest first."""
        rules = self.rules
        found = [row.claimable_at for row in self.rows.values()]
        found += [t for d in self.deliveries.values() for t in (d.lease_until, d.not_before)]
        found += [failed.locked_until for failed in self.failures.values()]
        found += [ends_at for _, ends_at in self.counters.values()]
        found += [b.probe_at for b in self.breakers.values() if b.failures >= rules.breaker_from]
        for c in self.challenges.values():
            if c.state not in OVER:
                found += [c.expires_at, c.expires_at - rules.useful_life, c.expires_at - rules.useful_life + 1]
                found += [*c.cooldown.values(), c.began_at + rules.cap - rules.renewal + 1]
        return sorted({t for t in found if self.now < t < FOREVER})

    def observe(self) -> dict[str, Any]:
        """Everything, as `seeing` reads it from a store."""
        return {
            "challenges": {
                c.id: (c.purpose, c.state, c.expires_at, c.attempts, c.givebacks, c.core_sent, c.provider, c.key)
                + ((c.confirmed, c.reason, dict(c.cooldown)) if c.state not in OVER else ())
                for c in self.challenges.values()
            },
            "rows": {
                key: (r.send, r.due_at, r.lease_until, r.attempts, len(r.charges)) for key, r in self.rows.items()
            },
            "deliveries": {d.id: vars(d) for d in self.deliveries.values() if d.challenge in self.challenges},
            "counters": {window: n for window, (n, ends_at) in self.counters.items() if n and ends_at > self.now},
            "failures": {
                key: (failed.count, failed.locked_until if failed.locked_until > self.now else 0)
                for key, failed in self.failures.items()
                if failed.count
            },
            "breakers": {instance: breaker.failures for instance, breaker in self.breakers.items()},
        }

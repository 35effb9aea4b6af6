"""What happened lately and what waits now, as a host sees it: frozen values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from otpcore.clock import when

__all__ = ["BreakerStatus", "Obstacle", "ObstacleKind", "RouteStatus", "Status", "Stops", "WorkerStatus"]


class Stops(enum.StrEnum):
    """Whom an obstacle stops."""

    EVERYBODY = "everybody"
    """No message goes out."""
    SOME = "some"
    """Some numbers, some instances, or what waits."""
    NOBODY = "nobody"
    """It is worth knowing."""


class ObstacleKind(enum.StrEnum):
    """What is in the way."""

    PAUSED = "paused"
    DENIED = "denied"
    LIMIT_REACHED = "limit_reached"
    NO_RULES = "no_rules"
    DRAINED = "drained"
    BREAKER_OPEN = "breaker_open"
    MISCONFIGURED = "misconfigured"
    NO_WORKER = "no_worker"
    RETRIES_STAND_STILL = "retries_stand_still"
    WAITING = "waiting"
    NO_CLIENT = "no_client"
    SANDBOX = "sandbox"


@attrs.frozen(kw_only=True)
class Obstacle:
    """Something that is in the way of sending, or tells why it may be.

    Args:
        detail: In our words, one line.
        fix: What ends it: a command, or what to do.
        since: Aware UTC; None: unknown, or it is a setting.
        until: It ends by itself then; None: it does not.
        instance: Of a breaker, of refused credentials, or the drained one.
        prefix: Of a denial; ``+`` is everybody.
        count: How many sends wait, were refused or are meant; 0 where nothing is counted.
        provider_code: The vendor's code of its last answer, or empty.
        words: What the provider made of that answer, or empty.
    """

    kind: ObstacleKind
    stops: Stops
    detail: str
    fix: str
    since: datetime | None = None
    until: datetime | None = None
    instance: str = ""
    prefix: str = ""
    count: int = 0
    provider_code: str = ""
    words: str = ""

    @property
    def told(self) -> str:
        """What it is, since and until when, and the vendor's last words."""
        last_words = ", ".join(filter(None, (self.provider_code, self.words)))
        return (
            self.detail
            + (f", since {when(self.since)}" if self.since else "")
            + (f", until {when(self.until)}" if self.until else "")
            + (f"; its last words: {last_words}" if last_words else "")
        )


@attrs.frozen(kw_only=True)
class BreakerStatus:
    """Whether an instance is left out for failing too often.

    Args:
        failures: In a row, up to now.
        is_open: Failovers skip the instance, but for one probe a second.
        open_since: Aware UTC; None while it is closed.
        next_probe: From then on the next send tries it; None while it is closed.
    """

    failures: int = 0
    is_open: bool = False
    open_since: datetime | None = None
    next_probe: datetime | None = None


@attrs.frozen(kw_only=True)
class RouteStatus:
    """What one instance did lately for the numbers of one rule prefix.

    Args:
        instance: Empty: sends that wait and have tried nobody yet.
        prefix: The longest rule prefix that the numbers begin with; empty: they came by default.
        accepted: Deliveries that the provider took.
        failed: Deliveries that it did not, or of which nobody knows (``ambiguous``), by kind.
        unanswered: Deliveries under way, or whose process died.
        verified: Challenges that were approved after the provider took a delivery. One that several instances took counts
            at each of them.
        relayed: Accepted deliveries that were only relayed, of which nothing can be verified.
        queued: Sends that wait now for their next try, and tried this instance last.
        oldest: When the send of the one that waits longest began; None: none waits.
        breaker: Of the instance.
    """

    instance: str
    prefix: str = ""
    accepted: int = 0
    failed: Mapping[str, int] = attrs.field(factory=dict)
    unanswered: int = 0
    verified: int = 0
    relayed: int = 0
    queued: int = 0
    oldest: datetime | None = None
    breaker: BreakerStatus = BreakerStatus()


@attrs.frozen(kw_only=True)
class WorkerStatus:
    """One process that runs retries, sweeps and purges.

    Args:
        name: Made up at its start, and logged there; it tells nothing about the machine.
        kind: ``background`` in a host's own process, ``worker`` for ``otp worker``, or a plugin's runner.
        running: Retries under way when it was last seen.
        seen_at: It is seen every few seconds; after a minute without, others take it for lost.
    """

    name: str
    kind: str
    running: int
    started_at: datetime
    seen_at: datetime


@attrs.frozen(kw_only=True)
class Status:
    """What happened since a time, and what waits now.

    Args:
        since: Deliveries recorded since then are counted.
        now: When it was asked.
        obstacles: What is in the way now, whatever the window; what stops everybody first.
        routes: By instance, then prefix.
        workers: By name.
    """

    since: datetime
    now: datetime
    routes: tuple[RouteStatus, ...]
    workers: tuple[WorkerStatus, ...]
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Nothing stops everybody."""
        return all(obstacle.stops is not Stops.EVERYBODY for obstacle in self.obstacles)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; what stops sending comes first."""
        plain: dict[str, Any] = attrs.asdict(self, value_serializer=_plain)
        return {"is_ready": self.is_ready, "obstacles": plain.pop("obstacles"), **plain}


def _plain(_: type, __: attrs.Attribute[Any], value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return value.isoformat() if isinstance(value, datetime) else value

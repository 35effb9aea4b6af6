"""What stops sending now, or soon will: one place that works it out, for `status()`, ``otp status`` and ``otp doctor``; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.errors import RoutingSyntaxError
from otpcore.models import Outcome
from otpcore.routing import channel_of, parse_rules
from otpcore.service.overdue import is_overdue
from otpcore.service.refusing import refusing
from otpcore.service.status import Obstacle, ObstacleKind, Stops
from otpcore.service.switches import drained, stored_switches
from otpcore.settings.tree import Settings
from otpcore.stores.counts import StoreStatus
from otpcore.stores.records import BreakerRecord

__all__ = ["ALIVE_WITHIN", "CLIENT_MISSING", "CLIENT_SEEN", "NOTE_CLIENT_EVERY", "Scene", "obstacles"]

ALIVE_WITHIN = timedelta(seconds=30)
"""A worker that was seen since then runs; it is seen every few seconds."""

CLIENT_SEEN = "client_seen_at"
"""The stored setting that says when a host's send last named its client; each world has its own."""

CLIENT_MISSING = "client_missing_at"
"""The one that says when a host's send last named none; likewise."""

NOTE_CLIENT_EVERY = timedelta(minutes=10)
"""How old what those say may be while it still goes on."""


@attrs.frozen(kw_only=True)
class Scene:
    """What there is to be judged.

    Args:
        stored: All settings of the store.
        found: Its counts, since ``since``.
        next_due: When the earliest retry is due.
        full_until: Until when ``limits.global`` lets nothing through; None: it has something left, or is not set.
        forced: The host's own list of instances, or None.
    """

    settings: Settings
    stored: Mapping[str, str]
    found: StoreStatus
    next_due: datetime | None
    full_until: datetime | None
    forced: Sequence[str] | None
    since: datetime
    now: datetime


def obstacles(scene: Scene) -> tuple[Obstacle, ...]:
    """Everything that is in the way; what stops everybody first."""
    checks = (_paused, _refused, _rules, _drained, _instances, _retries, _clients, _sandbox)
    found = [obstacle for check in checks for obstacle in check(scene)]
    return tuple(sorted(found, key=lambda obstacle: _ORDER.index(obstacle.stops)))


_ORDER = (Stops.EVERYBODY, Stops.SOME, Stops.NOBODY)


def _paused(scene: Scene) -> Iterator[Obstacle]:
    for switch in stored_switches(scene.stored):
        if not switch.prefix and switch.is_on(scene.now):
            yield Obstacle(
                kind=ObstacleKind.PAUSED,
                stops=Stops.EVERYBODY,
                detail="sending is paused",
                fix="otp resume",
                since=switch.since,
                until=switch.until,
            )


def _refused(scene: Scene) -> Iterator[Obstacle]:
    yield from refusing(scene.settings.limits, stored_switches(scene.stored), scene.now)
    if scene.full_until is not None:
        yield Obstacle(
            kind=ObstacleKind.LIMIT_REACHED,
            stops=Stops.EVERYBODY,
            detail=f"limits.global ({', '.join(scene.settings.limits.global_)}) is used up: every send is refused",
            fix="wait; or in [limits]: global = [] or a higher count",
            until=scene.full_until,
        )


def _rules(scene: Scene) -> Iterator[Obstacle]:
    if not _routed(scene):
        yield Obstacle(
            kind=ObstacleKind.NO_RULES,
            stops=Stops.EVERYBODY,
            detail="no rules name a provider",
            fix='otp routes set RULES, such as "Twilio;Mada:+35987", or otp_sms_provider in the settings',
        )


def _drained(scene: Scene) -> Iterator[Obstacle]:
    """Instances that an operator has taken out of all routes."""
    out = drained(scene.stored)
    for instance in sorted(_routed(scene) & out.keys()):
        yield Obstacle(
            kind=ObstacleKind.DRAINED,
            stops=_without(scene, instance),
            detail=f"{instance} is drained: it gets no new sends and no retries",
            fix=f"otp instances take-back {instance}",
            since=out[instance],
            instance=instance,
        )


def _routed(scene: Scene) -> frozenset[str]:
    """The instances that the rules in force name, for any channel."""
    if scene.forced is not None:
        return frozenset(scene.forced)
    named: set[str] = set()
    of_file = scene.settings.rule_texts
    for name in {*of_file, *(one for one in scene.stored if channel_of(one) is not None)}:
        for text in (scene.stored.get(name), of_file.get(name)):
            if not text:
                continue
            try:
                named.update(parse_rules(text).instances)
            except RoutingSyntaxError:
                continue  # refused when it was read: the file's rules count instead
            break
    return frozenset(named)


def _instances(scene: Scene) -> Iterator[Obstacle]:
    """Open breakers and refused credentials."""
    opened = _open_breakers(scene)
    for breaker in opened:
        yield _opened(scene, breaker, is_only=len(opened) == 1)
    for breaker in _refused_accounts(scene):
        yield _misconfigured(scene, breaker)


def _open_breakers(scene: Scene) -> list[BreakerRecord]:
    threshold = scene.settings.retry.breaker_threshold
    return [one for one in scene.found.breakers if one.failures >= threshold]


def _refused_accounts(scene: Scene) -> list[BreakerRecord]:
    return [one for one in scene.found.breakers if one.misconfigured_at is not None]


def _without(scene: Scene, instance: str) -> Stops:
    """Whom it stops that this instance is out: nobody where no rules name it, everybody where each that they name is out."""
    routed = _routed(scene)
    if instance not in routed:
        return Stops.NOBODY
    failing = {one.instance for one in (*_open_breakers(scene), *_refused_accounts(scene))}
    return Stops.EVERYBODY if routed <= failing | drained(scene.stored).keys() else Stops.SOME


def _opened(scene: Scene, breaker: BreakerRecord, *, is_only: bool) -> Obstacle:
    stops = _without(scene, breaker.instance)
    waiting = sum(
        one.count
        for one in scene.found.waiting
        if one.instance == breaker.instance or (is_only and not one.instance)  # those were begun since it opened
    )
    return Obstacle(
        kind=ObstacleKind.BREAKER_OPEN,
        stops=stops,
        detail=f"{breaker.instance} has failed {_times(breaker.failures)} in a row, and is left out"
        + (f"; {_sends(waiting)} for it" if waiting else ""),
        fix=f"the first message that {breaker.instance} takes ends it, and it is tried once a second; "
        "`otp routes set` can leave it out until then"
        if stops is not Stops.NOBODY
        else f"no rules name {breaker.instance}: {_try_alone(breaker.instance)} before they do again",
        since=breaker.opened_at,
        instance=breaker.instance,
        count=waiting,
        provider_code=breaker.code,
        words=breaker.words,
    )


def _try_alone(instance: str) -> str:
    return f"`otp instances test {instance} PHONE` tries it, and a message that it takes ends this,"


def _misconfigured(scene: Scene, breaker: BreakerRecord) -> Obstacle:
    stops = _without(scene, breaker.instance)
    often = sum(
        one.count
        for one in scene.found.deliveries
        if one.instance == breaker.instance and one.outcome is Outcome.MISCONFIGURED
    )
    minutes = round((scene.now - scene.since).total_seconds() / 60)
    how_often = f", {_times(often)} in the last {minutes} min" if often else ""
    return Obstacle(
        kind=ObstacleKind.MISCONFIGURED,
        stops=stops,
        detail=f"{breaker.instance} refuses our account or our settings{how_often}",
        fix=f"correct providers.{breaker.instance} (URL, credentials, credit, permissions) and restart; "
        "the first message that it takes ends this, such as one of `otp send`"
        if stops is not Stops.NOBODY
        else f"no rules name {breaker.instance}: correct providers.{breaker.instance}, and "
        f"{_try_alone(breaker.instance)} before they do again",
        since=breaker.misconfigured_at,
        instance=breaker.instance,
        count=often,
        provider_code=breaker.code,
        words=breaker.words,
    )


def _retries(scene: Scene) -> Iterator[Obstacle]:
    waiting = sum(one.count for one in scene.found.waiting)
    oldest = min((one.oldest for one in scene.found.waiting), default=None)
    runner = scene.settings.retry.runner
    is_alive = any(worker.seen_at >= scene.now - ALIVE_WITHIN for worker in scene.found.workers)
    overdue = is_overdue(scene.next_due, scene.now)
    if overdue and is_alive:
        yield Obstacle(
            kind=ObstacleKind.RETRIES_STAND_STILL,
            stops=Stops.SOME,
            detail="retries are overdue: nobody of those who run them has their key and their instances",
            fix="give every worker the keys and the instances of the host",
            since=scene.next_due,
            count=waiting,
        )
    elif (waiting and not is_alive and runner != "inline") or overdue:
        yield Obstacle(
            kind=ObstacleKind.NO_WORKER,
            stops=Stops.SOME,
            detail=f"nobody runs retries, and {_sends(waiting)} for a next try",
            fix="otp worker" if runner in ("worker", "inline") else "start the host, or `otp worker`",
            since=oldest or scene.next_due,
            count=waiting,
        )
    elif waiting:
        yield Obstacle(
            kind=ObstacleKind.WAITING,
            stops=Stops.NOBODY,
            detail=f"{_sends(waiting)} for a next try",
            fix="`otp retries list` shows them; they are sent as soon as a provider takes them",
            since=oldest,
            count=waiting,
        )


def _clients(scene: Scene) -> Iterator[Obstacle]:
    world = scene.settings.world
    seen_at, missing_at = (_time(scene.stored.get(world.mark(name))) for name in (CLIENT_SEEN, CLIENT_MISSING))
    since = scene.since - NOTE_CLIENT_EVERY
    is_blind = missing_at is not None and missing_at >= since and (seen_at is None or seen_at < since)
    if scene.settings.limits.client and is_blind:
        yield Obstacle(
            kind=ObstacleKind.NO_CLIENT,
            stops=Stops.NOBODY,
            detail="limits.client sees nothing: of the host's last sends not one named its client",
            fix="pass client= to send_sms, call and verify; or without that limit, in [limits]: client = []",
            since=seen_at,
        )


def _sandbox(scene: Scene) -> Iterator[Obstacle]:
    if scene.settings.sms.sandbox:
        yield Obstacle(
            kind=ObstacleKind.SANDBOX,
            stops=Stops.NOBODY,
            detail="sms.sandbox is on: no provider is called, nothing is sent",
            fix="in [sms]: sandbox = false",
        )


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _sends(count: int) -> str:
    return f"{count} send waits" if count == 1 else f"{count} sends wait"

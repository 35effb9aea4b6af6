"""What people can see in a store, in the shape of `kept.Kept.observe`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import OVER
from otpcore.stores.records import ChallengeRecord, CounterRecord, DeliveryRecord, FailureRecord

from .caller import PHONE
from .kept import FOREVER
from .sides import Sides, at, same

Views = Mapping[str, ChallengeView]


def views_of(sides: Sides) -> Views:
    """All challenges of the store with what belongs to them, oldest first."""
    views = sides.wait(sides.store.view(phone_key=PHONE))
    return {view.challenge.id: view for view in reversed(views)}


def compare(sides: Sides, views: Views) -> None:
    """Raise unless the store shows what the model says."""
    counters = sides.wait(sides.store.counters(f"{PHONE}/", sides.now))
    failed = [one for one in counters if isinstance(one, FailureRecord) and one.failures]
    rows = [row for view in views.values() for row in view.schedule]
    seen: dict[str, dict[Any, Any]] = {
        "challenges": {one: _challenge(view.challenge) for one, view in views.items()},
        "rows": {
            (row.challenge_id, row.channel): (
                row.send_id,
                at(row.due_at),
                row.lease_until and at(row.lease_until),
                row.attempts,
                len(row.charges),
            )
            for row in rows
        },
        "deliveries": {d.id: _delivery(d) for view in views.values() for d in view.deliveries},
        "counters": {_last(one.key): one.count for one in counters if isinstance(one, CounterRecord) and one.count},
        "failures": {_last(one.key): (one.failures, _lock(sides, one)) for one in failed},
        "breakers": {
            one.instance: one.failures
            for one in sides.wait(sides.store.status(sides.now, sides.now)).breakers
            if one.failures
        },
    }
    expected = sides.model.observe()
    for what, value in seen.items():
        same(value, expected[what], what)


def _challenge(c: ChallengeRecord) -> tuple[Any, ...]:
    shown = (c.purpose, c.state, at(c.expires_at), c.attempts, c.givebacks, c.core_recorded, c.provider or "", c.key_id)
    if c.state in OVER:
        return shown
    cooldown = {str(channel): at(until) for channel, until in c.cooldowns.items()}
    return (*shown, c.confirmed, c.reason or "", cooldown)


def _delivery(d: DeliveryRecord) -> dict[str, Any]:
    return {
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


def _lock(sides: Sides, failed: FailureRecord) -> float:
    until = failed.locked_until
    if until is None or until <= sides.now:
        return 0
    return FOREVER if until.year == until.max.year else at(until)


def _last(key: str) -> str:
    return key.rpartition("/")[2]

"""Which instance is tried next, and until when those that could not be tried are waited for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.stores.failover import Candidate, FailoverPlan, PutOff
from otpcore.stores.lifecycle import left_out
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, Waits
from otpcore.stores.rows import Rows
from otpcore.stores.transactions.slots import held_until

PROBE_EVERY = timedelta(seconds=1)
"""How often an instance whose breaker is open is tried."""

_FOR_EACH_PROBE = 10
"""So many of those that wait for a breaker come for one probe, in case one does not."""


@attrs.frozen(kw_only=True)
class Choice:
    """The instance to call next; else when those that could be tried later come free, and why they could not now.

    Args:
        probe_was: The call is the probe of an open breaker, which had been due then; None: it is none.
        opened: The instances that an open breaker kept back.
    """

    candidate: Candidate | None = None
    probe_was: datetime | None = None
    waits: tuple[tuple[datetime, PutOff], ...] = ()
    opened: tuple[str, ...] = ()

    @property
    def is_probe(self) -> bool:
        """Whether this try only finds out if an instance has come back."""
        return self.probe_was is not None

    @property
    def first(self) -> tuple[datetime, PutOff] | None:
        """When the first of them comes free, and why it is not yet."""
        return min(self.waits, default=None)


def choose(
    rows: Rows, challenge: ChallengeRecord, plan: FailoverPlan, sent: Sequence[DeliveryRecord], now: datetime
) -> Choice:
    """Who is tried next, in the order of the plan, and what was passed over on the way."""
    untried = [candidate for candidate in plan.untried if not left_out(candidate.instance, sent)]
    if not untried:
        return Choice()
    opened = {breaker.instance: breaker.probe_at for breaker in rows.breakers(plan.breaker_threshold)}
    next_probe = now + PROBE_EVERY
    waits: list[tuple[datetime, PutOff]] = []
    kept_back: list[str] = []
    for candidate in untried:
        if (wait := not_before(candidate.instance, sent)) and wait > now:
            waits.append((wait, PutOff.THROTTLED))
        elif candidate.scope and (held := held_until(rows, candidate.scope, challenge, now)):
            waits.append((max(held, now + plan.call_lease), PutOff.PROVIDER_BUSY))
        elif candidate.instance in opened and not rows.win_probe(candidate.instance, now, next_probe):
            waits.append((next_probe, PutOff.BREAKER_OPEN))
            kept_back.append(candidate.instance)
        else:
            return Choice(candidate=candidate, probe_was=opened.get(candidate.instance))
    return Choice(waits=tuple(waits), opened=tuple(kept_back))


def put_off_until(
    rows: Rows, challenge: ChallengeRecord, choice: Choice, plan: FailoverPlan, now: datetime
) -> tuple[datetime, PutOff]:
    """When a failover that could call nobody looks again, and why it could not.

    Of those that wait for one breaker a few come for each probe: what all of them could do is done by the first, and when
    it succeeds the others are woken. They stand aside for as long as a retry waits at most, but not beyond their useful life.
    """
    due_at, why = min(choice.waits)
    waits, waits_for = waits_of(choice.opened)
    if why is not PutOff.BREAKER_OPEN or waits is None or plan.retry is None:
        return due_at, why
    if rows.waiting(waits, waits_for, due_at, _FOR_EACH_PROBE) < _FOR_EACH_PROBE:
        return due_at, why
    aside = timedelta(seconds=plan.retry.max_delay * (1 + plan.retry.chance()) / 2)  # never all of them at once
    others = [free_at for free_at, kept_by in choice.waits if kept_by is not PutOff.BREAKER_OPEN]
    return max(due_at, min(now + aside, challenge.expires_at - plan.min_useful_life, *others)), why


def waits_of(opened: Sequence[str]) -> tuple[Waits | None, str]:
    """``waits`` and ``waits_for`` of a row that waits for the breakers of these instances."""
    if not opened:
        return None, ""
    return (Waits.BREAKER, opened[0]) if len(opened) == 1 else (Waits.BREAKERS, "")


def not_before(instance: str, sent: Sequence[DeliveryRecord]) -> datetime | None:
    """Until when the instance asked not to be tried again; None: it did not."""
    return next((d.not_before for d in reversed(sent) if d.instance == instance), None)

"""What operators see of switches, limits, budgets and refusals: frozen values."""

from __future__ import annotations

from datetime import datetime

import attrs

from otpcore.operator.results.shown import Shown

__all__ = [
    "Budget",
    "FailureCount",
    "LimitsSeen",
    "RefusalSeen",
    "SendCount",
    "SwitchState",
    "SwitchesSeen",
]


@attrs.frozen(kw_only=True)
class SwitchState(Shown):
    """What an operator has switched, of one prefix or region or of all sending.

    Args:
        prefix: Or a region such as ``BG``; empty: all sending.
        state: ``paused``, ``denied`` or ``allowed``; None: nothing is switched, and the settings count.
        until: It ends by itself then; None: it does not.
        since: When it was switched; None: it was not noted.
        within: Seconds in which every process obeys a change.
    """

    prefix: str = ""
    state: str | None = None
    until: datetime | None = None
    since: datetime | None = None
    within: float = 0.0


@attrs.frozen(kw_only=True)
class SwitchesSeen(Shown):
    """Everything that is switched, and whom the settings refuse.

    Args:
        paused: The pause; None: sending is not paused.
        prefixes: Denied and allowed prefixes and regions.
        allow: The setting ``limits.allow``.
        deny: The setting ``limits.deny``.
        none_at_all: Limits of the settings that let nothing pass.
    """

    paused: SwitchState | None = None
    prefixes: tuple[SwitchState, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    none_at_all: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Budget(Shown):
    """How many unverified sends a rule prefix of a country had.

    Args:
        country: A region such as ``BG``, or ``none``.
        prefix: The rule prefix; empty: by default.
        used: Sends that count now.
        limit: How many may.
        verified: Phones that verified in this window.
        window: Seconds.
        window_ends_at: Aware UTC.
    """

    country: str
    prefix: str
    used: int
    limit: int
    verified: int
    window: int
    window_ends_at: datetime


@attrs.frozen(kw_only=True)
class SendCount(Shown):
    """How much of one limit is used up.

    Args:
        reason: The limit, as `RateLimited` names it.
        window: Seconds.
        count: Sends that count now.
        limit: How many may; None: no setting limits it now.
        window_ends_at: Aware UTC.
    """

    reason: str
    window: int
    count: int
    limit: int | None
    window_ends_at: datetime


@attrs.frozen(kw_only=True)
class FailureCount(Shown):
    """Wrong codes in a row.

    Args:
        client: The beginning of the client's key; ``all`` of them together; ``none named``.
        failures: In a row.
        locked: Nothing is verified now.
        locked_until: Aware UTC; None: it is not locked, or until an operator resets it.
    """

    client: str = attrs.field(repr=False)
    failures: int
    locked: bool
    locked_until: datetime | None


@attrs.frozen(kw_only=True)
class LimitsSeen(Shown):
    """What limits one phone, client, prefix or region.

    Args:
        target: The masked or revealed number, the beginning of the client's key, the prefix or the region.
        barrier: Why nothing is sent to this phone now: ``paused`` or ``denied``; None: nothing keeps it from being sent to.
        verified_at: When this phone last verified; None: it did not, or so long ago that it was forgotten.
        sends: What has been used up.
        failures: Wrong codes in a row of this phone.
        budgets: Of this phone's country.
    """

    target: str
    barrier: str | None = None
    verified_at: datetime | None = None
    sends: tuple[SendCount, ...] = ()
    failures: tuple[FailureCount, ...] = ()
    budgets: tuple[Budget, ...] = ()


@attrs.frozen(kw_only=True)
class RefusalSeen(Shown):
    """What was refused, or only would have been; identical ones are one row.

    Args:
        asked: What was asked for: a send, a retry or a verification.
        reason: As `RateLimited` names it.
        phone: Masked; None: too many at once to name each.
        channel: Over which it was asked for; None: over none.
        purpose: Of the code; None: not told.
        enforced: False: it would have been refused by a limit that only records.
        count: How often.
        first_at: Aware UTC.
        last_at: Aware UTC.
    """

    asked: str
    reason: str
    phone: str | None = attrs.field(repr=False)
    channel: str | None
    purpose: str | None
    enforced: bool
    count: int
    first_at: datetime
    last_at: datetime

"""What operators see of the trail of changes, instances, keys, the inbox and what was found: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from otpcore.operator.results.shown import Shown

__all__ = [
    "Change",
    "Erased",
    "Finding",
    "InboxMessage",
    "InstanceLoaded",
    "InstanceState",
    "InstanceTested",
    "KeyNeed",
    "PluginFound",
]


@attrs.frozen(kw_only=True)
class Change(Shown):
    """One change that an operator made.

    Args:
        number: In the order of writing; ``audit(below=number)`` goes on with those before it.
        at: Aware UTC.
        by: Who made it.
        action: What was done: the method, such as ``sending.pause``.
        target: To what: a prefix, a challenge's id, an instance, a masked number, the beginning of a client's key; empty: to
            everything.
        reason: In the operator's words, or empty.
        detail: What else was found out while it was made; ``erased``: it was about somebody who was erased since.
    """

    number: int
    at: datetime
    by: str
    action: str
    target: str = ""
    reason: str = ""
    detail: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class InstanceState(Shown):
    """How one instance stands, by what the store knows.

    Args:
        instance: Its name.
        drained: It gets no new sends and no retries.
        drained_since: Aware UTC; None: it is not drained, or it was not noted.
        failures: In a row.
        is_open: It is left out for failing too often.
        misconfigured_since: It refuses our account or our settings since then; None: it does not.
        accepted: Messages that it took in the window.
        failed: Messages that it did not take, or of which it is not known.
        verified: Challenges that were approved after it took a message.
        queued: Sends that wait and tried it last.
    """

    instance: str
    drained: bool = False
    drained_since: datetime | None = None
    failures: int = 0
    is_open: bool = False
    misconfigured_since: datetime | None = None
    accepted: int = 0
    failed: int = 0
    verified: int = 0
    queued: int = 0


@attrs.frozen(kw_only=True)
class InstanceTested(Shown):
    """What became of the message of a test.

    Args:
        instance: That was tested.
        channel: Over which.
        phone: Masked.
        challenge_id: Whose; ``challenges.show`` tells what else is heard of it.
        outcome: ``accepted``, the kind of failure, or ``open``: it is not known yet.
        provider_code: The vendor's error code; None: none.
        reference: The vendor's id; None: unknown.
        words: What the provider made of a failure, in its own fixed words; empty: it did not fail.
        seconds: That it took.
        is_new: False: nothing was sent, as the test before is in its cooldown; this is what is known of that one.
    """

    instance: str
    channel: str
    phone: str = attrs.field(repr=False)
    challenge_id: str
    outcome: str
    provider_code: str | None = None
    reference: str | None = None
    words: str = ""
    seconds: float
    is_new: bool = True


@attrs.frozen(kw_only=True)
class PluginFound(Shown):
    """One provider plugin that is installed.

    Args:
        name: By which settings name it.
        target: ``module:attribute``.
        distribution: That brings it.
        version: Of the distribution.
        problem: Why it cannot be used, or empty.
    """

    name: str
    target: str
    distribution: str
    version: str
    problem: str = ""


@attrs.frozen(kw_only=True)
class InstanceLoaded(Shown):
    """One instance of the settings, loaded and started to look at it.

    Args:
        instance: Its name.
        distribution: Of its plugin; None: it could not be loaded.
        version: Of the distribution; None: likewise.
        display_name: The vendor's product; None: likewise.
        channels: What it can do.
        code_owner: Who makes the code; None: it could not be loaded.
        unconfirmed: What of its plugin is known neither from the vendor's software nor from its documents.
        error: Why it could not be loaded or started; None: it could.
        fix: What to do about that; None: likewise.
    """

    instance: str
    distribution: str | None = None
    version: str | None = None
    display_name: str | None = None
    channels: tuple[str, ...] = ()
    code_owner: str | None = None
    unconfirmed: tuple[str, ...] = ()
    error: str | None = None
    fix: str | None = None


@attrs.frozen(kw_only=True)
class KeyNeed(Shown):
    """Where one code key stands in its rotation.

    Args:
        key_id: Its id.
        standing: ``current``, ``waiting``, ``needed``, ``unused`` or ``missing``.
        challenges: How many kept ones were written under it.
        until: When the last of them is removed, at the latest; None: there are none.
    """

    key_id: str
    standing: str
    challenges: int = 0
    until: datetime | None = None


@attrs.frozen(kw_only=True)
class Erased(Shown):
    """How many rows were removed.

    Args:
        challenges: Of their kind.
        deliveries: Likewise.
        receipts: Likewise.
        counters: Likewise.
        refusals: Likewise.
        verified: Notes that a phone verified.
        audits: Records of operators' changes; of one person, those that keep who did what and when, and nothing of the person.
        records: Sealed records that had expired, or were about the person.
        series: Counts over time.
        changes: Of the outbox.
    """

    challenges: int = 0
    deliveries: int = 0
    receipts: int = 0
    counters: int = 0
    refusals: int = 0
    verified: int = 0
    audits: int = 0
    records: int = 0
    series: int = 0
    changes: int = 0


@attrs.frozen(kw_only=True)
class InboxMessage(Shown):
    """A message that the sandbox kept from being sent.

    Args:
        at: Aware UTC.
        channel: Over which.
        instance: That would have sent it.
        outcome: What it came to.
        phone: Masked, or revealed.
        challenge_id: Whose.
        purpose: Of the code.
        code: Revealed; None: hidden.
    """

    at: datetime
    channel: str
    instance: str
    outcome: str
    phone: str = attrs.field(repr=False)
    challenge_id: str
    purpose: str
    code: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Finding(Shown):
    """One thing that was looked at.

    Args:
        about: What it is about, such as ``keys``.
        level: ``ok``, ``note`` or ``problem``.
        detail: In our words, one line.
        fix: What to do; empty: nothing.
    """

    about: str
    level: str
    detail: str
    fix: str = ""

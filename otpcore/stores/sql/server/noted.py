"""What a unit of work has read of its challenge and of what is about its phone, kept in step with what it writes; no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs

from otpcore.models import Channel
from otpcore.rate_limits.admission import BudgetRecord
from otpcore.stores.records import (
    BreakerRecord,
    ChallengeRecord,
    CounterRecord,
    DeliveryRecord,
    FailureRecord,
    ReceiptRecord,
    ScheduleRecord,
    changed,
)

__all__ = ["Noted", "Verified"]


@attrs.frozen
class Verified:
    """When a phone last verified, and when that last raised its budget."""

    verified_at: datetime
    counted_at: datetime


@attrs.define(eq=False)
class Noted:
    """Each by what it was asked for; what is not here has not been read, or may have changed since.

    Args:
        challenges: Locked ones; None: there is none of this id.
        newest: Ids of the newest challenge of a subject, locked.
        subjects: The newest challenge of a subject as it was, not locked.
        deliveries: Of a locked challenge, in their order.
        schedules: Of a locked challenge: all of them.
        rows: Locked schedule rows of challenges of which not all are known.
        failures: By key; None: there is none. Locked where they are to be counted.
        counters: By key; not locked.
        receipts: By delivery and reference.
        budgets: By the beginning of their keys.
        verified: By phone.
        breakers: All of them.
    """

    challenges: dict[str, ChallengeRecord | None] = attrs.field(factory=dict)
    newest: dict[str, str | None] = attrs.field(factory=dict)
    subjects: dict[str, ChallengeRecord | None] = attrs.field(factory=dict)
    deliveries: dict[str, list[DeliveryRecord]] = attrs.field(factory=dict)
    schedules: dict[str, list[ScheduleRecord]] = attrs.field(factory=dict)
    rows: dict[tuple[str, Channel], ScheduleRecord] = attrs.field(factory=dict)
    failures: dict[str, FailureRecord | None] = attrs.field(factory=dict)
    counters: dict[str, CounterRecord | None] = attrs.field(factory=dict)
    receipts: dict[tuple[str, str], list[ReceiptRecord]] = attrs.field(factory=dict)
    budgets: dict[str, list[BudgetRecord]] = attrs.field(factory=dict)
    verified: dict[str, Verified | None] = attrs.field(factory=dict)
    breakers: list[BreakerRecord] | None = None
    _moving: dict[str, BudgetRecord] = attrs.field(factory=dict)

    def change_challenge(self, challenge_id: str, changes: dict[str, Any]) -> ChallengeRecord | None:
        """It is so from now on; as it is then."""
        known = self.challenges.get(challenge_id)
        if known is not None:
            known = self.challenges[challenge_id] = changed(known, **changes)
        return known

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        """One of those that are known."""
        found = (one for of_one in self.deliveries.values() for one in of_one if one.id == delivery_id)
        return next(found, None)

    def change_delivery(self, delivery: DeliveryRecord, changes: dict[str, Any]) -> None:
        """It is so from now on."""
        of_one = self.deliveries[delivery.challenge_id]
        of_one[of_one.index(delivery)] = changed(delivery, **changes)

    def schedule(self, challenge_id: str, channel: Channel) -> tuple[ScheduleRecord | None, bool]:
        """One row; and whether that is known."""
        if challenge_id in self.schedules:
            return next((row for row in self.schedules[challenge_id] if row.channel == channel), None), True
        row = self.rows.get((challenge_id, channel))
        return row, row is not None

    def put_schedule(self, row: ScheduleRecord) -> None:
        """In the place of the one of its challenge and channel."""
        if row.challenge_id in self.schedules:
            others = [one for one in self.schedules[row.challenge_id] if one.channel != row.channel]
            self.schedules[row.challenge_id] = sorted([*others, row], key=lambda one: one.channel, reverse=True)
        if (row.challenge_id, row.channel) in self.rows:
            self.rows[row.challenge_id, row.channel] = row

    def remove_schedule(self, challenge_id: str, channel: Channel) -> None:
        """One row is gone."""
        if challenge_id in self.schedules:
            self.schedules[challenge_id] = [one for one in self.schedules[challenge_id] if one.channel != channel]
        self.rows.pop((challenge_id, channel), None)

    def end_schedules(self, challenge_id: str) -> None:
        """All rows of a challenge are gone."""
        if challenge_id in self.schedules:
            self.schedules[challenge_id] = []
        for key in [key for key in self.rows if key[0] == challenge_id]:
            del self.rows[key]

    def budget(self, key: str) -> BudgetRecord | None:
        """One that is about to be moved, so that nothing is known of it from then on."""
        for begins in [begins for begins in self.budgets if key.startswith(begins)]:
            self._moving.update((one.key, one) for one in self.budgets.pop(begins))
        return self._moving.pop(key, None)

    def forget_failures(self, keys: Iterable[str]) -> None:
        """They have changed."""
        for key in keys:
            self.failures.pop(key, None)

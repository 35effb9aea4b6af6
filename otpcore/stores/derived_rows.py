"""Primitives that follow from others, for rows that no query language counts and changes by conditions."""

from __future__ import annotations

import abc
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from otpcore.models import ChallengeState, Channel, Outcome
from otpcore.stores.counts import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.stores.lifecycle import ERASED, TAKEN, is_living, is_spent
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ScheduleRecord
from otpcore.stores.rows import Rows, Wanted

__all__ = ["DerivedRows"]


class DerivedRows(Rows, abc.ABC):
    """Rows that read a challenge under its lock, or its guard, and may then simply write it. The last of the bases."""

    @abc.abstractmethod
    def _kept(self) -> Iterable[ChallengeRecord]:
        """All challenges."""

    @abc.abstractmethod
    def _recorded(self, since: datetime) -> Iterable[DeliveryRecord]:
        """The deliveries recorded since then."""

    @abc.abstractmethod
    def _scheduled(self) -> Iterable[ScheduleRecord]:
        """All schedule rows."""

    def prefetch(self, wanted: Wanted, now: datetime | None) -> None:
        """Nothing: what is near needs no announcing."""

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge(challenge_id)

    def accept(self, challenge_id: str, now: datetime) -> ChallengeRecord | None:
        challenge = self.challenge(challenge_id)
        if challenge is None or not is_living(challenge, now):
            return None
        self.update_challenge(challenge_id, state=ChallengeState.SENT, confirmed=True, reason=None)
        return self.peek(challenge_id)

    def take_attempt(self, challenge_id: str, now: datetime) -> bool:
        challenge = self.challenge(challenge_id)
        if challenge is None or not is_living(challenge, now) or is_spent(challenge):
            return False
        self.update_challenge(challenge_id, attempts=challenge.attempts + 1)
        return True

    def give_attempt_back(self, challenge_id: str, givebacks: int) -> bool:
        challenge = self.challenge(challenge_id)
        if challenge is None or challenge.givebacks >= givebacks or not challenge.attempts:
            return False
        self.update_challenge(challenge_id, attempts=challenge.attempts - 1, givebacks=challenge.givebacks + 1)
        return True

    def consume(self, challenge_id: str, now: datetime, *, attempts: int) -> bool:
        challenge = self.challenge(challenge_id)
        if challenge is None or not is_living(challenge, now):
            return False
        approved = {**ERASED, "state": ChallengeState.APPROVED, "attempts": challenge.attempts + attempts}
        self.update_challenge(challenge_id, **approved)
        return True

    def count_taken(self, challenge_id: str) -> int:
        return sum(delivery.outcome in TAKEN for delivery in self.deliveries(challenge_id))

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        for delivery_id in sorted(delivery_ids):  # a purge may have been faster
            self.answer_delivery(delivery_id, gone=True)

    def recent(self, since: datetime, channel: Channel, limit: int) -> Sequence[ChallengeRecord]:
        latest: dict[str, None] = {}
        for delivery in self._recorded(since):
            if delivery.channel is channel:
                latest.pop(delivery.challenge_id, None)
                latest[delivery.challenge_id] = None
        found = (self.peek(challenge_id) for challenge_id in reversed(latest))
        return list(itertools.islice((one for one in found if one is not None), limit))

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        return [row for channel in Channel if (row := self.schedule(challenge_id, channel))]

    def end_schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        rows = self.schedules(challenge_id)
        for row in rows:
            self.delete_schedule(row.challenge_id, row.channel)
        return rows

    def count_outcomes(self, since: datetime) -> Sequence[OutcomeCount]:
        found = Counter((one.instance, one.prefix, one.outcome) for one in self._recorded(since))
        return [
            OutcomeCount(instance=instance, prefix=prefix, outcome=outcome, count=found[instance, prefix, outcome])
            for instance, prefix, outcome in sorted(found)
        ]

    def count_verified(self, since: datetime) -> Sequence[RouteCount]:
        accepted = {
            (one.instance, one.prefix, one.challenge_id)
            for one in self._recorded(since)
            if one.outcome is Outcome.ACCEPTED
        }
        found = Counter(
            (instance, prefix)
            for instance, prefix, challenge_id in accepted
            if (challenge := self.peek(challenge_id)) and challenge.state is ChallengeState.APPROVED
        )
        return [
            RouteCount(instance=instance, prefix=prefix, count=found[instance, prefix])
            for instance, prefix in sorted(found)
        ]

    def count_waiting(self, now: datetime) -> Sequence[Waiting]:
        began: dict[tuple[str, str], list[datetime]] = {}
        for row in self._scheduled():
            challenge = self.peek(row.challenge_id)
            if challenge is None or (row.lease_until is not None and row.lease_until > now):
                continue
            tried = [one for one in self.deliveries(row.challenge_id) if one.send_id == row.send_id]
            last = (tried[-1].instance, tried[-1].prefix) if tried else ("", "")
            began.setdefault(last, []).append(challenge.first_sent_at)
        return [
            Waiting(
                instance=instance,
                prefix=prefix,
                count=len(began[instance, prefix]),
                oldest=min(began[instance, prefix]),
            )
            for instance, prefix in sorted(began)
        ]

    def keys_in_use(self) -> Sequence[KeyUse]:
        of_key: dict[str, list[ChallengeRecord]] = {}
        for challenge in self._kept():
            of_key.setdefault(challenge.key_id, []).append(challenge)
        return [
            KeyUse(
                key_id=key_id,
                challenges=len(found),
                begun_at=max(challenge.first_sent_at for challenge in found),
                expires_at=max(challenge.expires_at for challenge in found),
            )
            for key_id, found in sorted(of_key.items())
        ]

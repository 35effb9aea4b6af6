"""Primitives that follow from others, for rows that no query language counts and changes by conditions."""

from __future__ import annotations

import abc
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from otpcore.models import ChallengeState, Channel, Outcome, ReceiptStatus
from otpcore.stores.counts import KeyUse, OutcomeCount, RouteCount, Waiting
from otpcore.stores.lifecycle import ERASED, TAKEN, is_living, is_spent
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord
from otpcore.stores.rows import Rows
from otpcore.stores.series import SeriesKey, answered, bucket_of, delivered, minute_of, verified
from otpcore.stores.wanted import Wanted

__all__ = ["DerivedRows"]


class DerivedRows(Rows, abc.ABC):
    """Rows that read a challenge under its lock, or its guard, and may then simply write it. The last of the bases."""

    @abc.abstractmethod
    def _kept(self) -> Iterable[ChallengeRecord]:
        """All challenges."""

    @abc.abstractmethod
    def _recorded(self, since: datetime, until: datetime | None = None) -> Iterable[DeliveryRecord]:
        """The deliveries recorded since then, and before the other time."""

    @abc.abstractmethod
    def _received(self, since: datetime, until: datetime) -> Iterable[ReceiptRecord]:
        """The receipts that came since then, and before the other time."""

    @abc.abstractmethod
    def _verified_since(self, since: datetime) -> Iterable[str]:
        """Keys of the phones that last verified then or later."""

    @abc.abstractmethod
    def _scheduled(self) -> Iterable[ScheduleRecord]:
        """All schedule rows."""

    def prefetch(self, wanted: Wanted, now: datetime | None) -> None:
        """Nothing: what is near needs no announcing."""

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
        return self.challenge(challenge_id)

    def accept(self, challenge_id: str, code_number: int, now: datetime) -> ChallengeRecord | None:
        challenge = self.challenge(challenge_id)
        if challenge is None or not is_living(challenge, now) or challenge.code_number != code_number:
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
        over = {"state": ChallengeState.APPROVED, "approved_at": now}
        approved = {**ERASED, **over, "attempts": challenge.attempts + attempts}
        self.update_challenge(challenge_id, **approved)
        return True

    def count_taken(self, challenge_id: str) -> int:
        return sum(delivery.outcome in TAKEN for delivery in self.deliveries(challenge_id))

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        for delivery_id in sorted(delivery_ids):  # a purge may have been faster
            self.answer_delivery(delivery_id, gone=True)

    def recent(self, since: datetime, channel: Channel, limit: int) -> Sequence[ChallengeRecord]:
        latest: dict[str, datetime] = {}
        for delivery in self._recorded(since):
            if delivery.channel == channel:
                known = latest.get(delivery.challenge_id, delivery.recorded_at)
                latest[delivery.challenge_id] = max(known, delivery.recorded_at)
        newest = sorted(latest, key=lambda challenge_id: (latest[challenge_id], challenge_id), reverse=True)
        found = (self.peek(challenge_id) for challenge_id in newest)
        return list(itertools.islice((one for one in found if one is not None), limit))

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

    def count_relayed(self, since: datetime) -> Sequence[RouteCount]:
        found = Counter(
            (one.instance, one.prefix)
            for one in self._recorded(since)
            if one.outcome is Outcome.ACCEPTED
            and (challenge := self.peek(one.challenge_id)) is not None
            and not challenge.verifiable
        )
        return [
            RouteCount(instance=instance, prefix=prefix, count=found[instance, prefix])
            for instance, prefix in sorted(found)
        ]

    def happened(self, since: datetime, until: datetime) -> Mapping[SeriesKey, int]:
        counts: Counter[SeriesKey] = Counter()
        for one in self._recorded(since, until):
            counts[_key(one, one.recorded_at)] += answered(one.outcome)
        received = self._received(since, until)
        for delivery_id in {one.delivery_id for one in received if one.status is ReceiptStatus.DELIVERED}:
            found = self.delivery(delivery_id)
            if found is not None and found.delivered_at is not None and since <= found.delivered_at < until:
                wait = found.delivered_at - (found.answered_at or found.recorded_at)
                counts[_key(found, found.delivered_at)] += delivered(bucket_of(wait))
        for phone_key in self._verified_since(since):
            for challenge in self.challenges_of(phone_key):
                if challenge.approved_at is None or not since <= challenge.approved_at < until:
                    continue
                sent = self.deliveries(challenge.id)
                for last in ([one for one in sent if one.outcome is Outcome.ACCEPTED] or sent)[-1:]:
                    wait = challenge.approved_at - (last.answered_at or last.recorded_at)
                    counts[_key(last, challenge.approved_at)] += verified(bucket_of(wait))
        return counts

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


def _key(delivery: DeliveryRecord, moment: datetime) -> SeriesKey:
    return SeriesKey(minute_of(moment), delivery.instance, delivery.prefix, delivery.channel)

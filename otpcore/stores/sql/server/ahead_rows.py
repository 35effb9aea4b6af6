"""`Rows` on a server that read ahead: what a unit surely looks at comes with its beginning, and its writes leave with its COMMIT.

What is read of a challenge is read after its lock is held, so that what follows from it is certain, and is written without
waiting for how many rows it changed: the server itself refuses where that is not one, and then the unit is run again without
reading ahead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from otpcore.models import ChallengeState, Channel
from otpcore.stores.lifecycle import CLOCK_SLACK, ERASED, OVER, TAKEN, is_living, is_spent
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ReceiptRecord, ScheduleRecord
from otpcore.stores.rows import EndedRow
from otpcore.stores.sql import statements as sql
from otpcore.stores.sql.server.ahead_limit_rows import AheadLimitRows
from otpcore.stores.sql.server.wire import Wire
from otpcore.stores.wanted import Wanted

__all__ = ["AheadRows"]


class AheadRows(AheadLimitRows):
    """The rows of one unit of work. Only what ``prefetch`` was told of is read ahead."""

    def __init__(self, connection: Connection, wire: Wire, *, locking: bool) -> None:
        super().__init__(connection, wire, locking=locking)
        self.is_careful = False
        """Read nothing ahead: another unit was faster when this one did."""

    def prefetch(self, wanted: Wanted, now: datetime | None) -> None:
        if not self._locking or self.is_careful:
            return
        challenge_id = wanted.challenge_id
        if challenge_id:
            self._look_at(challenge_id)
        elif wanted.subject and wanted.client is not None:
            challenge_id = self._look_at_newest(wanted.subject)
        elif wanted.subject:
            self._peek_at(wanted.subject)
        if challenge_id and wanted.client is not None:
            self._look_at_phone_of(challenge_id, wanted.client)
        self._look_at_limits(wanted)
        if wanted.due and wanted.channels:
            self._look_for_due(wanted, now)
        self.wire.fly()

    # Challenges.

    def challenge(self, challenge_id: str) -> ChallengeRecord | None:
        noted = self._noted.challenges
        return noted[challenge_id] if challenge_id in noted else super().challenge(challenge_id)

    def challenge_if_free(self, challenge_id: str) -> ChallengeRecord | None:
        noted = self._noted.challenges
        return noted[challenge_id] if challenge_id in noted else super().challenge_if_free(challenge_id)

    def peek(self, challenge_id: str) -> ChallengeRecord | None:
        noted = self._noted.challenges
        return noted[challenge_id] if challenge_id in noted else super().peek(challenge_id)

    def latest(self, subject: str) -> ChallengeRecord | None:
        if subject not in self._noted.newest:
            return super().latest(subject)
        challenge_id = self._noted.newest[subject]
        return None if challenge_id is None else self.challenge(challenge_id)

    def insert_challenge(self, challenge: ChallengeRecord) -> bool:
        before = self._noted.subjects.get(challenge.subject, challenge)
        if challenge.state in OVER or (before is not None and before.state not in OVER):
            return super().insert_challenge(challenge)
        self._surely_put(sql.INSERT_ONLY_CHALLENGE, challenge, live_key=challenge.subject, world=self.world)
        return True

    def update_challenge(self, challenge_id: str, **changes: Any) -> None:
        self._noted.change_challenge(challenge_id, changes)
        super().update_challenge(challenge_id, **changes)

    def accept(self, challenge_id: str, code_number: int, now: datetime) -> ChallengeRecord | None:
        known = self._noted.challenges.get(challenge_id)
        if known is None:
            return super().accept(challenge_id, code_number, now)
        if not is_living(known, now) or known.code_number != code_number:
            return None
        when = {"now": now, "begun_by": now + CLOCK_SLACK}
        self._surely(sql.ACCEPT_ONLY, row_id=challenge_id, of_code=code_number, **when)
        accepted = {"state": ChallengeState.SENT, "confirmed": True, "reason": None}
        return self._noted.change_challenge(challenge_id, accepted)

    def take_attempt(self, challenge_id: str, now: datetime) -> bool:
        known = self._noted.challenges.get(challenge_id)
        if known is None:
            return super().take_attempt(challenge_id, now)
        if not is_living(known, now) or is_spent(known):
            return False
        self._surely(sql.TAKE_ATTEMPT, row_id=challenge_id, now=now, begun_by=now + CLOCK_SLACK)
        self._noted.change_challenge(challenge_id, {"attempts": known.attempts + 1})
        return True

    def give_attempt_back(self, challenge_id: str, givebacks: int) -> bool:
        self._noted.challenges.pop(challenge_id, None)
        return super().give_attempt_back(challenge_id, givebacks)

    def consume(self, challenge_id: str, now: datetime, *, attempts: int) -> bool:
        known = self._noted.challenges.get(challenge_id)
        if known is None:
            return super().consume(challenge_id, now, attempts=attempts)
        if not is_living(known, now):
            return False
        self._surely(sql.CONSUME, row_id=challenge_id, more=attempts, now=now, begun_by=now + CLOCK_SLACK)
        approved = {"state": ChallengeState.APPROVED, "approved_at": now, "attempts": known.attempts + attempts}
        self._noted.change_challenge(challenge_id, {**ERASED, **approved})
        return True

    # Deliveries.

    def deliveries(self, challenge_id: str) -> Sequence[DeliveryRecord]:
        noted = self._noted.deliveries
        return list(noted[challenge_id]) if challenge_id in noted else super().deliveries(challenge_id)

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        return self._noted.delivery(delivery_id) or super().delivery(delivery_id)

    def insert_delivery(self, delivery: DeliveryRecord, phone_key: str) -> None:
        super().insert_delivery(delivery, phone_key)
        if delivery.challenge_id in self._noted.deliveries:
            self._noted.deliveries[delivery.challenge_id].append(delivery)

    def count_taken(self, challenge_id: str) -> int:
        noted = self._noted.deliveries
        if challenge_id not in noted:
            return super().count_taken(challenge_id)
        return sum(one.outcome in TAKEN for one in noted[challenge_id])

    def answer_delivery(self, delivery_id: str, **answer: Any) -> bool:
        known = self._noted.delivery(delivery_id)
        if known is None:
            return super().answer_delivery(delivery_id, **answer)
        self._surely(sql.ANSWER_DELIVERY, row_id=delivery_id, **answer)
        self._noted.change_delivery(known, answer)
        return True

    def mark_gone(self, delivery_ids: Collection[str]) -> None:
        self._noted.deliveries.clear()
        super().mark_gone(delivery_ids)

    # Receipts.

    def receipts_of(self, delivery_id: str, reference: str) -> Sequence[ReceiptRecord]:
        noted = self._noted.receipts
        key = (delivery_id, reference)
        return noted[key] if key in noted else super().receipts_of(delivery_id, reference)

    def insert_receipt(self, receipt: ReceiptRecord) -> bool:
        self._noted.receipts.clear()
        return super().insert_receipt(receipt)

    def apply_receipt(self, receipt: ReceiptRecord, delivery_id: str) -> None:
        self._noted.receipts.clear()
        super().apply_receipt(receipt, delivery_id)

    # Schedule rows.

    def schedule(self, challenge_id: str, channel: Channel) -> ScheduleRecord | None:
        row, is_known = self._noted.schedule(challenge_id, channel)
        return row if is_known else super().schedule(challenge_id, channel)

    def schedules(self, challenge_id: str) -> Sequence[ScheduleRecord]:
        noted = self._noted.schedules
        return list(noted[challenge_id]) if challenge_id in noted else super().schedules(challenge_id)

    def put_schedule(self, row: ScheduleRecord) -> None:
        super().put_schedule(row)
        self._noted.put_schedule(row)

    def delete_schedule(self, challenge_id: str, channel: Channel) -> None:
        super().delete_schedule(challenge_id, channel)
        self._noted.remove_schedule(challenge_id, channel)

    def end_schedules(self, challenge_id: str) -> Sequence[EndedRow]:
        rows = self._noted.schedules.get(challenge_id)
        self._noted.end_schedules(challenge_id)
        if rows is None:
            return super().end_schedules(challenge_id)
        if rows:
            self._later(sql.END_SCHEDULES_ONLY, row_id=challenge_id)
        return rows

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        channels: Collection[Channel],
        key_ids: Collection[str] | None = None,
        instances: Collection[str] | None = None,
    ) -> Sequence[ScheduleRecord]:
        found, self._due_ahead = self._due_ahead, None
        if found is not None:
            able = [row for row in found if instances is None or frozenset(instances).issuperset(row.forced or ())]
            if len(able) == len(found) or len(found) < limit:
                return able
        return super().due(now, limit, channels=channels, key_ids=key_ids, instances=instances)

    def erase(self, phone_key: str) -> tuple[int, int]:
        self._forget()
        return super().erase(phone_key)

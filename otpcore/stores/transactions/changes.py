"""Transactions of the outbox, written once over the rows of any store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from otpcore.models import ChallengeState
from otpcore.stores.changes import Change, ChangeRecord
from otpcore.stores.records import changed
from otpcore.stores.rows import Rows


def note(
    rows: Rows, kind: Change, challenge_id: str, delivery_id: str = "", *, state: ChallengeState | None = None
) -> None:
    """A challenge changes in this unit."""
    if not rows.keeps_outbox:
        return
    now = rows.moment()
    change = ChangeRecord(
        kind=kind, challenge_id=challenge_id, delivery_id=delivery_id, state=state, happened_at=now, due_at=now
    )
    rows.put_change(change)


def claim(rows: Rows, token: str, limit: int, lease: timedelta, now: datetime | None) -> tuple[ChangeRecord, ...]:
    """Those that are due are under this token for as long as the lease."""
    moment = rows.now(now)
    claimed = []
    for one in rows.due_changes(moment, limit):
        rows.claim_change(one, token, moment + lease)
        claimed.append(changed(one, token=token, due_at=moment + lease, tries=one.tries + 1))
    return tuple(claimed)


def unclaim(rows: Rows, token: str, claimed: Sequence[ChangeRecord] | None, now: datetime | None) -> None:
    """Nobody heard of the claim: they are due at once."""
    rows.put_off_changes([one.number for one in claimed or ()], token, rows.now(now), untried=True)

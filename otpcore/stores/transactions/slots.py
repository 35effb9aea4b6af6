"""Vendor slots: who may use a vendor's account for one phone, where the vendor keys its codes on both."""

from __future__ import annotations

from datetime import datetime

from otpcore.models import Outcome
from otpcore.stores.lifecycle import NOT_SENT, is_living, mark_of
from otpcore.stores.records import ChallengeRecord, Mark, SlotRecord, changed
from otpcore.stores.rows import OutrunError, Rows


def held_until(rows: Rows, scope: str, challenge: ChallengeRecord, now: datetime) -> datetime | None:
    """Until when the slot may not be used: another holder lives, or a call of the holder may still be under way.

    The latter holds up another failover of the same challenge only while the slot is marked by recipient: the cancelling
    of the one could end the verification that the other has just started.
    """
    slot = rows.slot(scope, challenge.phone_key)
    if slot is None or not slot.holder:
        return None
    if slot.holder == challenge.id:
        if slot.mark is None or slot.mark.reference:
            return None
    elif (holder := rows.peek(slot.holder)) is not None and is_living(holder, now):
        return holder.expires_at
    calling = [d.lease_until for d in rows.deliveries(slot.holder) if d.scope == scope and d.outcome is Outcome.OPEN]
    return max((until for until in calling if until > now), default=None)


def take_slot(rows: Rows, challenge: ChallengeRecord, scope: str, now: datetime) -> Mark | None:
    """Hold a slot that was found free; what must be cancelled at the vendor before a start."""
    slot = rows.slot(scope, challenge.phone_key)
    if slot is not None and held_until(rows, scope, challenge, now) is not None:  # taken since it was found free
        raise OutrunError("the slot changed hands")
    if slot is not None and slot.holder == challenge.id:
        return slot.mark
    old = slot.mark if slot is not None else None
    if slot is not None and slot.holder and old is None:
        old = mark_of(scope, rows.deliveries(slot.holder))
    taken = SlotRecord(scope=scope, phone_key=challenge.phone_key, holder=challenge.id, mark=old)
    if not rows.take_slot(taken, None if slot is None else slot.holder):
        raise OutrunError("the slot changed hands")
    return old


def release_slot(rows: Rows, challenge: ChallengeRecord, scope: str) -> None:
    """A slot whose only deliveries were certainly not sent is free again; its mark stays."""
    if any(d.scope == scope and d.outcome not in NOT_SENT for d in rows.deliveries(challenge.id)):
        return
    slot = rows.slot(scope, challenge.phone_key)
    if slot is not None and slot.holder == challenge.id:
        rows.take_slot(changed(slot, holder=""), challenge.id)


def holds_slot(rows: Rows, challenge: ChallengeRecord, scope: str) -> bool:
    """Whether the vendor's slot for this phone is this challenge's."""
    slot = rows.slot(scope, challenge.phone_key) if scope else None
    return slot is not None and slot.holder == challenge.id

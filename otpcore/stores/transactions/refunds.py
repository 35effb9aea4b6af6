"""Giving back what a send was charged, where certainly nothing left: when it ends, or when its last answer says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from otpcore.models import Outcome
from otpcore.stores.failover import FailoverPlan, FailoverRef
from otpcore.stores.lifecycle import nothing_sent
from otpcore.stores.records import DeliveryRecord
from otpcore.stores.rows import EndedRow, Rows
from otpcore.stores.transactions.limits import give_back


def refund(rows: Rows, row: EndedRow, sent: Sequence[DeliveryRecord] | None = None) -> None:
    """The send of this row is over: give back what it was charged, if certainly nothing left."""
    if row.charges and nothing_sent(of_send(rows, row.challenge_id, row.send_id) if sent is None else sent):
        for charged in row.charges:
            rows.refund(charged)


def give_back_late(rows: Rows, ref: FailoverRef, plan: FailoverPlan, now: datetime) -> None:
    """Nothing left in the last delivery that was open either: whoever ended the send could not know, and left its charge."""
    row = rows.schedule(ref.challenge_id, ref.channel)
    goes_on = row is not None and row.send_id == ref.send_id
    if plan.charges and not goes_on and nothing_sent(of_send(rows, ref.challenge_id, ref.send_id)):
        give_back(rows, ref.send_id, plan.charges, now)


def is_open(rows: Rows, delivery_id: str) -> bool:
    """Nobody has recorded yet what became of it."""
    delivery = rows.delivery(delivery_id)
    return delivery is not None and delivery.outcome is Outcome.OPEN


def of_send(rows: Rows, challenge_id: str, send_id: str) -> tuple[DeliveryRecord, ...]:
    """The deliveries of one send, in the order in which they were recorded."""
    return tuple(delivery for delivery in rows.deliveries(challenge_id) if delivery.send_id == send_id)

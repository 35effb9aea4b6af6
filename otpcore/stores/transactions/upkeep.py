"""Transactions of sweeping, purging, watching and an operator's commands, written once over the rows of any store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.models import ChallengeState, Channel, UnsendableReason
from otpcore.stores.commands import ChallengeView, EndedSend
from otpcore.stores.counts import PurgeCount, StoreStatus
from otpcore.stores.lifecycle import CLOCK_SLACK, is_living
from otpcore.stores.lists import DeliveryFilter
from otpcore.stores.records import (
    AuditRecord,
    ChallengeRecord,
    DeliveryRecord,
    ReceiptRecord,
    ScheduleRecord,
    WorkerRecord,
    changed,
)
from otpcore.stores.rows import Rows
from otpcore.stores.series import minute_of
from otpcore.stores.transactions.auditing import BLANK, note
from otpcore.stores.transactions.failover import close, stop_sending

_ALL = 1_000_000  # deliveries of one person


def sweep(
    rows: Rows, *, unretried: Collection[Channel], limit: int, set_back: bool, now: datetime | None
) -> tuple[EndedSend, ...]:
    """Expire what is over; end what died half-way on channels that nobody retries."""
    moment = rows.now(now)
    over = list(rows.expired(moment, limit))
    if set_back:
        over += rows.begun_after(moment + CLOCK_SLACK, limit)
    ended = [EndedSend(challenge=close(rows, challenge, ChallengeState.EXPIRED)) for challenge in over]
    for row in rows.due(moment, limit, channels=unretried) if unretried else ():
        challenge = rows.challenge_if_free(row.challenge_id)
        if challenge is not None and is_living(challenge, moment):
            stopped = stop_sending(rows, challenge, row, UnsendableReason.INTERRUPTED)
            ended.append(EndedSend(challenge=stopped, channel=row.channel))
    return tuple(ended)


def purge(
    rows: Rows,
    *,
    challenges_before: datetime,
    deliveries_before: datetime,
    verified_before: datetime | None,
    audit_before: datetime | None,
    series_before: datetime | None,
    limit: int,
    now: datetime | None,
    audit: AuditRecord | None,
) -> PurgeCount:
    """Remove what is old, at most ``limit`` of each kind."""
    count = PurgeCount(
        deliveries=rows.purge_deliveries(deliveries_before, limit),
        challenges=rows.purge_challenges(challenges_before, limit),
        counters=rows.purge_counters(rows.now(now), limit),
        receipts=rows.purge_receipts(deliveries_before, limit),
        refusals=rows.purge_refusals(deliveries_before, limit),
        verified=rows.purge_verified(verified_before, limit) if verified_before is not None else 0,
        audits=rows.purge_audits(audit_before, limit) if audit_before is not None else 0,
        changes=rows.purge_changes(deliveries_before, limit),
        records=rows.purge_sealed(rows.now(now), limit),
        series=rows.purge_series(minute_of(series_before), limit) if series_before is not None else 0,
    )
    if count.most():
        note(rows, audit)
    return count


def purge_slots(rows: Rows, limit: int) -> int:
    """Remove slots that nobody holds: at once, or if they are marked once the old verification's challenge is gone."""
    removed = rows.purge_slots(limit)
    for slot in rows.free_slots(limit):
        if slot.mark is not None and rows.challenge(slot.mark.challenge_id) is None:
            rows.delete_slot(slot.scope, slot.phone_key)
    return removed


def erase(rows: Rows, phone_key: str, audit: AuditRecord | None) -> PurgeCount:
    """Remove everything of one phone, also from what operators did; that they did something stays."""
    kept = DeliveryFilter(phone_key=phone_key)
    sent = rows.listed(kept, kept.newest, kept.oldest, _ALL)
    ids = {one.id for one in rows.challenges_of(phone_key)} | {one.challenge_id for one, _ in sent}
    changes = rows.erase_changes(sorted(ids))
    challenges, deliveries = rows.erase(phone_key)
    counters = rows.reset_counters(f"{phone_key}/")
    refusals, verified = rows.forget(phone_key)
    count = PurgeCount(
        challenges=challenges,
        deliveries=deliveries,
        counters=counters,
        refusals=refusals,
        verified=verified,
        changes=changes,
        records=rows.erase_sealed(phone_key),
        audits=rows.blank_audits(phone_key, BLANK),
    )
    if count.most():
        note(rows, audit, **{kind: number for kind, number in attrs.asdict(count).items() if number})
    return count


def view(rows: Rows, *, challenge_id: str, phone_key: str) -> tuple[ChallengeView, ...]:
    """Everything about one challenge, or about those of one phone."""
    if challenge_id:
        found = rows.challenge(challenge_id)
        challenges = [found] if found is not None else []
    else:
        challenges = list(rows.challenges_of(phone_key))
    return tuple(
        ChallengeView(
            challenge=challenge,
            deliveries=tuple(rows.deliveries(challenge.id)),
            schedule=tuple(rows.schedules(challenge.id)),
            receipts=tuple(_receipts(rows, challenge.id)),
        )
        for challenge in challenges
    )


def _receipts(rows: Rows, challenge_id: str) -> Iterator[ReceiptRecord]:
    """What vendors reported of its deliveries."""
    for delivery in rows.deliveries(challenge_id):
        for receipt in rows.receipts_of(delivery.id, delivery.reference):
            if receipt.delivery_id == delivery.id or (
                not receipt.delivery_id and receipt.instance == delivery.instance
            ):
                yield receipt


def retries(rows: Rows, limit: int, after: ScheduleRecord | None) -> tuple[tuple[ScheduleRecord, ChallengeRecord], ...]:
    """Schedule rows with their challenges."""
    pairs = [(row, rows.challenge(row.challenge_id)) for row in rows.upcoming(limit, after)]
    return tuple((row, challenge) for row, challenge in pairs if challenge is not None)


def last_deliveries(rows: Rows, sends: Sequence[ScheduleRecord]) -> tuple[DeliveryRecord | None, ...]:
    """What each of these sends tried last."""
    return tuple(
        next((one for one in reversed(rows.deliveries(send.challenge_id)) if one.send_id == send.send_id), None)
        for send in sends
    )


def requeue(rows: Rows, challenge_id: str, now: datetime | None, audit: AuditRecord | None) -> int | None:
    """Make the waiting rows due now."""
    moment = rows.now(now)
    challenge = rows.challenge(challenge_id)
    scheduled = rows.schedules(challenge_id) if challenge is not None else ()
    if challenge is None or not scheduled:
        return None
    waiting = [row for row in scheduled if row.lease_until is None]
    for row in waiting:
        rows.put_schedule(changed(row, due_at=moment, waits=None, waits_for=""))
    if waiting:
        note(rows, audit, about=challenge.phone_key, retries=len(waiting))
    return len(waiting)


def drop(rows: Rows, challenge_id: str, now: datetime | None, audit: AuditRecord | None) -> EndedSend | None:
    """End sending; verifying goes on."""
    challenge = rows.challenge(challenge_id)
    if challenge is None or not is_living(challenge, rows.now(now)):
        return None
    ended = None
    for row in rows.schedules(challenge_id):
        challenge = stop_sending(rows, challenge, row, UnsendableReason.FAILED)
        ended = EndedSend(challenge=challenge, channel=row.channel)
    if ended is not None:
        note(rows, audit, about=challenge.phone_key, state=str(ended.challenge.state))
    return ended


def beat(rows: Rows, worker: WorkerRecord, stale: timedelta, now: datetime | None) -> tuple[WorkerRecord, ...]:
    """Write one sign of life; remove those that stopped coming, each for one caller."""
    moment = rows.now(now)
    rows.put_worker(changed(worker, seen_at=moment))
    return tuple(rows.remove_stale_workers(moment - stale))


def status(rows: Rows, since: datetime, now: datetime | None) -> StoreStatus:
    """Counts since then, and what is waiting now."""
    return StoreStatus(
        deliveries=tuple(rows.count_outcomes(since)),
        verified=tuple(rows.count_verified(since)),
        relayed=tuple(rows.count_relayed(since)),
        waiting=tuple(rows.count_waiting(rows.now(now))),
        breakers=tuple(rows.breakers(0)),
        workers=tuple(rows.workers()),
    )

"""Challenges: those of a list, one with everything that happened to it, and its end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from otpcore.errors import InvalidArgument
from otpcore.operator.desk import Desk
from otpcore.operator.lists import Within, list_challenges
from otpcore.operator.results.challenges import ChallengeSeen, DeliverySeen, Moment, RetrySeen
from otpcore.operator.results.lists import ChallengePage
from otpcore.rate_limits.admission import RefusalRecord
from otpcore.service.arguments import check_text, findable, is_id
from otpcore.service.service import Deadline
from otpcore.service.verifying import cancel
from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import is_living
from otpcore.stores.records import ChallengeRecord, DeliveryRecord, ScheduleRecord

__all__ = ["AsyncChallenges", "retry_seen"]

_LETTER = re.compile("[A-Za-z]")
_REFUSALS = 200  # of one phone; identical ones are one row


class AsyncChallenges:
    """List challenges, look at one, and end it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, target: str, *, reveal: bool = False) -> tuple[ChallengeSeen, ...]:
        """One challenge by id, or all that are kept of a phone, newest first; none: there is no such challenge.

        Args:
            target: An id, or a phone as a person writes it.
            reveal: Show full numbers.

        Raises:
            InvalidArgument: It is neither an id nor a number.
            InvalidPhoneNumber: It is not one number.
            SettingsError: With ``reveal``: a key that sealed a number is not here.
        """
        store = self._desk.service.store
        check_text(target=target)
        if is_id(wanted := target.strip()):
            views = await store.view(challenge_id=findable(wanted))
        elif _LETTER.search(target):
            raise InvalidArgument(
                "target: is neither the id of a challenge nor a phone number. Fix: take an id that challenges.list shows"
            )
        else:
            views = await store.view(phone_key=self._desk.service.keys.phone_key(self._desk.number(target).e164))
        refusals: dict[str, Sequence[RefusalRecord]] = {}
        for phone_key in {view.challenge.phone_key for view in views}:
            refusals[phone_key] = await store.refusals(_REFUSALS, phone_key=phone_key)
        return tuple(self._seen(view, refusals[view.challenge.phone_key], reveal=reveal) for view in views)

    async def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        phone: str | None = None,
        instance: str = "",
        purpose: str | None = None,
        app: str | None = None,
        state: str | None = None,
        after: str | None = None,
        limit: int = 50,
        reveal: bool = False,
    ) -> ChallengePage:
        """Challenges by when their first send began, the latest first; all that is said must hold.

        A page may be short though more follow: it looks at 5,000 rows at most. Time and phone cost nothing.

        Args:
            since: Not those before; None: from the first on.
            until: Only those before; None: to the last.
            phone: Of this one, as a person writes it; None: of any.
            instance: Who took the message, or was tried last; empty: any.
            purpose: None: any.
            app: Of the host's apps; empty: without one; None: any.
            state: As in `Challenge`, such as ``queued``; None: any.
            after: The cursor of the page before; None: the first page.
            limit: How many.
            reveal: Show full numbers.

        Raises:
            InvalidArgument: An argument cannot be meant.
            InvalidPhoneNumber: It is not one number.
            SettingsError: With ``reveal``: a key that sealed a number is not here.
        """
        within = Within(since=since, until=until, phone=phone, after=after, limit=limit)
        return await list_challenges(
            self._desk, within, instance=instance, purpose=purpose, app=app, state=state, reveal=reveal
        )

    async def cancel(self, challenge_id: str, *, by: str, reason: str = "") -> bool:
        """End a living challenge: nothing more is sent and its code no longer verifies. False: there is none.

        Where no provider is open, a verification at a vendor is left to the mark of the next start there.

        Args:
            challenge_id: Of the challenge.
            by: Who does it.
            reason: Why.
        """
        service = self._desk.service
        record = self._desk.record("challenges.cancel", by, reason, target=findable(challenge_id))
        ended = await cancel(service, record.target, Deadline(service.settings.otp.send_timeout), record)
        if ended:
            self._desk.tell(record, challenge_id=record.target)
        return ended

    def _seen(self, view: ChallengeView, refused: Sequence[RefusalRecord], *, reveal: bool) -> ChallengeSeen:
        challenge = view.challenge
        phone = self._desk.shown(challenge, reveal=reveal)
        return ChallengeSeen(
            id=challenge.id,
            phone=phone,
            purpose=challenge.purpose,
            app=challenge.app,
            verifiable=challenge.verifiable,
            state=str(challenge.state),
            living=is_living(challenge, self._desk.service.clock()),
            confirmed=challenge.confirmed,
            reason=str(challenge.reason) if challenge.reason else None,
            provider=challenge.provider,
            attempts=challenge.attempts,
            max_attempts=challenge.max_attempts,
            locale=challenge.locale or None,
            forced=challenge.forced,
            first_sent_at=challenge.first_sent_at,
            expires_at=challenge.expires_at,
            approved_at=challenge.approved_at,
            cooldowns={str(channel): until for channel, until in challenge.cooldowns.items()},
            deliveries=tuple(map(_delivery, view.deliveries)),
            retries=tuple(retry_seen(row, challenge, _last(row, view), phone) for row in view.schedule),
            timeline=tuple(sorted(_moments(view, refused), key=lambda moment: moment.at)),
        )


def retry_seen(row: ScheduleRecord, challenge: ChallengeRecord, last: DeliveryRecord | None, phone: str) -> RetrySeen:
    """A schedule row for people, with what it tried last."""
    return RetrySeen(
        challenge_id=challenge.id,
        phone=phone,
        channel=str(row.channel),
        purpose=challenge.purpose,
        attempts=row.attempts,
        under_way=row.lease_until is not None,
        due_at=row.due_at,
        begun_at=challenge.first_sent_at,
        expires_at=challenge.expires_at,
        provider=last.instance if last is not None else None,
        prefix=last.prefix if last is not None else "",
        outcome=str(last.outcome) if last is not None else None,
        provider_code=(last.provider_code or None) if last is not None else None,
    )


def _last(row: ScheduleRecord, view: ChallengeView) -> DeliveryRecord | None:
    return next((one for one in reversed(view.deliveries) if one.send_id == row.send_id), None)


def _delivery(delivery: DeliveryRecord) -> DeliverySeen:
    return DeliverySeen(
        id=delivery.id,
        provider=delivery.instance,
        prefix=delivery.prefix,
        channel=str(delivery.channel),
        outcome=str(delivery.outcome),
        provider_code=delivery.provider_code or None,
        reference=delivery.reference or None,
        is_retry=delivery.is_retry,
        recorded_at=delivery.recorded_at,
        answered_at=delivery.answered_at,
        delivered_at=delivery.delivered_at,
        price=delivery.price,
    )


def _moments(view: ChallengeView, refused: Sequence[RefusalRecord]) -> Iterator[Moment]:
    challenge = view.challenge
    channels = {delivery.id: str(delivery.channel) for delivery in view.deliveries}
    yield Moment(at=challenge.first_sent_at, what="begun")
    for one in view.deliveries:
        yield Moment(
            at=one.recorded_at,
            what="delivery",
            channel=str(one.channel),
            provider=one.instance,
            result=str(one.outcome),
            detail=one.provider_code,
            price=one.price,
        )
    for report in view.receipts:
        yield Moment(
            at=report.received_at,
            what="receipt",
            channel=channels.get(report.delivery_id, ""),
            provider=report.instance,
            result=str(report.status),
            detail=report.provider_code,
            price=report.price,
        )
    if challenge.approved_at is not None:
        yield Moment(at=challenge.approved_at, what="approved")
    for row in view.schedule:
        yield Moment(at=row.due_at, what="due", channel=str(row.channel))
    for refusal in refused:
        within = challenge.first_sent_at <= refusal.last_at and refusal.first_at <= challenge.expires_at
        if refusal.purpose == challenge.purpose and within:
            yield Moment(
                at=refusal.last_at,
                what="refusal" if refusal.enforced else "noted",
                channel=refusal.channel,
                result=refusal.reason,
                detail=f"{refusal.count} times" if refusal.count > 1 else "",
            )

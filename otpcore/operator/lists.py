"""Lists of challenges and deliveries, and counts over time: what an operator asks, in the words of the store."""

from __future__ import annotations

import enum
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TypeVar

import attrs

from otpcore.errors import InvalidArgument
from otpcore.models import ChallengeState, Outcome
from otpcore.operator.desk import Desk, checked_channel
from otpcore.operator.results.lists import (
    ChallengeListed,
    ChallengePage,
    CostSeen,
    CostsSeen,
    DeliveryListed,
    DeliveryPage,
    SeriesStep,
)
from otpcore.operator.words import typed_prefix
from otpcore.service.arguments import check_app, check_storable, check_text
from otpcore.service.measures import checked_count, checked_moment, checked_period, checked_seconds
from otpcore.settings.tree import is_prefix
from otpcore.stores.lifecycle import is_living
from otpcore.stores.lists import ChallengeFilter, DeliveryFilter
from otpcore.stores.records import ChallengeRecord, DeliveryRecord
from otpcore.stores.series import DIMENSIONS, SeriesPoint

__all__ = ["AsyncDeliveries", "Within", "list_challenges", "series"]

E = TypeVar("E", bound=enum.Enum)

_LONGEST_STEP = 366 * 86_400.0  # seconds


@attrs.frozen(kw_only=True)
class Within:
    """Whose rows are listed, of which time, and where the page begins.

    Args:
        since: Not those before; None: from the first on.
        until: Only those before; None: to the last.
        phone: As a person writes it; None: anybody's.
        after: The cursor of the page before; None: the first page.
        limit: How many rows at most.
    """

    since: datetime | None
    until: datetime | None
    phone: str | None = attrs.field(repr=False)
    after: str | None
    limit: int

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InvalidArgument: The page cannot be.
        """
        if self.after is not None:
            check_text(after=self.after)
        checked_count("limit", self.limit)


async def list_challenges(
    desk: Desk,
    within: Within,
    *,
    instance: str,
    purpose: str | None,
    app: str | None,
    state: str | None,
    reveal: bool,
) -> ChallengePage:
    """Challenges by when their first send began, the latest first."""
    within.check()
    check_storable(purpose=purpose)
    if app is not None:
        check_app(app)
    since, until = checked_period(within.since, within.until)
    wanted = ChallengeFilter(
        since=since,
        until=until,
        phone_key=_phone_key(desk, within.phone),
        instance=_instance(instance),
        purpose=purpose,
        app=app,
        state=None if state is None else _word(ChallengeState, "state", state),
    )
    page = await desk.service.store.list_challenges(wanted, after=within.after, limit=within.limit)
    return ChallengePage(items=tuple(_challenge(desk, one, reveal=reveal) for one in page.items), cursor=page.cursor)


class AsyncDeliveries:
    """Look at what was handed to providers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        phone: str | None = None,
        instance: str = "",
        prefix: str | None = None,
        channel: str | None = None,
        outcome: str | None = None,
        provider_code: str = "",
        after: str | None = None,
        limit: int = 50,
    ) -> DeliveryPage:
        """Deliveries by when they were recorded, the latest first; all that is said must hold.

        A page may be short though more follow: it looks at 5,000 rows at most. Time, phone and instance cost nothing.

        Args:
            since: Not those before; None: from the first on.
            until: Only those before; None: to the last.
            phone: To this one, as a person writes it; None: to any.
            instance: Empty: any.
            prefix: The rule prefix by which the number came there; empty: by default; None: any.
            channel: Such as ``sms``; None: any.
            outcome: ``accepted``, a kind of failure, or ``open``; None: any.
            provider_code: The vendor's error code, as it is; empty: any.
            after: The cursor of the page before; None: the first page.
            limit: How many.

        Raises:
            InvalidArgument: An argument cannot be meant.
            InvalidPhoneNumber: It is not one number.
        """
        Within(since=since, until=until, phone=phone, after=after, limit=limit).check()
        wanted = self._filter(since, until, phone, instance, prefix, channel, outcome, provider_code)
        store = self._desk.service.store
        page = await store.list_deliveries(wanted, after=after, limit=limit)
        whose = {one.id: one for one in await store.challenges({one.challenge_id for one in page.items})}
        items = tuple(_delivery(one, whose.get(one.challenge_id)) for one in page.items)
        return DeliveryPage(items=items, cursor=page.cursor)

    async def cost(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        phone: str | None = None,
        instance: str = "",
        prefix: str | None = None,
        channel: str | None = None,
        outcome: str | None = None,
        provider_code: str = "",
        apart_by: Collection[str] = (),
        limit: int | None = None,
    ) -> CostsSeen:
        """What deliveries cost, as their vendors said: exact sums, currencies apart; all that is said must hold.

        Deliveries are read a thousand at a time, whatever is told apart: time grows with how many fit, memory does not.

        Args:
            since: As for ``list``.
            until: As for ``list``.
            phone: As for ``list``.
            instance: As for ``list``.
            prefix: As for ``list``.
            channel: As for ``list``.
            outcome: As for ``list``.
            provider_code: As for ``list``.
            apart_by: Of ``day``, ``instance``, ``prefix`` and ``channel``, what sums are told apart by.
            limit: How many are looked at, at most, the latest first; None: all.

        Raises:
            InvalidArgument: An argument cannot be meant.
            InvalidPhoneNumber: It is not one number.
        """
        if limit is not None:
            checked_count("limit", limit)
        wanted = self._filter(since, until, phone, instance, prefix, channel, outcome, provider_code)
        found = await self._desk.service.store.cost(wanted, apart_by=_words(apart_by), limit=limit)
        items = tuple(CostSeen(**attrs.asdict(one)) for one in found.items)
        return CostsSeen(items=items, is_whole=found.is_whole)

    def _filter(
        self,
        since: datetime | None,
        until: datetime | None,
        phone: str | None,
        instance: str,
        prefix: str | None,
        channel: str | None,
        outcome: str | None,
        provider_code: str,
    ) -> DeliveryFilter:
        first, last = checked_period(since, until)
        check_storable(provider_code=provider_code)
        check_text(provider_code=provider_code)
        return DeliveryFilter(
            since=first,
            until=last,
            phone_key=_phone_key(self._desk, phone),
            instance=_instance(instance),
            prefix=_prefix(prefix),
            channel=None if channel is None else checked_channel(channel),
            outcome=None if outcome is None else _word(Outcome, "outcome", outcome),
            provider_code=provider_code,
        )


async def series(
    desk: Desk, since: datetime, until: datetime | None, step: float | None, apart_by: Collection[str]
) -> tuple[SeriesStep, ...]:
    """Counts and waits for each step of time in which something happened."""
    seconds = None if step is None else checked_seconds("step", step, longest=_LONGEST_STEP, fix="give 3600, or None")
    lasts = None if seconds is None else timedelta(seconds=seconds)
    dimensions = _words(apart_by)
    if any(one not in DIMENSIONS for one in dimensions):
        raise InvalidArgument(f"apart_by: may name {', '.join(DIMENSIONS)} and nothing else")
    first = checked_moment("since", since)
    _, last = checked_period(first, desk.service.clock() if until is None else until)
    points = await desk.service.store.series(first, last or first, lasts, by=dimensions)
    return tuple(map(_step, points))


def _words(apart_by: Collection[str]) -> Collection[str]:
    """Several words, or the one that was given by itself."""
    if isinstance(apart_by, str):
        return [apart_by]
    if not isinstance(apart_by, Collection):
        raise InvalidArgument('apart_by: must be some words. Fix: give a list, such as ["instance"]')
    return apart_by


def _instance(name: str) -> str:
    """The name of an instance as it is stored: rules write it in any case."""
    check_storable(instance=name)
    check_text(instance=name)
    return name.casefold()


def _prefix(prefix: str | None) -> str | None:
    if prefix is not None:
        check_text(prefix=prefix)
        prefix = typed_prefix(prefix)
        if prefix and not is_prefix(prefix):
            raise InvalidArgument("prefix: is none. Fix: write + and digits, such as +35987; empty: by default")
    return prefix


def _word(kind: type[E], name: str, word: str) -> E:
    check_text(**{name: word})
    try:
        return kind(word)
    except ValueError:
        known = ", ".join(str(one.value) for one in kind)
        raise InvalidArgument(f"{name}: is none of {known}") from None


def _phone_key(desk: Desk, phone: str | None) -> str:
    return "" if phone is None else desk.service.keys.phone_key(desk.number(phone).e164)


def _challenge(desk: Desk, one: ChallengeRecord, *, reveal: bool) -> ChallengeListed:
    return ChallengeListed(
        id=one.id,
        phone=desk.shown(one, reveal=reveal),
        purpose=one.purpose,
        app=one.app,
        verifiable=one.verifiable,
        state=str(one.state),
        living=is_living(one, desk.service.clock()),
        reason=str(one.reason) if one.reason else None,
        provider=one.provider,
        attempts=one.attempts,
        first_sent_at=one.first_sent_at,
        expires_at=one.expires_at,
    )


def _delivery(one: DeliveryRecord, challenge: ChallengeRecord | None) -> DeliveryListed:
    return DeliveryListed(
        id=one.id,
        challenge_id=one.challenge_id,
        phone=challenge.phone_masked if challenge is not None else None,
        purpose=challenge.purpose if challenge is not None else None,
        app=challenge.app if challenge is not None else None,
        provider=one.instance,
        prefix=one.prefix,
        channel=str(one.channel),
        outcome=str(one.outcome),
        provider_code=one.provider_code or None,
        reference=one.reference or None,
        is_retry=one.is_retry,
        recorded_at=one.recorded_at,
        answered_at=one.answered_at,
        delivered_at=one.delivered_at,
        price=one.price,
    )


def _step(point: SeriesPoint) -> SeriesStep:
    told = {field.name: getattr(point, field.name) for field in attrs.fields(SeriesPoint)}
    return SeriesStep(
        **{
            **told,
            "channel": None if point.channel is None else str(point.channel),
            "failed": {str(outcome): count for outcome, count in point.failed.items()},
        }
    )

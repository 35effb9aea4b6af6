"""What limits a phone, a client, a prefix or a region, and forgetting what it has used up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

import attrs

from otpcore.errors import InvalidArgument
from otpcore.events import EventType
from otpcore.operator.desk import Desk, checked_target
from otpcore.operator.results.limits import Budget, FailureCount, LimitsSeen, RefusalSeen, SendCount
from otpcore.phone.numbers import PhoneNumber, region_of
from otpcore.rate_limits.admission import BudgetRecord, BudgetRule, LimitReason, RefusalRecord, allowance
from otpcore.rate_limits.clients import names_nobody
from otpcore.service.arguments import check_storable
from otpcore.service.charging import Origin, charges_of, closed, counter_key, stronger
from otpcore.service.live import Switches
from otpcore.service.measures import checked_count
from otpcore.settings.tree import Limit, is_prefix
from otpcore.stores.lifecycle import FOREVER
from otpcore.stores.records import CounterRecord, FailureRecord

__all__ = ["AsyncLimits", "budgets", "refusals"]

_CLIENTS = {"*": "all", "": "none named"}
_KEY_SHOWN = 8  # first characters of a client's key: enough to tell two apart


@attrs.frozen(kw_only=True)
class _Target:
    """Of whom an operator speaks.

    Args:
        shown: Masked, keyed, or a prefix.
        owner: What the keys of its counters begin with.
    """

    shown: str
    owner: str
    number: PhoneNumber | None = None
    reason: LimitReason = LimitReason.PHONE
    limits: tuple[Limit, ...] = ()


class AsyncLimits:
    """Look at what has been used up, and forget it. Exactly one of phone, client and prefix is named."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(
        self, phone: str | None = None, *, client: str | None = None, prefix: str | None = None, reveal: bool = False
    ) -> LimitsSeen:
        """What limits a phone, a client, a prefix or a region.

        Args:
            phone: As a person writes it.
            client: As the host passes it.
            prefix: A prefix or a region that the settings limit.
            reveal: Show the full number.

        Raises:
            InvalidPhoneNumber: It is not one number.
            InvalidArgument: None of the three is named, or several.
        """
        target = self._target(phone, client, prefix)
        if target.number is not None:
            return await self._of_phone(target.number, reveal=reveal)
        now = self._desk.service.clock()
        allowed = {
            counter_key(target.reason, target.owner, limit.seconds): (limit.count, target.reason)
            for limit in target.limits
        }
        found = await self._desk.service.store.counters(f"{target.owner}/", now)
        return LimitsSeen(target=target.shown, sends=tuple(_sends(found, allowed)))

    async def reset(
        self,
        phone: str | None = None,
        *,
        client: str | None = None,
        prefix: str | None = None,
        by: str,
        reason: str = "",
    ) -> int:
        """Forget what has been used up; a phone is unlocked too.

        Args:
            phone: As a person writes it.
            client: As the host passes it.
            prefix: A prefix or a region that the settings limit.
            by: Who does it.
            reason: Why.

        Returns:
            How many counters were removed.

        Raises:
            InvalidPhoneNumber: It is not one number.
            InvalidArgument: None of the three is named, or several.
        """
        target, service = self._target(phone, client, prefix), self._desk.service
        about = "" if target.number is None else target.owner
        record = self._desk.record("limits.reset", by, reason, target=target.shown, about=about)
        count = await service.store.reset_counters(f"{target.owner}/", audit=record)
        masked = target.number.masked if target.number is not None else None
        if target.number is not None:
            service.emit(EventType.LIMITS_RESET, phone=masked, detail=f"{count} counters")
        if count:
            self._desk.tell(record, phone=masked)
        return count

    def _target(self, phone: str | None, client: str | None, prefix: str | None) -> _Target:
        service, limits = self._desk.service, self._desk.service.settings.limits
        check_storable(phone=phone, client=client, prefix=prefix)
        match (phone, client, prefix):
            case (str(), None, None):
                number = self._desk.number(phone)
                return _Target(shown=number.masked, owner=service.keys.phone_key(number.e164), number=number)
            case (None, str(), None):
                if names_nobody(client):
                    raise InvalidArgument("client: names nobody, and nothing is counted by it. Fix: give its address")
                key = service.client_key(client)
                return _Target(
                    shown=key[:_KEY_SHOWN], owner=key, reason=LimitReason.CLIENT, limits=limits.lists["client"]
                )
            case (None, None, str()):
                target = checked_target(prefix)
                if is_prefix(target):
                    own = tuple(limits.prefix_limits.get(target, ()))
                    return _Target(shown=target, owner=target, reason=LimitReason.PREFIX, limits=own)
                own = tuple(limits.country_limits.get(target, limits.lists["country"]))
                return _Target(shown=target, owner=target, reason=LimitReason.COUNTRY, limits=own)
        raise InvalidArgument("one of phone, client and prefix is needed. Fix: name exactly one of them")

    async def _of_phone(self, number: PhoneNumber, *, reveal: bool) -> LimitsSeen:
        service = self._desk.service
        now, limits, store = service.clock(), service.settings.limits, service.store
        region, phone_key = region_of(number.e164), service.keys.phone_key(number.e164)
        switches = Switches(limits)
        switches.take_up(await store.settings(), first=True)
        verified_at = await store.verified(phone_key)
        origin = Origin(e164=number.e164, phone_key=phone_key, region=region)
        charges = charges_of(origin, limits)
        over = [charges_of(attrs.evolve(origin, channel=word), limits) for word in limits.channel_limits]
        barrier = stronger(switches.barrier(number.e164, now), closed(charges))
        stands = barrier is not None and not (barrier.unless_verified and verified_at is not None)
        of_phone = await store.counters(f"{phone_key}/", now)
        allowed = {charge.key: (charge.limit, charge.reason) for charge in (*charges, *chain.from_iterable(over))}
        shared = [await store.counters(key, now) for key in allowed if not key.startswith(f"{phone_key}/")]
        own = [one for one in of_phone if one.key in allowed or "/send/" in one.key]
        return LimitsSeen(
            target=number.e164 if reveal else number.masked,
            barrier=str(barrier.reason) if barrier is not None and stands else None,
            verified_at=verified_at,
            sends=tuple(_sends([*own, *(one for found in shared for one in found if one.key in allowed)], allowed)),
            failures=tuple(_failure(one, now) for one in of_phone if isinstance(one, FailureRecord)),
            budgets=tuple(_budgets(await store.budgets(f"{region or 'none'}/"), limits.budget_rule, now)),
        )


async def budgets(desk: Desk) -> tuple[Budget, ...]:
    """Every budget of unverified sends."""
    service = desk.service
    return tuple(_budgets(await service.store.budgets(), service.settings.limits.budget_rule, service.clock()))


async def refusals(desk: Desk, phone: str | None, limit: int) -> tuple[RefusalSeen, ...]:
    """What was refused, the latest first."""
    service = desk.service
    checked_count("limit", limit)
    phone_key = None if phone is None else service.keys.phone_key(desk.number(phone).e164)
    return tuple(map(_refusal, await service.store.refusals(limit, phone_key=phone_key)))


def _sends(
    counters: Iterable[CounterRecord | FailureRecord], allowed: Mapping[str, tuple[int, str]]
) -> Iterator[SendCount]:
    for one in counters:
        if isinstance(one, CounterRecord):
            limit, reason = allowed.get(one.key, (None, LimitReason.PHONE))
            yield SendCount(
                reason=str(reason),
                window=int(one.key.rpartition("/")[2]),
                count=one.count,
                limit=limit,
                window_ends_at=one.window_ends_at,
            )


def _failure(counter: FailureRecord, now: datetime) -> FailureCount:
    client, until = counter.key.rpartition("/")[2], counter.locked_until
    for_good = until is not None and until >= FOREVER
    return FailureCount(
        client=_CLIENTS.get(client, client[:_KEY_SHOWN]),
        failures=counter.failures,
        locked=until is not None and until > now,
        locked_until=None if for_good else until,
    )


def _budgets(records: Sequence[BudgetRecord], rule: BudgetRule, now: datetime) -> Iterator[Budget]:
    windows = {window.length.total_seconds(): window for window in rule.windows}
    for record in records:
        country, prefix, seconds = record.key.split("/")
        window = windows.get(int(seconds))
        if window is not None and record.window_ends_at > now:
            yield Budget(
                country=country,
                prefix=prefix,
                used=record.used,
                limit=allowance(rule, window, record),
                verified=record.verified,
                window=int(seconds),
                window_ends_at=record.window_ends_at,
            )


def _refusal(one: RefusalRecord) -> RefusalSeen:
    return RefusalSeen(
        asked=str(one.asked),
        reason=one.reason,
        phone=one.phone_masked or None,
        channel=one.channel or None,
        purpose=one.purpose or None,
        enforced=one.enforced,
        count=one.count,
        first_at=one.first_at,
        last_at=one.last_at,
    )

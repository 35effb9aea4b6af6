"""``otp limits``: switches and budgets, what a phone has used up and forgetting it, and what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

import attrs

from otpcore.cli.exits import ExitCode
from otpcore.cli.host import load_host, parse_number, run
from otpcore.cli.layout import table
from otpcore.cli.options import Options, when
from otpcore.events import EventType
from otpcore.phone.numbers import PhoneNumber, region_of
from otpcore.rate_limits.admission import BudgetRecord, BudgetRule, LimitReason, RefusalRecord, allowance
from otpcore.service.assembly import without_providers
from otpcore.service.charging import Origin, charges_of, closed, stronger
from otpcore.service.setup import Setup
from otpcore.service.switches import Switches, stored_switches
from otpcore.stores.lifecycle import FOREVER
from otpcore.stores.records import CounterRecord, FailureRecord

__all__ = ["refused", "reset", "show"]

_CLIENTS = {"*": "all", "": "none named"}


def show(options: Options, phone: str | None) -> ExitCode:
    """Switches and budgets; of a phone, everything that limits it."""
    host = load_host(options)
    if phone is None:
        return _show_switches(options, run(_switches, host))
    number = parse_number(host.settings, phone)
    return _show_phone(options, _shown(options, number), run(_about, host, number))


def reset(options: Options, phone: str) -> ExitCode:
    """Remove every counter of the phone."""
    host = load_host(options)
    number = parse_number(host.settings, phone)
    count = run(_reset, host, number)
    options.say(
        {"phone": _shown(options, number), "removed": count}, f"{count} counters removed; it may send and verify"
    )
    return ExitCode.OK


def refused(options: Options, phone: str | None, limit: int) -> ExitCode:
    """The latest first."""
    host = load_host(options)
    number = parse_number(host.settings, phone) if phone is not None else None
    rows = [_refusal(one) for one in run(_refusals, host, number, limit)]
    columns = ("asked", "reason", "phone", "channel", "purpose", "enforced", "count")
    options.say(
        {"refused": [_plain(row) for row in rows]},
        table(
            ("last", *columns),
            [(when(row["last_at"]), *(row[column] for column in columns)) for row in rows],
        )
        if rows
        else "nothing was refused",
        f"these are the last {limit}; --limit shows more" if len(rows) == limit else "",
    )
    return ExitCode.OK


def _show_switches(options: Options, found: dict[str, Any]) -> ExitCode:
    paused, prefixes, budgets = found["paused"], found["prefixes"], found["budgets"]
    listed = {name: ", ".join(found[name]) for name in ("allow", "deny") if found[name]}
    options.say(
        {
            "paused": _plain(paused) if paused else None,
            "prefixes": [*map(_plain, prefixes)],
            "allow": found["allow"],
            "deny": found["deny"],
            "none_at_all": found["none_at_all"],
            "budgets": [*map(_plain, budgets)],
        },
        f"sending is paused{_end(paused)}" if paused else "sending is not paused",
        table(
            ("prefix", "switched", "until"),
            [(one["prefix"], one["state"], when(one["until"]) or "it is switched again") for one in prefixes],
        )
        if prefixes
        else "no prefix is switched",
        *(f"the settings {name} {prefixes}" for name, prefixes in listed.items()),
        f"nothing passes {', '.join(found['none_at_all'])}" if found["none_at_all"] else "",
        _budget_table(budgets),
    )
    return ExitCode.OK


def _show_phone(options: Options, shown: str, found: dict[str, Any]) -> ExitCode:
    sends, failures, budgets = found["sends"], found["failures"], found["budgets"]
    options.say(
        {
            "phone": shown,
            "barrier": found["barrier"],
            "verified_at": found["verified_at"].isoformat() if found["verified_at"] else None,
            "sends": [*map(_plain, sends)],
            "failures": [*map(_plain, failures)],
            "budgets": [*map(_plain, budgets)],
        },
        shown + (f": nothing is sent to it: {found['barrier']}" if found["barrier"] else ""),
        f"it verified last at {when(found['verified_at'])}" if found["verified_at"] else "",
        table(
            ("sends", "of", "by", "in seconds", "until"),
            [(one["count"], one["limit"], one["reason"], one["window"], when(one["window_ends_at"])) for one in sends],
        )
        if sends
        else "no sends count",
        table(
            ("wrong codes in a row", "client", "locked until"),
            [(one["failures"], one["client"], _until(one)) for one in failures],
        )
        if failures
        else "no wrong codes count",
        _budget_table(budgets),
    )
    return ExitCode.OK


def _budget_table(budgets: list[dict[str, Any]]) -> Any:
    if not budgets:
        return "no unverified sends count"
    return table(
        ("country", "rule prefix", "unverified sends", "of", "verified phones", "in seconds", "until"),
        [
            (
                *(one[column] for column in ("country", "prefix", "used", "limit", "verified", "window")),
                when(one["window_ends_at"]),
            )
            for one in budgets
        ],
    )


async def _switches(host: Setup) -> dict[str, Any]:
    async with without_providers(host) as service:
        now = service.clock()
        switches = [one for one in stored_switches(await service.store.settings()) if one.is_on(now)]
        return {
            "paused": next(({"until": one.until} for one in switches if not one.prefix), None),
            "prefixes": [
                {"prefix": one.prefix, "state": "allowed" if one.allows else "denied", "until": one.until}
                for one in switches
                if one.prefix
            ],
            "allow": list(host.settings.limits.allow),
            "deny": list(host.settings.limits.deny),
            "none_at_all": list(host.settings.limits.none_at_all),
            "budgets": list(_budgets(await service.store.budgets(), host.settings.limits.budget_rule, now)),
        }


async def _about(host: Setup, number: PhoneNumber) -> dict[str, Any]:
    async with without_providers(host) as service:
        now, limits, store = service.clock(), host.settings.limits, service.store
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
        counters = [*of_phone, *(counter for found in shared for counter in found)]
        return {
            "barrier": str(barrier.reason) if barrier is not None and stands else None,
            "verified_at": verified_at,
            "sends": [
                _send(one, allowed)
                for one in counters
                if isinstance(one, CounterRecord) and (one.key in allowed or "/send/" in one.key)
            ],
            "failures": [_failure(one, now) for one in of_phone if isinstance(one, FailureRecord)],
            "budgets": list(_budgets(await store.budgets(f"{region or 'none'}/"), limits.budget_rule, now)),
        }


async def _reset(host: Setup, number: PhoneNumber) -> int:
    async with without_providers(host) as service:
        count = await service.store.reset_counters(f"{service.keys.phone_key(number.e164)}/")
        service.emit(EventType.LIMITS_RESET, phone=number.masked, detail=f"{count} counters")
        return count


async def _refusals(host: Setup, number: PhoneNumber | None, limit: int) -> tuple[RefusalRecord, ...]:
    async with without_providers(host) as service:
        phone_key = service.keys.phone_key(number.e164) if number is not None else None
        return await service.store.refusals(limit, phone_key=phone_key)


def _send(counter: CounterRecord, allowed: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    limit, reason = allowed.get(counter.key, (None, LimitReason.PHONE))
    return {
        "reason": str(reason),
        "window": int(counter.key.rpartition("/")[2]),
        "count": counter.count,
        "limit": limit,
        "window_ends_at": counter.window_ends_at,
    }


def _budgets(records: tuple[BudgetRecord, ...], rule: BudgetRule, now: datetime) -> Iterator[dict[str, Any]]:
    least = {window.length.total_seconds(): window for window in rule.windows}
    for record in records:
        country, prefix, seconds = record.key.split("/")
        window = least.get(int(seconds))
        if window is not None and record.window_ends_at > now:
            yield {
                "country": country,
                "prefix": prefix,
                "used": record.used,
                "limit": allowance(rule, window, record),
                "verified": record.verified,
                "window": int(seconds),
                "window_ends_at": record.window_ends_at,
            }


def _failure(counter: FailureRecord, now: datetime) -> dict[str, Any]:
    client = counter.key.rpartition("/")[2]
    until = counter.locked_until
    for_good = until is not None and until >= FOREVER
    return {
        "client": _CLIENTS.get(client, client[:8]),
        "failures": counter.failures,
        "locked": until is not None and until > now,
        "locked_until": None if for_good else until,
    }


def _refusal(one: RefusalRecord) -> dict[str, Any]:
    return {
        "asked": str(one.asked),
        "reason": one.reason,
        "phone": one.phone_masked or None,
        "channel": one.channel or None,
        "purpose": one.purpose or None,
        "enforced": one.enforced,
        "count": one.count,
        "first_at": one.first_at,
        "last_at": one.last_at,
    }


def _until(failure: dict[str, Any]) -> str:
    if not failure["locked"]:
        return "not locked"
    return when(failure["locked_until"]) or "an operator resets it"


def _end(switch: dict[str, Any]) -> str:
    return f" until {when(switch['until'])}" if switch["until"] else ""


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in row.items()}


def _shown(options: Options, number: PhoneNumber) -> str:
    return number.e164 if options.reveal else number.masked

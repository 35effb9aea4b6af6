"""``otp limits``: what a phone has used up, and forgetting it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from otpcore._parts import Parts
from otpcore._service import Setup
from otpcore.cli._exits import ExitCode
from otpcore.cli._host import load_host, open_parts, parse_number, run
from otpcore.cli._options import Options, table, when
from otpcore.events import EventType
from otpcore.lifecycle import FOREVER
from otpcore.phone import PhoneNumber
from otpcore.records import CounterRecord, FailureRecord

__all__ = ["reset", "show"]

_CLIENTS = {"*": "all", "": "none named"}


def show(options: Options, phone: str) -> ExitCode:
    """Send counters, failures and lock."""
    host = load_host(options)
    number = parse_number(host.settings, phone)
    sends, failures = run(_counters, host, number)
    options.say(
        {"phone": _shown(options, number), "sends": [*map(_plain, sends)], "failures": [*map(_plain, failures)]},
        _shown(options, number),
        table(
            ("sends", "of", "in seconds", "until"),
            [(one["count"], one["limit"], one["window"], when(one["window_ends_at"])) for one in sends],
        )
        if sends
        else "no sends count",
        table(
            ("wrong codes in a row", "client", "locked until"),
            [(one["failures"], one["client"], _until(one)) for one in failures],
        )
        if failures
        else "no wrong codes count",
    )
    return ExitCode.OK


def reset(options: Options, phone: str) -> ExitCode:
    """Remove every counter of the phone."""
    host = load_host(options)
    number = parse_number(host.settings, phone)
    count = run(_reset, host, number)
    options.say(
        {"phone": _shown(options, number), "removed": count}, f"{count} counters removed; it may send and verify"
    )
    return ExitCode.OK


async def _counters(host: Setup, number: PhoneNumber) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    async with open_parts(host) as parts:
        found = await parts.store.counters(_prefix(parts, number), parts.clock())
        limits = {limit.seconds: limit.count for limit in host.settings.limits.phone_limits}
        sends = [_send(one, limits) for one in found if isinstance(one, CounterRecord)]
        return sends, [_failure(one, parts.clock()) for one in found if isinstance(one, FailureRecord)]


async def _reset(host: Setup, number: PhoneNumber) -> int:
    async with open_parts(host) as parts:
        count = await parts.store.reset_counters(_prefix(parts, number))
        parts.emit(EventType.LIMITS_RESET, phone=number.masked, detail=f"{count} counters")
        return count


def _prefix(parts: Parts, number: PhoneNumber) -> str:
    return f"{parts.keys.phone_key(number.e164)}/"


def _send(counter: CounterRecord, limits: Mapping[int, int]) -> dict[str, Any]:
    window = int(counter.key.rpartition("/")[2])
    return {
        "window": window,
        "count": counter.count,
        "limit": limits.get(window),
        "window_ends_at": counter.window_ends_at,
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


def _until(failure: dict[str, Any]) -> str:
    if not failure["locked"]:
        return "not locked"
    return when(failure["locked_until"]) or "an operator resets it"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in row.items()}


def _shown(options: Options, number: PhoneNumber) -> str:
    return number.e164 if options.reveal else number.masked

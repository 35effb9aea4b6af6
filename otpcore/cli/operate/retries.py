"""``otp retries``: list, requeue and drop sends that wait for their next try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, run, shown_number
from otpcore.cli.layout import table
from otpcore.cli.options import Options, when
from otpcore.errors import SettingsError
from otpcore.events import EventType
from otpcore.service.assembly import without_providers
from otpcore.service.charging import TargetMap
from otpcore.service.failover import report_ended
from otpcore.service.setup import Setup
from otpcore.settings.tree import is_target
from otpcore.stores.records import ScheduleRecord

__all__ = ["drop", "drop_prefix", "list_retries", "requeue"]

_PAGE = 500  # rows that are looked at in one go


def list_retries(options: Options, limit: int) -> ExitCode:
    """The earliest due first."""
    rows = run(_rows, options, load_host(options), limit)
    options.say(
        {"retries": [{**row, "due_at": row["due_at"].isoformat()} for row in rows]},
        table(
            ("challenge", "phone", "channel", "purpose", "tries", "state", "due"),
            [
                (
                    row["challenge_id"],
                    row["phone"],
                    row["channel"],
                    row["purpose"],
                    row["attempts"],
                    "under way" if row["under_way"] else "waiting",
                    when(row["due_at"]),
                )
                for row in rows
            ],
        )
        if rows
        else "nothing waits",
        f"these are the first {limit}; --limit shows more" if len(rows) == limit else "",
    )
    return ExitCode.OK


def requeue(options: Options, challenge_id: str) -> ExitCode:
    """Make what waits due now."""
    count = run(_requeue, load_host(options), challenge_id)
    if not count:
        raise _nothing("no retry of this challenge waits; one that is under way is left alone")
    options.say({"challenge_id": challenge_id, "requeued": count}, "due now; the host or a worker runs it")
    return ExitCode.OK


def drop(options: Options, challenge_id: str) -> ExitCode:
    """End the sending."""
    state = run(_drop, load_host(options), challenge_id)
    if state is None:
        raise _nothing("nothing is being sent for this challenge, or it is over")
    options.say({"challenge_id": challenge_id, "state": state}, f"nothing more is sent; the challenge is {state}")
    return ExitCode.OK


def drop_prefix(options: Options, prefix: str, *, confirmed: bool) -> ExitCode:
    """End the sending to all numbers that begin so or belong to the region, once somebody has said yes."""
    prefix = prefix.upper()
    if not is_target(prefix):
        raise CommandError(
            "this is neither a prefix nor a region",
            "write + and up to 15 digits, such as +35987, or two letters, such as BG",
            ExitCode.USAGE,
        )
    host = load_host(options)
    with options.progress("looking through what waits") as tell:
        found, unread = run(_beginning, host, prefix, tell)
    if found:
        options.confirm(
            f"Drop {len(found)} sends to numbers that begin {prefix}?",
            f"{len(found)} sends would be dropped",
            confirmed=confirmed,
        )
    with options.progress("dropping") as tell:
        dropped = run(_drop_all, host, found, tell)
    options.say(
        {"prefix": prefix, "found": len(found), "dropped": dropped, "unread": unread},
        f"{dropped} of {len(found)} sends dropped"
        + ("" if dropped == len(found) else "; the others were over by then"),
        f"{unread} could not be looked at: the keys that sealed them are not here" if unread else "",
    )
    return ExitCode.REFUSED if unread else ExitCode.OK


def _nothing(message: str) -> CommandError:
    return CommandError(message, "`otp retries list` shows what there is", ExitCode.REFUSED)


async def _rows(options: Options, host: Setup, limit: int) -> list[dict[str, Any]]:
    async with without_providers(host) as service:
        return [
            {
                "challenge_id": challenge.id,
                "phone": shown_number(options, service, challenge),
                "channel": str(row.channel),
                "purpose": challenge.purpose,
                "attempts": row.attempts,
                "under_way": row.lease_until is not None,
                "due_at": row.due_at,
            }
            for row, challenge in await service.store.retries(limit)
        ]


async def _requeue(host: Setup, challenge_id: str) -> int:
    async with without_providers(host) as service:
        count = await service.store.requeue(challenge_id, service.store_now)
        if count:
            service.emit(EventType.RETRY_SCHEDULED, challenge_id=challenge_id, reason="requeued")
        return count


async def _beginning(host: Setup, prefix: str, tell: Callable[[str], None]) -> tuple[list[str], int]:
    """Challenges with a waiting send to a number that begins so, and how many could not be opened."""
    concerned = TargetMap({prefix: True})
    found: dict[str, None] = {}
    unread: set[str] = set()
    seen = 0
    last: ScheduleRecord | None = None
    async with without_providers(host) as service:
        while rows := await service.store.retries(_PAGE, after=last):
            last = rows[-1][0]
            seen += len(rows)
            for _, challenge in rows:
                try:
                    if any(concerned.matches(service.phone_of(challenge).e164)):
                        found[challenge.id] = None
                except SettingsError:
                    unread.add(challenge.id)
            tell(f"looking through what waits: {len(found)} of {seen} begin so")
    return list(found), len(unread)


async def _drop_all(host: Setup, challenge_ids: list[str], tell: Callable[[str], None]) -> int:
    dropped = 0
    async with without_providers(host) as service:
        for number, challenge_id in enumerate(challenge_ids, 1):
            ended = await service.store.drop(challenge_id, service.store_now)
            if ended is not None:
                dropped += 1
                report_ended(service, ended.channel, ended.challenge)
            tell(f"dropping: {number} of {len(challenge_ids)}")
    return dropped


async def _drop(host: Setup, challenge_id: str) -> str | None:
    async with without_providers(host) as service:
        ended = await service.store.drop(challenge_id, service.store_now)
        if ended is None:
            return None
        report_ended(service, ended.channel, ended.challenge)
        return str(ended.challenge.state)

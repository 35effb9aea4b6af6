"""``otp retries``: list, requeue and drop sends that wait for their next try."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from otpcore._delivery import report_ended
from otpcore._service import Setup
from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._host import load_host, open_parts, run, shown_number
from otpcore.cli._options import Options, table, when
from otpcore.config import is_prefix
from otpcore.errors import SettingsError
from otpcore.events import EventType
from otpcore.records import ScheduleRecord

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
    """End the sending to all numbers that begin so, once somebody has said yes."""
    if not is_prefix(prefix):
        raise CommandError("this is no prefix", "write + and up to 15 digits, such as +35987", ExitCode.USAGE)
    host = load_host(options)
    with options.progress("looking through what waits") as tell:
        found, unread = run(_beginning, host, prefix, tell)
    if found and not (confirmed or _confirm(options, len(found), prefix)):
        raise CommandError("nothing was dropped", "say yes, or give --yes", ExitCode.REFUSED)
    with options.progress("dropping") as tell:
        dropped = run(_drop_all, host, found, tell)
    options.say(
        {"prefix": prefix, "found": len(found), "dropped": dropped, "unread": unread},
        f"{dropped} of {len(found)} sends dropped"
        + ("" if dropped == len(found) else "; the others were over by then"),
        f"{unread} could not be looked at: the keys that sealed them are not here" if unread else "",
    )
    return ExitCode.REFUSED if unread else ExitCode.OK


def _confirm(options: Options, count: int, prefix: str) -> bool:
    import typer  # noqa: PLC0415 - heavy: imported at first use

    if options.json or not sys.stdin.isatty():
        raise CommandError(f"{count} sends would be dropped", "give --yes to drop them", ExitCode.USAGE)
    return typer.confirm(f"Drop {count} sends to numbers that begin {prefix}?", err=True)


def _nothing(message: str) -> CommandError:
    return CommandError(message, "`otp retries list` shows what there is", ExitCode.REFUSED)


async def _rows(options: Options, host: Setup, limit: int) -> list[dict[str, Any]]:
    async with open_parts(host) as parts:
        return [
            {
                "challenge_id": challenge.id,
                "phone": shown_number(options, parts, challenge),
                "channel": str(row.channel),
                "purpose": challenge.purpose,
                "attempts": row.attempts,
                "under_way": row.leased,
                "due_at": row.due_at,
            }
            for row, challenge in await parts.store.retries(limit)
        ]


async def _requeue(host: Setup, challenge_id: str) -> int:
    async with open_parts(host) as parts:
        count = await parts.store.requeue(challenge_id, parts.store_now)
        if count:
            parts.emit(EventType.RETRY_SCHEDULED, challenge_id=challenge_id, reason="requeued")
        return count


async def _beginning(host: Setup, prefix: str, tell: Callable[[str], None]) -> tuple[list[str], int]:
    """Challenges with a waiting send to a number that begins so, and how many could not be opened."""
    found: dict[str, None] = {}
    unread: set[str] = set()
    seen = 0
    last: ScheduleRecord | None = None
    async with open_parts(host) as parts:
        while rows := await parts.store.retries(_PAGE, after=last):
            last = rows[-1][0]
            seen += len(rows)
            for _, challenge in rows:
                try:
                    if parts.phone_of(challenge).e164.startswith(prefix):
                        found[challenge.id] = None
                except SettingsError:
                    unread.add(challenge.id)
            tell(f"looking through what waits: {len(found)} of {seen} begin so")
    return list(found), len(unread)


async def _drop_all(host: Setup, challenge_ids: list[str], tell: Callable[[str], None]) -> int:
    dropped = 0
    async with open_parts(host) as parts:
        for number, challenge_id in enumerate(challenge_ids, 1):
            ended = await parts.store.drop(challenge_id, parts.store_now)
            if ended is not None:
                dropped += 1
                report_ended(parts, ended.channel, ended.challenge)
            tell(f"dropping: {number} of {len(challenge_ids)}")
    return dropped


async def _drop(host: Setup, challenge_id: str) -> str | None:
    async with open_parts(host) as parts:
        ended = await parts.store.drop(challenge_id, parts.store_now)
        if ended is None:
            return None
        report_ended(parts, ended.channel, ended.challenge)
        return str(ended.challenge.state)

"""``otp retries``: list, requeue and drop sends that wait for their next try."""

from __future__ import annotations

from typing import Any

from otpcore._delivery import report_ended
from otpcore._service import Setup
from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._host import load_host, open_parts, run, shown_number
from otpcore.cli._options import Options, table, when
from otpcore.events import EventType

__all__ = ["drop", "list_retries", "requeue"]


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
        count = await parts.store.requeue(challenge_id, parts.clock())
        if count:
            parts.emit(EventType.RETRY_SCHEDULED, challenge_id=challenge_id, reason="requeued")
        return count


async def _drop(host: Setup, challenge_id: str) -> str | None:
    async with open_parts(host) as parts:
        ended = await parts.store.drop(challenge_id, parts.clock())
        if ended is None:
            return None
        report_ended(parts, ended.channel, ended.challenge)
        return str(ended.challenge.state)

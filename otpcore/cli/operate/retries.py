"""``otp retries``: list, requeue and drop sends that wait for their next try."""

from __future__ import annotations

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, operate, operator_name
from otpcore.cli.layout import table
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.asynchronous import AsyncOperator
from otpcore.operator.results.challenges import Ended

__all__ = ["change_many", "drop", "list_retries", "requeue"]

_WORDS = {"drop": ("Drop", "dropped"), "requeue": ("Requeue", "requeued")}


def list_retries(options: Options, limit: int) -> ExitCode:
    """The earliest due first."""
    page = operate(load_host(options), lambda operator: operator.retries.list(limit, reveal=options.reveal))
    rows = page.items
    options.say(
        {"retries": [row.to_dict() for row in rows]},
        table(
            ("challenge", "phone", "channel", "purpose", "tries", "last", "state", "due", "until"),
            [
                (
                    row.challenge_id,
                    row.phone,
                    row.channel,
                    row.purpose,
                    row.attempts,
                    " ".join(filter(None, (row.provider, row.provider_code or row.outcome))),
                    "under way" if row.under_way else "waiting",
                    when(row.due_at),
                    when(row.expires_at),
                )
                for row in rows
            ],
        )
        if rows
        else "nothing waits",
        f"these are the first {limit}; --limit shows more" if page.cursor else "",
    )
    return ExitCode.OK


def requeue(options: Options, challenge_id: str, *, reason: str) -> ExitCode:
    """Make what waits due now."""
    done = operate(
        load_host(options),
        lambda operator: operator.retries.requeue(challenge_id, by=operator_name(), reason=reason),
    )
    if not done.changed:
        raise _nothing(
            "a try of this challenge is under way, and is left alone"
            if done.found
            else "nothing is to be sent for this challenge, or there is no such one"
        )
    options.say({"challenge_id": challenge_id, "requeued": done.changed}, "due now; the host or a worker runs it")
    return ExitCode.OK


def drop(options: Options, challenge_id: str, *, reason: str) -> ExitCode:
    """End the sending."""
    done = operate(
        load_host(options),
        lambda operator: operator.retries.drop(challenge_id, by=operator_name(), reason=reason),
    )
    if done.state is None:
        raise _nothing("nothing is to be sent for this challenge, or there is no such one")
    options.say(
        {"challenge_id": challenge_id, "state": done.state}, f"nothing more is sent; the challenge is {done.state}"
    )
    return ExitCode.OK


def change_many(options: Options, what: str, prefix: str | None, *, confirmed: bool, reason: str) -> ExitCode:
    """Drop or requeue what waits for a prefix or a region, or all of it, once somebody has said yes to the number."""
    host = load_host(options)
    verb, done_word = _WORDS[what]
    with options.progress("looking through what waits"):
        found = operate(host, lambda operator: operator.retries.count(prefix))
    meant = f"{found.count} sends" + (f" to numbers that begin {prefix.upper()}" if prefix is not None else "")
    if found.count:
        options.confirm(f"{verb} {meant}?", f"{meant} would be {done_word}", confirmed=confirmed)

    async def change(operator: AsyncOperator) -> Ended:
        work = operator.retries.drop if what == "drop" else operator.retries.requeue
        return await work(prefix=prefix, count=found.count, by=operator_name(), reason=reason)

    with options.progress(f"{verb.lower()}ping" if what == "drop" else "requeueing"):
        done = operate(host, change)
    options.say(
        {
            "prefix": prefix.upper() if prefix is not None else None,
            "found": done.found,
            done_word: done.changed,
            "unread": done.unread,
        },
        f"{done.changed} of {done.found} sends {done_word}"
        + ("" if done.changed == done.found else "; the others were over by then, or are under way"),
        f"{done.unread} could not be looked at: the keys that sealed them are not here" if done.unread else "",
    )
    return ExitCode.REFUSED if done.unread else ExitCode.OK


def _nothing(message: str) -> CommandError:
    return CommandError(message, "`otp retries list` shows what there is", ExitCode.REFUSED)

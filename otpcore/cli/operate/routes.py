"""``otp routes``: check, explain, show and set routing rules, and go back to earlier ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, operate, operator_name, parse_channel
from otpcore.cli.layout import table
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.asynchronous import AsyncOperator
from otpcore.operator.results.routes import Explained, RulesSet

__all__ = ["check", "explain", "history", "preview", "restore", "set_rules", "show"]

_DOES = {"sms": "send SMS", "call": "place calls"}  # else: send over it


def check(options: Options, rules: str, word: str) -> ExitCode:
    """Parse a rule for the channel of this word, and load what it names."""
    channel = parse_channel(word)
    found = operate(load_host(options), lambda operator: operator.routes.validate(rules, channel))
    options.say(
        {"valid": True, **found.to_dict()},
        f"valid: {found.rules}",
        _idle_note(found.idle, channel),
    )
    return ExitCode.OK


def explain(
    options: Options,
    phone: str,
    word: str,
    *,
    locale: str,
    message: str | None,
    own_code: bool,
    proposed: str | None,
) -> ExitCode:
    """Say who serves a number, and why.

    Args:
        word: Of the channel.
        locale: As for a send; empty: none is named.
        message: As for a send.
        own_code: The send has a code of the host's.
        proposed: Other rules, to be tried too.
    """
    channel = parse_channel(word)
    found = operate(
        load_host(options),
        lambda operator: operator.routes.explain(
            phone,
            channel,
            locale=locale,
            message=message,
            own_code=own_code,
            proposed=proposed,
            reveal=options.reveal,
        ),
    )
    options.say(
        found.to_dict(),
        *_explained(found),
        f"but a send to it is refused: {found.refused}" if found.refused else "",
        f"but it is the test number {found.test_number}: none of them is called" if found.test_number else "",
        *(_explained(found.proposed) if found.proposed is not None else ()),
    )
    return ExitCode.OK if found.route else ExitCode.REFUSED


def preview(options: Options, rules: str, word: str, window: float) -> ExitCode:
    """Say what other rules would change, by the challenges of the last ``window`` seconds."""
    channel, since = parse_channel(word), datetime.now(UTC) - timedelta(seconds=window)
    found = operate(load_host(options), lambda operator: operator.routes.preview(rules, since, channel))
    options.say(
        found.to_dict(),
        f"challenges since {when(found.since)} that were looked at: {found.examined}",
        table(
            ("from", "to", "challenges", "share"),
            [(one.before or "nobody", one.after or "nobody", one.count, f"{one.share:.1%}") for one in found.moved],
        )
        if found.moved
        else "none would go elsewhere",
        f"{found.unread} could not be looked at: the keys that sealed them are not here" if found.unread else "",
    )
    return ExitCode.OK


def show(options: Options) -> ExitCode:
    """Show what is in force, and every source."""
    found = operate(load_host(options), lambda operator: operator.routes.show())
    document = found.to_dict()
    options.say(
        document,
        table(
            ("channel", "in force from", "rules"),
            [(channel, one.source, one.rules) for channel, one in found.channels.items()],
        ),
        table(
            ("source", "setting", "rules"),
            [
                ("host's list", "providers=", ";".join(found.forced or ())),
                *(("database", name, rules) for name, rules in found.database.items()),
                *(("file", name, rules) for name, rules in found.file.items()),
            ],
            title="strongest first",
        ),
        *(f"refused, the file's rules count instead: {name}: {why}" for name, why in found.refused.items()),
    )
    return ExitCode.OK


def set_rules(options: Options, rules: str | None, word: str, *, clear: bool, reason: str) -> ExitCode:
    """Write or clear the stored rules of the channel of this word."""
    if clear == (rules is not None):
        raise CommandError("give either RULES or --clear", "see `otp routes set --help`", ExitCode.USAGE)
    channel = parse_channel(word)
    done = operate(
        load_host(options),
        lambda operator: operator.routes.set(rules, channel, by=operator_name(), reason=reason),
    )
    _say_set(options, done)
    return ExitCode.OK


def history(options: Options, word: str, limit: int) -> ExitCode:
    """List the stored rules of the channel of this word, the latest first."""
    channel = parse_channel(word)
    found = operate(load_host(options), lambda operator: operator.routes.history(channel, limit=limit))
    options.say(
        {"versions": [one.to_dict() for one in found]},
        table(
            ("number", "when", "by", "rules", "reason"),
            [(one.number, when(one.at), one.by, one.rules or "cleared", one.reason) for one in found],
        )
        if found
        else "no rules were ever written here",
        f"these are the last {limit}; --limit shows more" if len(found) == limit else "",
    )
    return ExitCode.OK


def restore(options: Options, number: int, *, reason: str) -> ExitCode:
    """Store the rules again that a change stored."""

    async def work(operator: AsyncOperator) -> RulesSet:
        return await operator.routes.restore(number, by=operator_name(), reason=reason)

    done = operate(load_host(options), work)
    _say_set(options, done)
    return ExitCode.OK


def _say_set(options: Options, done: RulesSet) -> None:
    said = "cleared; the file's rules count again" if done.rules is None else "set"
    document = done.to_dict()
    del document["within"]
    options.say(
        document,
        f"{done.setting} {said}; running services follow within {done.within:g} s",
        _idle_note(done.idle, done.channel),
        f"but this host forces {', '.join(done.forced)}, which goes before all rules" if done.forced else "",
    )


def _explained(found: Explained) -> list[Any]:
    return [
        f"{found.phone} by {found.channel}: {', then '.join(found.route) or 'nobody'}"
        + (f" (rules: {found.source})" if found.source else " (no rules)"),
        table(("order", "instance", "why"), [(step.position, step.instance, step.reason) for step in found.steps]),
    ]


def _idle_note(idle: tuple[str, ...], channel: str) -> str:
    does = _DOES.get(channel, f"send over {channel}")
    return f"note: {', '.join(idle)} cannot {does}, and is left out" if idle else ""

"""``otp sandbox``: its numbers and what happens to them, the test numbers, and what would have been sent to a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, operate
from otpcore.cli.layout import table
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.results.upkeep import InboxMessage
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.delivered import DeliveredMessage
from otpcore.providers.sandbox import MAGIC, RANGES
from otpcore.service.setup import Setup
from otpcore.settings.tree import Settings

__all__ = ["message_lines", "plain_messages", "sandbox"]


def sandbox(options: Options, phone: str | None) -> ExitCode:
    """The sandbox itself, or what would have been sent to one phone."""
    host = load_host(options)
    return _show(options, host.settings) if phone is None else _show_sent(options, host, phone)


def plain_messages(options: Options, messages: Sequence[DeliveredMessage]) -> list[dict[str, Any]]:
    """What would have arrived, for programs; readable only with ``--reveal``."""
    return [
        {
            "instance": message.instance,
            "channel": str(message.channel),
            "phone": message.phone.e164 if options.reveal else message.phone.masked,
            **({"code": message.code, "text": message.text} if options.reveal else {}),
        }
        for message in messages
    ]


def message_lines(messages: Sequence[dict[str, Any]]) -> Iterator[Any]:
    """The same for people."""
    yield "sandbox: nothing was sent to anybody" + (
        "; this would have arrived" if messages else ", nor would have been"
    )
    if messages:
        hidden = "hidden; --reveal shows it"
        yield table(
            ("instance", "channel", "phone", "text"),
            [(one["instance"], one["channel"], one["phone"], one.get("text", hidden)) for one in messages],
        )


def _show(options: Options, settings: Settings) -> ExitCode:
    tests = _test_numbers(options, settings)
    is_on = settings.sms.sandbox
    options.say(
        {
            "sandbox": is_on,
            "numbers": [
                {"name": magic.name, "meaning": magic.meaning, "numbers": [f"{start}{digits}" for start in RANGES]}
                for digits, magic in MAGIC.items()
            ],
            "test_numbers": tests,
        },
        "the sandbox is on: no provider is called"
        if is_on
        else "the sandbox is off; to switch it on, in [sms]: sandbox = true",
        table(
            (*(f"{start}.." for start in RANGES), "name", "what happens in the sandbox"),
            [(*(f"…{digits}" for _ in RANGES), magic.name, magic.meaning) for digits, magic in MAGIC.items()],
        ),
        table(
            ("test number", "phone", "code", "until", "state"),
            [(one["name"], one["phone"], one.get("code", "hidden"), one["until"], one["state"]) for one in tests],
            title="with fixed codes, in the sandbox or not",
        )
        if tests
        else "no sms.test_numbers are set",
    )
    return ExitCode.OK


def _test_numbers(options: Options, settings: Settings) -> list[dict[str, Any]]:
    today = datetime.now(UTC).date()
    rows = []
    for name, one in settings.sms.test_numbers.items():
        is_on = name in settings.sms.test_numbers_on
        rows.append(
            {
                "name": name,
                "phone": one.e164 if options.reveal else PhoneNumber(one.e164).masked,
                "until": one.until.isoformat(),
                "state": "over" if one.is_over(today) else "on" if is_on else "off",
                **({"code": one.code} if options.reveal else {}),
            }
        )
    return rows


def _show_sent(options: Options, host: Setup, phone: str) -> ExitCode:
    if not host.settings.sms.sandbox:
        raise CommandError(
            "sms.sandbox is off: what was sent went to the providers", "in [sms]: sandbox = true", ExitCode.REFUSED
        )
    found = operate(host, lambda operator: operator.inbox(phone, reveal=options.reveal))
    options.say(
        {"messages": [_plain(one) for one in found]},
        table(
            ("when", "channel", "instance", "came to", "phone", "code"),
            [(when(one.at), one.channel, one.instance, one.outcome, one.phone, one.code or "hidden") for one in found],
        )
        if found
        else "nothing that still verifies would have been sent to this phone",
    )
    return ExitCode.OK if found else ExitCode.REFUSED


def _plain(message: InboxMessage) -> dict[str, Any]:
    shown = message.to_dict()
    if message.code is None:
        del shown["code"]
    return shown

"""``otp sandbox``: its numbers and what happens to them, the test numbers, and what would have been sent to a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, parse_number, run, shown_number
from otpcore.cli.layout import table
from otpcore.cli.options import Options, when
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.delivered import DeliveredMessage
from otpcore.providers.sandbox import MAGIC, RANGES, is_harmless
from otpcore.service.assembly import without_providers
from otpcore.service.service import Service
from otpcore.service.setup import Setup
from otpcore.settings.tree import Settings
from otpcore.stores.lifecycle import NOT_SENT, is_living
from otpcore.stores.records import ChallengeRecord, DeliveryRecord

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
    if host.settings.needs_throw_away_keys:
        raise CommandError(
            "the sandbox's throw-away keys are known to the process that sent, and to nobody else",
            "make keys with `otp init`",
            ExitCode.CONFIGURATION,
        )
    found = run(_sent, options, host, phone)
    options.say(
        {"messages": found},
        table(
            ("when", "channel", "instance", "came to", "phone", "code"),
            [
                (
                    when(datetime.fromisoformat(one["at"])),
                    *(one[key] for key in ("channel", "instance", "outcome", "phone")),
                    one.get("code", "hidden"),
                )
                for one in found
            ],
        )
        if found
        else "nothing that still verifies would have been sent to this phone",
    )
    return ExitCode.OK if found else ExitCode.REFUSED


async def _sent(options: Options, host: Setup, phone: str) -> list[dict[str, Any]]:
    """Deliveries of the living challenges, newest last; their code is sealed in the store, and the keys open it here.

    Challenges that a vendor has delivered, from before the sandbox was switched on, are none of its business.
    """
    async with without_providers(host) as service:
        e164 = parse_number(host.settings, phone).e164
        views = await service.store.view(phone_key=service.keys.phone_key(e164))
        found: list[dict[str, Any]] = []
        for view in reversed(views):
            left = [delivery for delivery in view.deliveries if delivery.outcome not in NOT_SENT]
            ours = is_harmless(e164, [delivery.reference for delivery in left])
            if ours and is_living(view.challenge, service.clock()):
                found.extend(_delivered(options, service, view.challenge, delivery) for delivery in left)
        return found


def _delivered(
    options: Options, service: Service, challenge: ChallengeRecord, delivery: DeliveryRecord
) -> dict[str, Any]:
    shown = {
        "at": delivery.recorded_at.isoformat(),
        "channel": str(delivery.channel),
        "instance": delivery.instance,
        "outcome": str(delivery.outcome),
        "phone": shown_number(options, service, challenge),
        "challenge_id": challenge.id,
        "purpose": challenge.purpose,
    }
    if options.reveal and challenge.code_sealed is not None:
        shown["code"] = service.keys.unseal(challenge.id, "code", challenge.code_sealed)
    return shown

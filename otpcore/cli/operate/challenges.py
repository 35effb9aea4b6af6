"""``otp challenges show``: a challenge with its deliveries and retries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, parse_number, run, shown_number
from otpcore.cli.layout import fields, table
from otpcore.cli.options import Options, when
from otpcore.cli.send.messages import is_id
from otpcore.service.assembly import without_providers
from otpcore.service.service import Service
from otpcore.service.setup import Setup
from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import is_living
from otpcore.stores.records import DeliveryRecord, ScheduleRecord

__all__ = ["show"]


def show(options: Options, target: str) -> ExitCode:
    """One challenge by id, or all of a phone, newest first."""
    found = run(_views, options, load_host(options), target)
    if not found:
        raise CommandError(
            "there is no such challenge",
            "one that is over is purged after storage.keep_challenges",
            ExitCode.REFUSED,
        )
    options.say(
        {"challenges": [_plain(challenge) for challenge in found]},
        *(line for challenge in found for line in _lines(challenge)),
    )
    return ExitCode.OK


async def _views(options: Options, host: Setup, target: str) -> list[dict[str, Any]]:
    async with without_providers(host) as service:
        if is_id(target):
            views = await service.store.view(challenge_id=target)
        else:
            number = parse_number(host.settings, target)
            views = await service.store.view(phone_key=service.keys.phone_key(number.e164))
        return [_described(options, service, view) for view in views]


def _described(options: Options, service: Service, view: ChallengeView) -> dict[str, Any]:
    challenge = view.challenge
    return {
        "id": challenge.id,
        "phone": shown_number(options, service, challenge),
        "purpose": challenge.purpose,
        "app": challenge.app,
        "state": str(challenge.state),
        "living": is_living(challenge, service.clock()),
        "confirmed": challenge.confirmed,
        "reason": str(challenge.reason) if challenge.reason else None,
        "provider": challenge.provider,
        "attempts": challenge.attempts,
        "max_attempts": challenge.max_attempts,
        "locale": challenge.locale or None,
        "forced": list(challenge.forced) if challenge.forced is not None else None,
        "first_sent_at": challenge.first_sent_at,
        "expires_at": challenge.expires_at,
        "deliveries": [_delivery(delivery) for delivery in view.deliveries],
        "retries": [_retry(row) for row in view.schedule],
    }


def _delivery(delivery: DeliveryRecord) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "provider": delivery.instance,
        "channel": str(delivery.channel),
        "outcome": str(delivery.outcome),
        "provider_code": delivery.provider_code or None,
        "reference": delivery.reference or None,
        "is_retry": delivery.is_retry,
        "recorded_at": delivery.recorded_at,
    }


def _retry(row: ScheduleRecord) -> dict[str, Any]:
    return {
        "channel": str(row.channel),
        "attempts": row.attempts,
        "under_way": row.lease_until is not None,
        "due_at": row.due_at,
    }


def _plain(value: Any) -> Any:
    """Ready for JSON."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _lines(challenge: dict[str, Any]) -> list[Any]:
    shown = {name: value for name, value in challenge.items() if name not in {"deliveries", "retries"}}
    return [
        fields({name.replace("_", " "): _readable(value) for name, value in shown.items()}),
        _rows("deliveries", challenge["deliveries"]),
        _rows("retries", challenge["retries"]),
    ]


def _rows(title: str, rows: list[dict[str, Any]]) -> Any:
    if not rows:
        return ""
    columns = [name.replace("_", " ") for name in rows[0]]
    return table(columns, [[_readable(value) for value in row.values()] for row in rows], title=title)


def _readable(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(value)
    return when(value) if isinstance(value, datetime) else value

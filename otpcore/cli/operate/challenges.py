"""``otp challenges``: a challenge with everything that happened to it, and its end."""

from __future__ import annotations

from typing import Any

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, operate, operator_name
from otpcore.cli.layout import fields, table
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.results.challenges import ChallengeSeen, Moment

__all__ = ["cancel", "show"]


def show(options: Options, target: str) -> ExitCode:
    """One challenge by id, or all of a phone, newest first."""
    found = operate(load_host(options), lambda operator: operator.challenges.show(target, reveal=options.reveal))
    if not found:
        raise CommandError(
            "there is no such challenge",
            "one that is over is purged after storage.keep_challenges",
            ExitCode.REFUSED,
        )
    options.say(
        {"challenges": [one.to_dict() for one in found]},
        *(line for one in found for line in _lines(one)),
    )
    return ExitCode.OK


def cancel(options: Options, challenge_id: str, *, reason: str) -> ExitCode:
    """End a challenge."""
    ended = operate(
        load_host(options),
        lambda operator: operator.challenges.cancel(challenge_id, by=operator_name(), reason=reason),
    )
    if not ended:
        raise CommandError(
            "no challenge of that id lives", "`otp challenges show ID` says how it ended", ExitCode.REFUSED
        )
    options.say(
        {"challenge_id": challenge_id, "state": "cancelled"}, "nothing more is sent, and its code no longer verifies"
    )
    return ExitCode.OK


def _detail(one: Moment) -> str:
    return ", ".join(filter(None, (one.detail, str(one.price) if one.price is not None else "")))


def _lines(challenge: ChallengeSeen) -> list[Any]:
    inner = {"deliveries", "retries", "timeline"}
    shown = {name: getattr(challenge, name) for name in challenge.to_dict() if name not in inner}
    forced = challenge.forced
    shown |= {
        "forced": ", ".join(forced) if forced is not None else None,
        "first_sent_at": when(challenge.first_sent_at),
        "expires_at": when(challenge.expires_at),
        "approved_at": when(challenge.approved_at),
        "cooldowns": ", ".join(f"{channel} until {when(until)}" for channel, until in challenge.cooldowns.items()),
    }
    moments = [
        (when(one.at), one.what, one.channel, one.provider, one.result, _detail(one)) for one in challenge.timeline
    ]
    return [
        fields({name.replace("_", " "): value for name, value in shown.items()}),
        table(("when", "what", "channel", "provider", "result", "detail"), moments, title="timeline"),
    ]

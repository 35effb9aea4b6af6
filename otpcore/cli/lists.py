"""The commands that list what happened, with their arguments; the work is done in a module that is imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

from typing import Annotated

import typer

from otpcore.cli.arguments import FROM_INPUT
from otpcore.cli.exits import ExitCode
from otpcore.cli.options import Options
from otpcore.cli.typed import typed_phone

Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="From how far back on: a number with s, m, h or d; not given: all that is kept."),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="To how far back: likewise; not given: to now.")]
OfPhone = Annotated[
    str | None,
    typer.Option("--phone", metavar="PHONE", help=f"Only of this number; {FROM_INPUT}", callback=typed_phone),
]
OfInstance = Annotated[
    str, typer.Option("--instance", metavar="NAME", help="Only of this provider instance, or tried there last.")
]
OfPrefix = Annotated[
    str | None,
    typer.Option(
        "--prefix", metavar="PREFIX", help="Only those that came there by this prefix of the rules; '': by default."
    ),
]
OverChannel = Annotated[
    str | None, typer.Option("--channel", metavar="WORD", help="Only over this channel, such as sms.")
]
OfOutcome = Annotated[
    str | None,
    typer.Option("--outcome", metavar="WORD", help="Only what came to this, such as accepted or throttled."),
]
OfCode = Annotated[
    str, typer.Option("--provider-code", metavar="CODE", help="Only those that the vendor answered with this code.")
]
After = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where a page before ended, which says how.")]
Limit = Annotated[int, typer.Option(min=1, help="How many, the latest first.")]


def list_challenges(
    context: typer.Context,
    since: Since = None,
    until: Until = None,
    phone: OfPhone = None,
    instance: OfInstance = "",
    purpose: Annotated[str | None, typer.Option(metavar="TEXT", help="Only of this purpose.")] = None,
    of_app: Annotated[str | None, typer.Option(metavar="TEXT", help="Only of this one of the host's apps.")] = None,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only in this state, such as queued.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> ExitCode:
    """List challenges, the latest first; `otp challenges show ID` tells what happened to one."""
    from otpcore.cli.operate import lists as _lists

    asked = {"phone": phone, "instance": instance, "purpose": purpose, "app": of_app, "state": state}
    return _lists.challenges(_options(context), _lists.PageRequest(since, until, after, limit), asked)


def list_deliveries(
    context: typer.Context,
    since: Since = None,
    until: Until = None,
    phone: OfPhone = None,
    instance: OfInstance = "",
    prefix: OfPrefix = None,
    channel: OverChannel = None,
    outcome: OfOutcome = None,
    provider_code: OfCode = "",
    after: After = None,
    limit: Limit = 50,
) -> ExitCode:
    """List what was handed to providers and what it came to, the latest first."""
    from otpcore.cli.operate import lists as _lists

    asked = {
        "phone": phone,
        "instance": instance,
        "prefix": prefix,
        "channel": channel,
        "outcome": outcome,
        "provider_code": provider_code,
    }
    return _lists.deliveries(_options(context), _lists.PageRequest(since, until, after, limit), asked)


def cost_of_deliveries(
    context: typer.Context,
    since: Since = None,
    until: Until = None,
    phone: OfPhone = None,
    instance: OfInstance = "",
    prefix: OfPrefix = None,
    channel: OverChannel = None,
    outcome: OfOutcome = None,
    provider_code: OfCode = "",
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="WORD", help="Tell apart by day, instance, prefix or channel; may be given again."
        ),
    ] = None,
) -> ExitCode:
    """Sum what deliveries cost, as their vendors said: exactly, currencies apart."""
    from otpcore.cli.operate import lists as _lists

    asked = {
        "phone": phone,
        "instance": instance,
        "prefix": prefix,
        "channel": channel,
        "outcome": outcome,
        "provider_code": provider_code,
    }
    return _lists.cost(_options(context), since, until, asked, by or [])


def series(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: a number with s, m, h or d.")] = "1d",
    until: Until = None,
    step: Annotated[str, typer.Option(metavar="TIME", help="How long a step is, in whole minutes.")] = "1h",
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="WORD", help="Tell apart by instance, prefix or channel; may be given again."),
    ] = None,
) -> ExitCode:
    """Count over time what was accepted, failed, delivered and verified, and how long people waited."""
    from otpcore.cli.operate import lists as _lists

    return _lists.series(_options(context), since, until, step, by or [])


def _options(context: typer.Context) -> Options:
    options: Options = context.obj
    return options

"""The commands of operators, with their arguments; the work is done in modules that are imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

from typing import Annotated

import typer

from otpcore.cli.arguments import (
    FROM_INPUT,
    ClearSwitch,
    Client,
    Id,
    IdOrPhone,
    Lasts,
    Prefix,
    Reason,
    Yes,
)
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options, parse_span
from otpcore.cli.typed import typed_id, typed_phone, typed_prefix

PhoneOrNone = Annotated[
    str | None,
    typer.Argument(metavar="[PHONE]", help=f"Of this number; {FROM_INPUT}", callback=typed_phone),
]
OfPrefix = Annotated[
    str | None,
    typer.Option("--prefix", metavar="PREFIX", help=f"Of a prefix or region; {FROM_INPUT}", callback=typed_prefix),
]
Waiting = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="PREFIX",
        help=f"All that wait for numbers that begin so, such as +35987, or of a region such as BG; {FROM_INPUT}",
        callback=typed_prefix,
    ),
]
IdOrNone = Annotated[
    str | None, typer.Argument(metavar="[ID]", help=f"The challenge's id; {FROM_INPUT}", callback=typed_id)
]
All = Annotated[bool, typer.Option("--all", help="Everything that waits.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a provider instance, as the rules write it.")]


def providers(context: typer.Context) -> ExitCode:
    """List provider plugins: what is installed, what is configured, what is broken and why."""
    from otpcore.cli.operate import instances as _instances

    return _instances.providers(_options(context))


def status(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: a number with s, m, h or d.")] = "1h",
    check: Annotated[
        bool,
        typer.Option("--check", help="A probe: one line, exit code 0 if sending can go on, 1 if anything stops it."),
    ] = False,
) -> ExitCode:
    """Show what stops sending now, what each provider did lately, what waits, and who runs retries."""
    from otpcore.cli.operate import status as _status

    if check:
        return _status.check(_options(context))
    return _status.status(_options(context), parse_span(since, "--since"))


def status_of_instances(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: a number with s, m, h or d.")] = "1h",
) -> ExitCode:
    """Show which instances are drained, which fail, and what each did lately; loads no plugin."""
    from otpcore.cli.operate import instances as _instances

    return _instances.status(_options(context), parse_span(since, "--since"))


def drain(context: typer.Context, name: Name, reason: Reason = "") -> ExitCode:
    """Give an instance no new sends and no retries; what it has sent is still verified."""
    from otpcore.cli.operate import instances as _instances

    return _instances.drain(_options(context), name, reason=reason)


def take_back(context: typer.Context, name: Name, reason: Reason = "") -> ExitCode:
    """Give a drained instance sends and retries again."""
    from otpcore.cli.operate import instances as _instances

    return _instances.take_back(_options(context), name, reason=reason)


def send_test(
    context: typer.Context,
    name: Name,
    phone: Annotated[
        str, typer.Argument(metavar="PHONE", help=f"Whose holder expects it; {FROM_INPUT}", callback=typed_phone)
    ],
    channel: Annotated[str, typer.Option(metavar="CHANNEL", help="sms, call, or a word such as whatsapp.")] = "sms",
    reason: Reason = "",
) -> ExitCode:
    """Send one real message through an instance and no other, and show what became of it."""
    from otpcore.cli.operate import instances as _instances

    return _instances.test(_options(context), name, phone, channel, reason=reason)


def list_retries(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, the earliest due first.")] = 50,
) -> ExitCode:
    """List sends that wait for their next try, or are under way."""
    from otpcore.cli.operate import retries as _retries

    return _retries.list_retries(_options(context), limit)


def requeue(
    context: typer.Context,
    challenge_id: IdOrNone = None,
    prefix: Waiting = None,
    every: All = False,
    yes: Yes = False,
    reason: Reason = "",
) -> ExitCode:
    """Make the waiting retries of a challenge due now, or of all with a prefix, or all."""
    from otpcore.cli.operate import retries as _retries

    _check_one(challenge_id, prefix, every=every)
    if challenge_id is not None:
        return _retries.requeue(_options(context), challenge_id, reason=reason)
    return _retries.change_many(_options(context), "requeue", prefix, confirmed=yes, reason=reason)


def drop(
    context: typer.Context,
    challenge_id: IdOrNone = None,
    prefix: Waiting = None,
    every: All = False,
    yes: Yes = False,
    reason: Reason = "",
) -> ExitCode:
    """End the sending of a challenge, or of all with a prefix, or all; what has arrived still verifies."""
    from otpcore.cli.operate import retries as _retries

    _check_one(challenge_id, prefix, every=every)
    if challenge_id is not None:
        return _retries.drop(_options(context), challenge_id, reason=reason)
    return _retries.change_many(_options(context), "drop", prefix, confirmed=yes, reason=reason)


def show_challenges(context: typer.Context, target: IdOrPhone) -> ExitCode:
    """Show a challenge, or all of a phone, with everything that happened to it."""
    from otpcore.cli.operate import challenges as _challenges

    return _challenges.show(_options(context), target)


def cancel_challenge(context: typer.Context, challenge_id: Id, reason: Reason = "") -> ExitCode:
    """End a challenge: nothing more is sent, and its code no longer verifies."""
    from otpcore.cli.operate import challenges as _challenges

    return _challenges.cancel(_options(context), challenge_id, reason=reason)


def show_limits(
    context: typer.Context, phone: PhoneOrNone = None, client: Client = None, prefix: OfPrefix = None
) -> ExitCode:
    """Show switches and budgets; of a phone, client or prefix, what it has used up and until when it is locked."""
    from otpcore.cli.operate import limits as _limits

    return _limits.show(_options(context), phone, client, prefix)


def reset_limits(
    context: typer.Context,
    phone: PhoneOrNone = None,
    client: Client = None,
    prefix: OfPrefix = None,
    reason: Reason = "",
) -> ExitCode:
    """Forget what a phone, client or prefix has used up, and unlock the phone."""
    from otpcore.cli.operate import limits as _limits

    return _limits.reset(_options(context), phone, client, prefix, reason=reason)


def deny_prefix(
    context: typer.Context,
    prefix: Prefix,
    lasts: Lasts = None,
    clear: ClearSwitch = False,
    reason: Reason = "",
) -> ExitCode:
    """Send nothing to numbers that begin so or belong to the region, verified ones too; what is queued for them ends."""
    from otpcore.cli.operate import switches as _switches

    return _switches.switch_prefix(_options(context), prefix, lasts, allows=False, clear=clear, reason=reason)


def allow_prefix(
    context: typer.Context,
    prefix: Prefix,
    lasts: Lasts = None,
    clear: ClearSwitch = False,
    reason: Reason = "",
) -> ExitCode:
    """End the denial of a prefix or region, and send there whatever the settings deny."""
    from otpcore.cli.operate import switches as _switches

    return _switches.switch_prefix(_options(context), prefix, lasts, allows=True, clear=clear, reason=reason)


def refused_limits(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Option(metavar="PHONE", help=f"Only of this number; {FROM_INPUT}", callback=typed_phone),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 50,
) -> ExitCode:
    """List what was refused and why, and what only would have been."""
    from otpcore.cli.operate import limits as _limits

    return _limits.refused(_options(context), phone, limit)


def pause(context: typer.Context, lasts: Lasts = None, reason: Reason = "") -> ExitCode:
    """Stop all sending, in every process within seconds; codes are still verified, and retries wait."""
    from otpcore.cli.operate import switches as _switches

    return _switches.pause(_options(context), lasts, reason=reason)


def resume(context: typer.Context, reason: Reason = "") -> ExitCode:
    """End a pause."""
    from otpcore.cli.operate import switches as _switches

    return _switches.resume(_options(context), reason=reason)


def purge(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Option(metavar="PHONE", help=f"Erase everything about one person; {FROM_INPUT}", callback=typed_phone),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --phone: do not ask.")] = False,
    reason: Reason = "",
) -> ExitCode:
    """Remove what is older than storage.keep_challenges and storage.keep_deliveries; with --phone, everything about one person."""
    from otpcore.cli.operate import upkeep as _upkeep

    return _upkeep.purge(_options(context), phone, confirmed=yes, reason=reason)


def audit(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="NUMBER", help="Only those before this one.")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only of this one, such as sending.pause.")
    ] = None,
) -> ExitCode:
    """List what operators changed, who did it and why."""
    from otpcore.cli.operate import upkeep as _upkeep

    return _upkeep.audit(_options(context), limit, before, action)


def _check_one(challenge_id: str | None, prefix: str | None, *, every: bool) -> None:
    """Exactly one of the three.

    Raises:
        CommandError: None of them is given, or several.
    """
    if (challenge_id is not None) + (prefix is not None) + every != 1:
        raise CommandError("an id, a prefix or --all is needed", "give one of them", ExitCode.USAGE)


def _options(context: typer.Context) -> Options:
    options: Options = context.obj
    return options

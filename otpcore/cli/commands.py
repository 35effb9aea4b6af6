"""Every command with its arguments; the work is done in modules that are imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from otpcore.cli.arguments import (
    FROM_INPUT,
    ChannelName,
    ClearSwitch,
    Client,
    Id,
    IdOrPhone,
    Lasts,
    Locale,
    Message,
    OwnCode,
    Phone,
    Prefix,
    Purpose,
    Rules,
)
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options, parse_span
from otpcore.cli.typed import STANDARD_INPUT, typed_code, typed_id, typed_phone, typed_prefix


class Backend(enum.StrEnum):
    """The event loops that a worker runs on."""

    ASYNCIO = "asyncio"
    TRIO = "trio"


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Option(metavar="PATH", help="Where to write them.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there; its keys are lost.")] = False,
) -> ExitCode:
    """Write otpcore.toml and .otpcore.secrets.toml with fresh keys."""
    from otpcore.cli.setup import init as _init

    return _init.init(_options(context), directory, force=force)


def demo(context: typer.Context) -> ExitCode:
    """Show sending, failover, retries and verifying against simulators; needs no account and no network."""
    from otpcore.cli.demo import demo as _demo

    return _demo.demo(_options(context))


def send(
    context: typer.Context,
    phone: Phone,
    channel: ChannelName = "sms",
    purpose: Purpose = "default",
    client: Client = None,
    locale: Locale = None,
    message: Message = None,
    code: OwnCode = None,
) -> ExitCode:
    """Send a code by SMS or over another channel, or the living one again.

    Retries that are due are run here, unless they are left to workers.
    """
    from otpcore.cli.send import messages as _sending

    order = _sending.Order(
        phone=phone, purpose=purpose, client=client, locale=locale, message=message, code=typed_code(code)
    )
    return _sending.send(_options(context), channel, order)


def call(
    context: typer.Context,
    phone: Phone,
    purpose: Purpose = "default",
    client: Client = None,
    locale: Locale = None,
    message: Message = None,
    code: OwnCode = None,
) -> ExitCode:
    """Speak a code in a voice call; while a challenge lives, its own code."""
    from otpcore.cli.send import messages as _sending

    order = _sending.Order(
        phone=phone, purpose=purpose, client=client, locale=locale, message=message, code=typed_code(code)
    )
    return _sending.send(_options(context), "call", order)


def verify(
    context: typer.Context,
    target: IdOrPhone,
    code: Annotated[
        str, typer.Argument(metavar="[CODE]", help=f"As it was typed; {FROM_INPUT}", callback=typed_code)
    ] = STANDARD_INPUT,
    purpose: Purpose = "default",
    client: Client = None,
) -> ExitCode:
    """Say whether a code is right; a right one is accepted once."""
    from otpcore.cli.send import messages as _sending

    return _sending.verify(_options(context), target, code, purpose=purpose, client=client)


def check_routes(context: typer.Context, rules: Rules, channel: ChannelName = "sms") -> ExitCode:
    """Check a rule text against what is installed and configured here."""
    from otpcore.cli.operate import routes as _routes

    return _routes.check(_options(context), rules, channel)


def explain_routes(
    context: typer.Context,
    phone: Phone,
    channel: ChannelName = "sms",
    locale: Locale = None,
    message: Message = None,
    own_code: Annotated[bool, typer.Option("--own-code", help="As for a send with a code of your own.")] = False,
) -> ExitCode:
    """Say which providers serve a number, in order, and why.

    With --locale, --message and --own-code, as for a send, those are left out that cannot carry them.
    """
    from otpcore.cli.operate import routes as _routes

    return _routes.explain(_options(context), phone, channel, locale=locale or "", message=message, own_code=own_code)


def show_routes(context: typer.Context) -> ExitCode:
    """Show the rules of each channel and where they come from."""
    from otpcore.cli.operate import routes as _routes

    return _routes.show(_options(context))


def set_routes(
    context: typer.Context,
    rules: Annotated[str | None, typer.Argument(metavar="[RULES]", help="As for check.")] = None,
    channel: ChannelName = "sms",
    clear: Annotated[bool, typer.Option("--clear", help="Remove the stored rules; the file's count again.")] = False,
) -> ExitCode:
    """Write rules to the store, once they are checked; running services take them up within seconds."""
    from otpcore.cli.operate import routes as _routes

    return _routes.set_rules(_options(context), rules, channel, clear=clear)


def providers(context: typer.Context) -> ExitCode:
    """List provider plugins: what is installed, what is configured, what is broken and why."""
    from otpcore.cli.setup import providers as _providers

    return _providers.providers(_options(context))


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


def worker(
    context: typer.Context,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Retries at once; not given: as set.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="The event loop.")] = Backend.ASYNCIO,
) -> ExitCode:
    """Run due retries, sweep and purge until SIGTERM or Ctrl-C; then finish what is under way."""
    from otpcore.cli.operate import worker as _worker

    return _worker.worker(_options(context), concurrency, str(backend))


def list_retries(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, the earliest due first.")] = 50,
) -> ExitCode:
    """List sends that wait for their next try, or are under way."""
    from otpcore.cli.operate import retries as _retries

    return _retries.list_retries(_options(context), limit)


def requeue(context: typer.Context, challenge_id: Id) -> ExitCode:
    """Make the waiting retries of a challenge due now."""
    from otpcore.cli.operate import retries as _retries

    return _retries.requeue(_options(context), challenge_id)


def drop(
    context: typer.Context,
    challenge_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help=f"The challenge's id; {FROM_INPUT}", callback=typed_id)
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX",
            help=f"All that wait for numbers that begin so, such as +35987, or of a region such as BG; {FROM_INPUT}",
            callback=typed_prefix,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --prefix: do not ask.")] = False,
) -> ExitCode:
    """End the sending of a challenge, or of all with a prefix; what has arrived still verifies."""
    from otpcore.cli.operate import retries as _retries

    if (challenge_id is None) == (prefix is None):
        raise CommandError("an id or a prefix is needed", "give one of them", ExitCode.USAGE)
    if prefix is not None:
        return _retries.drop_prefix(_options(context), prefix, confirmed=yes)
    return _retries.drop(_options(context), challenge_id or "")


def show_challenges(context: typer.Context, target: IdOrPhone) -> ExitCode:
    """Show a challenge, or all of a phone, with deliveries and retries."""
    from otpcore.cli.operate import challenges as _challenges

    return _challenges.show(_options(context), target)


def show_limits(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Argument(metavar="[PHONE]", help=f"What limits this number; {FROM_INPUT}", callback=typed_phone),
    ] = None,
) -> ExitCode:
    """Show switches and budgets; of a phone, what it has used up and until when it is locked."""
    from otpcore.cli.operate import limits as _limits

    return _limits.show(_options(context), phone)


def deny_prefix(context: typer.Context, prefix: Prefix, lasts: Lasts = None, clear: ClearSwitch = False) -> ExitCode:
    """Send nothing to numbers that begin so or belong to the region, verified ones too; what is queued for them ends."""
    from otpcore.cli.operate import switches as _switches

    return _switches.switch_prefix(_options(context), prefix, lasts, allows=False, clear=clear)


def allow_prefix(context: typer.Context, prefix: Prefix, lasts: Lasts = None, clear: ClearSwitch = False) -> ExitCode:
    """End the denial of a prefix or region, and send there whatever the settings deny."""
    from otpcore.cli.operate import switches as _switches

    return _switches.switch_prefix(_options(context), prefix, lasts, allows=True, clear=clear)


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


def pause(context: typer.Context, lasts: Lasts = None) -> ExitCode:
    """Stop all sending, in every process within seconds; codes are still verified, and retries wait."""
    from otpcore.cli.operate import switches as _switches

    return _switches.pause(_options(context), lasts)


def resume(context: typer.Context) -> ExitCode:
    """End a pause."""
    from otpcore.cli.operate import switches as _switches

    return _switches.resume(_options(context))


def reset_limits(context: typer.Context, phone: Phone) -> ExitCode:
    """Forget what a phone has used up, and unlock it."""
    from otpcore.cli.operate import limits as _limits

    return _limits.reset(_options(context), phone)


def upgrade(context: typer.Context) -> ExitCode:
    """Create the tables, or bring them up to date."""
    from otpcore.cli.setup import database as _database

    return _database.upgrade(_options(context))


def current(context: typer.Context) -> ExitCode:
    """Show at which revision the tables are."""
    from otpcore.cli.setup import database as _database

    return _database.current(_options(context))


def purge(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Option(metavar="PHONE", help=f"Erase everything about one person; {FROM_INPUT}", callback=typed_phone),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --phone: do not ask.")] = False,
) -> ExitCode:
    """Remove what is older than storage.keep_challenges and storage.keep_deliveries; with --phone, everything about one person."""
    from otpcore.cli.setup import database as _database

    return _database.purge(_options(context), phone, confirmed=yes)


def doctor(
    context: typer.Context,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask each vendor about the account; sends nothing, costs nothing.")
    ] = False,
) -> ExitCode:
    """Say what stops sending now, and check settings, keys, store, network, clock, limits, rules, providers, retries and workers."""
    from otpcore.cli.setup import doctor as _doctor

    return _doctor.doctor(_options(context), online=online)


def sandbox(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Argument(
            metavar="[PHONE]",
            help=f"Whose messages; not given: the sandbox itself; {FROM_INPUT}",
            callback=typed_phone,
        ),
    ] = None,
) -> ExitCode:
    """Show the sandbox's numbers and the test numbers, or what would have been sent to a phone."""
    from otpcore.cli.send import sandbox as _sandbox

    return _sandbox.sandbox(_options(context), phone)


def new_keys(
    context: typer.Context,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a first set into this TOML file, which only its owner can read then."),
    ] = None,
) -> ExitCode:
    """Print the lines of a fresh key; of a whole set, where there are no keys yet."""
    from otpcore.cli.setup import keys as _keys

    return _keys.new_keys(_options(context), into)


def rotate_keys(
    context: typer.Context,
    use: Annotated[
        str | None, typer.Option(metavar="ID", help="Step 2: make the key current, once every process lists it.")
    ] = None,
    retire: Annotated[
        str | None, typer.Option(metavar="ID", help="Step 3: remove a key, once nothing that is kept needs it.")
    ] = None,
) -> ExitCode:
    """Rotate the code key in three steps; without an option the first: add a fresh key as readable.

    The keys are changed in the TOML file that holds them; where they come from elsewhere, the lines are printed.
    """
    from otpcore.cli.setup import keys as _keys

    if use is not None and retire is not None:
        raise CommandError("--use and --retire are two steps", "give one of them", ExitCode.USAGE)
    if use is not None:
        return _keys.make_current(_options(context), use)
    if retire is not None:
        return _keys.retire(_options(context), retire)
    return _keys.rotate(_options(context))


def _options(context: typer.Context) -> Options:
    options: Options = context.obj
    return options

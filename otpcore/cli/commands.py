"""The commands that set up, send and route, with their arguments; the work is done in modules that are imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from otpcore.cli.arguments import (
    FROM_INPUT,
    ChannelName,
    Client,
    IdOrPhone,
    Locale,
    Message,
    OfApp,
    OwnCode,
    Phone,
    Purpose,
    Reason,
    Relayed,
    Rules,
)
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options, parse_span
from otpcore.cli.typed import STANDARD_INPUT, typed_code, typed_phone


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


def demo(
    context: typer.Context,
    guests: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME", help="Another simulator that is installed; may come more than once."),
    ] = None,
) -> ExitCode:
    """Show sending, failover, retries and verifying against simulators; needs no account and no network."""
    from otpcore.cli.demo import demo as _demo

    return _demo.demo(_options(context), guests or ())


def send(
    context: typer.Context,
    phone: Phone,
    channel: ChannelName = "sms",
    purpose: Purpose = "default",
    client: Client = None,
    locale: Locale = None,
    message: Message = None,
    code: OwnCode = None,
    relayed: Relayed = False,
    of_app: OfApp = "",
) -> ExitCode:
    """Send a code by SMS or over another channel, or the living one again.

    Retries that are due are run here, unless they are left to workers.
    """
    from otpcore.cli.send import messages as _sending

    order = _sending.Order(
        phone=phone,
        purpose=purpose,
        client=client,
        locale=locale,
        message=message,
        code=typed_code(code),
        relayed=relayed,
        app=of_app,
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
    relayed: Relayed = False,
    of_app: OfApp = "",
) -> ExitCode:
    """Speak a code in a voice call; while a challenge lives, its own code."""
    return send(
        context,
        phone,
        channel="call",
        purpose=purpose,
        client=client,
        locale=locale,
        message=message,
        code=code,
        relayed=relayed,
        of_app=of_app,
    )


def verify(
    context: typer.Context,
    target: IdOrPhone,
    code: Annotated[
        str, typer.Argument(metavar="[CODE]", help=f"As it was typed; {FROM_INPUT}", callback=typed_code)
    ] = STANDARD_INPUT,
    purpose: Purpose = "default",
    client: Client = None,
    of_app: OfApp = "",
) -> ExitCode:
    """Say whether a code is right; a right one is accepted once."""
    from otpcore.cli.send import messages as _sending

    return _sending.verify(_options(context), target, code, purpose=purpose, client=client, app=of_app)


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
    proposed: Annotated[str | None, typer.Option(metavar="RULES", help="Try these rules too.")] = None,
) -> ExitCode:
    """Say which providers serve a number, in order, and why.

    With --locale, --message and --own-code, as for a send, those are left out that cannot carry them.
    """
    from otpcore.cli.operate import routes as _routes

    return _routes.explain(
        _options(context),
        phone,
        channel,
        locale=locale or "",
        message=message,
        own_code=own_code,
        proposed=proposed,
    )


def preview_routes(
    context: typer.Context,
    rules: Rules,
    channel: ChannelName = "sms",
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: a number with s, m, h or d.")] = "1d",
) -> ExitCode:
    """Say which share of the recent challenges a rule text would send elsewhere; at most 10,000 are looked at."""
    from otpcore.cli.operate import routes as _routes

    return _routes.preview(_options(context), rules, channel, parse_span(since, "--since"))


def show_routes(context: typer.Context) -> ExitCode:
    """Show the rules of each channel and where they come from."""
    from otpcore.cli.operate import routes as _routes

    return _routes.show(_options(context))


def set_routes(
    context: typer.Context,
    rules: Annotated[str | None, typer.Argument(metavar="[RULES]", help="As for check.")] = None,
    channel: ChannelName = "sms",
    clear: Annotated[bool, typer.Option("--clear", help="Remove the stored rules; the file's count again.")] = False,
    reason: Reason = "",
) -> ExitCode:
    """Write rules to the store, once they are checked; running services take them up within seconds."""
    from otpcore.cli.operate import routes as _routes

    return _routes.set_rules(_options(context), rules, channel, clear=clear, reason=reason)


def history_of_routes(
    context: typer.Context,
    channel: ChannelName = "sms",
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 20,
) -> ExitCode:
    """List the rules that were written to the store, who wrote them and why."""
    from otpcore.cli.operate import routes as _routes

    return _routes.history(_options(context), channel, limit)


def restore_routes(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Of a change that `otp routes history` lists.")],
    reason: Reason = "",
) -> ExitCode:
    """Write the rules again that an earlier change wrote."""
    from otpcore.cli.operate import routes as _routes

    return _routes.restore(_options(context), number, reason=reason)


def worker(
    context: typer.Context,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Retries at once; not given: as set.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="The event loop.")] = Backend.ASYNCIO,
) -> ExitCode:
    """Run due retries, sweep and purge until SIGTERM or Ctrl-C; then finish what is under way."""
    from otpcore.cli.setup import worker as _worker

    return _worker.worker(_options(context), concurrency, str(backend))


def upgrade(context: typer.Context) -> ExitCode:
    """Create the tables, or bring them up to date."""
    from otpcore.cli.setup import database as _database

    return _database.upgrade(_options(context))


def current(context: typer.Context) -> ExitCode:
    """Show at which revision the tables are."""
    from otpcore.cli.setup import database as _database

    return _database.current(_options(context))


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

"""What people type: every command with its arguments; the work is done in modules that are imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._options import Options, parse_span
from otpcore.cli._typed import STANDARD_INPUT, typed_code, typed_phone

if TYPE_CHECKING:
    from otpcore.models import Channel

__all__ = ["COMMANDS", "GROUPS", "MAY_TAKE_AN_ID"]


class Backend(enum.StrEnum):
    """The event loops that a worker runs on."""

    ASYNCIO = "asyncio"
    TRIO = "trio"


Command = Callable[..., ExitCode]

_FROM_INPUT = "- asks for it, or reads a line of standard input."

Phone = Annotated[
    str,
    typer.Argument(
        metavar="PHONE", help=f"With a leading +, unless otp.default_region is set; {_FROM_INPUT}", callback=typed_phone
    ),
]
IdOrPhone = Annotated[
    str,
    typer.Argument(
        metavar="ID|PHONE", help=f"A challenge's id, or a phone number; {_FROM_INPUT}", callback=typed_phone
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The challenge's id.")]
Rules = Annotated[str, typer.Argument(metavar="RULES", help='Such as "Twilio;Mada:+35987,+35988;Sinch".')]
ForCalls = Annotated[bool, typer.Option("--call", help="For calls instead of SMS.")]
Purpose = Annotated[str, typer.Option(metavar="TEXT", help="What the code is for.")]
Client = Annotated[str | None, typer.Option(metavar="TEXT", help="Who asks, such as the client's IP address.")]
Locale = Annotated[str | None, typer.Option(metavar="TAG", help="Language of the text, such as pt-BR.")]
Prefix = Annotated[str, typer.Argument(metavar="PREFIX", help="Such as +35987.")]
Lasts = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Such as 30m or 2h; not given: until it is switched again.")
]
ClearSwitch = Annotated[bool, typer.Option("--clear", help="Remove the switch; the settings count again.")]
Message = Annotated[str | None, typer.Option(metavar="TEXT", help="A text of your own; it must contain {code}.")]


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Option(metavar="PATH", help="Where to write them.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there; its keys are lost.")] = False,
) -> ExitCode:
    """Write otpcore.toml and .otpcore.secrets.toml with fresh keys."""
    from otpcore.cli import _init

    return _init.init(_options(context), directory, force=force)


def demo(context: typer.Context) -> ExitCode:
    """Show sending, failover, retries and verifying against simulators; needs no account and no network."""
    from otpcore.cli import _demo

    return _demo.demo(_options(context))


def send(
    context: typer.Context,
    phone: Phone,
    purpose: Purpose = "default",
    client: Client = None,
    locale: Locale = None,
    message: Message = None,
) -> ExitCode:
    """Send a code by SMS, or the living one again.

    Retries that are due are run here, unless they are left to workers.
    """
    from otpcore.cli import _sending

    order = _sending.Order(phone=phone, purpose=purpose, client=client, locale=locale, message=message)
    return _sending.send(_options(context), _channel(for_calls=False), order)


def call(
    context: typer.Context,
    phone: Phone,
    purpose: Purpose = "default",
    client: Client = None,
    locale: Locale = None,
    message: Message = None,
) -> ExitCode:
    """Speak a code in a voice call; while a challenge lives, its own code."""
    from otpcore.cli import _sending

    order = _sending.Order(phone=phone, purpose=purpose, client=client, locale=locale, message=message)
    return _sending.send(_options(context), _channel(for_calls=True), order)


def verify(
    context: typer.Context,
    target: IdOrPhone,
    code: Annotated[
        str, typer.Argument(metavar="[CODE]", help=f"As it was typed; {_FROM_INPUT}", callback=typed_code)
    ] = STANDARD_INPUT,
    purpose: Purpose = "default",
    client: Client = None,
) -> ExitCode:
    """Say whether a code is right; a right one is accepted once."""
    from otpcore.cli import _sending

    return _sending.verify(_options(context), target, code, purpose=purpose, client=client)


def check_routes(context: typer.Context, rules: Rules, for_calls: ForCalls = False) -> ExitCode:
    """Check a rule text against what is installed and configured here."""
    from otpcore.cli import _routes

    return _routes.check(_options(context), rules, _channel(for_calls))


def explain_routes(context: typer.Context, phone: Phone, for_calls: ForCalls = False) -> ExitCode:
    """Say which providers serve a number, in order, and why."""
    from otpcore.cli import _routes

    return _routes.explain(_options(context), phone, _channel(for_calls))


def show_routes(context: typer.Context) -> ExitCode:
    """Show the rules of each channel and where they come from."""
    from otpcore.cli import _routes

    return _routes.show(_options(context))


def set_routes(
    context: typer.Context,
    rules: Annotated[str | None, typer.Argument(metavar="[RULES]", help="As for check.")] = None,
    for_calls: ForCalls = False,
    clear: Annotated[bool, typer.Option("--clear", help="Remove the stored rules; the file's count again.")] = False,
) -> ExitCode:
    """Write rules to the store, once they are checked; running services take them up within seconds."""
    from otpcore.cli import _routes

    return _routes.set_rules(_options(context), rules, _channel(for_calls), clear=clear)


def providers(context: typer.Context) -> ExitCode:
    """List provider plugins: what is installed, what is configured, what is broken and why."""
    from otpcore.cli import _providers

    return _providers.providers(_options(context))


def status(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back: a number with s, m, h or d.")] = "1h",
) -> ExitCode:
    """Show what each provider did lately, what waits now, and who runs retries."""
    from otpcore.cli import _status

    return _status.status(_options(context), parse_span(since, "--since"))


def worker(
    context: typer.Context,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Retries at once; not given: retry.concurrency.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="The event loop.")] = Backend.ASYNCIO,
) -> ExitCode:
    """Run due retries, sweep and purge until SIGTERM or Ctrl-C; then finish what is under way."""
    from otpcore.cli import _worker

    return _worker.worker(_options(context), concurrency, str(backend))


def list_retries(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, the earliest due first.")] = 50,
) -> ExitCode:
    """List sends that wait for their next try, or are under way."""
    from otpcore.cli import _retries

    return _retries.list_retries(_options(context), limit)


def requeue(context: typer.Context, challenge_id: Id) -> ExitCode:
    """Make the waiting retries of a challenge due now."""
    from otpcore.cli import _retries

    return _retries.requeue(_options(context), challenge_id)


def drop(
    context: typer.Context,
    challenge_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The challenge's id.")] = None,
    prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="All that wait for numbers that begin so, such as +35987.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --prefix: do not ask.")] = False,
) -> ExitCode:
    """End the sending of a challenge, or of all with a prefix; what has arrived still verifies."""
    from otpcore.cli import _retries

    if (challenge_id is None) == (prefix is None):
        raise CommandError("an id or a prefix is needed", "give one of them", ExitCode.USAGE)
    if prefix is not None:
        return _retries.drop_prefix(_options(context), prefix, confirmed=yes)
    return _retries.drop(_options(context), challenge_id or "")


def show_challenges(context: typer.Context, target: IdOrPhone) -> ExitCode:
    """Show a challenge, or all of a phone, with deliveries and retries."""
    from otpcore.cli import _challenges

    return _challenges.show(_options(context), target)


def show_limits(
    context: typer.Context,
    phone: Annotated[str | None, typer.Argument(metavar="[PHONE]", help="What limits this number.")] = None,
) -> ExitCode:
    """Show switches and budgets; of a phone, what it has used up and until when it is locked."""
    from otpcore.cli import _limits

    return _limits.show(_options(context), phone)


def deny_prefix(context: typer.Context, prefix: Prefix, lasts: Lasts = None, clear: ClearSwitch = False) -> ExitCode:
    """Send nothing to numbers that begin so, verified ones too; what is queued for them ends."""
    from otpcore.cli import _switches

    return _switches.switch_prefix(_options(context), prefix, lasts, allows=False, clear=clear)


def allow_prefix(context: typer.Context, prefix: Prefix, lasts: Lasts = None, clear: ClearSwitch = False) -> ExitCode:
    """End the denial of a prefix, and send there whatever the settings deny."""
    from otpcore.cli import _switches

    return _switches.switch_prefix(_options(context), prefix, lasts, allows=True, clear=clear)


def refused_limits(
    context: typer.Context,
    phone: Annotated[str | None, typer.Option(metavar="PHONE", help="Only of this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 50,
) -> ExitCode:
    """List what was refused and why, and what only would have been."""
    from otpcore.cli import _limits

    return _limits.refused(_options(context), phone, limit)


def pause(context: typer.Context, lasts: Lasts = None) -> ExitCode:
    """Stop all sending, in every process within seconds; codes are still verified, and retries wait."""
    from otpcore.cli import _switches

    return _switches.pause(_options(context), lasts)


def resume(context: typer.Context) -> ExitCode:
    """End a pause."""
    from otpcore.cli import _switches

    return _switches.resume(_options(context))


def reset_limits(context: typer.Context, phone: Phone) -> ExitCode:
    """Forget what a phone has used up, and unlock it."""
    from otpcore.cli import _limits

    return _limits.reset(_options(context), phone)


def upgrade(context: typer.Context) -> ExitCode:
    """Create the tables, or bring them up to date."""
    from otpcore.cli import _database

    return _database.upgrade(_options(context))


def current(context: typer.Context) -> ExitCode:
    """Show at which revision the tables are."""
    from otpcore.cli import _database

    return _database.current(_options(context))


def purge(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Option(metavar="PHONE", help=f"Erase everything about one person; {_FROM_INPUT}", callback=typed_phone),
    ] = None,
) -> ExitCode:
    """Remove what is older than storage.keep_challenges and storage.keep_deliveries."""
    from otpcore.cli import _database

    return _database.purge(_options(context), phone)


def doctor(context: typer.Context) -> ExitCode:
    """Check settings, keys, store, clock, credentials, limits, number data, rules, providers, retries and workers."""
    from otpcore.cli import _doctor

    return _doctor.doctor(_options(context))


def sandbox(
    context: typer.Context,
    phone: Annotated[
        str | None,
        typer.Argument(
            metavar="[PHONE]",
            help=f"Whose messages; not given: the sandbox itself; {_FROM_INPUT}",
            callback=typed_phone,
        ),
    ] = None,
) -> ExitCode:
    """Show the sandbox's numbers and the test numbers, or what would have been sent to a phone."""
    from otpcore.cli import _sandbox

    return _sandbox.sandbox(_options(context), phone)


def new_keys(context: typer.Context) -> ExitCode:
    """Print the lines of a fresh key; of a whole set, where there are no keys yet."""
    from otpcore.cli import _keys

    return _keys.new_keys(_options(context))


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
    from otpcore.cli import _keys

    if use is not None and retire is not None:
        raise CommandError("--use and --retire are two steps", "give one of them", ExitCode.USAGE)
    if use is not None:
        return _keys.make_current(_options(context), use)
    if retire is not None:
        return _keys.retire(_options(context), retire)
    return _keys.rotate(_options(context))


COMMANDS: dict[str, Command] = {
    "init": init,
    "demo": demo,
    "send": send,
    "call": call,
    "verify": verify,
    "providers": providers,
    "status": status,
    "worker": worker,
    "pause": pause,
    "resume": resume,
    "purge": purge,
    "doctor": doctor,
    "sandbox": sandbox,
}

GROUPS: dict[str, tuple[str, dict[str, Command]]] = {
    "routes": (
        "Which provider serves which numbers.",
        {"check": check_routes, "explain": explain_routes, "show": show_routes, "set": set_routes},
    ),
    "retries": (
        "Sends that wait for their next try.",
        {"list": list_retries, "requeue": requeue, "drop": drop},
    ),
    "challenges": ("Started verifications.", {"show": show_challenges}),
    "limits": (
        "Who may send to whom, and how often.",
        {
            "show": show_limits,
            "reset": reset_limits,
            "deny": deny_prefix,
            "allow": allow_prefix,
            "refused": refused_limits,
        },
    ),
    "db": ("The tables of the database.", {"upgrade": upgrade, "current": current}),
    "keys": ("The keys that protect codes and numbers.", {"new": new_keys, "rotate": rotate_keys}),
}

MAY_TAKE_AN_ID: frozenset[Command] = frozenset({verify, requeue, drop, show_challenges})
"""A challenge's id may begin with a hyphen, and is no option then."""


def _options(context: typer.Context) -> Options:
    options: Options = context.obj
    return options


def _channel(for_calls: bool) -> Channel:
    from otpcore.models import Channel

    return Channel.CALL if for_calls else Channel.SMS

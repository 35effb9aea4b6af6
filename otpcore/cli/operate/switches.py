"""``otp limits deny|allow``, ``otp pause`` and ``otp resume``: switches that every process obeys within seconds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, run
from otpcore.cli.options import Options, when
from otpcore.errors import SettingsError
from otpcore.phone.numbers import is_whole_number
from otpcore.service.assembly import without_providers
from otpcore.service.setup import Setup
from otpcore.service.switches import PAUSED, Switch, prefix_setting, stored_switches, switch_text
from otpcore.settings.tree import is_prefix, is_target, parse_seconds

__all__ = ["check_no_whole_number", "check_target", "pause", "resume", "switch_prefix"]


def switch_prefix(options: Options, prefix: str, lasts: str | None, *, allows: bool, clear: bool) -> ExitCode:
    """Deny or allow a prefix or a region, or with ``clear`` leave it to the settings again."""
    prefix = prefix.upper()
    check_target(prefix)
    if clear and lasts is not None:
        raise CommandError("--clear and --for say different things", "give one of them", ExitCode.USAGE)
    host = load_host(options)
    switch = Switch(prefix=prefix, allows=allows)
    switch = run(_write, host, prefix_setting(prefix), None if clear else switch, _span(lasts))
    word = "left to the settings" if clear else "allowed" if allows else "denied"
    options.say(
        {"prefix": prefix, "state": None if clear else word, "until": _iso(switch)},
        f"{prefix} is {word}{_until(switch)}, in every process within {host.settings.routing.reload_every:g} s",
    )
    return ExitCode.OK


def pause(options: Options, lasts: str | None) -> ExitCode:
    """Stop all sending; verifying goes on."""
    host = load_host(options)
    switch = run(_write, host, PAUSED, Switch(), _span(lasts))
    options.say(
        {"paused": True, "until": _iso(switch)},
        f"sending is paused{_until(switch)}, in every process within {host.settings.routing.reload_every:g} s;"
        " codes are still verified",
    )
    return ExitCode.OK


def resume(options: Options) -> ExitCode:
    """End the pause."""
    host = load_host(options)
    run(_write, host, PAUSED, None, None)
    options.say({"paused": False}, f"sending goes on, in every process within {host.settings.routing.reload_every:g} s")
    return ExitCode.OK


def check_target(prefix: str) -> None:
    """Refuse what is neither prefix nor region, and a whole number: the store must not hold one that can be read.

    Raises:
        CommandError: As said; a whole number is not quoted.
    """
    if not is_target(prefix):
        raise CommandError(
            "this is neither a prefix nor a region",
            "write + and up to 15 digits, such as +35987, or two letters, such as BG",
            ExitCode.USAGE,
        )
    check_no_whole_number((prefix,))


def check_no_whole_number(prefixes: Iterable[str]) -> None:
    """Refuse prefixes that would put somebody's number into the store.

    Raises:
        CommandError: One is a whole number; it is not quoted.
    """
    if any(is_prefix(prefix) and is_whole_number(prefix) for prefix in prefixes):
        raise CommandError("this is a whole number, not a prefix", "leave out some of its last digits", ExitCode.USAGE)


def _span(lasts: str | None) -> timedelta | None:
    if lasts is None:
        return None
    try:
        return timedelta(seconds=parse_seconds(lasts))
    except SettingsError as error:
        raise CommandError(f"--for: {error}", "write it like --for 2h", ExitCode.USAGE) from error


async def _write(host: Setup, name: str, switch: Switch | None, lasts: timedelta | None) -> Switch:
    """Write a switch, or remove it; those that have ended go too."""
    async with without_providers(host) as service:
        now = service.clock()
        since = now
        for there in stored_switches(await service.store.settings()):
            if not there.is_on(now):
                await service.store.write_setting(prefix_setting(there.prefix) if there.prefix else PAUSED, None)
            elif switch is not None and (there.prefix, there.allows) == (switch.prefix, switch.allows):
                since = there.since or now
        if switch is None:
            await service.store.write_setting(name, None)
            return Switch()
        until = now + lasts if lasts else None
        lasting = Switch(prefix=switch.prefix, allows=switch.allows, until=until, since=since)
        await service.store.write_setting(name, switch_text(lasting))
        return lasting


def _iso(switch: Switch) -> str | None:
    return switch.until.isoformat() if switch.until is not None else None


def _until(switch: Switch) -> str:
    return f" until {when(switch.until)}" if switch.until is not None else ""

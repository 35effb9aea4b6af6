"""``otp limits deny|allow``, ``otp pause`` and ``otp resume``: switches that every process obeys within seconds."""

from __future__ import annotations

from datetime import timedelta

from otpcore._service import Setup
from otpcore._switches import PAUSED, Switch, prefix_setting, stored_switches, switch_text
from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._host import load_host, open_parts, run
from otpcore.cli._options import Options, when
from otpcore.config import is_prefix, parse_seconds
from otpcore.errors import InvalidPhoneNumber, SettingsError
from otpcore.phone import parse_phone

__all__ = ["pause", "resume", "switch_prefix"]


def switch_prefix(options: Options, prefix: str, lasts: str | None, *, allows: bool, clear: bool) -> ExitCode:
    """Deny or allow a prefix, or with ``clear`` leave it to the settings again."""
    _check_prefix(prefix)
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


def _check_prefix(prefix: str) -> None:
    if not is_prefix(prefix):
        raise CommandError(f"{prefix!r} is no prefix", "write + and up to 15 digits, such as +35987", ExitCode.USAGE)
    try:
        parse_phone(prefix)
    except InvalidPhoneNumber:
        return
    # Not quoted: it is somebody's number, and the store must not hold one that can be read.
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
    async with open_parts(host) as parts:
        now = parts.clock()
        for ended in stored_switches(await parts.store.settings()):
            if not ended.is_on(now):
                await parts.store.write_setting(prefix_setting(ended.prefix) if ended.prefix else PAUSED, None)
        if switch is None:
            await parts.store.write_setting(name, None)
            return Switch()
        lasting = Switch(prefix=switch.prefix, allows=switch.allows, until=now + lasts if lasts else None)
        await parts.store.write_setting(name, switch_text(lasting))
        return lasting


def _iso(switch: Switch) -> str | None:
    return switch.until.isoformat() if switch.until is not None else None


def _until(switch: Switch) -> str:
    return f" until {when(switch.until)}" if switch.until is not None else ""

"""``otp console user``: accounts of the console are made, reset, listed and removed in the store, without any provider."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
import segno

from otp_server.console.people import Account, NewAccount, People
from otp_server.console.secret_words import seed_address
from otp_server.console_settings import Role
from otp_server.record_commands import with_records
from otpcore.cli import CommandError, ExitCode, Options, operator_name, settings_for

__all__ = ["AccountAsked", "add_person", "list_people", "remove_person", "reset_person"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class AccountAsked:
    """What was asked for; ``People`` says what each of them means."""

    name: str
    role: str | None
    may_reveal: bool | None
    by_proxy: bool = False
    reason: str


def add_person(options: Options, asked: AccountAsked) -> ExitCode:
    """Make an account; password and seed are shown here and never again."""
    made = _with_people(
        options,
        lambda people: people.add(
            asked.name,
            Role(asked.role or Role.VIEWER),
            may_reveal=bool(asked.may_reveal),
            by_proxy=asked.by_proxy,
            by=operator_name(),
            reason=asked.reason,
        ),
    )
    return _say_new(options, made)


def reset_person(options: Options, asked: AccountAsked) -> ExitCode:
    """Give an account another password and seed, and end its sessions."""
    made = _with_people(
        options,
        lambda people: people.reset(
            asked.name,
            role=Role(asked.role) if asked.role else None,
            may_reveal=asked.may_reveal,
            by=operator_name(),
            reason=asked.reason,
        ),
    )
    if made is None:
        raise _unknown()
    return _say_new(options, made)


def list_people(options: Options) -> ExitCode:
    """All of them, by name."""
    people = _with_people(options, lambda people: people.list())
    document = {"people": [one.to_dict() for one in people]}
    options.say(
        document, *(map(_line, people) if people else ["there are no accounts; `otp console user add` makes one"])
    )
    return ExitCode.OK


def remove_person(options: Options, name: str, reason: str) -> ExitCode:
    """Take an account away, and end its sessions."""
    if not _with_people(options, lambda people: people.remove(name, by=operator_name(), reason=reason)):
        raise _unknown()
    name = name.strip().lower()
    options.say({"removed": name}, f"{name} is let in no more")
    return ExitCode.OK


def _say_new(options: Options, made: NewAccount) -> ExitCode:
    account = made.account
    document: dict[str, Any] = {"person": account.to_dict()}
    if account.by_proxy:
        options.say(document, f"{_line(account)}; a trusted proxy says who it is")
        return ExitCode.OK
    address = seed_address(made.seed, account.name, settings_for(options).otp.app or "otp")
    document |= {"password": made.password, "seed": made.seed, "address": address}
    options.say(
        document,
        _line(account),
        *_picture(address),
        f"password: {made.password}",
        f"for an authenticator app: {made.seed}",
        address,
        "these are shown this once and kept nowhere in clear",
    )
    return ExitCode.OK


def _picture(address: str) -> list[str]:
    """The address as a QR code made of text."""
    drawn = io.StringIO()
    segno.make(address, error="l").terminal(drawn, compact=True)
    return drawn.getvalue().splitlines()


def _line(account: Account) -> str:
    reveals = ", may reveal numbers" if account.may_reveal else ""
    if account.by_proxy:
        seen = "by a proxy"
    else:
        seen = f"signed in {account.signed_in_at:%Y-%m-%d %H:%M}" if account.signed_in_at else "not signed in yet"
    return f"{account.name}  {account.role}{reveals}  {seen}"


def _unknown() -> CommandError:
    return CommandError("there is no such account", "see `otp console user list`", ExitCode.REFUSED)


def _with_people(options: Options, work: Callable[[People], Awaitable[T]]) -> T:
    return with_records(options, lambda records: work(People(records)))

"""``otp keys api``: keys are made, listed and revoked in the store, without any provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import attrs

from otp_server.keys import ApiKey, ApiKeys, Kind, Scope
from otp_server.record_commands import with_records
from otp_server.settings import read_settings
from otpcore.cli import CommandError, ExitCode, Options, operator_name, settings_for

__all__ = ["NewKeyAsked", "list_keys", "new_key", "revoke_key"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class NewKeyAsked:
    """What was asked for; ``ApiKeys.new`` says what each of them means."""

    app: str
    kind: str
    scopes: Sequence[str]
    note: str
    reason: str
    days: int | None
    networks: Sequence[str]


def new_key(options: Options, asked: NewKeyAsked) -> ExitCode:
    """Make one; its token is shown here and never again."""
    settings = read_settings(settings_for(options).server)
    if settings.app(asked.app) is None:
        known = ", ".join(settings.apps) or "none"
        raise CommandError(
            f"there is no app {asked.app!r}" if asked.app else "the key needs an app",
            f"name one of server.apps ({known}), or write [server.apps.{asked.app or 'NAME'}] into the settings",
            ExitCode.USAGE,
        )
    made = _with_keys(
        options,
        lambda keys: keys.new(
            Kind(asked.kind),
            app=asked.app,
            scopes=[Scope(one) for one in asked.scopes],
            note=asked.note,
            by=operator_name(),
            reason=asked.reason,
            lasts=timedelta(days=asked.days) if asked.days is not None else None,
            networks=asked.networks,
        ),
    )
    options.say(
        {"key": made.key.to_dict(), "token": made.token},
        made.token,
        f"a {made.key.kind} key for {_scopes(made.key)}, id {made.key.id}; it is shown this once and kept nowhere",
    )
    return ExitCode.OK


def list_keys(options: Options) -> ExitCode:
    """All of them, the earliest first."""
    keys = _with_keys(options, lambda keys: keys.list())
    lines = [
        f"{one.id}  {one.kind}  {one.app or '-'}  {_scopes(one)}  {_standing(one)}{f'  {one.note}' if one.note else ''}"
        for one in keys
    ]
    options.say(
        {"keys": [one.to_dict() for one in keys]}, *(lines or ["there are no keys; `otp keys api new` makes one"])
    )
    return ExitCode.OK


def revoke_key(options: Options, key_id: str, reason: str) -> ExitCode:
    """Take one no more."""
    revoked = _with_keys(options, lambda keys: keys.revoke(key_id, by=operator_name(), reason=reason))
    if revoked is None:
        raise CommandError("there is no such key", "see `otp keys api list`", ExitCode.REFUSED)
    options.say({"key": revoked.to_dict()}, f"{revoked.id} is taken no more")
    return ExitCode.OK


def _with_keys(options: Options, work: Callable[[ApiKeys], Awaitable[T]]) -> T:
    return with_records(options, lambda records: work(ApiKeys(records)))


def _scopes(key: ApiKey) -> str:
    return ",".join(sorted(map(str, key.scopes)))


def _standing(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    used = f"used {key.used_at:%Y-%m-%d %H:%M}" if key.used_at is not None else "not used yet"
    return f"until {key.expires_at:%Y-%m-%d %H:%M}, {used}" if key.expires_at is not None else used

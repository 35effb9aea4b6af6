"""What people read about settings: the table of all keys, and the files that ``otp init`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, get_args, get_origin

import attrs

from otpcore.settings.keys import KeySettings
from otpcore.settings.kinds import TEXT_OR_TABLE
from otpcore.settings.structuring import key_of

__all__ = ["SettingDescription", "describe_settings", "starter_file"]

_KINDS: dict[Any, str] = {
    str: "text",
    str | None: "text",
    TEXT_OR_TABLE: "text or table",
    bool: "true or false",
    int: "whole number",
    float: "number",
    date: "date",
    tuple[str, ...]: "list of texts",
    Mapping[str, str]: "text",
    Mapping[str, Any]: "the plugin's",
    Mapping[str, tuple[str, ...]]: "list of texts",
    Mapping[str, Mapping[str, str]]: "text",
    Mapping[str, Mapping[str, Any]]: "table",
}

_STARTER = """\
# Settings of otpcore. Secrets are in .otpcore.secrets.toml beside this file; both can be overridden by the
# environment: OTPCORE_SMS__RETRY=true.

# Which provider sends to which numbers. "Twilio;Mada:+35987,+35988" means: Mada for numbers that begin with +35987
# or +35988, Twilio for all others. Each provider's own settings are below: [providers.twilio].
otp_sms_provider = ""

[sms]
# Try again later when no provider took the message.
retry = false
# Tries after the first. A code lives 5 minutes, and about 14 tries fit into them.
max_retries = 20

# [providers.twilio]
# account_sid = "AC..."
"""

_STARTER_SECRETS = """\
# Secrets of otpcore: keep this file out of version control and readable by its owner only (chmod 600).

[keys]
# Phone numbers are looked up under this key. It must never change.
index = "{index}"
# The code key that protects new codes.
current = "{current}"

[keys.code]
{code}

# [providers.twilio]
# auth_token = "..."
"""


@attrs.frozen(kw_only=True)
class SettingDescription:
    """One row of the reference.

    Args:
        key: The full key, such as ``"otp.length"``; names that are free stand in angle brackets.
        kind: What may be written: ``"text"``, ``"whole number"``, ``"one of phone, id"`` …
        default: As it would be written in TOML; "" where the default is that nothing is set.
        meaning: One line.
    """

    key: str
    kind: str
    default: str
    meaning: str


def describe_settings(cls: type, prefix: str = "") -> Iterator[SettingDescription]:
    """Walk a settings class and its sections."""
    attrs.resolve_types(cls)
    for field in attrs.fields(cls):
        key = f"{prefix}{key_of(field)}"
        if attrs.has(field.type):
            yield from describe_settings(field.type, f"{key}.")
        elif field.metadata.get("setting", True):
            names = field.metadata["names"]
            key = f"{key}.{names}" if names else key
            if names and attrs.has(named := get_args(field.type)[-1]):
                yield from describe_settings(named, f"{key}.")
                continue
            yield SettingDescription(
                key=key,
                kind=_kind(field.type),
                default=_default(field.default),
                meaning=field.metadata["meaning"],
            )


def starter_file(keys: KeySettings) -> tuple[str, str]:
    """The texts of a first ``otpcore.toml`` and ``.otpcore.secrets.toml``.

    Args:
        keys: Fresh ones, from ``generate_keys``.
    """
    code = "\n".join(f'{name} = "{secret}"' for name, secret in keys.code.items())
    return _STARTER, _STARTER_SECRETS.format(index=keys.index, current=keys.current, code=code)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(get_args(annotation))}"
    return _KINDS[annotation]


def _default(default: Any) -> str:
    if default in (None, attrs.NOTHING) or isinstance(default, attrs.Factory):  # type: ignore[arg-type] # the stubs call the class a function
        return ""
    return json.dumps(list(default) if isinstance(default, tuple) else default)

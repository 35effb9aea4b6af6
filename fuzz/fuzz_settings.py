"""Fuzz targets for settings: whatever is written, in whatever format, it is settings or an error that says what to mend."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otpcore.errors import OTPConfigurationError
from otpcore.settings.tree import Settings, load_settings

_SECRET_LENGTH = 8
_DIRECTORY = tempfile.TemporaryDirectory(prefix="otpcore-fuzz-")


def mapping(data: bytes) -> None:
    """A mapping such as a host passes, here read from JSON."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(values, Mapping):
        _settings_or_complaint(values)


def toml(data: bytes) -> None:
    """A settings file in TOML."""
    _file("otpcore.toml", data)


def yaml(data: bytes) -> None:
    """A settings file in YAML."""
    _file("otpcore.yaml", data)


def env(data: bytes) -> None:
    """Environment variables: ``NAME=value``, one a line, without the prefix."""
    pairs = [line.partition("=") for line in data.replace(b"\0", b"").decode(errors="replace").splitlines()]
    ours = {f"OTPCORE_{name.upper()}": value for name, _, value in pairs if name.isascii() and name.isprintable()}
    ours = {name: value for name, value in ours.items() if "SETTINGS_FILE" not in name}
    before = dict(os.environ)
    os.environ.update(ours)
    try:
        _file("otpcore.toml", b"")
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)


def _file(name: str, data: bytes) -> None:
    path = Path(_DIRECTORY.name, name)
    path.write_bytes(data)
    try:
        settings = load_settings(path)
    except OTPConfigurationError:
        return
    _assert_sound(settings)


def _settings_or_complaint(values: Mapping[str, Any]) -> None:
    try:
        settings = Settings.from_mapping(values)
    except OTPConfigurationError as complaint:
        said, others = str(complaint), str({**values, "keys": None, "providers": None}) + " ".join(_names(values))
        assert not any(secret in said for secret in _secrets(values) if secret not in others)
    else:
        _assert_sound(settings)


def _names(values: Any) -> list[str]:
    """The names of settings, which errors do quote; and that of the current key."""
    if not isinstance(values, Mapping):
        return []
    return [*map(str, values), str(values.get("current")), *(name for one in values.values() for name in _names(one))]


def _secrets(values: Mapping[str, Any]) -> set[str]:
    """Texts that stand where keys and credentials stand."""
    keys, providers = values.get("keys"), values.get("providers")
    found: list[Any] = []
    if isinstance(keys, Mapping):
        code = keys.get("code")
        found += [keys.get("index"), *(code.values() if isinstance(code, Mapping) else ())]
    for provider in providers.values() if isinstance(providers, Mapping) else ():
        found += (
            [value for name, value in provider.items() if name != "plugin"] if isinstance(provider, Mapping) else []
        )
    return {text for text in found if isinstance(text, str) and len(text) >= _SECRET_LENGTH}


def _assert_sound(settings: Settings) -> None:
    assert 30 <= settings.otp.life <= 86_400
    assert 1 <= settings.otp.attempts <= 20
    assert 4 <= settings.otp.length <= 10
    assert all(isinstance(one, Mapping) for one in settings.providers.values())


TARGETS = {"settings_mapping": mapping, "settings_toml": toml, "settings_yaml": yaml, "settings_env": env}

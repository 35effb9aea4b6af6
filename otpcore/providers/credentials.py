"""Secrets of an instance that no vendor can have given out so: with a line break, a space around them, or what nobody sees."""

from __future__ import annotations

from typing import Any

import attrs

from otpcore.errors import SettingsError
from otpcore.settings.structuring import key_of

__all__ = ["check_secrets", "secret_problem"]

_PEM = "-----BEGIN "


def check_secrets(settings: Any, *, prefix: str) -> None:
    """Look at each text of a settings class that is hidden (``repr=False``).

    Args:
        settings: An instance of an attrs class.
        prefix: Its key, such as ``providers.twilio``.

    Raises:
        SettingsError: One cannot be right. All are named, and none is shown.
    """
    hidden = (field for field in attrs.fields(type(settings)) if field.repr is False)
    said = ((key_of(field), getattr(settings, field.name)) for field in hidden)
    problems = [
        f"{prefix}.{key}: {problem}"
        for key, value in said
        if isinstance(value, str) and not value.startswith(_PEM) and (problem := secret_problem(value))
    ]
    if problems:
        raise SettingsError("\n  ".join(problems))


def secret_problem(text: str) -> str:
    """Why a text of one line cannot be a credential; empty: it may be one. The text itself is not in it."""
    if text != text.strip():
        return (
            "begins or ends with a space or a line break, as a text read from a file often does. Fix: cut it off, "
            "and nothing else"
        )
    if not text.isprintable():
        return "holds a line break or a character that nobody sees. Fix: copy it again, in one line"
    return ""

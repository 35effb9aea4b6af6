"""Fields of settings classes: default, meaning for the reference, and checks that name the full key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from otpcore.errors import SettingsError, quoted
from otpcore.settings.structuring import key_of

__all__ = ["a_section", "between", "compliant", "full_key", "matching", "not_a_setting", "one_of", "setting"]

_Check = Callable[[Any, Any, Any], None]


def setting(
    default: Any,
    meaning: str,
    *checks: _Check,
    secret: bool = False,
    names: str = "",
    gathers: tuple[str, re.Pattern[str]] | None = None,
    converter: Callable[[Any], Any] | None = None,
) -> Any:
    """One setting.

    Args:
        default: Its value when nothing is said; ``dict`` means a new empty table, ``attrs.NOTHING`` that it is required.
        meaning: One line for the reference: what it does, with the unit.
        checks: attrs validators that raise ``SettingsError``.
        secret: It is shown in no repr and no error.
        names: For a table of free names, what stands for them in the reference, such as ``"<locale>"``.
        gathers: For a table that nobody writes: how the reference writes its keys, and what each of them looks like. They stand
            beside the other keys of the section.
        converter: Brings a value into one form before the checks.
    """
    metadata: dict[str, Any] = {"meaning": meaning, "names": names}
    if gathers is not None:
        metadata["key"], metadata["gathers"] = gathers
    return attrs.field(
        default=attrs.Factory(dict) if default is dict else default,
        converter=_blank_is_none if default is None else converter,
        validator=list(checks) or None,
        repr=not secret,
        metadata=metadata,
    )


def not_a_setting(default: Any) -> Any:
    """A field that the reader fills in and no settings file may."""
    return attrs.field(default=default, metadata={"setting": False})


def full_key(instance: Any, attribute: attrs.Attribute[Any]) -> str:
    """``otp.length`` for the field ``length`` of the class whose ``section`` is ``otp``."""
    return f"{instance.section}.{key_of(attribute)}" if instance.section else key_of(attribute)


def between(low: float, high: float, unit: str = "") -> _Check:
    """A number from ``low`` to ``high``."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not _is_within(value, low, high):
            key = full_key(instance, attribute)
            raise SettingsError(f"{key}: must be {low:g} to {high:g}{unit and ' '}{unit}, not {quoted(value)}")

    return check


def compliant(usual: tuple[float, float], widest: tuple[float, float], unit: str) -> _Check:
    """A number in the usual range, or with ``otp.allow_noncompliant`` in the widest one."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        allowed = widest if instance.allow_noncompliant else usual
        if not _is_within(value, *allowed):
            hint = ""
            if not instance.allow_noncompliant and _is_within(value, *widest):
                hint = "; otherwise, in [otp]: allow_noncompliant = true"
            key = full_key(instance, attribute)
            raise SettingsError(f"{key}: must be {allowed[0]:g} to {allowed[1]:g} {unit}, not {quoted(value)}{hint}")

    return check


def one_of(*choices: str) -> _Check:
    """One of a few words."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value not in choices:
            key = full_key(instance, attribute)
            raise SettingsError(f"{key}: must be one of {', '.join(choices)}, not {quoted(value)}")

    return check


def matching(pattern: str, problem: str) -> _Check:
    """Text of one form, or nothing at all where nothing is the default."""
    compiled = re.compile(pattern)

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value != attribute.default and not (isinstance(value, str) and compiled.fullmatch(value)):
            raise SettingsError(f"{full_key(instance, attribute)}: {problem}, not {quoted(value)}")

    return check


def a_section(cls: type) -> _Check:
    """An instance of a settings class: a host that builds the tree itself may have passed a mapping."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, cls):
            kind = "a mapping" if isinstance(value, Mapping) else type(value).__name__
            raise SettingsError(f"{attribute.name}: must be {cls.__name__}, not {kind}; see Settings.from_mapping")

    return check


def _blank_is_none(value: Any) -> Any:
    """Compose files and charts set a variable to nothing to say that it is not set."""
    return None if value == "" else value


def _is_within(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high

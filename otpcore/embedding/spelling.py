"""How settings and commands of otpcore are written where a host has them: what helps is told in the host's own words.

otpcore's texts write a setting as a settings file has it, ``in [sms]: retry = true``, and a command as ``otp status``.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import TypeVar

import attrs

from otpcore.errors import OTPConfigurationError, OTPError

__all__ = ["COMMANDS", "Spelling"]

E = TypeVar("E", bound=OTPError | OTPConfigurationError)

_VALUE = r"true|false|\d+|\"[^\"\n]*\"|'[^'\n]*'|\[[^\]\n]*\]"
_SETTING = re.compile(rf"in \[(?P<section>[\w.-]+)\]: (?P<key>\w+|\"[^\"\n]+\") = (?P<value>{_VALUE})")
_AT_THE_TOP = re.compile(r"(?P<tick>`?)(?P<key>otp_\w+)(?P=tick) above the first \[section\](?: of the settings file)?")
_ITSELF_AT_THE_TOP = "above the first [section]"
_SECTION_OF_ITS_OWN = re.compile(r"under a (?P<section>\[\w+\]) of its own")
_SECTION = re.compile(r"(?:(?<=\s)|(?<=\()|^)\[(?P<section>[a-z_]+(?:\.(?:[\w-]+|<\w+>))*)\]")
COMMANDS = (
    *("audit", "call", "challenges", "db", "deliveries", "demo", "doctor", "init", "instances", "keys", "limits"),
    *("new-provider", "pause", "providers", "purge", "resume", "retries", "routes", "sandbox", "send", "series"),
    *("simulate", "status", "verify", "worker"),
)
"""The first words of otpcore's commands, by which one is told that stands in a sentence without marks round it."""
_COMMAND = (
    rf"\b(?!otp (?:init|keys new)\b)otp (?=(?:{'|'.join(COMMANDS)})\b)|(?<=`)(?!otp (?:init|keys new)\b)otp (?=[a-z])"
)
_INIT = re.compile(r"^(?P<before>(?:[^\n]*Fix: )?)[^\n]*`otp init`[^\n]*", re.MULTILINE)


@attrs.frozen(kw_only=True)
class Spelling:
    """The words of one host.

    Args:
        command: What stands before the words of a command, such as ``manage.py otp``; it ends in ``otp``.
        settings: What holds the settings, as the host's code has it, such as ``OTPCORE``; empty: a settings file of
            otpcore, in which they are written as otpcore's own texts have it.
    """

    command: str = "otp"
    settings: str = ""

    def told(self, text: str) -> str:
        """A text of otpcore that says what helps, in the words of this host; twice is as once.

        ``otp init``, which writes a settings file, becomes what a host without one does; ``otp keys new`` needs no
        settings and stays.
        """
        if self.settings:
            text = _INIT.sub(rf'\g<before>in {self.settings}: "keys": what `otp keys new` prints', text)
            text = _SETTING.sub(lambda found: self._entry(*found.groups()), text)
            text = _AT_THE_TOP.sub(lambda found: f'"{found["key"]}" in {self.settings}', text)
            text = text.replace(_ITSELF_AT_THE_TOP, f"directly in {self.settings}")
            text = _SECTION_OF_ITS_OWN.sub(r"in \g<section>", text)
            text = _SECTION.sub(lambda found: self._path(found["section"].split(".")), text)
        before = self.command.removesuffix("otp")
        behind = f"(?<!{re.escape(before)})" if before else ""
        return re.sub(f"{behind}(?:{_COMMAND})", f"{self.command} ", text)

    def retold(self, error: E) -> E:
        """The error, whose text says what helps in the words of this host."""
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (self.told(error.args[0]),)
        return error

    def _entry(self, section: str, key: str, value: str) -> str:
        """A setting as an entry of the dictionary, with the dictionaries round it."""
        inner = f"{json.dumps(key.strip(chr(34)))}: {_as_python(tomllib.loads(f'it = {value}')['it'])}"
        for name in reversed(section.split(".")):
            inner = f'"{name}": {{{inner}}}'
        return f"in {self.settings}: {inner}"

    def _path(self, names: Sequence[str]) -> str:
        return self.settings + "".join(f'["{name}"]' for name in names)


def _as_python(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_as_python, value))}]"
    return repr(value) if isinstance(value, bool | int) else json.dumps(value, ensure_ascii=False)

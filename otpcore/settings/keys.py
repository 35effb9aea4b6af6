"""The keys section: which secrets there are, whether they are usable, and fresh ones."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import attrs

from otpcore.errors import SettingsError, quoted
from otpcore.settings.fields import setting

__all__ = ["KeySettings", "generate_keys", "new_keys_beside", "throw_away_keys"]

_KEY_BYTES = 32
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_KEY_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@attrs.frozen(kw_only=True)
class KeySettings:
    """``keys.*``: secrets as base64url text of at least 32 bytes; empty until ``otp init`` has made them."""

    section: ClassVar[str] = "keys"

    index: str = setting("", "Secret under which phone numbers are looked up; it must never change.", secret=True)
    code: Mapping[str, str] = setting(
        dict, "Secrets that protect codes; older ones are still read.", secret=True, names="<id>"
    )
    current: str = setting("", "Id of the code key that protects new codes.")

    @property
    def missing(self) -> bool:
        """There are no keys to work with: no index key, no code key, or none of them named as current."""
        return not (self.index and self.code and self.current)

    def check(self, *, beside: str | None = None) -> None:
        """Refuse keys that cannot be used.

        Args:
            beside: Where the settings file is that was read, beside which keys may be written; None: there is none.

        Raises:
            SettingsError: Keys are missing or malformed; all of them are named, no value is shown.
        """
        problems = "; ".join(self._problems())
        if problems:
            raise SettingsError(f"{problems}. Fix: {self._fix(beside)}")

    def _fix(self, beside: str | None) -> str:
        if self.index or self.code or self.current:
            return "restore the keys that were used; if nothing is stored yet, remove them and run `otp keys new`"
        if beside is not None:
            return f"{new_keys_beside(beside)} (if there were keys, restore those)"
        return "make them and a settings file with `otp init`, or pass the keys that `otp keys new` prints"

    def _problems(self) -> Iterator[str]:
        if not self.code:
            yield "keys.code: holds no key"
        for key, text in [
            ("keys.index", self.index),
            *((f"keys.code.{name}", text) for name, text in self.code.items()),
        ]:
            if not text:
                yield f"{key}: is missing"
            elif _bytes_in(text) < _KEY_BYTES:
                yield f"{key}: must be base64url text of at least {_KEY_BYTES} bytes (43 characters)"
        for name in self.code:
            if not _KEY_ID.fullmatch(name):
                yield f"keys.code.{name}: an id is lower-case letters, digits, - and _, 32 at most"
        if not self.current:
            yield "keys.current: is missing"
        elif self.code and self.current not in self.code:
            yield f"keys.current: names {quoted(self.current)}, but keys.code holds {', '.join(self.code)}"


def generate_keys(now: datetime) -> KeySettings:
    """Fresh keys; the code key's id tells the day, such as ``k20261122_9f3a``.

    Its end is random, so that keys made on two machines never go by one name: whoever lacks one is told so, instead of
    taking a right code for a wrong one.
    """
    name = f"k{now:%Y%m%d}_{secrets.token_hex(2)}"
    return KeySettings(
        index=secrets.token_urlsafe(_KEY_BYTES), code={name: secrets.token_urlsafe(_KEY_BYTES)}, current=name
    )


def new_keys_beside(directory: str) -> str:
    """The command that writes keys into a file that only its owner can read, for settings in this directory."""
    return f"otp keys new --into {shlex.quote(str(Path(directory, '.otpcore.secrets.toml')))}"


def throw_away_keys() -> KeySettings:
    """Fresh keys that nobody keeps; their code key's id is new too, so that nothing older is taken for theirs."""
    name = f"sandbox-{secrets.token_hex(8)}"
    return KeySettings(
        index=secrets.token_urlsafe(_KEY_BYTES), code={name: secrets.token_urlsafe(_KEY_BYTES)}, current=name
    )


def _bytes_in(text: str) -> int:
    """How many bytes base64url text stands for; 0 where it is none."""
    unpadded = text.rstrip("=")
    whole = len(text) % 4 == 0 or text == unpadded
    return len(unpadded) * 3 // 4 if whole and len(unpadded) % 4 != 1 and _BASE64URL.fullmatch(unpadded) else 0

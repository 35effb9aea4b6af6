"""What the server keeps in the store: sealed, or digested, under keys that are made from those of otpcore's settings."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from otpcore import Settings, SettingsError
from otpcore.stores import AuditRecord, SealedRecord, Store

__all__ = ["Kept", "Records", "Vault"]

_NONCE_BYTES = 12
_PREFIX = "otp-server."


class Vault:
    """Keys for what the server keeps.

    Args:
        settings: Whose ``keys`` they are made from; of a sandbox without any they are made up, and gone with the process.
    """

    def __init__(self, settings: Settings) -> None:
        keys = settings.keys
        if settings.needs_throw_away_keys:
            index, code, current = secrets.token_bytes(32), {"throw-away": secrets.token_bytes(32)}, "throw-away"
        else:
            keys.check(beside=settings.directory)
            index, current = _bytes(keys.index), keys.current
            code = {name: _bytes(text) for name, text in keys.code.items()}
        self._digests = _derived(index, "digests")
        self._current = current
        self._seals = {name: AESGCM(_derived(key, "seals")) for name, key in code.items()}

    def digest(self, what: str, *texts: str) -> str:
        """A keyed digest, 64 hexadecimal digits; the same for as long as the index key is. ``what`` keeps uses apart."""
        return hmac.new(self._digests, json.dumps([what, *texts]).encode(), "sha256").hexdigest()

    def seal(self, place: str, value: Mapping[str, Any]) -> bytes:
        """A value that nobody can read without a code key, nor put elsewhere."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        text = json.dumps(value, separators=(",", ":")).encode()
        return self._current.encode() + b":" + nonce + self._seals[self._current].encrypt(nonce, text, place.encode())

    def open(self, place: str, sealed: bytes) -> dict[str, Any]:
        """What was sealed for this place.

        Raises:
            SettingsError: The key that sealed it is not here, or it was sealed for elsewhere.
        """
        name, _, rest = sealed.partition(b":")
        key_id = name.decode(errors="replace")
        try:
            text = self._seals[key_id].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], place.encode())
        except (KeyError, InvalidTag, ValueError):
            raise SettingsError(
                f"keys.code: what the server keeps at {place.partition('/')[0]} was sealed by a key that is not here. "
                "Fix: list that key as readable in every process"
            ) from None
        opened: dict[str, Any] = json.loads(text)
        return opened


@attrs.frozen(kw_only=True)
class Kept:
    """One record.

    Args:
        key: Within its namespace.
        version: Of this key; greater with every write.
        value: What is in it.
        about: The look-up of the phone with which it is erased; empty: of none.
    """

    key: str
    version: int
    value: dict[str, Any] = attrs.field(repr=False)
    about: str = ""


@attrs.frozen(kw_only=True)
class Records:
    """Sealed records of the server in the store, by namespace and key. Both can be read there: no number belongs into them.

    Args:
        store: The real world's, so that a sandbox and a real service see the same keys.
        vault: That seals them.
    """

    store: Store
    vault: Vault

    async def get(self, namespace: str, key: str) -> Kept | None:
        """One record; None: there is none."""
        found = await self.store.get_record(_PREFIX + namespace, key, None)
        if found is None:
            return None
        return self._opened(namespace, found)

    async def put(
        self,
        namespace: str,
        key: str,
        value: Mapping[str, Any],
        *,
        expires_at: datetime | None = None,
        expect: int | None = None,
        about: str = "",
        audit: AuditRecord | None = None,
    ) -> int | None:
        """Write a record; its version. None: another version is there than ``expect`` (0: none), and nothing is written.

        What is ``about`` a phone, by its look-up, must expire, and is erased with it. Who changes something as an operator is
        written with it, as ``audit``.
        """
        sealed = self.vault.seal(f"{namespace}/{key}", value)
        return await self.store.put_record(
            _PREFIX + namespace, key, sealed, expires_at=expires_at, expect=expect, about=about, now=None, audit=audit
        )

    async def delete(
        self, namespace: str, key: str, *, expect: int | None = None, audit: AuditRecord | None = None
    ) -> bool:
        """Remove a record; False: it was not there, and nothing is written of an operator's."""
        return await self.store.delete_record(_PREFIX + namespace, key, expect=expect, now=None, audit=audit)

    async def every(self, namespace: str) -> list[Kept]:
        """All records of a namespace, by key."""
        found: list[Kept] = []
        after: str | None = None
        while True:
            some, after = await self.some(namespace, after=after, limit=200)
            found += some
            if after is None:
                return found

    async def some(self, namespace: str, *, after: str | None, limit: int) -> tuple[list[Kept], str | None]:
        """Records of a namespace by key, those behind ``after``; and the key behind which more follow, or None."""
        page = await self.store.list_records(_PREFIX + namespace, after=after, limit=limit, now=None)
        return [self._opened(namespace, one) for one in page.items], page.cursor

    def _opened(self, namespace: str, found: SealedRecord) -> Kept:
        value = self.vault.open(f"{namespace}/{found.key}", found.sealed)
        return Kept(key=found.key, version=found.version, value=value, about=found.about)


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"otp-server {purpose}".encode()).derive(key)

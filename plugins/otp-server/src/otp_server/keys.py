"""API keys: made, shown once, kept as a keyed digest, found again, revoked."""

from __future__ import annotations

import enum
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from otp_server.audits import audit_record
from otp_server.networks import is_among
from otp_server.vault import Kept, Records
from otpcore import InvalidArgument, StoreError

__all__ = ["ApiKey", "ApiKeys", "Kind", "NewKey", "Scope"]

_NAMESPACE = "keys"
_WRITTEN = re.compile(r"otp_(test|live)_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
_ID = re.compile(r"[a-z0-9]{12}")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH = 12
_MOST_LIVING = 2  # of one app and kind: the one in use, and the one that takes its place
_NOTED_EVERY = 60.0  # seconds
_LONGEST_NOTE = 100
_ROOM = "key-room"
_PATIENCE = timedelta(seconds=60)  # beyond what it may take to write a key for which there was room
_VOID_FOR = timedelta(days=1)


class Kind(enum.StrEnum):
    """Whom a key reaches."""

    TEST = "test"
    """Nobody: it works with the sandbox, whatever the settings say."""
    LIVE = "live"
    """Whom the settings reach."""


class Scope(enum.StrEnum):
    """What a key may be used for."""

    VERIFY = "verify"
    """Start, check, resend and cancel verifications."""
    READ = "read"
    """See deliveries, the route of a number, and measurements."""
    RELAY = "relay"
    """Send messages whose codes are made and checked elsewhere."""
    MANAGE = "manage"
    """What changes how the service works."""


@attrs.frozen(kw_only=True)
class ApiKey:
    """One key, as it is kept.

    Args:
        id: Its public part.
        kind: Whom it reaches.
        app: For which app; empty: the one without a name.
        scopes: What it may do.
        note: In the words of who made it.
        by: Who made it.
        created_at: Aware UTC.
        expires_at: From then on it is not taken; None: it does not expire.
        revoked_at: Since then it is not taken; None: it was not revoked.
        networks: From where it is taken; empty: from everywhere.
        used_at: When it was used last, to the minute; None: never.
    """

    id: str
    kind: Kind
    app: str = ""
    scopes: frozenset[Scope]
    note: str = ""
    by: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    networks: tuple[str, ...] = ()
    used_at: datetime | None = None

    def is_living(self, now: datetime) -> bool:
        """It is taken now."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def is_taken_from(self, address: str) -> bool:
        """Whether a caller from there may use it."""
        return not self.networks or is_among(address, self.networks)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; nothing in it lets anybody in."""
        times = {"created_at", "expires_at", "revoked_at", "used_at"}
        plain = attrs.asdict(self, recurse=False)
        plain.update({name: _written(plain[name]) for name in times})
        return {**plain, "kind": str(self.kind), "scopes": sorted(map(str, self.scopes)), "networks": [*self.networks]}


@attrs.frozen(kw_only=True)
class NewKey:
    """A key that was made.

    Args:
        key: What is kept of it.
        token: The whole of it, which is shown once and kept nowhere.
    """

    key: ApiKey
    token: str = attrs.field(repr=False)


class ApiKeys:
    """The keys of a server, in its store.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._noted: dict[str, float] = {}

    async def new(
        self,
        kind: Kind,
        *,
        app: str = "",
        scopes: Collection[Scope] = (Scope.VERIFY, Scope.READ),
        note: str = "",
        by: str,
        reason: str = "",
        lasts: timedelta | None = None,
        networks: Sequence[str] = (),
    ) -> NewKey:
        """Make a key.

        Args:
            kind: Whom it reaches.
            app: For which app.
            scopes: What it may do.
            note: For people, at most 100 characters.
            by: Who makes it; the audit trail keeps it.
            reason: Why, likewise.
            lasts: From now; None: until it is revoked.
            networks: From where it is taken; empty: from everywhere.

        Raises:
            InvalidArgument: Two keys of this app and kind are in use, or an argument cannot be meant.
        """
        now = datetime.now(UTC)
        if len(note) > _LONGEST_NOTE or not note.isprintable():
            raise InvalidArgument(f"note: must be at most {_LONGEST_NOTE} printable characters")
        key = ApiKey(
            id="".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH)),
            kind=kind,
            app=app,
            scopes=frozenset(scopes),
            note=note,
            by=by,
            created_at=now,
            expires_at=None if lasts is None else now + lasts,
            networks=tuple(_network(one) for one in networks),
        )
        return await self._keep(key, reason)

    async def _keep(self, key: ApiKey, reason: str) -> NewKey:
        """With a secret that nobody sees again, if there is room."""
        said = {"kind": str(key.kind), "app": key.app, "scopes": sorted(map(str, key.scopes))}
        audit = audit_record("keys.api.new", key.id, key.by, reason, said)
        await self._take_room(key)
        secret = secrets.token_urlsafe(32)
        value = {**key.to_dict(), "digest": self._digest(key.id, secret)}
        if await self._records.put(_NAMESPACE, key.id, value, expect=0, audit=audit) is None:
            raise StoreError("the store was too slow to make a key; try again")
        return NewKey(key=key, token=f"otp_{key.kind}_{key.id}_{secret}")

    async def _take_room(self, key: ApiKey) -> None:
        """Say that this key is about to be written, if there is room for it.

        Who says so writes one record, of the version that he read before he counted: of two who count at once, one counts again.

        Raises:
            InvalidArgument: There is none.
        """
        place = self._records.vault.digest("key room", key.app, str(key.kind))[:32]
        while True:
            kept = await self._records.get(_ROOM, place)
            coming = await self._coming({} if kept is None else kept.value["coming"])
            others = [one for one in await self.list() if (one.app, one.kind) == (key.app, key.kind)]
            living = [one.id for one in others if one.is_living(key.created_at)]
            if len({*living, *coming}) >= _MOST_LIVING:
                fix = (
                    f"revoke the one that is used no more, `otp keys api revoke {living[0]}`" if living else "try again"
                )
                raise InvalidArgument(f"two {key.kind} keys of this app are in use. Fix: {fix}")
            value = {"coming": {**coming, key.id: _written(key.created_at)}}
            if await self._records.put(_ROOM, place, value, expect=0 if kept is None else kept.version) is not None:
                return

    async def _coming(self, said: Mapping[str, str]) -> dict[str, str]:
        """Keys that are about to be written. One whose process died before it was is made impossible."""
        late = datetime.now(UTC) - _PATIENCE
        coming = {}
        for key_id, at in said.items():
            if await self._records.get(_NAMESPACE, key_id) is not None:
                continue
            if datetime.fromisoformat(at) > late:
                coming[key_id] = at
            else:
                void = {"digest": "0" * 64}
                await self._records.put(_NAMESPACE, key_id, void, expires_at=late + _VOID_FOR, expect=0)
        return coming

    async def list(self) -> tuple[ApiKey, ...]:
        """All of them, the earliest first."""
        kept = filter(_is_key, await self._records.every(_NAMESPACE))
        return tuple(sorted(map(_read, kept), key=lambda one: one.created_at))

    async def revoke(self, key_id: str, *, by: str, reason: str = "") -> ApiKey | None:
        """Take a key no more, from now on; None: there is none of that id.

        Args:
            key_id: Its public part.
            by: Who does it; the audit trail keeps it.
            reason: Why, likewise.
        """
        kept = await self._records.get(_NAMESPACE, key_id) if _ID.fullmatch(key_id) else None
        while kept is not None and _is_key(kept):
            if kept.value["revoked_at"] is not None:
                return _read(kept)
            value = {**kept.value, "revoked_at": _written(datetime.now(UTC))}
            audit = audit_record("keys.api.revoke", key_id, by, reason, {})
            if await self._records.put(_NAMESPACE, key_id, value, expect=kept.version, audit=audit) is not None:
                return _read(attrs.evolve(kept, value=value))
            kept = await self._records.get(_NAMESPACE, key_id)  # its use was noted meanwhile
        return None

    async def find(self, token: str, address: str) -> ApiKey | None:
        """The key of this token; None: it is none, or is not taken now or from there. Nobody can tell which, nor by the time."""
        matched = _WRITTEN.fullmatch(token)
        kind, key_id, secret = matched.groups() if matched else ("test", "-" * _ID_LENGTH, "")
        kept = await self._records.get(_NAMESPACE, key_id)
        known = kept.value["digest"] if kept is not None else "0" * 64
        fits = hmac.compare_digest(known, self._digest(key_id, secret))
        if kept is None or not fits or not _is_key(kept):
            return None
        key, now = _read(kept), datetime.now(UTC)
        if key.kind != kind or not key.is_living(now) or not key.is_taken_from(address):
            return None
        await self._note_use(kept, now)
        return key

    async def _note_use(self, kept: Kept, now: datetime) -> None:
        if time.monotonic() - self._noted.get(kept.key, -_NOTED_EVERY) < _NOTED_EVERY:
            return
        self._noted[kept.key] = time.monotonic()
        await self._records.put(
            _NAMESPACE, kept.key, {**kept.value, "used_at": _written(now)}, expect=kept.version
        )  # who came first has noted the same

    def _digest(self, key_id: str, secret: str) -> str:
        return self._records.vault.digest("api key", key_id, secret)


def _is_key(kept: Kept) -> bool:
    """It is a key, and not the place of one that was never made."""
    return "kind" in kept.value


def _read(kept: Kept) -> ApiKey:
    value = kept.value
    return ApiKey(
        id=kept.key,
        kind=Kind(value["kind"]),
        app=value["app"],
        scopes=frozenset(map(Scope, value["scopes"])),
        note=value["note"],
        by=value["by"],
        created_at=datetime.fromisoformat(value["created_at"]),
        expires_at=_time(value["expires_at"]),
        revoked_at=_time(value["revoked_at"]),
        networks=tuple(value["networks"]),
        used_at=_time(value["used_at"]),
    )


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise InvalidArgument("a network is an address or a range of addresses, such as 10.0.0.0/8") from None


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)

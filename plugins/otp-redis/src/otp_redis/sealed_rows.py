"""Sealed records: one hash each; sorted sets of the keys of each namespace, and of when records expire; a set for each phone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from otp_redis.challenge_rows import PAGE
from otp_redis.limit_rows import LimitRows
from otp_redis.packing import microseconds, pack
from otpcore.stores import SealedRecord, is_kept

__all__ = ["SealedRows"]

_FIELD = "r"


class SealedRows(LimitRows):
    """The part of ``Rows`` about sealed records."""

    def sealed(self, namespace: str, key: str) -> SealedRecord | None:
        text = self._unit.hash(_name(namespace, key)).get(_FIELD)
        self._unit.guard(_name(namespace, key), _FIELD)
        return None if text is None else self._unit.parsed(SealedRecord, text)

    def put_sealed(self, record: SealedRecord, held: int) -> bool:
        found = self.sealed(record.namespace, record.key)
        if (0 if found is None else found.version) != held:
            return False
        unit, name = self._unit, _name(record.namespace, record.key)
        unit.put(name, _FIELD, pack(record))
        if found is not None and found.about not in ("", record.about):
            unit.call("SREM", _about(found.about), _member(record))
        unit.call("ZADD", _index(record.namespace), "0", record.key)
        if record.expires_at is None:
            unit.call("PERSIST", name)
            unit.call("ZREM", "ix:sealed", _member(record))
        else:
            kept = self._milliseconds(record.expires_at, self._keeping.of_sealed)
            unit.call("PEXPIRE", name, str(kept))
            unit.call("ZADD", "ix:sealed", str(microseconds(record.expires_at)), _member(record))
            if record.about:
                unit.call("SADD", _about(record.about), _member(record))
                unit.keep(_about(record.about), kept)
        return True

    def delete_sealed(self, namespace: str, key: str) -> None:
        found = self.sealed(namespace, key)
        if found is not None and found.about:
            self._unit.call("SREM", _about(found.about), _member(found))
        self._unit.clear(_name(namespace, key))
        self._unit.call("ZREM", _index(namespace), key)
        self._unit.call("ZREM", "ix:sealed", f"{namespace} {key}")

    def sealed_after(self, namespace: str, key: str, now: datetime, limit: int) -> Sequence[SealedRecord]:
        found: list[SealedRecord] = []
        while True:
            (keys,) = self._unit.ask(("after", _index(namespace), key, str(PAGE)))
            self._unit.load(*(_name(namespace, one) for one in keys))
            for key in keys:  # noqa: PLR1704 - the next look begins with the last one
                record = self.sealed(namespace, key)
                if record is not None and is_kept(record, now):
                    found.append(record)
            if len(found) >= limit or len(keys) < PAGE:
                return found[:limit]

    def purge_sealed(self, now: datetime, limit: int) -> int:
        (reply,) = self._unit.ask(("scored", "ix:sealed", "-inf", str(microseconds(now)), "0", str(limit)))
        members = [member.split(" ") for member in reply[::2]]
        self._unit.load(*(_name(*member) for member in members))
        for namespace, key in members:
            self.sealed(namespace, key)  # it stays if somebody writes it now
            self.delete_sealed(namespace, key)
        return len(members)

    def erase_sealed(self, phone_key: str) -> int:
        (found,) = self._unit.ask(("members", _about(phone_key)))
        members = [member.split(" ") for member in found]
        self._unit.load(*(_name(*member) for member in members))
        ours = [one for one in members if (record := self.sealed(*one)) is not None and record.about == phone_key]
        for namespace, key in ours:
            self.delete_sealed(namespace, key)
        if found:
            self._unit.call("SREM", _about(phone_key), *found)
        return len(ours)


def _name(namespace: str, key: str) -> str:
    return f"rc:{namespace} {key}"


def _about(phone_key: str) -> str:
    return f"rp:{phone_key}"


def _index(namespace: str) -> str:
    return f"ix:sealed:{namespace}"


def _member(record: SealedRecord) -> str:
    return f"{record.namespace} {record.key}"

"""The trail of operators: a text for each record, sorted sets of all and of each action, and a set for each phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from otp_redis.limit_rows import LimitRows
from otp_redis.packing import pack
from otpcore.stores import AuditRecord, changed

__all__ = ["AuditRows"]


class AuditRows(LimitRows):
    """The part of ``Rows`` about what operators changed. All worlds share it."""

    def add_audit(self, record: AuditRecord) -> None:
        kept = str(self._milliseconds(record.at, self._keeping.of_audit))
        self._unit.change("audit", self._unit.shared, record.action, kept, pack(record), record.about)

    def audits(self, action: str, below: int | None, limit: int) -> Sequence[AuditRecord]:
        index = f"ix:audit:{action}" if action else "ix:audit"
        most = "+inf" if below is None else str(below)
        (found,) = self._unit.ask(("trail", self._unit.shared, index, most, str(limit)))
        return [self._audit(number, text) for number, _, text in found if text]

    def purge_audits(self, before: datetime, limit: int) -> int:
        (found,) = self._unit.ask(("oldest", self._unit.shared, "ix:audit", str(limit)))
        removed = 0
        for number, action, text in found:
            record = self._audit(number, text) if text else None
            is_old = record is not None and record.at < before
            if is_old or record is None:  # what is not there has expired
                about = "" if record is None else record.about
                self._unit.change("unaudit", self._unit.shared, action, number, about)
                removed += is_old
        return removed

    def blank_audits(self, phone_key: str, blank: Mapping[str, str]) -> int:
        (found,) = self._unit.ask(("about", self._unit.shared, phone_key))
        for number, text in found:
            if text:
                record = changed(self._audit(number, text), number=0, **blank)
                self._unit.change("blank", self._unit.shared, number, pack(record), phone_key)
        return sum(bool(text) for _, text in found)

    def _audit(self, number: str, text: str) -> AuditRecord:
        return changed(self._unit.parsed(AuditRecord, text), number=int(number))

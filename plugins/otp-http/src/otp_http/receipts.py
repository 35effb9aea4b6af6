"""How a gateway's reports are read, once they are proven."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs

from otp_http.meanings import DELIVERED, PROGRESS, Meaning, Meanings, plain_code
from otp_http.paths import as_text, each, first, look_up, parsed
from otp_http.prices import price_in
from otp_http.proofs import check, filled, proof_of
from otp_http.receipt_sections import Challenge, Proof, Receipts
from otpcore.http import readings
from otpcore.providers import Receipt, ReceiptAnswer, ReceiptFault, ReceiptRefused, ReceiptRequest, ReceiptStatus

__all__ = ["ReceiptReader"]

_LONGEST_ANSWER = 500  # characters of a challenge that is sent back
_LONGEST_REFERENCE = 255


@attrs.frozen
class _Status:
    """What one status of a message means: how it ended, and why."""

    status: ReceiptStatus | None
    meaning: Meaning | None = None

    @classmethod
    def read(cls, text: str) -> _Status:
        word, _, kind = (part.strip() for part in text.partition(":"))
        if word == PROGRESS:
            return cls(None)
        if word == DELIVERED:
            return cls(ReceiptStatus.DELIVERED)
        return cls(ReceiptStatus.UNDELIVERED, Meaning.read(kind) if kind else None)


_UNLISTED = _Status(None)


@attrs.frozen
class ReceiptReader:
    """Reads what the gateway of one instance reports.

    Args:
        table: How.
        statuses: What a status means, in lower case.
        codes: What the vendor's codes mean.
        proof: What proves its reports.
        settings: Of the instance, by name.
    """

    table: Receipts
    statuses: Mapping[str, _Status]
    codes: Meanings
    proof: Proof
    settings: Mapping[str, str] = attrs.field(repr=False)

    @classmethod
    def of(cls, table: Receipts, settings: Mapping[str, str]) -> ReceiptReader:
        """Read the meanings of a table, which has been checked."""
        statuses = {status.casefold(): _Status.read(text) for status, text in table.statuses.items()}
        return cls(table, statuses, Meanings.read(table.codes), proof_of(table, settings), settings)

    def read(self, request: ReceiptRequest, now: datetime) -> ReceiptAnswer:
        """What the gateway reports, and what it waits for.

        Args:
            request: As it arrived.
            now: Aware UTC.

        Raises:
            ReceiptRefused: It is not proven, or no report of this gateway.
        """
        query = _pairs(_query(request.url))
        if (how := self.table.challenge) is not None and request.method == "GET" and how.token in query:
            return self._answered(how, query)
        check(self.proof, request, self.settings, now)
        if request.method not in self.table.methods:
            raise _malformed("it came by another HTTP method than the gateway's reports")
        said = self._said(request, query)
        receipts = [self._receipt(report, request) for report in self._reports(said)]
        return ReceiptAnswer(receipts=receipts, text=self.table.answer)

    def _answered(self, how: Challenge, query: Mapping[str, str]) -> ReceiptAnswer:
        wanted, answer = filled(how.secret, self.settings), query.get(how.answer, "")
        if not wanted or not hmac.compare_digest(query[how.token].encode(), wanted.encode()):
            raise ReceiptRefused(
                ReceiptFault.SIGNATURE, "the gateway's challenge does not have the secret of the settings"
            )
        if not answer or len(answer) > _LONGEST_ANSWER or not answer.isprintable():
            raise _malformed("its challenge has nothing to be sent back")
        return ReceiptAnswer(text=answer)

    def _said(self, request: ReceiptRequest, query: Mapping[str, str]) -> Any:
        """The fields, wherever they are."""
        if self.table.body == "json":
            return _json(readings(request.body, request.headers.get("content-type", "")))
        is_query = self.table.body == "query" or request.method == "GET"
        fields = query if is_query else _pairs(next(readings(request.body), ""))
        return _json([fields.get(self.table.json_field, "")]) if self.table.json_field else fields

    def _reports(self, said: Any) -> Iterable[Any]:
        """Each report of a request; none, where it is a request of another kind that the gateway is known to send."""
        if self.table.type and as_text(look_up(said, self.table.type)) in self.table.ignored:
            return ()
        if self.table.items:
            start = self.table.items.partition(".")[0]
            if look_up(said, start) is None if start != "*" else not isinstance(said, list):
                raise _malformed("it has no reports")
            return each(said, self.table.items)
        return _split(said, self.table.split) if self.table.split else (said,)

    def _receipt(self, report: Any, request: ReceiptRequest) -> Receipt:
        status = first(report, self.table.status)
        if not status:
            raise _malformed("a report has no status")
        reference, ours = (_name(report, path) for path in (self.table.reference, self.table.delivery_id))
        if not (reference or ours or request.delivery_id):
            raise _malformed("a report does not name its message")
        detail = as_text(look_up(report, self.table.detail)) if self.table.detail else ""
        known = (self.statuses.get(name.casefold()) for name in (f"{status}/{detail}", status))
        meant = next(filter(None, known), _UNLISTED)
        receipt = Receipt(
            status=meant.status, reference=reference, delivery_id=ours, price=price_in(report, self.table.price)
        )
        if meant.status is not ReceiptStatus.UNDELIVERED:
            return receipt
        code = as_text(look_up(report, self.table.code)) if self.table.code else ""
        why = self.codes.of(code) or meant.meaning
        shown = plain_code(code) or plain_code(status)
        return attrs.evolve(receipt, provider_code=shown, kind=why.kind if why is not None else None)


def _name(report: Any, path: str) -> str:
    name = as_text(look_up(report, path)) if path else ""
    return name if len(name) <= _LONGEST_REFERENCE and name.isprintable() else ""


def _query(url: str) -> str:
    try:
        return urlsplit(url).query
    except ValueError:
        return ""


def _pairs(text: str) -> dict[str, str]:
    """The fields of a form or query; of a name that comes twice, the last."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=1_000))
    except ValueError:
        return {}


def _json(texts: Iterable[str]) -> Any:
    said = parsed(texts)
    if said is None:
        raise _malformed("its body is not JSON")
    return said


def _split(fields: Any, separator: str) -> Iterator[dict[str, str]]:
    """The reports of fields that are lists; one that has fewer values than the others has its last for the rest."""
    if not isinstance(fields, Mapping) or not fields:
        raise _malformed("it has no fields")
    lists = {name: as_text(value).split(separator) for name, value in fields.items()}
    for place in range(max(map(len, lists.values()))):
        yield {name: values[min(place, len(values) - 1)] for name, values in lists.items()}


def _malformed(problem: str) -> ReceiptRefused:
    return ReceiptRefused(ReceiptFault.MALFORMED, problem)

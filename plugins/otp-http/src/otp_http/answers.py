"""How a gateway's answer to a message is judged: the HTTP status alone never counts as an acceptance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from otp_http.meanings import Meaning, Meanings, plain_code
from otp_http.paths import as_text, first, look_up, parsed
from otp_http.prices import price_in
from otp_http.sections import Accepted, Answer
from otpcore.http import HttpAnswer, readings
from otpcore.providers import DeliveryReceipt, ErrorKind, ProviderError

__all__ = ["Judge", "is_proven"]

_LONGEST_REFERENCE = 255
_LONGEST_WAIT = 86_400.0  # seconds

# {base_url} stands for the key of the setting.
# What a status means where neither the vendor's code nor the table says anything; by its class behind these.
_BY_STATUS: Mapping[int, Meaning] = {
    401: Meaning(ErrorKind.MISCONFIGURED, "the credentials were refused"),
    402: Meaning(ErrorKind.MISCONFIGURED, "the account has no credit"),
    403: Meaning(ErrorKind.MISCONFIGURED, "the account may not do this"),
    404: Meaning(ErrorKind.MISCONFIGURED, "not found: check {base_url}"),
    408: Meaning(ErrorKind.AMBIGUOUS, "the request took too long"),
    429: Meaning(ErrorKind.THROTTLED, "too many requests"),
}
_BY_CLASS: Mapping[int, Meaning] = {
    2: Meaning(ErrorKind.AMBIGUOUS, "the answer does not say that the message was taken"),
    3: Meaning(ErrorKind.MISCONFIGURED, "a redirect: check {base_url}"),
    4: Meaning(ErrorKind.MISCONFIGURED, "the request was refused"),
    5: Meaning(ErrorKind.AMBIGUOUS, "the gateway had an internal error"),
}
_UNREADABLE = Meaning(ErrorKind.AMBIGUOUS, "an answer that makes no sense")


def is_proven(accepted: Accepted, status: int, said: Any) -> bool:
    """Whether status and body are what the table says of an acceptance."""
    if not _status_fits(accepted, status):
        return False
    if not accepted.path:
        return True
    found = as_text(look_up(said, accepted.path))
    wanted = {as_text(value) for value in accepted.is_}
    return found in wanted if wanted else found != ""


@attrs.frozen
class Judge:
    """Judges the answers of one channel.

    Args:
        table: How they are read.
        codes: What the vendor's codes mean.
        http: What HTTP statuses mean, before the rules for all vendors.
        base_url: The key of the setting, for messages.
    """

    table: Answer
    codes: Meanings
    http: Mapping[int, Meaning]
    base_url: str

    @classmethod
    def of(cls, table: Answer, base_url: str = "base_url") -> Judge:
        """Read the meanings of a table, which has been checked."""
        http = {int(status): Meaning.read(text) for status, text in table.http.items()}
        return cls(table, Meanings.read(table.codes), http, base_url)

    def receipt(self, answer: HttpAnswer) -> DeliveryReceipt:
        """What an acceptance says.

        Raises:
            ProviderError: It is none.
        """
        said = _body(self.table, answer)
        reference = as_text(look_up(said, self.table.reference)) if self.table.reference else ""
        code = first(said, self.table.code)
        if self._accepts(answer.status, said, reference):
            return DeliveryReceipt(reference=_kept(reference), price=price_in(said, self.table.price))
        if code in self.table.duplicates:  # the earlier try was taken, and its answer lost; reports name that one
            return DeliveryReceipt()
        raise self._refusal(answer, said, code)

    def _accepts(self, status: int, said: Any, reference: str) -> bool:
        """Without a value that says so, the vendor's id does."""
        if said is None or not is_proven(self.table.accepted, status, said):
            return False
        return bool(self.table.accepted.path or reference)

    def _refusal(self, answer: HttpAnswer, said: Any, code: str) -> ProviderError:
        detail = as_text(look_up(said, self.table.detail)) if self.table.detail else ""
        meaning, status = self.codes.of(code, detail), answer.status
        shown = code if meaning is not None and len(code) <= _LONGEST_REFERENCE else plain_code(code)
        if meaning is None:
            meaning = self.http.get(status) or _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, _UNREADABLE)
            if code and _status_fits(self.table.accepted, status):
                meaning = Meaning(ErrorKind(self.table.otherwise), "a code of the gateway that its table does not list")
        words = meaning.words.replace("{base_url}", self.base_url) or "the gateway refused the message"
        return ProviderError(meaning.kind, words, self._wait(answer, said), shown or f"http-{status}")

    def _wait(self, answer: HttpAnswer, said: Any) -> float | None:
        """The seconds that it asks for."""
        how = self.table.retry_after
        headers = {name.lower(): value for name, value in answer.headers.items()}
        texts = (as_text(look_up(said, how.path)) if how.path else "", headers.get(how.header.lower(), ""))
        for text in filter(None, texts):
            if (found := re.search(how.pattern, text)) and re.fullmatch("[0-9]{1,9}", found[1] or ""):
                return min(float(found[1]), _LONGEST_WAIT)
        return answer.retry_after


def _status_fits(accepted: Accepted, status: int) -> bool:
    return status in accepted.status if accepted.status else status // 100 == 2  # noqa: PLR2004 - success (RFC 9110)


def _kept(reference: str) -> str:
    """The vendor's id, if a store can keep it: without it the message was sent all the same."""
    return reference if len(reference) <= _LONGEST_REFERENCE and reference.isprintable() else ""


def _body(table: Answer, answer: HttpAnswer) -> Any:
    """The body as its table says; None where it is not that."""
    if table.body == "json":
        return parsed(readings(answer.body, answer.content_type))
    text = next(iter(readings(answer.body, answer.content_type)), "")
    if table.body == "form":
        return dict(parse_qsl(text.strip())) or None
    found = re.search(table.pattern, text)
    return found.groupdict(default="") if found else None

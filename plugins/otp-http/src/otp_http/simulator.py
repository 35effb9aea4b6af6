"""A gateway on loopback, made from its table: takes messages as the gateway does, refuses by its codes, and reports.

::

    with GatewaySimulator("infobip") as infobip:
        ...                                   # settings={"providers": {"infobip": infobip.provider_settings()}}
        assert infobip.inbox[-1].code
        infobip.refuse("51")                  # the next message
        infobip.refusals["+359880000013"] = "51"
        infobip.reports("DELIVERED")          # what it reports of each message from now on, in its own word

The numbers of ``otp_http.magic`` are refused without a word, unless ``refusals`` says something else of them.
It is made from the table that the plugin reads too, so it proves nothing of the gateway itself: the plugin's tests
judge it by what the vendors' own software was seen to send.
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otp_http.catalogue import find, from_file
from otp_http.magic import UNREACHABLE, numbers_of, refusal_of
from otp_http.meanings import DELIVERED, UNDELIVERED, nearest
from otp_http.paths import as_text, look_up, place
from otp_http.placeholders import compiled, names_in
from otp_http.proofs import filled, hmac_of, proof_of, signature
from otp_http.reading import Asked, account_values, asked, ended, recipient_of
from otp_http.receipt_sections import Proof, Receipts
from otp_http.requests import body_signature
from otp_http.sections import Answer, PriceAt, Setting
from otp_http.texts import text_of
from otp_http.values import HOST_OR_SETTING
from otpcore.providers import Channel, Price, ReceiptRequest
from otpcore.simulators import SimulatedAnswer, SimulatedRequest, Simulator

__all__ = ["GatewaySimulator"]

_ANY = "7"  # stands for the * of a code
_SENDER = "Acme"


class GatewaySimulator(Simulator):
    """One gateway. Attributes may be changed at any time.

    Attributes:
        table: The gateway's.
        account: Its customer's settings, by name.
        amount: What a message costs.
        refusals: The code with which a message to a number (E.164) is refused; empty: it is taken.
        region: Whose national numbers it takes, such as ``"BG"``, where its table writes numbers so.
        told: By the gateway's id of a message, or ours where it gives none: our id, and where it is to be reported.
        outcomes: By the gateway's id of a message: how it was told that it ended, ``approved`` or ``unused``.
        receipts_at: Where it reports of all messages, as it is set at the gateway; empty: where each message says.
    """

    def __init__(self, gateway: str | Path, *, reporting: bool = False) -> None:
        """Make one.

        Args:
            gateway: The name of one that is installed, or the file of a table.
            reporting: Report of each message that it was delivered, as ``reports`` does with the first such status.

        Raises:
            SettingsError: There is no such table, or it is wrong.
        """
        super().__init__()
        self.table = find(gateway) if isinstance(gateway, str) else from_file(gateway, "gateway_file")
        self._named = {"gateway": gateway} if isinstance(gateway, str) else {"gateway_file": str(gateway.absolute())}
        private = Ed25519PrivateKey.generate()
        self._private = base64.b64encode(private.private_bytes_raw()).decode()
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        self.account = {name: _value(name, setting) for name, setting in self.table.settings.items()}
        if (receipts := self.table.receipts) is not None and receipts.proof.kind == "ed25519":
            self.account |= dict.fromkeys(names_in(compiled(receipts.proof.key)), public)
        self.paths = tuple(
            sorted({f"{send.method} {filled(send.path, self.account)}" for send in self.table.send.values()})
        )
        answers = map(self.table.answer_of, self.table.send)
        self.numbers = numbers_of(answers, can_report=self.table.receipts is not None and reporting)
        self.amount = Decimal("0.0525")
        self.refusals: dict[str, str] = {}
        self.region = ""
        self.told: dict[str, tuple[str, str]] = {}
        self.outcomes: dict[str, str] = {}
        self.receipts_at = ""
        self._next: list[str] = []
        self._status = self.statuses(DELIVERED)[0] if reporting and self._can_deliver else ""
        self._seen: set[str] = set()
        self._ids = itertools.count(1)

    def provider_settings(self) -> dict[str, Any]:
        """Settings of an instance that uses this account."""
        return {
            **self._named,
            "base_url": self.base_url,
            **{key: value for key, value in self.account.items() if value},
        }

    def refuse(self, code: str, *, times: int = 1) -> None:
        """Refuse the next messages with this code of the gateway."""
        self._next += [code] * times

    def reports(self, status: str) -> None:
        """Report this status of each message from now on, of one to ``UNREACHABLE`` that it was not delivered.

        Args:
            status: In the gateway's word, as ``receipts.statuses`` lists it; empty: report nothing.

        Raises:
            ValueError: The table lists no such status; says which is near.
        """
        if status and status not in self._receipts.statuses:
            raise ValueError(
                f"{status!r} is no status of {self.table.name}; {nearest(status, self._receipts.statuses)}"
            )
        self._status = status

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        """Answer one request."""
        if (account := self.table.account) is not None and self._asks_for_account(request):
            if not self._is_known(request, {}):
                return SimulatedAnswer.empty(401)
            wanted = account.accepted.is_ or ("simulated",)
            body = place({}, account.accepted.path, wanted[0]) if account.accepted.path else {}
            return SimulatedAnswer.json(next(iter(account.accepted.status), 200), body)
        if (told := ended(self.table, request)) is not None:
            name, outcome = told
            return self._hear(name, outcome) if self._is_known(request, outcome.values) else SimulatedAnswer.empty(401)
        message = asked(self.table, request)
        if message is None:
            return SimulatedAnswer.empty(404)
        if not self._is_known(request, message.values):
            return SimulatedAnswer.empty(401)
        return self._take(message)

    def report(self, reference: str, status: str, *, code: str = "", url: str = "") -> ReceiptRequest:
        """The request in which the gateway reports this status of a message that it took, signed just now.

        Args:
            reference: The gateway's id of the message.
            status: One of the table's; ``"3/2"`` for one with a detail.
            code: Why, where it was not delivered.
            url: Where it reports to; empty: where the message said.
        """
        return self.report_all([(reference, status, code)], url=url)

    def report_all(self, reports: Sequence[tuple[str, str, str]], *, url: str = "") -> ReceiptRequest:
        """One request with several reports, each with reference, status and code; to where the first of them said."""
        how = self._receipts
        said = [self._report(*one) for one in reports]
        body: Any = said[0]
        if how.items:
            body = self._in_items(how.items, said)
        elif how.split:
            body = {name: how.split.join(as_text(one[name]) for one in said) for name in said[0]}
        return self._signed(how, body, url or self.told.get(reports[0][0], ("", ""))[1] or self.receipts_at)

    @property
    def proof(self) -> Proof:
        """What proves its reports: its signature, where the account has the key of it."""
        return proof_of(self._receipts, self.account)

    @property
    def _receipts(self) -> Receipts:
        if self.table.receipts is None:
            raise ValueError(f"{self.table.name} reports nothing")
        return self.table.receipts

    @property
    def _can_deliver(self) -> bool:
        return self.table.receipts is not None and bool(self.statuses(DELIVERED))

    def _asks_for_account(self, request: SimulatedRequest) -> bool:
        account = self.table.account
        path = filled(account.path, self.account) if account is not None else ""
        return account is not None and (request.method, request.path) == (account.method, path)

    def _is_known(self, request: SimulatedRequest, said: Mapping[str, str]) -> bool:
        """Whether all that the request says of the account is right."""
        found = account_values(self.table, request)
        if found is None:
            return False
        signing = self.table.auth.hmac
        if signing is not None:
            key, prefix = filled(signing.key, self.account), filled(signing.prefix, self.account)
            wanted = prefix + body_signature(signing, key, request.headers, request.body)
            if request.headers.get(signing.header.lower()) != wanted:
                return False
        given = {**said, **found}
        known = (name for name, setting in self.table.settings.items() if _is_of_account(name, setting))
        return all(given.get(name, self.account[name]) == self.account[name] for name in known)

    def _hear(self, name: str, outcome: Asked) -> SimulatedAnswer:
        """What became of a code; of a message that it does not know, or was told of before, it wants to hear nothing."""
        how, answer, reference = self.table.outcomes[name], self.table.answer, outcome.values.get("reference", "")
        if how.gone and (reference in self.outcomes or reference not in self.told):
            return self._refused(answer, how.gone[0])
        self.outcomes[reference] = name
        body = place({}, how.accepted.path, how.accepted.is_[0] if how.accepted.is_ else "heard")
        return self._written(answer, next(iter(how.accepted.status), 200), body)

    def _take(self, message: Asked) -> SimulatedAnswer:
        answer = self.table.answer_of(message.channel)
        recipient, values = recipient_of(message.values, self.table.number, self.region), message.values
        said = values.get("text") or values.get("code", "")
        if not recipient or not said:
            return SimulatedAnswer.empty(422)
        code = self.refusals.get(recipient, refusal_of(answer, recipient)) or (self._next.pop(0) if self._next else "")
        if code:
            return self._refused(answer, code)
        if answer.duplicates and (key := values.get("idempotency_key", "")):
            if key in self._seen:
                return self._refused(answer, answer.duplicates[0])
            self._seen.add(key)
        reference = self._reference(answer)
        self.deliver(
            recipient=recipient,
            channel=Channel(message.channel),
            text=said,
            code=values.get("code", ""),
            reference=as_text(reference) if answer.reference else "",
            price=self._price(answer),
        )
        self._tell(values, recipient, as_text(reference) if answer.reference else values.get("delivery_id", ""))
        return self._accepted(answer, reference)

    def _reference(self, answer: Answer) -> str | int:
        number = next(self._ids)
        example = look_up(answer.examples.accepted, answer.reference) if answer.reference else None
        if isinstance(example, int):
            return number
        return str(number) if isinstance(example, str) and example.isdecimal() else f"sim-{number:08}"

    def _accepted(self, answer: Answer, reference: str | int) -> SimulatedAnswer:
        body = answer.examples.accepted
        accepted = answer.accepted
        wanted = {as_text(value) for value in accepted.is_}
        if accepted.path and accepted.path != answer.reference and as_text(look_up(body, accepted.path)) not in wanted:
            body = place(body, accepted.path, accepted.is_[0] if accepted.is_ else "accepted")
        if answer.reference:
            body = place(body, answer.reference, reference)
        body = _priced(body, answer.price, self._price(answer))
        return self._written(answer, next(iter(accepted.status), 200), body)

    def _price(self, answer: Answer) -> Price | None:
        """What it charges for a message, where it says that anywhere."""
        told = answer.price or (self.table.receipts.price if self.table.receipts is not None else None)
        if told is None:
            return None
        return Price(amount=self.amount, currency="EUR" if told.currency.startswith("=") else told.currency)

    def _refused(self, answer: Answer, code: str) -> SimulatedAnswer:
        code, _, detail = code.replace("*", _ANY).partition("/")
        body = answer.examples.refused
        path = next((one for one in answer.code if look_up(body, one) is not None), answer.code[0])
        is_number = isinstance(look_up(body, path), int) and code.isdecimal() and str(int(code)) == code  # not "07"
        body = place(body, path, int(code) if is_number else code)
        if detail and answer.detail:
            body = place(body, answer.detail, detail)
        return self._written(answer, answer.refusal_status, body)

    def _written(self, answer: Answer, status: int, body: Any) -> SimulatedAnswer:
        if answer.body == "json":
            return SimulatedAnswer.json(status, body)
        if answer.body == "form":
            return SimulatedAnswer(status, urlencode(body).encode(), {"Content-Type": "text/plain"})
        return SimulatedAnswer(status, text_of(body).encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def _tell(self, values: Mapping[str, str], recipient: str, reference: str) -> None:
        """Report of a message, where it is to be reported."""
        url = values.get("receipt_url") or self.receipts_at
        self.told[reference] = values.get("delivery_id", ""), url
        if self._status and url:
            failed = self.statuses(UNDELIVERED) if recipient == UNREACHABLE else []
            made = self.report(reference, next(iter(failed), self._status))
            self.call_back(made.url, made.headers, made.body, method=made.method)

    def _report(self, reference: str, status: str, code: str) -> Any:
        how = self._receipts
        status, _, detail = status.partition("/")
        ours = self.told.get(reference, ("", ""))[0]
        fields = [(how.status[0], status), (how.detail, detail), (how.reference, reference), (how.delivery_id, ours)]
        report: Any = {}
        for path, value in [*fields, (how.code, code)]:
            if path and value:
                report = place(report, path, value)
        return _priced(report, how.price, self._price(self.table.answer))

    def _in_items(self, path: str, reports: list[Any]) -> Any:
        """The reports at the last ``*`` of the path, each of the others being one thing."""
        before, _, after = path.rpartition("*")
        each = [place({}, after.removeprefix("."), report) if after else report for report in reports]
        return place({}, before.rstrip("."), each) if before else each

    def _signed(self, how: Receipts, said: Any, url: str) -> ReceiptRequest:
        """The request with this report, proven as the account has its reports proven."""
        proof, now = self.proof, self.clock()
        if proof.kind == "query":
            mark = "&" if urlsplit(url).query else "?"
            url += mark + urlencode({proof.field: filled(proof.value, self.account)})
        stamp = str(int(now.timestamp()))
        if proof.timestamp_field:
            said = {**said, proof.timestamp_field: stamp}
        headers = {proof.timestamp: stamp} if proof.timestamp else {}
        headers |= {proof.nonce: secrets.token_hex(10)} if proof.nonce else {}
        made = self._written_report(how, said, url, headers)
        if proof.kind == "hmac" and proof.field:
            said = {**said, proof.field: hmac_of(proof, made, self.account)}
            return self._written_report(how, said, url, headers)
        proven = signature(proof, made, self.account, now, self._private)
        return ReceiptRequest(method=made.method, url=made.url, headers={**made.headers, **proven}, body=made.body)

    @staticmethod
    def _written_report(how: Receipts, said: Any, url: str, headers: Mapping[str, str]) -> ReceiptRequest:
        method, headers, body = how.methods[0], dict(headers), b""
        if how.json_field:
            said = {how.json_field: json.dumps(said)}
        if how.body == "json":
            headers["Content-Type"], body = "application/json", json.dumps(said).encode()
        elif how.body == "query" or method == "GET":
            url = f"{url}{'&' if '?' in url else '?'}{urlencode(said)}"
        else:
            headers["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(said).encode()
        return ReceiptRequest(method=method, url=url, headers=headers, body=body)

    def challenge(self, url: str, answer: str) -> ReceiptRequest:
        """The GET by which the gateway has an address proven, and waits for ``answer``."""
        how = self._receipts.challenge
        if how is None:
            raise ValueError(f"{self.table.name} has no address proven")
        query = {how.token: filled(how.secret, self.account), how.answer: answer}
        return ReceiptRequest(method="GET", url=f"{url}?{urlencode(query)}")

    def statuses(self, meaning: str) -> list[str]:
        """The statuses of the table that mean this: ``delivered``, ``undelivered`` or ``progress``."""
        found = self._receipts.statuses.items()
        return [status for status, text in found if text.partition(":")[0].strip() == meaning]


def _priced(said: Any, how: PriceAt | None, price: Price | None) -> Any:
    """An answer or report with a price in it, in one text where amount and currency have one place."""
    if how is None or price is None:
        return said
    path = how.currency.removeprefix("=")
    if how.currency.startswith("=") and path != how.amount:
        return place(place(said, how.amount, str(price.amount)), path, price.currency)
    return place(said, how.amount, f"{price.currency} {price.amount}" if path == how.amount else str(price.amount))


def _is_of_account(name: str, setting: Setting) -> bool:
    """Whether it says whose account it is: a secret, or what each instance has to say and no send may say for itself."""
    return setting.secret or (setting.must_be_given and name not in HOST_OR_SETTING)


def _value(name: str, setting: Setting) -> str:
    """What the simulated account has."""
    if setting.example or setting.default or (setting.form and not setting.required):
        return setting.example or setting.default
    return _SENDER if name == "sender" else f"simulated-{name.replace('_', '-')}"

"""Simulated Messages and Calls: what is sent arrives, what is said is heard."""

from __future__ import annotations

import email.utils
import re
import uuid
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from otp_twilio.errors import CODES
from otp_twilio.overrides import repeated
from otp_twilio.receipts import MESSAGE_STATUSES
from otp_twilio.signing import signature
from otp_twilio.simulator.account import SimulatedAccount
from otp_twilio.simulator.answers import (
    ANSWERED,
    CALL_ENDS,
    CALL_FAILURES,
    DELIVERED,
    FAILS_LATER,
    MESSAGE_ENDS,
    MESSAGE_FAILURES,
    End,
    Failure,
    error,
    new_sid,
)
from otp_twilio.simulator.listing import listed, number
from otpcore.messages import segments
from otpcore.providers import Channel, Price, ReceiptStatus
from otpcore.simulators import SimulatedAnswer

__all__ = ["SimulatedCalls", "SimulatedMessages", "SimulatedResource"]

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_TEST_NUMBER = "+15005550006"
_SENDERS = {
    "+15005550001": Failure(400, 21212, "The 'From' number +15005550001 is not a valid phone number."),
    "+15005550007": Failure(400, 21606, "The 'From' phone number is not a valid, SMS-capable inbound number."),
    "+15005550008": Failure(400, 21611, "This 'From' number has exceeded the maximum number of queued messages"),
}
_NO_CALLBACK = Failure(400, 21609, "The 'StatusCallback' URL is not a valid URL.")
_URL = re.compile(r"https?://[^/?#_]+([/?#].*)?")  # no host with an underscore
_LONGEST_BODY = 1600
_LONGEST_VALIDITY = 36_000
_MOST_LOOPS = 1000
_PUMPING = 30450
_FAILED = {
    FAILS_LATER: (30005, "Unknown destination handset"),
    "+15005550410": (_PUMPING, "Message delivery blocked (SMS Pumping Protection)"),
}


class SimulatedResource:
    """A list of things that can be created, fetched and listed."""

    name: str
    prefix: str

    def __init__(self, account: SimulatedAccount) -> None:
        self._account = account
        self._made: list[dict[str, Any]] = []

    def answer(self, method: str, sid: str | None, query: str, form: dict[str, str]) -> SimulatedAnswer:
        """Answer one request; ``sid`` is the last part of the path, if there is one."""
        if method == "POST" and sid is None:
            return self._create(form)
        if method == "GET":
            path = f"/2010-04-01/Accounts/{self._account.account_sid}/{self.name}.json"
            return _fetched(self._made, sid) if sid else listed(self.name.lower(), self._made, path, query)
        found = next((each for each in self._made if each["sid"] == sid), None)
        if found is None:
            return _not_found()
        if method == "DELETE":
            self._made.remove(found)
            return SimulatedAnswer.empty(204)
        return self._update(found, form)

    def _create(self, form: dict[str, str]) -> SimulatedAnswer:
        raise NotImplementedError

    def _update(self, made: dict[str, Any], form: dict[str, str]) -> SimulatedAnswer:
        raise NotImplementedError

    def _go_on(self, form: dict[str, str], end: End, made: dict[str, Any]) -> None:
        """What becomes of it after the answer: its status as it is kept, reported where the request asked for that."""
        url, _, overrides = form.get("StatusCallback", "").partition("#")
        for status in end.statuses:
            self._moved(made, status)
            if end.code:
                failed = MESSAGE_STATUSES.get(status) is ReceiptStatus.UNDELIVERED
                code, words = (end.code, CODES[str(end.code)][1]) if failed else (None, None)
                made |= {"error_code": code, "error_message": words}
            if url:
                self._account.call_back(url, *self._callback(url, status, end, made), again=repeated(overrides))

    def _moved(self, made: dict[str, Any], status: str) -> None:
        made |= {"status": status, "date_updated": _rfc2822(self._account)}

    def _callback(self, url: str, status: str, end: End, made: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body of one status callback."""
        kind = self.name.removesuffix("s")
        fields = {
            "AccountSid": self._account.account_sid,
            "ApiVersion": made["api_version"],
            "From": made["from"] or "",
            "To": made["to"],
            f"{kind}Sid": made["sid"],
            f"{kind}Status": status,
        }
        if end.code and MESSAGE_STATUSES.get(status) is ReceiptStatus.UNDELIVERED:
            fields["ErrorCode"] = str(end.code)
        signed = signature(self._account.auth_token, url, fields.items())
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": signed,
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),  # the same when it is repeated
        }
        return headers, urlencode(fields).encode()

    def _common(self, to: str) -> dict[str, Any]:
        sid, now = new_sid(self.prefix), _rfc2822(self._account)
        return {
            "sid": sid,
            "account_sid": self._account.account_sid,
            "api_version": "2010-04-01",
            "to": to,
            "direction": "outbound-api",
            "date_created": now,
            "date_updated": now,
            "price": None,
            "price_unit": "USD",
            "uri": f"/2010-04-01/Accounts/{self._account.account_sid}/{self.name}/{sid}.json",
            "subresource_uris": {},
        }


class SimulatedMessages(SimulatedResource):
    """``Messages.json`` and what is below it."""

    name, prefix = "Messages", "SM"

    def __init__(self, account: SimulatedAccount) -> None:
        super().__init__(account)
        self.feedback: dict[str, str] = {}

    def _create(self, form: dict[str, str]) -> SimulatedAnswer:
        refusal = self._refusal(form)
        if refusal:
            return refusal.answer()
        to, service = form["To"], form.get("MessagingServiceSid")
        message = {
            **self._common(to),
            "from": form.get("From"),
            "body": form["Body"],
            "status": "accepted" if service else "queued",
            "error_code": None,
            "error_message": None,
            "messaging_service_sid": service,
            "num_segments": "0" if service else "1",
            "num_media": "0",
            "date_sent": None,
        }
        self._made.append(message)
        if to in _FAILED and not (_FAILED[to][0] == _PUMPING and form.get("RiskCheck") == "disable"):
            code, words = _FAILED[to]
            message |= {"status": "failed", "error_code": code, "error_message": words}
            return SimulatedAnswer.json(201, message)
        answer = SimulatedAnswer.json(201, message)
        end = MESSAGE_ENDS.get(to, DELIVERED)
        if end.arrives:
            self._account.deliver(
                recipient=to,
                channel=Channel.SMS,
                text=form["Body"],
                reference=message["sid"],
                price=Price.read(self._account.message_price.removeprefix("-"), message["price_unit"]),
            )
        self._go_on(form, end, message)
        return answer

    def confirm(self, sid: str, form: dict[str, str]) -> SimulatedAnswer:
        """Feedback on a message; Twilio's documents do not say that one without ``ProvideFeedback`` is refused."""
        outcome = form.get("Outcome", "confirmed")
        if all(made["sid"] != sid for made in self._made):
            return _not_found()
        if outcome not in ("confirmed", "unconfirmed"):
            return error(400, 20001, "Parameter 'Outcome' is not valid")
        now, about = _rfc2822(self._account), {"account_sid": self._account.account_sid, "message_sid": sid}
        uri = f"/2010-04-01/Accounts/{self._account.account_sid}/Messages/{sid}/Feedback.json"
        self.feedback[sid] = outcome
        feedback = {**about, "outcome": outcome, "date_created": now, "date_updated": now, "uri": uri}
        return SimulatedAnswer.json(201, feedback)

    def _update(self, made: dict[str, Any], form: dict[str, str]) -> SimulatedAnswer:
        """Take the text out; nothing here can still be cancelled."""
        if form != {"Body": ""}:
            return error(400, 30409, "The message cannot be changed so.")
        made["body"] = ""
        return SimulatedAnswer.json(200, made)

    def _moved(self, made: dict[str, Any], status: str) -> None:
        super()._moved(made, status)
        made |= {
            "from": made["from"] or self._account.from_number,  # the messaging service has chosen
            "num_segments": str(segments(made["body"]).count),
            "date_sent": made["date_sent"] or _rfc2822(self._account),
            "price": self._account.message_price,
        }

    def _refusal(self, form: dict[str, str]) -> Failure | None:
        to, sender, service = form.get("To", ""), form.get("From", ""), form.get("MessagingServiceSid", "")
        if not to:
            return Failure(400, 21604, "A 'To' phone number is required.")
        if not _NUMBER.fullmatch(to):
            return Failure(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if not sender and not service:
            return Failure(400, 21603, "A 'From' phone number is required.")
        if service and service != self._account.messaging_service_sid:
            return Failure(400, 21701, "The Messaging Service does not exist.")
        if sender.startswith("+") and sender not in (_TEST_NUMBER, self._account.from_number):
            return _SENDERS.get(sender) or Failure(400, 21606, "The 'From' phone number is not yours.")
        if not form.get("Body"):
            return Failure(400, 21602, "Message body is required.")
        if len(form["Body"]) > _LONGEST_BODY:
            return Failure(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
        return _refused_option(form) or MESSAGE_FAILURES.get(to)


class SimulatedCalls(SimulatedResource):
    """``Calls.json`` and what is below it."""

    name, prefix = "Calls", "CA"

    def _create(self, form: dict[str, str]) -> SimulatedAnswer:
        refusal = self._refusal(form)
        if refusal:
            return refusal.answer()
        to = form["To"]
        ends = {"start_time": None, "end_time": None, "duration": None}
        call = {**self._common(to), "from": form["From"], "status": "failed" if to == FAILS_LATER else "queued", **ends}
        self._made.append(call)
        answer = SimulatedAnswer.json(201, call)
        if to != FAILS_LATER:
            end = CALL_ENDS.get(to, ANSWERED)
            call["status"] = "ringing"
            if end.arrives:
                heard = _spoken(form["Twiml"])
                self._account.deliver(recipient=to, channel=Channel.CALL, text=heard, reference=call["sid"])
            self._go_on(form, end, call)
        return answer

    def _update(self, made: dict[str, Any], form: dict[str, str]) -> SimulatedAnswer:
        """Hang up, or call no more."""
        if form.get("Status") not in ("canceled", "completed") or made["status"] != "ringing":
            return error(400, 21220, "Call is not in-progress. Cannot redirect.")
        self._moved(made, form["Status"])
        return SimulatedAnswer.json(200, made)

    def _moved(self, made: dict[str, Any], status: str) -> None:
        super()._moved(made, status)
        now = _rfc2822(self._account)
        made |= {"start_time": now, "end_time": now, "duration": "0"}

    def _refusal(self, form: dict[str, str]) -> Failure | None:
        to, caller = form.get("To", ""), form.get("From", "")
        if not to:
            return Failure(400, 21201, "No 'To' number is specified")
        if not _NUMBER.fullmatch(to):
            return Failure(400, 21211, "Invalid 'To' Phone Number")
        if caller == "+15005550001":
            return Failure(400, 21212, "Invalid 'From' Phone Number")
        if caller not in (_TEST_NUMBER, self._account.from_number):
            return Failure(400, 21210, "'From' phone number not verified")
        if not form.get("Twiml"):
            return Failure(400, 21205, "Url parameter is required.")
        if not _is_url(form.get("StatusCallback")):
            return _NO_CALLBACK
        return CALL_FAILURES.get(to)


def _spoken(twiml: str) -> str:
    """What the person hears; Twilio reads TwiML only when the call is answered, and apologises when it cannot."""
    try:
        response = ET.fromstring(twiml)  # noqa: S314 - what a test on this machine sends, on loopback
    except ET.ParseError:
        return "We are sorry. An application error has occurred. Goodbye."
    said = [" ".join([say.text or ""] * min(number(say.get("loop", "1")), _MOST_LOOPS)) for say in response.iter("Say")]
    return " ".join(said)


def _refused_option(form: dict[str, str]) -> Failure | None:
    """What is wrong with the optional parameters of a message; None: nothing."""
    if not _is_url(form.get("StatusCallback")):
        return _NO_CALLBACK
    if form.get("RiskCheck", "enable") not in ("enable", "disable"):
        return Failure(400, 20001, "Parameter 'RiskCheck' is not valid")
    if form.get("ProvideFeedback", "false") not in ("true", "false"):
        return Failure(400, 20001, "Parameter 'ProvideFeedback' is not valid")
    if not 1 <= number(form.get("ValidityPeriod", "36000")) <= _LONGEST_VALIDITY:
        return Failure(400, 90007, "ValidityPeriod is out of range")
    return None


def _is_url(text: str | None) -> bool:
    return text is None or _URL.fullmatch(text) is not None


def _rfc2822(account: SimulatedAccount) -> str:
    return email.utils.format_datetime(account.clock())


def _fetched(known: list[dict[str, Any]], sid: str) -> SimulatedAnswer:
    found = next((each for each in known if each["sid"] == sid), None)
    return SimulatedAnswer.json(200, found) if found else _not_found()


def _not_found() -> SimulatedAnswer:
    return error(404, 20404, "The requested resource was not found")

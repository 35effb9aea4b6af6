"""A simulated Openmind SoS gateway on loopback, for tests and demos.

It checks Basic authentication, the envelope, addresses, sender, text and receipt flag, and answers what is wrong as the
gateway's statuses do. It keeps state: message ids count up, ``credit`` runs out, ``throttle_limit`` messages fit into
``throttle_window``. How it answers a good request, recipients choose:

=====================  =============================================================================
recipient              answer
=====================  =============================================================================
``+35988800NNNN``      ``commandStatus`` NNNN: ``+359888000088`` is throttled, ``+359888001036`` refused;
                       ``+359888000000`` is accepted; 9999 is a status that nobody documented
``+359888010001``      SOAP fault Client
``+359888010002``      SOAP fault Server, nothing delivered
``+359888010003``      SOAP fault Server, and yet the message is delivered
``+359888010004``      an answer without ``commandStatus``, and yet the message is delivered
``+359888010005``      accepted, without ``messageId``
any other              accepted
=====================  =============================================================================
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import attrs

from otp_mada.soap import ENVELOPE_NAMESPACE, SOS_NAMESPACE
from otp_mada.statuses import ACCEPTED
from otpcore.messages import segments
from otpcore.providers import Channel
from otpcore.simulators import SimulatedAnswer, SimulatedRequest, Simulator

__all__ = ["MAGIC_NUMBERS", "MadaSimulator", "Magic"]

_PATH = "/sos"
_MAGIC_STATUS = re.compile(r"35988800([0-9]{4})")
_NUMBER = re.compile(r"[1-9][0-9]{6,14}")
_VALIDITY = re.compile(r"[0-9]{15}[R+-]")
_CONTENT_TYPES = {"text/xml", "application/xml"}
_ALPHANUMERIC = 5
_LONGEST_NAME = 11
_INTERNATIONAL = "1"
_E164 = "1"
_TONS = frozenset("0123456")
_NPIS = frozenset({"0", "1", "3", "4", "6", "8", "9", "10", "14", "18"})
_RECEIPT_FLAGS = frozenset("012")
_TOO_LONG, _BAD_FLAG, _BAD_SENDER, _BAD_RECIPIENT = 1, 7, 10, 11
_BAD_SOURCE_TON, _BAD_SOURCE_NPI, _BAD_DESTINATION_TON, _BAD_DESTINATION_NPI = 72, 73, 80, 81
_OCTETS = 140  # of one SMS (3GPP TS 23.040)
_THROTTLED, _BAD_VALIDITY, _BAD_CODING, _NO_CREDIT = 88, 98, 260, 1035


@attrs.frozen
class Magic:
    """How one recipient is answered.

    Args:
        fault: Code of the SOAP fault; "" for an answer.
        delivers: The message arrives all the same.
        with_status: The answer has a ``commandStatus``.
        with_message_id: The answer has a ``messageId``.
    """

    fault: str = ""
    delivers: bool = True
    with_status: bool = True
    with_message_id: bool = True


MAGIC_NUMBERS: Mapping[str, Magic] = {
    "+359888010001": Magic(fault="Client", delivers=False),
    "+359888010002": Magic(fault="Server", delivers=False),
    "+359888010003": Magic(fault="Server"),
    "+359888010004": Magic(with_status=False),
    "+359888010005": Magic(with_message_id=False),
}
_ORDINARY = Magic()
_TOLD = {
    "+359888010001": "a SOAP fault: Client",
    "+359888010002": "a SOAP fault: Server",
    "+359888010003": "a SOAP fault: Server; the message arrives",
    "+359888010004": "an answer without commandStatus; the message arrives",
    "+359888010005": "an answer without messageId; the message arrives",
    "+35988800nnnn": "commandStatus nnnn, such as 0088: too fast",
}


@attrs.frozen
class _Message:
    """One ``smRequest``; what is optional is empty where it was left out."""

    source_ton: str
    source_npi: str
    source: str
    destination_ton: str
    destination_npi: str
    destination: str
    text: str
    encoding: str
    registered_delivery: str
    validity_period: str


class _FaultError(Exception):
    """The request is no ``SubmitSM`` at all; the argument is the fault code."""


class MadaSimulator(Simulator):
    """The gateway. Attributes may be changed at any time.

    Attributes:
        username: User of the account.
        password: Its password.
        senders: Registered senders; any other is refused with 10.
        qualified_children: Answer with elements in the SoS namespace, else in none; both styles have been seen.
        accepts_unicode: Take texts outside GSM-7 as they are (up to 70 UTF-16 units), else refuse them with 260. UCS-2 as such
            (``dataCoding`` 8, ``hexData``) is always taken.
        credit: Messages left before 1035; None: without end.
        throttle_limit: Messages accepted within ``throttle_window`` before 88; None: any number.
        throttle_window: A sliding window on ``clock``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.paths, self.numbers = (f"POST {_PATH}",), _TOLD
        self.username = "otpcore"
        self.password = "simulated-password"  # noqa: S105 - of a simulated account
        self.senders = {"otpcore"}
        self.qualified_children = True
        self.accepts_unicode = False
        self.credit: int | None = None
        self.throttle_limit: int | None = None
        self.throttle_window = timedelta(seconds=1)
        self._accepted_at: list[datetime] = []
        self._last_message_id = 0

    def provider_settings(self) -> dict[str, Any]:
        """Settings of an instance that uses this account."""
        return {
            "url": self.base_url + _PATH,
            "username": self.username,
            "password": self.password,
            "source_name": min(self.senders),
        }

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        """Answer one request."""
        if request.path != _PATH:
            return SimulatedAnswer.empty(404)
        if request.method != "POST":
            return SimulatedAnswer(405, headers={"Allow": "POST"})
        if not self._is_authentic(request.headers.get("authorization", "")):
            return SimulatedAnswer(401, headers={"WWW-Authenticate": 'Basic realm="SoS"'})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _CONTENT_TYPES:
            return SimulatedAnswer.empty(415)
        try:
            message = _read(request.body)
        except _FaultError as fault:
            return _fault(str(fault))
        return self._submit(message)

    def _is_authentic(self, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True)
        except ValueError:  # not Base64, or not even ASCII
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(given, f"{self.username}:{self.password}".encode())

    def _submit(self, message: _Message) -> SimulatedAnswer:
        status = self._refusal(message) or _magic_status(message) or self._lack()
        magic = MAGIC_NUMBERS.get(f"+{message.destination}", _ORDINARY)
        if status != ACCEPTED:
            return self._answer(status)
        message_id = self._deliver(message) if magic.delivers else ""
        if magic.fault:
            return _fault(magic.fault)
        return self._answer(status if magic.with_status else None, message_id if magic.with_message_id else "")

    def _refusal(self, message: _Message) -> int:
        """The status of the first thing that is wrong with a message, or ``ACCEPTED``."""
        counted = segments(message.text)
        is_gsm, octets = counted.encoding == "GSM-7", len(message.text.encode("utf-16-be"))
        checks = (
            (_BAD_SOURCE_TON, message.source_ton in _TONS),
            (_BAD_SOURCE_NPI, message.source_npi in _NPIS),
            (_BAD_SENDER, self._knows_sender(message)),
            (_BAD_DESTINATION_TON, message.destination_ton == _INTERNATIONAL),
            (_BAD_DESTINATION_NPI, message.destination_npi == _E164),
            (_BAD_RECIPIENT, _NUMBER.fullmatch(message.destination)),
            (_BAD_FLAG, message.registered_delivery in _RECEIPT_FLAGS),
            (_BAD_VALIDITY, not message.validity_period or _VALIDITY.fullmatch(message.validity_period)),
            (_BAD_CODING, message.encoding == "ucs2" or (message.encoding and (is_gsm or self.accepts_unicode))),
            (_TOO_LONG, octets <= _OCTETS if message.encoding == "ucs2" else counted.count == 1),
        )
        return next((status for status, fits in checks if not fits), ACCEPTED)

    def _knows_sender(self, message: _Message) -> bool:
        if message.source_ton == str(_ALPHANUMERIC):
            counted = segments(message.source)
            well_formed = counted.encoding == "GSM-7" and counted.units <= _LONGEST_NAME
        else:
            well_formed = message.source.isdigit()
        return well_formed and message.source in self.senders

    def _lack(self) -> int:
        """The status of a good message that the account may not send now, or ``ACCEPTED``."""
        now = self.clock()
        self._accepted_at = [moment for moment in self._accepted_at if now - moment < self.throttle_window]
        if self.throttle_limit is not None and len(self._accepted_at) >= self.throttle_limit:
            return _THROTTLED
        return _NO_CREDIT if self.credit == 0 else ACCEPTED

    def _deliver(self, message: _Message) -> str:
        if self.credit is not None:
            self.credit -= 1
        self._accepted_at.append(self.clock())
        self._last_message_id += 1
        message_id = f"{self._last_message_id:08}"
        self.deliver(recipient=f"+{message.destination}", channel=Channel.SMS, text=message.text, reference=message_id)
        return message_id

    def _answer(self, status: int | None, message_id: str = "") -> SimulatedAnswer:
        prefix = "sos:" if self.qualified_children else ""
        parts = {"commandStatus": "" if status is None else str(status), "messageId": message_id}
        fields = "".join(f"<{prefix}{name}>{value}</{prefix}{name}>" for name, value in parts.items() if value)
        return _envelope(
            200,
            f'<sos:SubmitSMResponse xmlns:sos="{SOS_NAMESPACE}" '
            'soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
            f"<{prefix}smResponse>{fields}<{prefix}tlvData/></{prefix}smResponse></sos:SubmitSMResponse>",
        )


def _read(body: bytes) -> _Message:
    """The message in a request. A reader of its own, so that it does not share the plugin's mistakes."""
    try:
        envelope = ET.fromstring(body)  # noqa: S314 - a simulator on loopback reads what its own tests send
    except (ET.ParseError, LookupError, ValueError):
        raise _FaultError("Client") from None
    if envelope.tag != f"{{{ENVELOPE_NAMESPACE}}}Envelope":
        raise _FaultError("VersionMismatch")
    request = envelope.find(f"{{{ENVELOPE_NAMESPACE}}}Body/{{{SOS_NAMESPACE}}}SubmitSM/smRequest")
    if request is None or request.find("destination") is None:
        raise _FaultError("Client")
    text, encoding = _text(request)
    return _Message(
        source_ton=request.findtext("source/ton", ""),
        source_npi=request.findtext("source/npi", ""),
        source=request.findtext("source/addr", ""),
        destination_ton=request.findtext("destination/ton", ""),
        destination_npi=request.findtext("destination/npi", ""),
        destination=request.findtext("destination/addr", ""),
        text=text,
        encoding=encoding,
        registered_delivery=request.findtext("registeredDelivery", "0"),
        validity_period=request.findtext("validityPeriod", ""),
    )


def _text(request: ET.Element) -> tuple[str, str]:
    """The text, and how it is encoded: by the gateway, as UCS-2, or in a way that it does not understand."""
    coding = request.findtext("dataCoding", "0").strip()
    octets, text = request.findtext("shortMessage/hexData"), request.findtext("shortMessage/stringData")
    if (octets is None) == (text is None):  # the schema has a choice of the two
        raise _FaultError("Client")
    if text is not None:
        return text, "own" if coding == "0" else ""
    try:
        return bytes.fromhex((octets or "").strip()).decode("utf-16-be"), "ucs2" if coding == "8" else ""
    except ValueError:
        return "?", ""


def _magic_status(message: _Message) -> int:
    chosen = _MAGIC_STATUS.fullmatch(message.destination)
    return int(chosen.group(1)) if chosen else ACCEPTED


def _fault(code: str) -> SimulatedAnswer:
    return _envelope(
        500, f"<soapenv:Fault><faultcode>soapenv:{code}</faultcode><faultstring>simulated</faultstring></soapenv:Fault>"
    )


def _envelope(status: int, content: str) -> SimulatedAnswer:
    return SimulatedAnswer.xml(
        status,
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE_NAMESPACE}"><soapenv:Header/>'
        f"<soapenv:Body>{content}</soapenv:Body></soapenv:Envelope>",
    )

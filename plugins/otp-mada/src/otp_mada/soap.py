"""The wire format: write a SubmitSM request, read XML without trusting it. Pure; no I/O.

A request has the form that customers are known to use: SOAP 1.1, ``SubmitSM`` in the SoS namespace, everything below it
in none. Answers have been seen with their elements in the SoS namespace and in none, so names are compared
without namespaces.

XML is parsed by the standard library's expat, and the parse ends at the first word of a document type declaration, before
any entity can be declared; SOAP 1.1 §3 forbids one anyway. (defusedxml does the same by the same handler, but its last
stable release is from 2021; ElementTree's own parser goes on through the whole body after such a refusal.)
"""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape

import attrs

from otpcore.http import readings

__all__ = [
    "CONTENT_TYPE",
    "ENVELOPE_NAMESPACE",
    "SOS_NAMESPACE",
    "Address",
    "Fault",
    "Submission",
    "SubmitAnswer",
    "UnreadableXMLError",
    "child",
    "has_illegal_characters",
    "read_answer",
    "relative_time",
    "text_of",
    "write_submission",
]

CONTENT_TYPE = "text/xml; charset=utf-8"
"""With the charset, because ``text/xml`` alone once meant US-ASCII (RFC 3023 §3.1)."""
ENVELOPE_NAMESPACE = "http://schemas.xmlsoap.org/soap/envelope/"
SOS_NAMESPACE = "http://www.openmindnetworks.com/SoS"

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECIMAL = re.compile(r"[0-9]{1,10}")
_DECLARATION = re.compile(r"\s*<\?xml\s[^>]*\?>")
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']?([A-Za-z0-9._:-]{1,40})""")
_HEAD = 400  # bytes in which a declaration ends
_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,65}")
_REQUEST = f"""<?xml version="1.0" encoding="utf-8"?>
<soapenv:Envelope xmlns:soapenv="{ENVELOPE_NAMESPACE}" xmlns:sos="{SOS_NAMESPACE}">\
<soapenv:Header/>\
<soapenv:Body>\
<sos:SubmitSM soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">\
<smRequest>\
<source>{{source}}</source>\
<destination>{{destination}}</destination>\
{{validity}}\
{{message}}\
<registeredDelivery>{{registered_delivery}}</registeredDelivery>\
</smRequest>\
</sos:SubmitSM>\
</soapenv:Body>\
</soapenv:Envelope>
"""


class UnreadableXMLError(ValueError):
    """Not the XML of a SOAP message. The text never quotes it."""


@attrs.frozen(kw_only=True)
class Address:
    """An SMPP address.

    Args:
        ton: Type of number: 1 international, 5 alphanumeric, …
        npi: Numbering plan: 1 is E.164.
        addr: Digits without ``+``, or a name.
    """

    ton: int
    npi: int
    addr: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Submission:
    """One message to be submitted.

    Args:
        source: Who sends it.
        destination: To whom.
        text: As people are to read it.
        ucs2: Say so, and send its bytes; else the gateway encodes it as it likes.
        registered_delivery: 0 no delivery receipt, 1 always one, 2 one when it fails.
        validity: How long the gateway shall try to deliver; None: as long as the gateway likes.
    """

    source: Address
    destination: Address
    text: str = attrs.field(repr=False)
    ucs2: bool = False
    registered_delivery: int
    validity: timedelta | None = None


@attrs.frozen(kw_only=True)
class SubmitAnswer:
    """The gateway's answer.

    Args:
        command_status: What became of it; None where the answer does not say it in one number.
        message_id: The gateway's id; empty where it gave none.
    """

    command_status: int | None
    message_id: str = ""


@attrs.frozen(kw_only=True)
class Fault:
    """A SOAP fault.

    Args:
        code: First part of the fault code without its prefix, such as ``"Client"``.
    """

    code: str


def has_illegal_characters(text: str) -> bool:
    """Whether a character could not stand in XML 1.0 (§2.2), not even escaped."""
    return _ILLEGAL.search(text) is not None


def relative_time(period: timedelta) -> str:
    """A period as SMPP 3.4 §7.1.1 writes it: ``YYMMDDhhmmss000R``; at least one second, at most 99 days."""
    seconds = max(int(min(period, timedelta(days=99)).total_seconds()), 1)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"0000{days:02}{hour:02}{minute:02}{second:02}000R"


def write_submission(submission: Submission) -> bytes:
    """The request body, UTF-8. The text must have no illegal characters."""
    validity = submission.validity
    return _REQUEST.format(
        source=_address(submission.source),
        destination=_address(submission.destination),
        validity=f"<validityPeriod>{relative_time(validity)}</validityPeriod>" if validity is not None else "",
        message=_ucs2(submission.text) if submission.ucs2 else _string(submission.text),
        registered_delivery=submission.registered_delivery,
    ).encode()


def read_answer(body: bytes, content_type: str = "") -> SubmitAnswer | Fault:
    """What the gateway said, in whatever charset: the first reading of its answer that is a SOAP message counts.

    Args:
        body: As received.
        content_type: The header, for its charset.

    Raises:
        UnreadableXMLError: It is not a SOAP message.
    """
    for text in readings(body, content_type, _declared_charset(body)):
        with contextlib.suppress(UnreadableXMLError):
            return _read(_parse_body(text))
    raise UnreadableXMLError("not a SOAP message")


def _read(body: Element) -> SubmitAnswer | Fault:
    if (fault := child(body, "Fault")) is not None:
        qualified = text_of(child(fault, "faultcode"))
        return Fault(code=qualified.rpartition(":")[2].partition(".")[0])
    # Anywhere in the body: SOAP's own encoding (1.1 §5) lets a server put what it refers to beside the answer.
    statuses = {text_of(element) for element in body.iter("commandStatus")}
    status = statuses.pop() if len(statuses) == 1 else ""
    # One public client reads messageID, a published sample has messageId.
    ids = [text_of(element) for element in body.iter() if element.tag.lower() == "messageid"]
    return SubmitAnswer(
        command_status=int(status) if _DECIMAL.fullmatch(status) else None,
        message_id=ids[0] if ids and _MESSAGE_ID.fullmatch(ids[0]) else "",
    )


def child(element: Element | None, *path: str) -> Element | None:
    """The element that a path of local names leads to, or None."""
    for name in path:
        element = next((inner for inner in element if inner.tag == name), None) if element is not None else None
    return element


def text_of(element: Element | None) -> str:
    """The text directly in an element, without spaces around it; "" where there is none."""
    return (element.text or "").strip() if element is not None else ""


def _declared_charset(document: bytes) -> str:
    """The charset that an XML declaration names; empty: none. It is read as ASCII, in whatever width."""
    found = _DECLARED.search(document[:_HEAD].replace(b"\0", b""))
    return found[1].decode("ascii") if found else ""


def _parse_body(text: str) -> Element:
    """The body of a SOAP message, which is not empty; tags are local names.

    Raises:
        UnreadableXMLError: It is not a SOAP message.
    """
    envelope = _parse(text)
    body = child(envelope, "Body") if envelope.tag == "Envelope" else None
    if body is None or not len(body):
        raise UnreadableXMLError("not a SOAP message")
    return body


def _string(text: str) -> str:
    return f"<shortMessage><stringData>{_escape(text)}</stringData></shortMessage>"


def _ucs2(text: str) -> str:
    """SMPP 3.4 §5.2.19: ``data_coding`` 8 is UCS-2, whose bytes are in network order."""
    octets = text.encode("utf-16-be").hex().upper()
    return f"<dataCoding>8</dataCoding><shortMessage><hexData>{octets}</hexData></shortMessage>"


def _address(address: Address) -> str:
    return f"<ton>{address.ton}</ton><npi>{address.npi}</npi><addr>{_escape(address.addr)}</addr>"


def _escape(text: str) -> str:
    return escape(text, {"\r": "&#13;"})  # a bare CR would reach the gateway as a line feed (XML 1.0 §2.11)


def _parse(text: str) -> Element:
    """The document. What its declaration says of the charset is over once it is text, and a text may have any."""
    document = _ILLEGAL.sub("\ufffd", _DECLARATION.sub("", text, count=1)).strip()
    tree = TreeBuilder()
    parser = expat.ParserCreate("utf-8", namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda name, _: tree.start(_local(name), {})
    parser.EndElementHandler = lambda name: tree.end(_local(name))
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(document.encode(), True)
    except expat.ExpatError as error:
        raise UnreadableXMLError(f"not XML that may be read ({type(error).__name__})") from None
    return tree.close()


def _refuse_doctype(*_: object) -> NoReturn:
    raise UnreadableXMLError("a document type declaration")


def _local(name: str) -> str:
    return name.rpartition("}")[2]

"""An accepted message is accepted in whatever charset, frame and compression the gateway says so."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from otp_mada.soap import SubmitAnswer, UnreadableXMLError, read_answer

from otpcore.providers import ErrorKind, ProviderError
from otpcore.simulators import SimulatedAnswer
from otpcore.testing import Outbox

ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header/><soapenv:Body>'
    '<SubmitSMResponse xmlns="http://www.openmindnetworks.com/SoS"><smResponse><commandStatus>0</commandStatus>'
    "<statusDescription>{words}</statusDescription><messageId>00000001</messageId></smResponse></SubmitSMResponse>"
    "</soapenv:Body></soapenv:Envelope>"
)
ACCEPTED = SubmitAnswer(command_status=0, message_id="00000001")
CHARSETS = {
    "utf-8": "Прието €",
    "iso-8859-1": "angenommen für Müller",
    "windows-1252": "accepté “5 €”",
    "windows-1251": "Прието",
    "koi8-r": "Принято",
    "utf-16-le": "Прието é",
    "utf-16-be": "Прието é",
    "us-ascii": "OK",
}
NAMES = [
    *CHARSETS,
    "UTF8",
    "Latin1",
    "ISO-8859-1",
    "WINDOWS-1252",
    "UTF-16",
    "cp1251",
    "x-unknown",
    "none",
    "idna",
    "base64",
    "a\0b",
]
MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
HEADERS = ["text/xml", "text/xml; charset={}", 'application/xml;Charset="{}"', "text/xml ; CHARSET = '{}' ; x=y", ""]


@given(
    charset=st.sampled_from(sorted(CHARSETS)),
    header=st.sampled_from(HEADERS),
    named=st.sampled_from(NAMES),
    declaration=st.sampled_from(
        [
            "",
            '<?xml version="1.0"?>',
            "<?xml version='1.0' encoding='{}'?>",
            '<?xml version="1.0" encoding={} ?>',
            '<?xml version="1.1" encoding="{}" standalone="yes"?>',
        ]
    ),
    declared=st.sampled_from(NAMES),
    mark=st.booleans(),
    before=st.sampled_from(["", "\n", "\r\n  ", "\t", " " * 300]),
    after=st.sampled_from(["", "\n", "\0", " \0\0\r\n"]),
)
@example(
    charset="iso-8859-1",
    header="text/xml; charset={}",
    named="iso-8859-1",
    declaration="",
    declared="none",
    mark=False,
    before="",
    after="",
)
@example(
    charset="utf-8",
    header="text/xml; charset={}",
    named="utf-8",
    declaration='<?xml version="1.0"?>',
    declared="none",
    mark=False,
    before="\n",
    after="",
)
def test_an_acceptance_is_read_in_every_charset_and_frame(
    charset, header, named, declaration, declared, mark, before, after
):
    text = f"{before}{declaration.format(declared)}{ENVELOPE.format(words=CHARSETS[charset])}{after}"
    body = (MARKS.get(charset, b"") if mark else b"") + text.encode(charset)
    assert read_answer(body, header.format(named)) == ACCEPTED


@given(words=st.binary(max_size=30), named=st.sampled_from(NAMES))
def test_bytes_that_are_no_text_at_all_do_not_hide_the_acceptance(words, named):
    words = words.translate(None, b"<>&\0\xfe\xff")
    body = ENVELOPE.encode().replace(b"{words}", words)
    assert read_answer(body, f"text/xml; charset={named}").command_status == 0


def test_what_the_answer_refers_to_may_stand_beside_it():
    body = ENVELOPE.format(words="OK").replace(
        "<smResponse>", '<smResponse href="#id0"/></SubmitSMResponse><multiRef id="id0">'
    )
    body = body.replace("</smResponse></SubmitSMResponse>", "</multiRef>")
    assert read_answer(body.encode()) == ACCEPTED


@pytest.mark.parametrize("charset", ["utf-8", "utf-16-le", "utf-16-be", "utf-16", "utf-32", "iso-8859-1"])
def test_no_charset_brings_in_a_document_type(charset):
    text = f'\n<?xml version="1.0" encoding="{charset}"?><!DOCTYPE a [<!ENTITY b "0">]>' + ENVELOPE.format(words="&b;")
    for header in ("", f"text/xml; charset={charset}", "text/xml; charset=utf-8"):
        with pytest.raises(UnreadableXMLError):
            read_answer(text.encode(charset), header)


# Through the service: one acceptance, one message.


def _answer(body, content_type="text/xml", encoding=""):
    headers = {"Content-Type": content_type} if content_type else {}
    return SimulatedAnswer(200, body, {**headers, **({"Content-Encoding": encoding} if encoding else {})})


LATIN = '<?xml version="1.0"?>' + ENVELOPE.format(words="für Müller")
BARE = zlib.compressobj(wbits=-15)
ANSWERS = {
    "latin-1-in-the-header": _answer(LATIN.encode("latin-1"), "text/xml; charset=ISO-8859-1"),
    "newline-first": _answer(b"\n" + LATIN.encode(), "text/xml;charset=utf-8"),
    "utf-16": _answer(LATIN.encode("utf-16"), "text/xml; charset=utf-16"),
    "no-type": _answer(LATIN.encode("cp1252"), ""),
    "gzip": _answer(gzip.compress(LATIN.encode("latin-1")), "text/xml; charset=latin1", "gzip"),
    "gzip-twice": _answer(gzip.compress(LATIN.encode()[:50]) + gzip.compress(LATIN.encode()[50:]), encoding="x-gzip"),
    "deflate": _answer(zlib.compress(LATIN.encode()), encoding="Deflate"),
    "bare-deflate": _answer(BARE.compress(LATIN.encode()) + BARE.flush(), encoding="deflate"),
    "not-compressed": _answer(LATIN.encode(), encoding="gzip"),
    "a-charset-for-a-coding": _answer(LATIN.encode(), encoding="UTF-8"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_accepted_message_is_accepted_and_sent_once(simulator, monkeypatch, name):
    own = simulator.handle

    def handle(request):
        own(request)
        return ANSWERS[name]

    monkeypatch.setattr(simulator, "handle", handle)
    settings = {"otp_sms_provider": "mada", "providers": {"mada": simulator.provider_settings()}}
    async with Outbox().service(settings, providers=None) as otp:
        challenge = await otp.send_sms("+359871234567")
    assert challenge.confirmed
    assert len(simulator.requests) == 1


async def test_a_body_that_grows_without_end_is_not_unfolded(provider, request_to, simulator, monkeypatch):
    bomb = gzip.compress(b" " * 3_000_000)
    monkeypatch.setattr(simulator, "handle", lambda _: _answer(bomb * 3, encoding="gzip, gzip"))
    with pytest.raises(ProviderError) as caught:
        await provider.send_sms(request_to())
    assert caught.value.kind is ErrorKind.AMBIGUOUS

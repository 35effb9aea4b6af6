"""Requests against the form that customers use; answers in every style that was seen; XML that means harm."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otp_mada.soap import (
    Address,
    Fault,
    Submission,
    SubmitAnswer,
    UnreadableXMLError,
    has_illegal_characters,
    read_answer,
    relative_time,
    write_submission,
)

REQUEST_AS_CUSTOMERS_SEND_IT = """
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sos="http://www.openmindnetworks.com/SoS">
  <soapenv:Header />
  <soapenv:Body>
    <sos:SubmitSM soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
      <smRequest>
        <source>
          <ton>5</ton>
          <npi>1</npi>
          <addr>Acme</addr>
        </source>
        <destination>
          <ton>1</ton>
          <npi>1</npi>
          <addr>359870000000</addr>
        </destination>
        <shortMessage>
          <stringData>482913</stringData>
        </shortMessage>
        <registeredDelivery>1</registeredDelivery>
      </smRequest>
    </sos:SubmitSM>
  </soapenv:Body>
</soapenv:Envelope>
"""
QUALIFIED = """<?xml version='1.0' encoding='utf-8'?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sos="http://www.openmindnetworks.com/SoS">
  <soapenv:Header />
  <soapenv:Body>
    <sos:SubmitSMResponse soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
      <sos:smResponse>
        <sos:commandStatus>0</sos:commandStatus>
        <sos:messageId>00000001</sos:messageId>
        <sos:tlvData />
      </sos:smResponse>
    </sos:SubmitSMResponse>
  </soapenv:Body>
</soapenv:Envelope>"""
UNQUALIFIED = """<?xml version='1.0' encoding='utf-8'?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sos="http://www.openmindnetworks.com/SoS">
  <soapenv:Header />
  <soapenv:Body>
    <sos:SubmitSMResponse soapenv:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
      <smResponse>
        <commandStatus>88</commandStatus>
        <tlvData />
      </smResponse>
    </sos:SubmitSMResponse>
  </soapenv:Body>
</soapenv:Envelope>"""
DEFAULT_NAMESPACES = """<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Header/><Body>
<SubmitSMResponse xmlns="http://www.openmindnetworks.com/SoS"><smResponse><commandStatus> 0 </commandStatus>
<statusDescription>success</statusDescription><messageID>02940001</messageID></smResponse></SubmitSMResponse>
</Body></Envelope>"""
FAULT = """<?xml version='1.0' encoding='utf-8'?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
  <soapenv:Body>
    <soapenv:Fault>
      <faultcode>soapenv:Server</faultcode>
      <faultstring>synthetic fault</faultstring>
    </soapenv:Fault>
  </soapenv:Body>
</soapenv:Envelope>"""
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE bomb [<!ENTITY a "xxxxxxxxxx">'
    + "".join(f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><bomb>&i;</bomb>"
)


def submission(text: str = "482913", **changes: object) -> Submission:
    values = {
        "source": Address(ton=5, npi=1, addr="Acme"),
        "destination": Address(ton=1, npi=1, addr="359870000000"),
        "text": text,
        "registered_delivery": 1,
    }
    return Submission(**{**values, **changes})


def answer(inner: str) -> bytes:
    return UNQUALIFIED.replace("<commandStatus>88</commandStatus>", inner).encode()


def text_read_by_another_parser(body: bytes) -> str | None:
    return ET.fromstring(body).findtext(".//stringData")


def test_a_request_is_what_the_gateway_s_customers_send():
    ours = ET.canonicalize(write_submission(submission()).decode(), strip_text=True)
    assert ours == ET.canonicalize(REQUEST_AS_CUSTOMERS_SEND_IT, strip_text=True)


def test_a_request_declares_its_encoding():
    assert write_submission(submission()).startswith(b'<?xml version="1.0" encoding="utf-8"?>\n')


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not has_illegal_characters(text)))
def test_any_text_that_xml_can_carry_arrives_unchanged(text):
    assert text_read_by_another_parser(write_submission(submission(text))) == text


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x0b", "\f", "\x1b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_a_character_that_xml_cannot_carry_is_found(character):
    assert has_illegal_characters(f"code 1234{character}")
    with pytest.raises((ET.ParseError, UnicodeEncodeError)):
        ET.fromstring(f"<a>{character}</a>")


@pytest.mark.parametrize("text", ["", "a\tb\r\nc", "Kód 1234 €", "код", "😀", "\u007f\u0085"])
def test_other_characters_may_be_sent(text):
    assert not has_illegal_characters(text)


@pytest.mark.parametrize(
    ("period", "written"),
    [
        (timedelta(minutes=5), "000000000500000R"),
        (timedelta(seconds=59.9), "000000000059000R"),
        (timedelta(days=2, hours=3, minutes=4, seconds=5), "000002030405000R"),
        (timedelta(seconds=-1), "000000000001000R"),
        (timedelta(days=400), "000099000000000R"),
    ],
)
def test_a_validity_period_is_written_as_smpp_relative_time(period, written):
    assert relative_time(period) == written
    assert ET.fromstring(write_submission(submission(validity=period))).findtext(".//validityPeriod") == written


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (QUALIFIED, SubmitAnswer(command_status=0, message_id="00000001")),
        (UNQUALIFIED, SubmitAnswer(command_status=88)),
        (DEFAULT_NAMESPACES, SubmitAnswer(command_status=0, message_id="02940001")),
        (FAULT, Fault(code="Server")),
        (FAULT.replace("soapenv:Server", "Client.Authentication"), Fault(code="Client")),
        (FAULT.replace("<faultcode>soapenv:Server</faultcode>", ""), Fault(code="")),
    ],
)
def test_every_style_of_answer_is_read(body, expected):
    assert read_answer(body.encode()) == expected


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<commandStatus/>",
        "<commandStatus>OK</commandStatus>",
        "<commandStatus>-1</commandStatus>",
        "<commandStatus>0x58</commandStatus>",
        "<commandStatus>\u0660</commandStatus>",
        "<commandStatus>00000000000</commandStatus>",
        "<commandStatus>0</commandStatus><commandStatus>8</commandStatus>",
    ],
)
def test_an_answer_that_does_not_say_one_number_says_none(inner):
    assert read_answer(answer(inner)) == SubmitAnswer(command_status=None)


@pytest.mark.parametrize("message_id", ["", "two words", "x" * 66, "код"])
def test_a_message_id_that_could_not_be_one_is_left_out(message_id):
    inner = f"<commandStatus>0</commandStatus><messageId>{message_id}</messageId>"
    assert read_answer(answer(inner)) == SubmitAnswer(command_status=0)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "OK",
        '{"commandStatus": 0}',
        "<html><body><p>It works!</p></body></html>",
        "<Envelope/>",
        "<Envelope><Body/></Envelope>",
        "<commandStatus>0</commandStatus>",
        QUALIFIED[:-1],
        QUALIFIED + "<more/>",
        QUALIFIED.replace("<sos:messageId>00000001", "<sos:messageId>&secret;"),
    ],
)
def test_what_is_no_soap_message_is_said_to_be_none(body):
    with pytest.raises(UnreadableXMLError):
        read_answer(body.encode())


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda noise: QUALIFIED.encode()[:300] + noise))
def test_reading_never_fails_in_another_way(body):
    with contextlib.suppress(UnreadableXMLError):
        read_answer(body)


@pytest.mark.parametrize(
    "declaration",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1/"> %b;]>',
    ],
)
def test_a_document_type_declaration_is_refused_even_around_a_good_answer(declaration):
    body = QUALIFIED.replace("?>\n", f"?>\n{declaration}\n", 1).replace(
        "00000001", "&b;" if "ENTITY b" in declaration else "1"
    )
    with pytest.raises(UnreadableXMLError):
        read_answer(body.encode())


@pytest.mark.parametrize("body", [BOMB, BOMB.replace("]><bomb>", f"]><bomb>{'&i;' * 100_000}")], ids=["deep", "wide"])
def test_an_entity_bomb_is_never_unfolded(body):
    before = time.process_time()
    with pytest.raises(UnreadableXMLError):
        read_answer(body.encode())
    assert time.process_time() - before < 0.5


def test_a_mebibyte_of_nested_elements_is_read_without_harm():
    depth = (1 << 20) // len("<a></a>")
    assert read_answer(answer("<a>" * depth + "</a>" * depth)) == SubmitAnswer(command_status=None)

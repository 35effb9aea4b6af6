"""Simulator and requests against SOAP software that is not ours: zeep as the client, libxml2 as the judge of schemas.

This proves that the simulator reads what an independent SOAP stack writes and the other way round, and that both keep to
``sos.wsdl``. The vendor's own WSDL is not public, so it cannot prove that ``sos.wsdl`` is the vendor's.
"""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path

import pytest
from otp_mada.simulator import MadaSimulator
from otp_mada.soap import SOS_NAMESPACE, Address, Submission, write_submission

zeep = pytest.importorskip("zeep", reason="the extra otp-mada[tests] is not installed")
etree = pytest.importorskip("lxml.etree")
requests = pytest.importorskip("requests")

WSDL = Path(__file__).with_name("sos.wsdl")
SCHEMA = "http://www.w3.org/2001/XMLSchema"


@pytest.fixture
def client(simulator: MadaSimulator):
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (simulator.username, simulator.password)
        reader = zeep.Client(str(WSDL), transport=zeep.Transport(session=session))
        yield reader.create_service(f"{{{SOS_NAMESPACE}}}SoSBinding", simulator.provider_settings()["url"])


def message(recipient: str = "359871234567", **changes):
    return {
        "source": {"ton": 5, "npi": 1, "addr": "otpcore"},
        "destination": {"ton": 1, "npi": 1, "addr": recipient},
        "shortMessage": {"stringData": 'Your code is <1234> & "é"'},
        "registeredDelivery": 1,
        **changes,
    }


def complaints(element, type_name: str, *, qualified: bool = False) -> str:
    """What libxml2 finds wrong with an element of one of the WSDL's types; "" when nothing is."""
    schema = copy.deepcopy(etree.parse(WSDL).find(".//{*}schema"))
    schema.set("elementFormDefault", "qualified" if qualified else "unqualified")
    schema.append(
        etree.fromstring(f'<element xmlns="{SCHEMA}" xmlns:sos="{SOS_NAMESPACE}" name="root" type="sos:{type_name}"/>')
    )
    root = etree.fromstring(f'<sos:root xmlns:sos="{SOS_NAMESPACE}"/>')
    root.extend(element)
    validator = etree.XMLSchema(etree.fromstring(etree.tostring(schema)))
    return "" if validator.validate(root) else str(validator.error_log)


@pytest.mark.parametrize("qualified", [True, False], ids=["qualified", "unqualified"])
def test_an_independent_client_sends_and_understands_the_answer(simulator, client, qualified):
    simulator.qualified_children = qualified
    answer = client.SubmitSM(smRequest=message())
    assert (answer.commandStatus, answer.messageId) == (0, "00000001")
    assert [(got.recipient, got.text) for got in simulator.inbox] == [("+359871234567", 'Your code is <1234> & "é"')]


def test_an_independent_client_hears_why_a_message_was_refused(client):
    assert client.SubmitSM(smRequest=message("359888000088")).commandStatus == 88
    assert client.SubmitSM(smRequest=message(shortMessage={"stringData": "x" * 161})).commandStatus == 1


@pytest.mark.parametrize(("recipient", "code"), [("359888010001", "Client"), ("359888010002", "Server")])
def test_an_independent_client_recognises_the_faults(client, recipient, code):
    with pytest.raises(zeep.exceptions.Fault) as fault:
        client.SubmitSM(smRequest=message(recipient))
    assert fault.value.code == f"soapenv:{code}"


def test_an_independent_client_sends_ucs_2(simulator, client):
    octets = "Код 1234".encode("utf-16-be")
    sent = client.SubmitSM(smRequest=message(dataCoding=8, shortMessage={"hexData": octets.hex()}))
    assert (sent.commandStatus, simulator.inbox[-1].text) == (0, "Код 1234")


@pytest.mark.parametrize("ucs2", [False, True])
@pytest.mark.parametrize("validity", [None, timedelta(minutes=5)])
def test_our_requests_keep_to_the_schema(validity, ucs2):
    submission = Submission(
        source=Address(ton=5, npi=1, addr="Acme Bank24"),
        destination=Address(ton=1, npi=1, addr="359871234567"),
        text="ж" * 70 if ucs2 else "x" * 160,
        ucs2=ucs2,
        registered_delivery=1,
        validity=validity,
    )
    (submit,) = etree.fromstring(write_submission(submission)).find("{*}Body")
    assert submit.tag == f"{{{SOS_NAMESPACE}}}SubmitSM"
    assert complaints(submit.find("smRequest"), "SMRequest") == ""


@pytest.mark.parametrize("qualified", [True, False], ids=["qualified", "unqualified"])
@pytest.mark.parametrize("recipient", ["359871234567", "359888000255", "359888010005"])
def test_the_simulator_s_answers_keep_to_the_schema(simulator, client, qualified, recipient):
    simulator.qualified_children = qualified
    with client._client.settings(raw_response=True):
        raw = client.SubmitSM(smRequest=message(recipient)).content
    (answer,) = etree.fromstring(raw).find("{*}Body")
    assert complaints(answer.find("{*}smResponse"), "SMResponse", qualified=qualified) == ""


def test_the_schema_can_tell_a_wrong_request():
    wrong = etree.fromstring("<r><destination><ton>1</ton><npi>999</npi><addr>1</addr></destination></r>")
    assert "999" in complaints(wrong, "SMRequest")

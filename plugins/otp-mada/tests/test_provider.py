"""The provider over real HTTP against the simulated gateway."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

import pytest
from otp_mada import create_provider
from otp_mada.settings import UnicodePolicy
from otp_mada.statuses import COMMAND_STATUSES

from otpcore.providers import ErrorKind, ProviderContext, ProviderError


async def refusal(provider, request) -> ProviderError:
    with pytest.raises(ProviderError) as refused:
        await provider.send_sms(request)
    return refused.value


@pytest.mark.parametrize("qualified", [True, False], ids=["qualified", "unqualified"])
async def test_a_text_arrives_and_is_known_by_the_gateway_s_id(simulator, provider, request_to, qualified):
    simulator.qualified_children = qualified
    receipt = await provider.send_sms(request_to("+359871234567"))
    (message,) = simulator.inbox
    assert (message.recipient, message.text) == ("+359871234567", "482913 is your code. It is valid for 5 minutes.")
    assert message.code == "482913"
    assert receipt.reference == message.reference == "00000001"


async def test_what_goes_over_the_wire_is_what_the_gateway_s_customers_send(simulator, provider, request_to):
    await provider.send_sms(request_to())
    (sent,) = simulator.requests
    assert sent.method == "POST"
    assert sent.headers["content-type"] == "text/xml; charset=utf-8"
    assert base64.b64decode(sent.headers["authorization"].removeprefix("Basic ")) == b"otpcore:simulated-password"
    assert "soapaction" not in sent.headers
    request = ET.fromstring(sent.body).find(".//smRequest")
    paths = ("source", "destination", "shortMessage")
    assert [[inner.text for inner in request.find(path)] for path in paths] == [
        ["5", "1", "otpcore"],
        ["1", "1", "359871234567"],
        ["482913 is your code. It is valid for 5 minutes."],
    ]
    assert request.findtext("registeredDelivery") == "1"
    assert request.find("validityPeriod") is None


@pytest.mark.parametrize("rest", ["", "/", "/acme", "/acme/", "/a+b/%C3%A9"])
async def test_the_request_goes_to_exactly_the_url_of_the_settings(simulator, open_provider, request_to, rest):
    provider = await open_provider(url=simulator.base_url + rest)
    await refusal(provider, request_to())
    assert simulator.requests[0].path == (rest or "/")


async def test_settings_reach_the_wire(simulator, open_provider, request_to):
    simulator.senders = {"359870000000"}
    changes = {"source_ton": 1, "source_npi": 1, "registered_delivery": 2, "validity_period": True}
    provider = await open_provider(source_name="359870000000", **changes)
    await provider.send_sms(request_to())
    request = ET.fromstring(simulator.requests[0].body).find(".//smRequest")
    assert [inner.text for inner in request.find("source")] == ["1", "1", "359870000000"]
    assert request.findtext("registeredDelivery") == "2"
    assert request.findtext("validityPeriod") == "000000000500000R"


@pytest.mark.parametrize(
    ("sender", "address"),
    [("Shop", ["5", "1", "Shop"]), ("+359870000001", ["1", "1", "359870000001"]), ("12345", ["5", "1", "12345"])],
)
async def test_the_host_s_own_sender_goes_before_the_instance_s(simulator, provider, request_to, sender, address):
    simulator.senders.add(address[-1])
    await provider.send_sms(request_to(sender=sender))
    assert [inner.text for inner in ET.fromstring(simulator.requests[0].body).find(".//source")] == address


@pytest.mark.parametrize("status", [*sorted(COMMAND_STATUSES.keys() - {0}), 9, 1034, 9999])
async def test_every_command_status_means_what_the_table_says(simulator, provider, request_to, status):
    error = await refusal(provider, request_to(f"+35988800{status:04}"))
    known = COMMAND_STATUSES.get(status)
    assert error.kind is (known.kind if known else ErrorKind.AMBIGUOUS)
    assert error.provider_code == str(status)
    assert simulator.inbox == []


@pytest.mark.parametrize(
    ("number", "kind", "delivered"),
    [
        ("+359888010001", ErrorKind.MISCONFIGURED, 0),
        ("+359888010002", ErrorKind.AMBIGUOUS, 0),
        ("+359888010003", ErrorKind.AMBIGUOUS, 1),
        ("+359888010004", ErrorKind.AMBIGUOUS, 1),
    ],
)
async def test_a_fault_or_half_an_answer_is_ambiguous_unless_it_blames_the_request(
    simulator, provider, request_to, number, kind, delivered
):
    assert (await refusal(provider, request_to(number))).kind is kind
    assert len(simulator.inbox) == delivered


async def test_an_acceptance_without_an_id_is_an_acceptance(simulator, provider, request_to):
    assert (await provider.send_sms(request_to("+359888010005"))).reference == ""
    assert len(simulator.inbox) == 1


UNSENDABLE = [
    "482913 вашият код",
    "482913 😀",
    "482913" + "x" * 155,
    "482913" + "€" * 78,
    "482913\x00",
    "482913\f",
    "482913\ud800",
    "",
]


@pytest.mark.parametrize("text", UNSENDABLE, ids=range(len(UNSENDABLE)))
async def test_a_text_that_could_arrive_garbled_is_refused_before_anything_is_sent(
    simulator, provider, request_to, text
):
    error = await refusal(provider, request_to(text=text))
    assert error.kind is ErrorKind.MISCONFIGURED
    assert "482913" not in str(error) + repr(error)
    assert simulator.requests == []


@pytest.mark.parametrize("text", ["482913" + "x" * 154, "482913" + "€" * 77, "482913 & <b> \"é\" 'à'\r\nñ"])
async def test_a_text_of_one_gsm_message_arrives_as_it_is(simulator, provider, request_to, text):
    await provider.send_sms(request_to(text=text))
    assert simulator.inbox[0].text == text


async def test_other_alphabets_are_sent_where_the_setting_says_so(simulator, open_provider, request_to):
    simulator.accepts_unicode = True
    provider = await open_provider(unicode="send")
    await provider.send_sms(request_to(text="482913 вашият код"))
    assert simulator.inbox[0].text == "482913 вашият код"
    error = await refusal(provider, request_to(text="482913 " + "ж" * 64))
    assert error.kind is ErrorKind.MISCONFIGURED
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("text", ["482913 вашият код", "ж" * 64 + "482913", "482913 🔑", "482913 كود"])
async def test_other_alphabets_are_sent_as_ucs_2_where_the_setting_says_so(simulator, open_provider, request_to, text):
    provider = await open_provider(unicode="ucs2")
    await provider.send_sms(request_to(text=text))
    assert simulator.inbox[0].text == text
    request = ET.fromstring(simulator.requests[0].body)
    assert request.findtext(".//dataCoding") == "8"
    assert bytes.fromhex(request.findtext(".//shortMessage/hexData")) == text.encode("utf-16-be")
    assert request.find(".//stringData") is None
    error = await refusal(provider, request_to(text="482913 " + "ж" * 64))
    assert error.kind is ErrorKind.MISCONFIGURED
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("policy", list(UnicodePolicy))
async def test_a_text_of_the_gsm_alphabet_goes_out_the_same_whatever_the_setting(
    simulator, open_provider, request_to, policy
):
    provider = await open_provider(unicode=policy.value)
    await provider.send_sms(request_to(text="482913 is your code: €5"))
    request = ET.fromstring(simulator.requests[0].body)
    assert request.findtext(".//shortMessage/stringData") == "482913 is your code: €5"
    assert request.find(".//dataCoding") is None


@pytest.mark.parametrize("sender", ["TwelveLetter", "Акме", "+1234567890123456", "", "+Acme"])
async def test_a_sender_that_no_network_knows_is_refused_before_anything_is_sent(
    simulator, provider, request_to, sender
):
    assert (await refusal(provider, request_to(sender=sender))).kind is ErrorKind.MISCONFIGURED
    assert simulator.requests == []


async def test_an_instance_that_was_not_started_has_sent_nothing(simulator, request_to):
    provider = create_provider(ProviderContext(instance="mada", settings=simulator.provider_settings()))
    assert (await refusal(provider, request_to())).kind is ErrorKind.UNAVAILABLE

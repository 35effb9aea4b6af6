"""What goes out, beside AWS's own description of the service; and the simulator beside AWS's own client."""

from __future__ import annotations

import functools
import json
import re
from datetime import UTC, datetime

import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otp_aws.client import CONTENT_TYPE, SERVICE, TARGET
from otp_aws.errors import EXCEPTIONS, REASONS
from otp_aws.events import EVENTS
from otp_aws.settings import AwsSettings
from otp_aws.simulator.shapes import OPERATIONS, wrong_field
from otp_aws.voices import VOICES

from otpcore.providers import Channel

EVERYTHING = {
    "configuration_set": "otp",
    "protect_configuration": "protect-0123456789abcdef",
    "max_price": "0.10",
    "max_price_per_minute": "1.5",
    "message_feedback": True,
    "india_entity_id": "1101234567890123456",
    "india_template_id": "1107123456789012345",
}


@functools.cache
def service_model():
    loader = botocore.loaders.Loader()
    return ServiceModel(loader.load_service_model("pinpoint-sms-voice-v2", "service-2"), "pinpoint-sms-voice-v2")


def enum_of(shape):
    """The values of a shape."""
    return frozenset(service_model().shape_for(shape).enum)


def problems(operation, fields):
    """What is wrong with the fields of a request, to the last pattern."""
    return list(_problems(service_model().operation_model(operation).input_shape, fields, operation))


def client_of(simulator, **settings):
    """botocore's own client, which talks to the simulator."""
    return botocore.session.get_session().create_client(
        "pinpoint-sms-voice-v2",
        region_name=simulator.region,
        aws_access_key_id=simulator.access_key_id,
        aws_secret_access_key=simulator.secret_access_key,
        aws_session_token=simulator.session_token or None,
        endpoint_url=simulator.base_url,
        config=botocore.config.Config(retries={"max_attempts": 1}, **settings),
    )


def _problems(shape, value, where):
    limits, kinds = shape.metadata, {"string": str, "integer": int, "boolean": bool, "map": dict, "structure": dict}
    if type(value) is not kinds[shape.type_name]:
        yield f"{where}: {type(value).__name__} instead of {shape.type_name}"
        return
    size = value if shape.type_name == "integer" else len(value) if shape.type_name in ("string", "map") else None
    if size is not None and not limits.get("min", 0) <= size <= limits.get("max", size):
        yield f"{where}: {size} is out of range"
    if shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{where}: not one of the values"
    if shape.type_name == "string" and not re.fullmatch(limits.get("pattern", r"[\s\S]*"), value):
        yield f"{where}: not as its pattern says"
    yield from _inside(shape, value, where)


def _inside(shape, value, where):
    if shape.type_name == "map":
        for key, item in value.items():
            yield from _problems(shape.key, key, f"{where}.key")
            yield from _problems(shape.value, item, f"{where}.{key}")
    elif shape.type_name == "structure":
        yield from (f"{where}: without {name}" for name in shape.required_members if name not in value)
        for name, item in value.items():
            if name not in shape.members:
                yield f"{where}: there is no {name}"
            else:
                yield from _problems(shape.members[name], item, f"{where}.{name}")


async def sent(bench, instance_settings, channel=Channel.SMS, **delivery):
    """Operation and fields of one send."""
    async with bench.instance(**instance_settings) as provider:
        request = bench.delivery(channel=channel, **delivery)
        await (provider.call(request) if channel is Channel.CALL else provider.send_sms(request))
    request = bench.simulator.requests[-1]
    return request.headers["x-amz-target"].partition(".")[2], request.json()


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CALL])
@pytest.mark.parametrize("chosen", [{}, EVERYTHING], ids=["little", "everything"])
async def test_what_is_sent_fits_the_service_model(bench, channel, chosen):
    operation, fields = await sent(bench, chosen, channel, number="+919876543210", locale="hi-IN")
    assert problems(operation, fields) == []
    report = ParamValidator().validate(fields, service_model().operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CALL])
async def test_it_is_the_request_that_the_client_of_aws_makes(bench, channel):
    operation, fields = await sent(bench, EVERYTHING, channel)
    bench.simulator.clock = lambda: datetime.now(UTC)  # that of botocore
    method = {"SendTextMessage": "send_text_message", "SendVoiceMessage": "send_voice_message"}[operation]
    answer = getattr(client_of(bench.simulator), method)(**fields)
    own, theirs = bench.simulator.requests
    assert json.loads(theirs.body) == json.loads(own.body)
    assert (theirs.method, theirs.path, theirs.query) == (own.method, own.path, own.query)
    for name in ("content-type", "x-amz-target"):
        assert theirs.headers[name] == own.headers[name]
    assert answer["MessageId"] == bench.simulator.inbox[-1].reference


async def test_feedback_fits_the_service_model(bench):
    async with bench.instance(message_feedback=True) as provider:
        await provider.report_outcome(bench.outcome("message-1", approved=True))
    assert problems("PutMessageFeedback", bench.fields) == []


def test_the_simulator_answers_the_client_of_aws_as_the_service_does(bench):
    bench.simulator.clock = lambda: datetime.now(UTC)
    client = client_of(bench.simulator)
    assert client.describe_account_attributes()["AccountAttributes"][0]["Value"] in ("PRODUCTION", "SANDBOX")
    message = client.send_text_message(DestinationPhoneNumber="+359871234567", MessageBody="Hello")["MessageId"]
    told = client.put_message_feedback(MessageId=message, MessageFeedbackStatus="RECEIVED")
    assert (told["MessageId"], told["MessageFeedbackStatus"]) == (message, "RECEIVED")
    with pytest.raises(client.exceptions.ConflictException) as caught:
        client.send_text_message(DestinationPhoneNumber="+12065550110", MessageBody="Hello")
    assert caught.value.response["Reason"] == "DESTINATION_PHONE_NUMBER_OPTED_OUT"
    with pytest.raises(client.exceptions.ValidationException) as caught:
        client.send_text_message(DestinationPhoneNumber="nobody", MessageBody="Hello")
    assert caught.value.response["Fields"][0]["Name"] == "DestinationPhoneNumber"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_message_feedback(MessageId="another", MessageFeedbackStatus="RECEIVED")


def test_the_simulator_refuses_what_another_secret_has_signed(bench):
    bench.simulator.clock = lambda: datetime.now(UTC)
    client = client_of(bench.simulator)
    bench.simulator.secret_access_key = "another"
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.send_text_message(DestinationPhoneNumber="+359871234567", MessageBody="Hello")
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), operation=st.sampled_from(sorted(OPERATIONS)))
def test_the_simulator_takes_what_the_service_model_takes(data, operation):
    members = service_model().operation_model(operation).input_shape.members
    known = sorted(OPERATIONS[operation][1])
    values = st.sampled_from(
        [
            *("+359871234567", "Acme", "0.10", "10", "TRANSACTIONAL", "TEXT", "RECEIVED", "", " ", "x" * 1601),
            *(5, 4, 259_200, 259_201, True, False, {}, {"IN_ENTITY_ID": "1"}, {"a b": "1"}, {"delivery_id": " 1"}),
            {str(number): "x" for number in range(6)},
        ]
    )
    fields = data.draw(st.dictionaries(st.sampled_from([*known, "Another"]), values, max_size=4))
    voice = fields.get("VoiceId")  # the simulator takes any word for a voice
    assert known == sorted(set(known) & members.keys())
    assert bool(wrong_field(operation, fields)) == bool(problems(operation, fields)) or voice is not None


def test_the_names_of_the_service_are_those_of_its_model():
    metadata = service_model().metadata
    assert metadata["targetPrefix"] == TARGET
    assert SERVICE == metadata["signingName"] == metadata["endpointPrefix"]
    assert f"application/x-amz-json-{metadata['jsonVersion']}" == CONTENT_TYPE


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "ap-southeast-2", "us-gov-west-1", "cn-north-1"])
def test_the_service_is_where_the_client_of_aws_looks_for_it(region):
    client = botocore.session.get_session().create_client(
        "pinpoint-sms-voice-v2", region_name=region, aws_access_key_id="x", aws_secret_access_key="x"
    )
    assert AwsSettings(region=region, origination_identity="Acme").service_url == client.meta.endpoint_url


def test_every_voice_is_one_of_the_service():
    assert set(VOICES.values()) <= enum_of("VoiceId")


def test_every_event_of_a_message_or_a_call_is_in_the_table():
    ours = {name for name in enum_of("EventType") if name.startswith(("TEXT_", "VOICE_", "RCS_"))}
    assert set(EVENTS) == {name for name in ours if not name.endswith("_ALL")}


def test_every_exception_of_a_send_is_in_the_table_and_every_reason_is_one_of_aws():
    for operation in ("SendTextMessage", "SendVoiceMessage"):
        shapes = service_model().operation_model(operation).error_shapes
        assert {shape.name for shape in shapes} <= EXCEPTIONS.keys()
    known = ("AccessDenied", "Conflict", "ServiceQuotaExceeded", "Validation")
    assert set(REASONS) <= frozenset().union(*(enum_of(f"{name}ExceptionReason") for name in known))

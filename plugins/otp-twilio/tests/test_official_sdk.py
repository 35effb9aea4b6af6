"""Twilio's own SDK against the simulator: what it sends is understood, and what it gets is what it expects."""

from __future__ import annotations

from datetime import timedelta

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client
from twilio.twiml.voice_response import VoiceResponse

from otpcore.providers import Channel

NUMBER = "+359871234567"


@pytest.fixture
def sdk(bench):
    yield from _client(bench, bench.simulator.account_sid, bench.simulator.auth_token)


@pytest.fixture
def service(bench, sdk):
    return sdk.verify.v2.services(bench.simulator.service_sid)


def _client(bench, *credentials):
    http = TwilioHttpClient(timeout=5)
    client = Client(*credentials, http_client=http)
    client.verify.base_url = client.api.base_url = bench.simulator.base_url
    yield client
    http.session.close()


def _error(call, *args, **kwargs):
    with pytest.raises(TwilioRestException) as caught:
        call(*args, **kwargs)
    return caught.value.status, caught.value.code


def test_a_verification_is_started_fetched_checked_and_gone(bench, service):
    started = service.verifications.create(to=NUMBER, channel="sms", locale="de")
    assert (started.status, started.to, started.channel, started.valid) == ("pending", NUMBER, "sms", False)
    assert started.date_created == bench.now
    assert [attempt["channel"] for attempt in started.send_code_attempts] == ["SMS"]
    assert service.verifications(started.sid).fetch().status == "pending"
    assert service.verifications(NUMBER).fetch().sid == started.sid
    wrong = service.verification_checks.create(verification_sid=started.sid, code=bench.wrong_code)
    assert (wrong.status, wrong.valid) == ("pending", False)
    right = service.verification_checks.create(to=NUMBER, code=bench.code)
    assert (right.status, right.valid, right.sid) == ("approved", True, started.sid)
    for gone in ({"to": NUMBER}, {"verification_sid": started.sid}):
        assert _error(service.verification_checks.create, code=bench.code, **gone) == (404, 20404)
    assert _error(service.verifications(started.sid).fetch) == (404, 20404)


def test_a_resend_over_either_channel_carries_the_same_code_under_the_same_sid(bench, service):
    first = service.verifications.create(to=NUMBER, channel="sms")
    second = service.verifications.create(to=NUMBER, channel="call")
    assert (first.sid, second.channel) == (second.sid, "call")
    sms, call = bench.simulator.inbox
    assert (sms.code, sms.channel, call.channel) == (call.code, "sms", "call")
    assert ", ".join(call.code) in call.text


async def test_over_whatsapp_the_sdk_sends_what_we_send(bench, service):
    started = service.verifications.create(to=NUMBER, channel="whatsapp", locale="de")
    assert (started.status, started.channel) == ("pending", "whatsapp")
    assert [attempt["channel"] for attempt in started.send_code_attempts] == ["whatsapp"]
    theirs = bench.form
    async with bench.instance(channels=["whatsapp"]) as provider:
        request = bench.delivery(channel=Channel("whatsapp"), locale="de")
        assert (await provider.send_message(request)).reference == started.sid
    assert bench.form == theirs
    assert {message.channel for message in bench.simulator.inbox} == {"whatsapp"}


def test_the_sixth_send_the_sixth_check_and_ten_minutes_are_too_much(bench, service):
    for _ in range(5):
        sid = service.verifications.create(to=NUMBER, channel="sms").sid
    assert _error(service.verifications.create, to=NUMBER, channel="sms") == (429, 60203)
    for _ in range(5):
        service.verification_checks.create(to=NUMBER, code=bench.wrong_code)
    assert _error(service.verification_checks.create, to=NUMBER, code=bench.code) == (429, 60202)
    assert service.verifications(sid).fetch().status == "max_attempts_reached"
    assert service.verifications(NUMBER).fetch().sid == sid
    bench.advance(601)
    assert _error(service.verification_checks.create, to=NUMBER, code=bench.code) == (404, 20404)
    assert service.verifications.create(to=NUMBER, channel="sms").sid != sid


@pytest.mark.parametrize("way_out", ["wait", "cancel", "cancel by number"])
def test_five_wrong_codes_and_nothing_new_begins_before_the_time_is_over_or_it_is_cancelled(bench, service, way_out):
    sid = service.verifications.create(to=NUMBER, channel="sms").sid
    for _ in range(5):
        service.verification_checks.create(to=NUMBER, code=bench.wrong_code)
    for channel in ("sms", "call"):
        assert _error(service.verifications.create, to=NUMBER, channel=channel) == (429, 60202)
    service.verifications.create(to="+359871234568", channel="sms")
    if way_out == "wait":
        bench.advance(601)
    else:
        service.verifications(sid if way_out == "cancel" else NUMBER).update(status="canceled")
    again = service.verifications.create(to=NUMBER, channel="sms")
    assert (again.status, again.sid == sid) == ("pending", False)


@pytest.mark.parametrize("by_number", [False, True])
def test_a_cancelled_verification_can_be_seen_but_neither_checked_nor_cancelled_again(bench, service, by_number):
    sid = service.verifications.create(to=NUMBER, channel="sms").sid
    name = NUMBER if by_number else sid
    assert service.verifications(name).update(status="canceled").status == "canceled"
    assert service.verifications(sid).fetch().status == "canceled"
    assert _error(service.verification_checks.create, verification_sid=sid, code=bench.code) == (404, 20404)
    assert _error(service.verifications(name).update, status="canceled") == (404, 20404)
    assert service.verifications.create(to=NUMBER, channel="sms").sid != sid


def test_verify_refuses_wrong_parameters_as_documented(bench, sdk, service):
    start, check = service.verifications.create, service.verification_checks.create
    assert _error(start, to="359", channel="sms") == (400, 60200)
    assert _error(start, to=NUMBER, channel="voice") == (400, 60200)
    assert _error(start, to=NUMBER, channel="sms", locale="xx") == (404, 20404)
    start(to=NUMBER, channel="sms")
    assert _error(check, to=NUMBER, code="123") == (400, 60200)
    assert _error(check, code="123456") == (400, 60200)
    assert _error(service.verifications(NUMBER).update, status="pending") == (400, 60200)
    other = sdk.verify.v2.services("VA" + "0" * 32)
    assert _error(other.verifications.create, to=NUMBER, channel="sms") == (404, 20404)


def test_a_message_is_created_fetched_and_listed(bench, sdk):
    sender = bench.simulator.from_number
    sent = sdk.messages.create(to=NUMBER, from_=sender, body="Code 042137", validity_period=300)
    assert (sent.status, sent.error_code, sent.direction) == ("queued", None, "outbound-api")
    assert sent.date_created == bench.now
    assert sdk.messages(sent.sid).fetch().body == "Code 042137"
    service = bench.simulator.messaging_service_sid
    second = sdk.messages.create(to=NUMBER, messaging_service_sid=service, body="Code 9999")
    assert second.status == "accepted"
    sdk.messages.create(to="+359871234568", from_="Acme", body="x 1")
    assert [each.sid for each in sdk.messages.list(to=NUMBER)] == [second.sid, sent.sid]
    assert [each.code for each in bench.simulator.inbox] == ["042137", "9999", ""]


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        (NUMBER, "delivered", None),
        ("+15005550603", "undelivered", 30003),
        ("+15005550610", "failed", 21610),
        ("+15005550690", "delivered", None),
        ("+15005550999", "sent", None),
    ],
)
@pytest.mark.parametrize("pool", [False, True])
def test_what_became_of_a_message_shows_where_it_is_fetched_and_listed(bench, sdk, number, status, code, pool):
    service = {"messaging_service_sid": bench.simulator.messaging_service_sid}
    made = sdk.messages.create(
        to=number, body="Code 042137", **(service if pool else {"from_": bench.simulator.from_number})
    )
    assert (made.status, made.error_code, made.date_sent) == ("accepted" if pool else "queued", None, None)
    for shown in (sdk.messages(made.sid).fetch(), sdk.messages.list(to=number)[0]):
        assert (shown.status, shown.error_code) == (status, code)
        assert (shown.from_, shown.num_segments, shown.date_sent) == (bench.simulator.from_number, "1", bench.now)


@pytest.mark.parametrize(
    ("number", "status"), [(NUMBER, "completed"), ("+15005550606", "busy"), ("+15005550999", "ringing")]
)
def test_what_became_of_a_call_shows_too(bench, sdk, number, status):
    made = sdk.calls.create(to=number, from_=bench.simulator.from_number, twiml="<Response/>")
    assert (made.status, sdk.calls(made.sid).fetch().status) == ("queued", status)
    assert [call.sid for call in sdk.calls.list(status=status, to=number)] == [made.sid]
    assert sdk.calls.list(status="queued") == []


def test_messages_are_filtered_by_recipient_sender_and_time(bench, sdk):
    made = {}
    for day, (to, sender) in enumerate([(NUMBER, "+15005550006"), (NUMBER, "Acme"), ("+359871234568", "Acme")]):
        made[day] = sdk.messages.create(to=to, from_=sender, body="x").sid
        bench.advance(86_400)

    def found(**filters):
        return [next(day for day, sid in made.items() if sid == each.sid) for each in sdk.messages.list(**filters)]

    noon = bench.now - timedelta(days=2)
    assert found() == [2, 1, 0]
    assert found(from_="Acme") == [2, 1]
    assert found(from_="Acme", to=NUMBER) == [1]
    assert found(date_sent=noon.date()) == [1]
    assert found(date_sent=noon + timedelta(hours=3)) == [1]
    assert found(date_sent=noon + timedelta(days=20)) == []
    assert found(date_sent_before=noon) == [1, 0]
    assert found(date_sent_after=noon) == [2, 1]
    assert found(date_sent_after=noon + timedelta(seconds=1), to=NUMBER) == []


def test_a_message_is_emptied_and_deleted_and_a_call_that_rings_is_ended(bench, sdk):
    sent = sdk.messages.create(to=NUMBER, from_="Acme", body="Code 042137")
    assert sdk.messages(sent.sid).update(body="").body == sdk.messages(sent.sid).fetch().body == ""
    assert _error(sdk.messages(sent.sid).update, status="canceled") == (400, 30409)
    assert sdk.messages(sent.sid).delete()
    assert sdk.messages.list() == []
    assert _error(sdk.messages(sent.sid).delete) == (404, 20404)
    call = sdk.calls.create(to="+15005550999", from_=bench.simulator.from_number, twiml="<Response/>")
    assert sdk.calls(call.sid).update(status="canceled").status == "canceled"
    assert _error(sdk.calls(call.sid).update, status="completed") == (400, 21220)


def test_lists_come_in_pages(bench, sdk):
    sids = [sdk.messages.create(to=NUMBER, from_="Acme", body="x").sid for _ in range(7)][::-1]
    before = len(bench.simulator.requests)
    assert [each.sid for each in sdk.messages.list(to=NUMBER, page_size=3)] == sids
    assert len(bench.simulator.requests) - before == 3
    assert [each.sid for each in sdk.messages.list(to=NUMBER, limit=2)] == sids[:2]
    page = sdk.messages.page(to=NUMBER, page_size=3)
    sdk.messages.create(to=NUMBER, from_="Acme", body="newer")
    assert [each.sid for each in page.next_page()] == sids[3:6], "a new message moves no page"


@pytest.mark.parametrize("url", ["nonsense", "ftp://example.com/", "https://my_host.example/", "https:///x"])
def test_a_callback_url_that_cannot_be_called_is_refused(sdk, url):
    create = {"to": NUMBER, "from_": "+15005550006", "status_callback": url}
    assert _error(sdk.messages.create, body="x", **create) == (400, 21609)
    assert _error(sdk.calls.create, twiml="<Response/>", **create) == (400, 21609)


def test_a_call_speaks_the_twiml_of_the_sdk(bench, sdk):
    twiml = VoiceResponse()
    twiml.say("Smith & Sons: 1, 2, 3, 4.", language="en-GB", loop=2)
    call = sdk.calls.create(to=NUMBER, from_=bench.simulator.from_number, twiml=str(twiml), timeout=30)
    assert (call.status, sdk.calls(call.sid).fetch().to) == ("queued", NUMBER)
    heard = bench.simulator.inbox[-1]
    assert (heard.text, heard.code) == ("Smith & Sons: 1, 2, 3, 4. Smith & Sons: 1, 2, 3, 4.", "1234")
    sdk.calls.create(to=NUMBER, from_=bench.simulator.from_number, twiml="<Response><Say>a & b</Say></Response>")
    assert "application error" in bench.simulator.inbox[-1].text


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"to": "359"}, (400, 21211)),
        ({"from_": None}, (400, 21603)),
        ({"from_": "+15005550001"}, (400, 21212)),
        ({"from_": "+15005550007"}, (400, 21606)),
        ({"from_": "+15005550008"}, (400, 21611)),
        ({"from_": "+15005550009"}, (400, 21606)),
        ({"messaging_service_sid": "MG" + "0" * 32}, (400, 21701)),
        ({"body": ""}, (400, 21602)),
        ({"body": "x" * 1601}, (400, 21617)),
        ({"validity_period": 0}, (400, 90007)),
        ({"validity_period": 36001}, (400, 90007)),
        ({"to": "+15005550001"}, (400, 21211)),
        ({"to": "+15005550002"}, (400, 21612)),
        ({"to": "+15005550003"}, (400, 21408)),
        ({"to": "+15005550004"}, (400, 21610)),
        ({"to": "+15005550009"}, (400, 21614)),
        ({"to": "+15005550429"}, (429, 20429)),
        ({"to": "+15005550500"}, (500, 20500)),
    ],
)
def test_messages_refuses_what_twilio_refuses(sdk, wrong, answer):
    assert _error(sdk.messages.create, **{"to": NUMBER, "from_": "+15005550006", "body": "Code 1", **wrong}) == answer


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"to": "359"}, (400, 21211)),
        ({"from_": "+15005550001"}, (400, 21212)),
        ({"from_": "+15005550002"}, (400, 21210)),
        ({"twiml": ""}, (400, 21205)),
        ({"to": "+15005550001"}, (400, 21217)),
        ({"to": "+15005550002"}, (400, 21214)),
        ({"to": "+15005550003"}, (400, 21215)),
        ({"to": "+15005550004"}, (400, 21216)),
        ({"to": "+15005550503"}, (503, 20503)),
    ],
)
def test_calls_refuses_what_twilio_refuses(sdk, wrong, answer):
    usual = {"to": NUMBER, "from_": "+15005550006", "twiml": "<Response/>"}
    assert _error(sdk.calls.create, **{**usual, **wrong}) == answer


def test_an_api_key_works_like_the_auth_token_and_wrong_credentials_do_not(bench):
    simulator = bench.simulator
    for keyed in _client(bench, simulator.api_key, simulator.api_key_secret, simulator.account_sid):
        assert keyed.messages.create(to=NUMBER, from_=simulator.from_number, body="x").sid
    for wrong in _client(bench, simulator.account_sid, "wrong"):
        assert _error(wrong.messages.create, to=NUMBER, from_=simulator.from_number, body="x") == (401, 20003)
        verifications = wrong.verify.v2.services(simulator.service_sid).verifications
        assert _error(verifications.create, to=NUMBER, channel="sms") == (401, 20003)

"""What each auth system makes of an answer: tries again, shows it, or waits no longer; and who words a message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from relay_callers import (
    AUTH0,
    AUTHENTIK,
    KRATOS,
    LOGTO,
    OTHER,
    SETTINGS,
    SIGNING,
    SUPABASE,
    ZITADEL,
    Caller,
    basic,
)

from otpcore import StoreError, hookimpl
from otpcore.providers import DeliveryReceipt, ProviderInfo

LANDLINE, OPTED_OUT = "+12025550113", "+12025550114"
PROBLEM = "application/problem+json"


@pytest.fixture
def relaying(run_server: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Run a server with an app whose messages reach the sandbox."""

    def run(text: str = "caller", **sections: Any) -> Any:
        relay = {name: {**one, "text": text} for name, one in SETTINGS.items()}
        server = {"apps": {"shop": {"relay": relay}}}
        return run_server(f"sqlite:///{tmp_path}/otp.sqlite3", server=server, **sections)

    return run


@pytest.mark.parametrize("phone", [LANDLINE, OPTED_OUT, "+3598777007779999"])
def test_a_number_that_gets_no_message_is_told_alike_where_people_read_it(
    relaying: Callable[..., Any], phone: str
) -> None:
    words = "This number cannot get a message."
    with relaying() as server:
        supabase = SUPABASE.call(server.url, SUPABASE.body(phone))
        assert (supabase.status_code, supabase.headers["content-type"]) == (200, "application/json")
        assert supabase.json() == {"error": {"http_code": 422, "message": words}}
        for caller in (AUTHENTIK, LOGTO):
            answer = caller.call(server.url, caller.body(phone))
            assert (answer.status_code, answer.text) == (422, words)
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        for caller in (KRATOS, AUTH0, ZITADEL):
            answer = caller.call(server.url, caller.body(phone))
            assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
            again = caller.call(server.url, caller.body(phone))
            assert (again.status_code, again.headers["idempotent-replayed"]) == (422, "true")


def test_limits_hold_and_say_for_how_long(relaying: Callable[..., Any], phone: str) -> None:
    words = "Too many messages were asked for. Try again later."
    with relaying(limits={"phone": ["1/1h"], "client": []}) as server:
        assert AUTHENTIK.call(server.url, AUTHENTIK.body(phone)).status_code == 200
        for caller in (KRATOS, AUTH0, ZITADEL):
            answer = caller.call(server.url, caller.body(phone))
            assert (answer.status_code, answer.json()["reason"]) == (429, "phone")
            assert 0 < int(answer.headers["retry-after"]) <= 3600
            assert "idempotent-replayed" not in caller.call(server.url, caller.body(phone)).headers
        shown = LOGTO.call(server.url, LOGTO.body(phone))
        assert (shown.status_code, shown.text) == (429, words)
        assert int(shown.headers["retry-after"]) > 0
        passed_on = SUPABASE.call(server.url, SUPABASE.body(phone))
        assert passed_on.json() == {"error": {"http_code": 429, "message": words}}


def test_the_persons_address_counts(relaying: Callable[..., Any], phone: str) -> None:
    with relaying(limits={"phone": [], "client": ["1/1h"]}) as server:
        for number, caller in enumerate((SUPABASE, AUTH0, LOGTO)):
            answer = caller.call(server.url, caller.body(phone[:-1] + str(number)))
            assert (answer.status_code == 200 and "error" not in answer.json()) == (number == 0), caller.name
        assert KRATOS.call(server.url, KRATOS.body(phone)).status_code == 200


def test_the_persons_address_counts_with_the_port_that_a_gateway_wrote(
    relaying: Callable[..., Any], phone: str, caplog: pytest.LogCaptureFixture
) -> None:
    with relaying(limits={"phone": [], "client": ["1/1h"]}) as server:
        for number, caller in enumerate((SUPABASE, AUTH0, LOGTO)):
            body = json.dumps(caller.body(phone[:-1] + str(number))).replace('.7"', f'.7:{50101 + number}"')
            answer = caller.call(server.url, body.encode())
            assert (answer.status_code == 200 and "error" not in answer.json()) == (number == 0), caller.name
        assert LOGTO.call(server.url, {**LOGTO.body(phone), "ip": "unknown"}).status_code == 200
    assert "client names nobody" in caplog.text


def test_supabase_tries_again_only_what_may_be_over_at_once(relaying: Callable[..., Any], phone: str) -> None:
    with relaying() as server:
        server.do(server.server.sandbox.operator.sending.pause(by="the test"))
        paused = SUPABASE.call(server.url, SUPABASE.body(phone))
        assert (paused.status_code, paused.json()["error"]["http_code"]) == (200, 503)
        assert KRATOS.call(server.url, KRATOS.body(phone)).headers["retry-after"] == "60"
        server.do(server.server.sandbox.operator.sending.resume(by="the test"))
        carried = SUPABASE.call(server.url, SUPABASE.body(phone))
        assert "id" in carried.json()


def test_supabases_signatures_are_read_as_it_writes_them(relaying: Callable[..., Any], phone: str) -> None:
    with relaying() as server:
        both = SUPABASE.call(server.url, SUPABASE.body(phone), secrets=[OTHER, SIGNING])
        assert both.status_code == 200
        own = SUPABASE.call(server.url, SUPABASE.body(phone), secrets=[OTHER, OTHER])
        assert own.status_code == 401


def test_supabases_numbers_have_no_plus_and_a_changed_one_is_the_new_one(
    relaying: Callable[..., Any], phone: str
) -> None:
    with relaying() as server:
        body = SUPABASE.body(phone)
        former = {**body, "user": {**body["user"], "phone": "359871999999"}}
        assert SUPABASE.call(server.url, former).status_code == 200
        older = {"user": body["user"], "sms": {"otp": "777888"}}
        assert SUPABASE.call(server.url, older).status_code == 200
        mfa = {**body, "sms": {**body["sms"], "otp": "999000", "sms_type": "mfa"}}
        assert SUPABASE.call(server.url, mfa).status_code == 200
        messages = server.server.sandbox.sandbox_inbox()
    assert {one.phone.e164 for one in messages} == {phone}
    assert [one.purpose for one in messages] == ["default", "default", "mfa"]


def test_words_of_otpcore_where_the_settings_say_so(relaying: Callable[..., Any], phone: str) -> None:
    templates = {"login_code_valid": {"en": "{code} opens the shop."}}
    with relaying(text="otpcore", otp={"templates": templates, "web_otp_host": "shop.example"}) as server:
        assert KRATOS.call(server.url, KRATOS.body(phone)).status_code == 200
        assert AUTHENTIK.call(server.url, AUTHENTIK.body(phone)).status_code == 200
        letters = AUTHENTIK.call(server.url, {**AUTHENTIK.body(phone), "Body": "0M53RF", "Message": "0M53RF it is"})
        assert letters.status_code == 200
        first, second, third = [one.text for one in server.server.sandbox.sandbox_inbox()]
    assert first == "561166 opens the shop.\n@shop.example #561166"
    assert ("561166" in second, "authentik" in second) == (True, False)
    assert third == "0M53RF it is"


def test_the_language_is_that_of_the_auth_system(relaying: Callable[..., Any], phone: str) -> None:
    with relaying(text="otpcore") as server:
        for caller, locale in ((LOGTO, "pt-BR"), (AUTH0, "en-US")):
            assert caller.call(server.url, caller.body(phone)).status_code == 200
            assert server.server.sandbox.sandbox_inbox()[-1].locale == locale
        assert "é o seu PIN" in server.server.sandbox.sandbox_inbox()[0].text


def test_auth0s_calls_are_calls(relaying: Callable[..., Any], phone: str) -> None:
    rules = {"otp_sms_provider": "sandbox", "otp_call_provider": "sandbox"}
    with relaying(**rules) as server:
        body = AUTH0.body(phone)
        spoken = {**body, "notification": {**body["notification"], "delivery_method": "voice"}}
        assert AUTH0.call(server.url, spoken).status_code == 200
        message = server.server.sandbox.sandbox_inbox()[-1]
    assert message.channel == "call"
    assert message.text.startswith("Hello, your verification code for The Shop is 5, 6, 1, 1, 6, 6.")


def test_a_secret_as_the_password_of_any_user(relaying: Callable[..., Any], phone: str) -> None:
    with relaying() as server:
        caller = Caller(name="authentik", proves=basic)
        assert caller.call(server.url, caller.body(phone)).status_code == 200
        for header in ("Basic !", "Basic Og==", "Bearer", "Digest x", ""):
            assert caller.call(server.url, caller.body(phone), Authorization=header).status_code == 401


class Slow:
    """A provider that takes longer than an auth system waits."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sent = 0

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Slow")

    @hookimpl
    async def send_sms(self, request: Any) -> DeliveryReceipt:
        await anyio.sleep(self.seconds)
        self.sent += 1
        return DeliveryReceipt(reference=f"ref-{request.challenge_id}")


def test_a_provider_that_is_slow_costs_no_message_and_sends_none_twice(
    run_server: Callable[..., Any], tmp_path: Path, phone: str
) -> None:
    slow = Slow(6)
    url, relay = f"sqlite:///{tmp_path}/otp.sqlite3", {"supabase": {"secrets": [SIGNING]}}
    otp = {"provider_timeout": 9, "send_timeout": 10}
    with run_server(url, providers={"slow": slow}, server={"relay": relay}, otp=otp) as server:
        body = SUPABASE.body(phone)
        begun = time.monotonic()
        first = SUPABASE.call(server.url, body, app="")
        assert (first.status_code, slow.sent) == (200, 0)
        assert time.monotonic() - begun < 5
        again = SUPABASE.call(server.url, body, app="")
        assert (again.status_code, slow.sent) == (200, 1)
        assert first.json() == again.json()
        assert first.json()["id"]
        assert time.monotonic() - begun < 9.5
        assert SUPABASE.call(server.url, body, app="").json() == again.json()
    assert slow.sent == 1


@pytest.mark.parametrize("verb", ["put_record", "begin"])
def test_a_store_that_hangs_is_told_in_time(
    relaying: Callable[..., Any], phone: str, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    with relaying() as server:
        store = type(server.server.service.store)

        async def hangs(*_: Any, **__: Any) -> None:
            await anyio.sleep(5.5)
            raise StoreError("the database does not answer")

        body = SUPABASE.body(phone)
        assert "id" in SUPABASE.call(server.url, {**body, "sms": {**body["sms"], "otp": "777888"}}).json()
        monkeypatch.setattr(store, verb, hangs)
        begun = time.monotonic()
        answer = SUPABASE.call(server.url, body)
        assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5")
        assert time.monotonic() - begun < 5
        monkeypatch.undo()
        time.sleep(2)
        assert "id" in SUPABASE.call(server.url, SUPABASE.body(phone)).json()

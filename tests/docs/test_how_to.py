"""The how-to pages: their commands are run, their settings read, their functions called."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from importlib.metadata import entry_points
from typing import Any

import pytest

from otpcore import OTPService, RateLimited, ReceiptRequest
from otpcore.settings.tree import Settings
from otpcore.testing import wrong_code

from .pages import PAGES, blocks
from .test_tutorials import learner  # noqa: F401 - a fixture

PHONE = "+359871234567"


def page(name: str) -> str:
    return PAGES[f"docs/how-to/{name}.md"]


def names_of(name: str) -> dict[str, Any]:
    """What the page's Python defines."""
    (source,) = blocks(page(name), "python")
    names: dict[str, Any] = {}
    exec(compile(source, name, "exec"), names)
    return names


def settings_of(*texts: str) -> dict[str, Any]:
    """The pages' tables, read as one file."""
    read: dict[str, Any] = {}
    for text in texts:
        for key, value in tomllib.loads(text).items():
            read[key] = {**read.get(key, {}), **value} if isinstance(value, Mapping) else value
    return read


def test_the_limits_are_read_and_hold(otp_outbox):
    allow, amounts, budget = blocks(page("limits"), "toml")
    settings = settings_of(allow, amounts, budget)
    read = Settings.from_mapping(settings).limits
    assert read.unverified_mode == "enforce"
    assert read.countries == {"AT": ("50/1h",)}
    assert read.prefix == {"+35987": ("200/1h",)}
    with otp_outbox.blocking_service(settings) as otp:
        otp.send_sms(PHONE)
        for elsewhere in ("+359898123456", "+447400123456"):
            with pytest.raises(RateLimited, match="denied"):
                otp.send_sms(elsewhere)


def test_the_commands_about_limits_do_what_the_page_says(learner):  # noqa: F811 - the fixture
    learner.begins()
    refused, switches = blocks(page("limits"), "sh")
    learner.runs(refused)
    show, deny, allow, reset = switches.splitlines()
    assert PHONE[:5] in learner.runs(show)
    learner.runs(deny)
    learner.runs("otp send +447400123456", fails=4)
    learner.runs(allow)
    learner.runs(reset)
    learner.runs("otp send +447400123456")


def test_receipts_are_taken_in_by_the_function_of_the_page(otp_outbox):
    receipt = names_of("receipts")["receipt"]
    (below,) = blocks(page("receipts"), "toml")
    with otp_outbox.blocking_service(settings_of(below)) as otp:
        otp.send_sms(PHONE)
        status, text, headers = receipt(otp, "nonesuch", "POST", "https://example.com/receipts/nonesuch", {}, b"")
    assert (status, text, headers) == (404, "", {})


def test_a_receipt_is_answered_in_the_vendors_words():
    asked: list[tuple[str, ReceiptRequest]] = []

    class Told:
        status, text, headers = 200, "OK", {"content-type": "text/plain"}

    class Service:
        def handle_receipt(self, instance, request):
            asked.append((instance, request))
            return Told

    answer = names_of("receipts")["receipt"](Service(), "acme", "POST", "https://example.com/r", {"a": "b"}, b"body")
    assert answer == (200, "OK", {"content-type": "text/plain"})
    ((instance, request),) = asked
    assert (instance, request.method, request.url, request.body) == ("acme", "POST", "https://example.com/r", b"body")


def test_whether_receipts_come_is_seen_by_the_commands_of_the_page(learner):  # noqa: F811 - the fixture
    learner.begins()
    learner.runs("otp send +359871234567")
    (commands,) = blocks(page("receipts"), "sh")
    assert "accepted" in learner.runs(commands)


def test_keys_are_rotated_in_three_steps(learner):  # noqa: F811 - the fixture
    learner.begins()
    learner.runs("otp send +359871234567")
    add, use, retire, look = blocks(page("keys"), "sh")

    def keys() -> tuple[set[str], str]:
        read = tomllib.loads((learner.directory / ".otpcore.secrets.toml").read_text("utf-8"))["keys"]
        return set(read["code"]), read["current"]

    (old,), _ = keys()
    learner.runs(add)
    readable, current = keys()
    (new,) = readable - {old}
    assert current == old, "it is not used yet"
    learner.runs(use.replace("ID", new))
    assert keys() == ({old, new}, new)
    assert f"protected by {new}" in learner.runs(look)
    learner.runs(f"otp verify +359871234567 {learner.code}")
    learner.runs(retire.replace("OLD", old), fails=1)
    assert keys() == ({old, new}, new), "what is kept needs it"


def test_the_database_is_moved_in_a_pause(learner):  # noqa: F811 - the fixture
    learner.begins()
    learner.runs("otp send +359871234567")
    before, after = blocks(page("database-failover"), "sh")
    learner.runs(before)
    learner.runs("otp send +359881234567", fails=4)
    learner.runs(f"otp verify +359871234567 {learner.code}")
    learner.runs(after)
    learner.runs("otp send +359881234567")
    (storage,) = blocks(page("database-failover"), "toml")
    url = Settings.from_mapping(tomllib.loads(storage)).storage.url
    assert re.search(r"@db1\.example\.com,db2\.example\.com/otp\?target_session_attrs=read-write$", url)


class Device:
    """What the page's methods stand on: a row of Django's."""

    number, pk = PHONE, 7


def test_a_device_of_django_otp_sends_and_verifies(otp_outbox, monkeypatch):
    with otp_outbox.blocking_service() as otp:
        monkeypatch.setattr(OTPService, "from_settings", lambda: otp)
        names = names_of("from-django-otp")
        first = type("PhoneDevice", (names["SendsByOtpcore"], Device), {})()
        second = type("Other", (names["SendsByOtpcore"], Device), {"pk": 8})()
        assert first.generate_challenge() == "Sent by SMS"
        assert not first.verify_token(wrong_code(otp_outbox.code))
        assert not second.verify_token(otp_outbox.code), "a code of one device is none of another's"
        assert first.verify_token(otp_outbox.code)
        assert not first.verify_token(otp_outbox.code)


def test_the_endpoints_of_django_phone_verify_stay_as_they_are(otp_outbox):
    names = names_of("from-django-phone-verify")
    settings = settings_of(*blocks(page("from-django-phone-verify"), "toml"))
    del settings["otp_sms_provider"], settings["providers"]
    client = "203.0.113.9"
    with otp_outbox.blocking_service(settings) as otp:
        token = names["register"](otp, PHONE, client)["session_token"]
        assert otp_outbox.messages[-1].text == (
            f"Welcome to Phone Verify! Please use security code {otp_outbox.code} to proceed."
        )
        assert names["verify"](otp, PHONE, token, wrong_code(otp_outbox.code), client) is False
        assert names["verify"](otp, PHONE, "of another session", otp_outbox.code, client) is False
        assert names["verify"](otp, PHONE, token, otp_outbox.code, client) is True
        assert names["verify"](otp, PHONE, token, otp_outbox.code, client) is False


@pytest.mark.parametrize(
    ("name", "block"), [("from-django-otp", 0), ("from-django-phone-verify", 0), ("from-twilio-verify", 1)]
)
def test_the_settings_for_twilios_messages_are_whole(name, block):
    settings = settings_of('otp_sms_provider = "Twilio"', blocks(page(name), "toml")[block])
    assert sends_through_twilio(settings, "auth_token") == "twilio"


def test_twilio_verify_goes_on_behind_two_functions():
    (settings,) = [settings_of(one) for one in blocks(page("from-twilio-verify"), "toml") if "service_sid" in one]
    assert sends_through_twilio(settings, "auth_token", by=names_of("from-twilio-verify")) == "twilio"


def sends_through_twilio(settings: dict[str, Any], *secrets: str, by: dict[str, Any] | None = None) -> str:
    """Sends and verifies with the page's settings, its account exchanged for a simulator's; the instance that sent."""
    (found,) = entry_points(group="otpcore.simulators", name="twilio")
    with found.load()() as vendor:
        account = dict(vendor.provider_settings())
        own = settings["providers"]["twilio"]
        urls = {key: account[key] for key in ("verify_base_url", "api_base_url")}
        settings["providers"]["twilio"] = {
            **own,
            **{key: account[key] for key in own if key in account and key != "mode"},
            **{key: account[key] for key in secrets},
            **urls,
        }
        keys = {"index": "k" * 64, "code": {"a": "c" * 64}, "current": "a"}
        with OTPService({**settings, "keys": keys, "storage": {"store": "memory"}}) as otp:
            if by is None:
                challenge = otp.send_sms(PHONE)
                assert otp.verify(challenge_id=challenge.id, code=vendor.inbox[-1].code)
                return str(challenge.provider)
            challenge_id = by["start"](otp, PHONE)
            challenge = otp.send_sms(PHONE)
            assert challenge.id == challenge_id, "the living one, within the cooldown"
            assert challenge.expires_at - challenge.resend_at == timedelta(seconds=300 - 30)
            assert by["check"](otp, challenge_id, wrong_code(vendor.inbox[-1].code)) is False
            assert by["check"](otp, challenge_id, vendor.inbox[-1].code) is True
            return str(challenge.provider)

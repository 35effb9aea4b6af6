"""Several apps of one host: each has challenges and texts of its own, and a phone's limits are one for all."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore import (
    DeliveryReceipt,
    DeliveryRequest,
    InvalidArgument,
    ProviderInfo,
    RateLimited,
    SettingsError,
    VerificationStatus,
    hookimpl,
)
from otpcore.settings.tree import Settings
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
APPS = {
    "shop": {
        "app": "Shop",
        "templates": {"default": {"en": "{code} opens {app}"}},
        "web_otp_host": "shop.example",
    },
    "admin.eu": {"web_otp_host": "admin.example"},
}
OTP = {"app": "Host", "web_otp_host": "host.example", "apps": APPS}


async def test_each_verifies_its_own_code_alone(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        sent = {app: await otp.send(PHONE, app=app) for app in ("", "shop", "admin")}
        codes = {app: message.code for app, message in zip(sent, otp_outbox.messages, strict=True)}
        assert len({challenge.id for challenge in sent.values()}) == 3
        assert [challenge.app for challenge in sent.values()] == list(sent)
        assert sent["shop"].to_dict()["app"] == "shop"
        for app, challenge in sent.items():
            other = next(one for one in sent if one != app)
            assert (await otp.verify(challenge_id=challenge.id, code=codes[app], app=other)).status == "not_found"
            if codes[other] != codes[app]:
                assert (await otp.verify(PHONE, codes[other], app=app)).status == "incorrect"
            assert await otp.verify(PHONE, codes[app], app=app)
            assert (await otp.verify(PHONE, codes[app], app=app)).status is VerificationStatus.NOT_FOUND


async def test_a_purpose_that_looks_like_an_app_is_none(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        one = await otp.send(PHONE, purpose="login", app="shop")
        other = await otp.send(PHONE, purpose="shop\nlogin")
        assert one.id != other.id


async def test_each_has_its_own_texts_and_host(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp": OTP}) as otp:
        for app in ("", "shop", "admin.eu", "unknown"):
            await otp.send(PHONE, app=app)
        host, shop, admin, unknown = (message.text.splitlines() for message in otp_outbox.messages)
        assert shop == [f"{otp_outbox.messages[1].code} opens Shop", f"@shop.example #{otp_outbox.messages[1].code}"]
        assert [lines[-1].partition(" ")[0] for lines in (host, admin, unknown)] == [
            "@host.example",
            "@admin.example",
            "@host.example",
        ]
        assert all("Host" in lines[0] for lines in (host, admin, unknown))


async def test_a_retry_words_it_for_the_same_app(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp": OTP, "sms": {"retry": True}}) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE, app="shop")
        assert "opens Shop" in otp_outbox.messages[-1].text
        assert await otp.verify(PHONE, otp_outbox.code, app="shop")


async def test_a_phones_limit_is_one_for_all_of_them(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"phone": ["2/10m"]}}) as otp:
        await otp.call(PHONE, app="shop")
        await otp.call(PHONE, app="admin")
        with pytest.raises(RateLimited):
            await otp.call(PHONE)


@pytest.mark.parametrize("app", ["a b", "a" * 41, "\u00e9", "a\n", "a/b", None, 3])
async def test_what_is_no_word_is_refused_at_the_edge(otp_outbox: Outbox, app: Any) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match="app"):
            await otp.send(PHONE, app=app)
        with pytest.raises(InvalidArgument, match="app"):
            await otp.verify(PHONE, "123456", app=app)
    assert otp_outbox.messages == []


@pytest.mark.parametrize(
    ("apps", "said"),
    [
        ({"a b": {}}, "otp.apps.a b: a name is"),
        (
            {"shop": {"templates": {"login": {"en": "no place"}}}},
            "otp.apps.shop.templates.login.en: the text has no place",
        ),
        ({"shop": {"web_otp_host": "https://x"}}, "otp.apps.shop.web_otp_host: not a host name"),
        ({"shop": {"android_hash": "short"}}, "otp.apps.shop.android_hash: an SMS Retriever hash"),
        ({"shop": {"sender": "x"}}, "otp.apps.shop.sender: unknown key"),
    ],
)
def test_what_is_wrong_with_an_app_is_named_by_its_key(apps: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping({"otp": {"apps": apps}})
    assert str(refused.value).startswith(said)


class _Asked:
    """A provider that keeps what it is asked for."""

    def __init__(self) -> None:
        self.requests: list[DeliveryRequest] = []

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Asked")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.requests.append(request)
        return DeliveryReceipt()


async def test_observers_and_providers_are_told_which_it_is(otp_outbox: Outbox) -> None:
    told, asked = EventRecorder(), _Asked()
    settings = {"limits": {"phone": ["1/1d"]}}
    async with otp_outbox.service(settings, providers={"asked": asked}, observers=[told]) as otp:
        challenge = await otp.send(PHONE, app="shop")
        assert not await otp.verify(challenge_id=challenge.id, code="", app="shop")
        otp_outbox.clock.advance(60)
        with pytest.raises(RateLimited):
            await otp.send(PHONE, app="shop")
    assert [request.app for request in asked.requests] == ["shop"]
    of_send = {one.type: one.app for one in told.events if one.phone}
    assert {"send_started", "delivery_accepted", "verify_failed", "send_refused"} <= {*map(str, of_send)}
    assert set(of_send.values()) == {"shop"}

"""What a vendor would refuse or cut is told at start, with the fix."""

from __future__ import annotations

import re

import pytest
from otp_http import create_provider
from otp_http.catalogue import built_in, find

from otpcore import OTPService
from otpcore.providers import Channel, Feature, ProviderContext, SettingsError
from otpcore.testing import Outbox

VONAGE = {"gateway": "vonage_sms", "api_key": "a1b2c3d4", "api_secret": "s3cret", "sender": "Acme"}
RECEIPTS = "https://example.com/receipts"  # 28 characters; with vonage, an id of 40 and a proof of 22: 99


def started(url, **more):
    settings = {
        **Outbox().settings,
        "otp": {"receipts_url": url},
        "otp_sms_provider": "Vonage",
        "providers": {"vonage": {**VONAGE, **more}},
    }
    with OTPService(settings) as otp:
        return otp


def test_an_address_for_reports_fits_into_what_vonage_takes():
    assert started(RECEIPTS)
    assert started(f"{RECEIPTS}s")
    with pytest.raises(SettingsError) as refused:
        started(f"{RECEIPTS}/of")
    assert (
        "providers.vonage: Vonage SMS takes addresses for reports of at most 100 characters, and those of this instance "
        "have 102. Fix: make otp.receipts_url or the instance's name shorter, by 2 together; or set "
        "providers.vonage.signature_secret"
    ) in str(refused.value)


async def test_one_that_is_signed_is_told_no_address_that_is_too_long(request_to, anyio_backend_name):
    class Addresses:
        def address(self, instance, delivery_id):
            return "https://example.com/" + "r" * (80 if delivery_id == "short" else 81)

    context = ProviderContext(
        instance="vonage", settings={**VONAGE, "signature_secret": "s"}, addresses=Addresses(), timeout=1
    )
    provider = create_provider(context)
    assert provider.describe().signs_receipts
    assert len(provider._receipt_url("short")) == 100
    assert provider._receipt_url("long") == ""


@pytest.mark.parametrize(
    ("gateway", "right", "wrong"),
    [
        ("vonage_sms", ("Acme Co", "+359888123456"), ("Acme Company", "+3598881234567890")),
        ("plivo", ("Acme Co", "359888123456"), ("Acme Company", "Söhne")),
        ("messagebird", ("Acme", "+359888123456"), ("Acme Company",)),
        ("mobica", ("Acme", "359888123456"[:11]), ("Acme Company",)),
        ("telegram", ("acme_codes",), ("no", "1acme")),
    ],
)
def test_a_sender_that_the_gateway_refuses_is_refused_at_start(gateway, right, wrong):
    settings = {
        name: setting.example or "given" for name, setting in find(gateway).settings.items() if setting.must_be_given
    }
    for sender in right:
        assert create_provider(
            ProviderContext(instance="acme", settings={**settings, "gateway": gateway, "sender": sender})
        )
    for sender in wrong:
        with pytest.raises(SettingsError, match=r"providers\.acme\.sender: is "):
            create_provider(
                ProviderContext(instance="acme", settings={**settings, "gateway": gateway, "sender": sender})
            )


def _sms_with_a_sender():
    return [name for name in built_in() if "sms" in find(name).send and "sender" in find(name).settings]


@pytest.mark.parametrize("gateway", [name for name in _sms_with_a_sender() if name != "webhook"])
def test_a_name_of_an_sms_that_no_network_shows_is_refused_at_start_and_from_the_host(gateway):
    settings = {
        name: setting.example or "given" for name, setting in find(gateway).settings.items() if setting.must_be_given
    }
    if not find(gateway).base_url:
        settings["base_url"] = "https://gateway.example"
    wide = ProviderContext(instance="acme", settings={**settings, "gateway": gateway, "sender": "TwelveLetter"})
    with pytest.raises(SettingsError, match=r"providers\.acme\.sender: is no sender that .* takes"):
        create_provider(wide)
    number = ProviderContext(instance="acme", settings={**settings, "gateway": gateway, "sender": "359888123456"[:11]})
    form = create_provider(number).describe().carries[Channel.SMS].forms[Feature.SENDER]
    assert not re.fullmatch(form, "TwelveLetter")


def test_a_gateway_of_ones_own_names_senders_as_it_likes():
    own = {
        "gateway": "webhook",
        "base_url": "https://gateway.example",
        "signing_secret": "bWFkZS11cC1zaWduaW5nLWtleQ==",
    }
    sender = "the sender of the shop in Sofia"
    assert create_provider(ProviderContext(instance="acme", settings={**own, "sender": sender}))

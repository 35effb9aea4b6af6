"""``otp doctor`` about what the settings wish for: texts, and who cannot carry what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from otp_sinch.simulator import SinchSimulator
from otp_twilio import Mode
from otp_twilio.simulator import TwilioSimulator

from otpcore.cli.exits import ExitCode

from .desk import Desk, Otp

HASH = "FA+9qCX9VSu"
SINCH = {"application_key": SinchSimulator.application_key, "application_secret": SinchSimulator.application_secret}


def twilio(mode: Mode) -> dict[str, Any]:
    """Settings of an instance; nothing is called."""
    with TwilioSimulator() as simulator:
        return {"plugin": "twilio", **simulator.provider_settings(mode)}


def findings(otp: Otp, about: str, level: str = "note") -> list[str]:
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.OK, "a wish is no problem"
    checks = [one for one in ended.document["checks"] if one["about"] == about]
    assert all(one["fix"] for one in checks if one["level"] == "note")
    return [one["detail"] for one in checks if one["level"] == level]


@pytest.mark.parametrize(
    ("wishes", "verify", "sinch"),
    [
        ({"app": "Acme"}, "sms, call", "sms, call"),
        ({"length": 8}, "sms, call", "sms, call"),
        ({"templates": {"login": {"en": "{code}"}}}, "sms, call", "sms, call"),
        ({"sender": "Acme"}, "sms, call", "sms, call"),
        ({"web_otp_host": "shop.example"}, "sms", "sms"),
        ({"android_hash": HASH}, None, None),
        ({"template_id": "1107160000000012345"}, "sms", "sms"),
        ({"template_id": "HJ" + "0a" * 16}, None, "sms"),
        ({"locale": "bg"}, "sms, call", "call"),
        ({"locale": "pt-BR"}, None, None),
    ],
)
def test_what_is_set_in_vain_is_named_by_instance_and_setting(
    otp: Otp, desk: Desk, wishes: Mapping[str, Any], verify: str | None, sinch: str | None
) -> None:
    desk.write(
        otp_sms_provider="verify;sinch",
        providers={"verify": twilio(Mode.VERIFY), "sinch": SINCH},
        otp=wishes,
    )
    (key,) = (f"otp.{name}" for name in wishes)
    expected = [
        f"{instance} cannot carry {key} ({channels}): it sends without it"
        for instance, channels in (("verify", verify), ("sinch", sinch))
        if channels
    ]
    assert findings(otp, "carrying") == expected


def test_whoever_carries_text_carries_nearly_everything(otp: Otp, desk: Desk) -> None:
    wishes = {"app": "Acme", "length": 8, "web_otp_host": "shop.example", "android_hash": HASH, "locale": "bg"}
    desk.write(otp_sms_provider="texts;mada", providers={"texts": twilio(Mode.MESSAGING)}, otp=wishes)
    assert findings(otp, "carrying") == []
    desk.write(
        otp_sms_provider="texts;mada",
        providers={"texts": twilio(Mode.MESSAGING)},
        otp={"template_id": "1107160000000012345", "sender": "Acme"},
    )
    assert findings(otp, "carrying") == [
        "texts cannot carry otp.template_id (sms): it sends without it",
        "texts cannot carry otp.sender (call): it sends without it",
        "mada cannot carry otp.template_id (sms): it sends without it",
    ]


def test_of_a_table_what_counts_for_an_instance_is_named_by_its_place(otp: Otp, desk: Desk) -> None:
    desk.write(
        otp_sms_provider="verify;texts;mada",
        providers={"verify": twilio(Mode.VERIFY), "texts": twilio(Mode.MESSAGING)},
        otp={
            "sender": {"texts": {"pay": "Acme", "default": "+15005550006"}},
            "template_id": {"verify": {"login": {"en": "HJ" + "0a" * 16, "de": "1107"}}},
        },
    )
    assert findings(otp, "carrying") == [
        "verify cannot carry otp.template_id.verify.login.de (sms): it sends without it",
        "texts cannot carry otp.sender.texts.pay (call): it sends without it",
    ]


@pytest.mark.parametrize(("name", "meant"), [("verfy", "write verify instead"), ("bg", "or default for all")])
def test_an_instance_that_there_is_not_is_named_with_what_may_be_meant(
    otp: Otp, desk: Desk, name: str, meant: str
) -> None:
    desk.write(
        otp_sms_provider="verify",
        providers={"verify": twilio(Mode.VERIFY)},
        otp={"sender": {"default": "", name: "Acme"}},
    )
    assert findings(otp, "carrying") == [
        f"otp.sender names {name}, and there is no such instance: what it says there never counts"
    ]
    (fix,) = [one["fix"] for one in otp("doctor", "--json").document["checks"] if one["about"] == "carrying"]
    assert fix.startswith("in [otp.sender]")
    assert meant in fix


def test_the_settings_themselves_ask_for_nothing(otp: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="verify", providers={"verify": twilio(Mode.VERIFY)})
    assert findings(otp, "carrying", "ok") == ["every instance of the rules carries what the settings ask for"]


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (
            "Votre code pour la boutique est {code}. Ne le communiquez \u00e0 personne, m\u00eame pas \u00e0 nous. {app}",
            "takes 2 SMS, because of '\u00ea' (U+00EA)",
        ),
        (
            "Your code for the shop is {code}. Please don\u2019t share it with anybody, not even with us. {app}",
            "takes 2 SMS, because of '\u2019' (U+2019)",
        ),
        ("Your code for the shop is {code}.\u200b Do not share it with anybody, not even with us. {app}", "of U+200B"),
        ("{app}: {code} " + "word " * 40, "takes 2 SMS"),
        ("\u041a\u043e\u0434 " * 20 + "{code} {app}", "takes 2 SMS"),
        ("{app}: {code}, or see https://shop.example/verify", "has a link"),
        ("{app}: {code}, or see shop.example", "has a link"),
        ("Your code is {code}", "does not say whose code it is"),
    ],
)
def test_a_template_that_costs_more_or_says_less_is_named_with_its_cause(
    otp: Otp, desk: Desk, template: str, found: str
) -> None:
    desk.write(otp={"app": "Acme", "templates": {"login": {"fr": template, "en": "{app}: {code}"}}})
    (detail,) = findings(otp, "texts")
    assert detail.startswith("otp.templates.login.fr")
    assert found in detail


def test_a_script_of_its_own_is_no_foreign_character(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"templates": {"default": {"bg": "\u041a\u043e\u0434 " * 20 + "{code}"}}})
    (detail,) = findings(otp, "texts")
    assert detail == "otp.templates.default.bg takes 2 SMS"


def test_a_name_that_makes_our_texts_dear_is_named(otp: Otp, desk: Desk) -> None:
    desk.write(providers={"mada": {**desk.mada.provider_settings(), "unicode": "ucs2"}}, otp={"app": "\u0160koda"})
    (detail,) = findings(otp, "texts")
    assert "de, en, es, fr" in detail
    assert "'\u0160' (U+0160)" in detail


def test_an_app_placeholder_without_a_name_is_named(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"templates": {"login": {"en": "{app} {code}"}}})
    assert findings(otp, "texts") == ["otp.templates.login.en has {app}, and otp.app is empty"]


def test_good_texts_are_well(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"app": "Acme", "web_otp_host": "accounts.example.com", "android_hash": HASH})
    assert findings(otp, "texts") == []
    assert findings(otp, "texts", "ok") == ["every text is one SMS"]

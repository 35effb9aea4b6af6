"""A set-up without SMS, such as Telegram alone: it is told that it works, and each fix works for its channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from otp_http.simulator import GatewaySimulator

from otpcore.cli.exits import ExitCode

from .desk import PHONE, Desk, Ended, Otp


@pytest.fixture
def telegram() -> Iterator[GatewaySimulator]:
    with GatewaySimulator("telegram") as simulator:
        yield simulator


def of_sms(ended: Ended) -> dict[str, Any]:
    """What the doctor says of the rules for SMS."""
    [found] = [
        one for one in ended.document["checks"] if one["about"] == "rules" and one["detail"].startswith("sms: no")
    ]
    return dict(found)


@pytest.mark.parametrize(
    "rules",
    [{"otp_sms_provider": "", "otp_telegram_provider": "Telegram"}, {"otp_sms_provider": "Telegram"}],
    ids=["of its own", "written for SMS"],
)
def test_a_channel_that_works_is_named_where_sms_does_not(
    otp: Otp, desk: Desk, telegram: GatewaySimulator, rules: dict[str, Any]
) -> None:
    desk.write(**rules, providers={"telegram": telegram.provider_settings()})
    doctor = otp("doctor", "--json")
    found = of_sms(doctor)
    assert (doctor.code, found["level"]) == (ExitCode.OK, "note")
    assert found["fix"].startswith("send with `otp send PHONE --channel telegram`; for SMS ")
    ended = otp("send", PHONE)
    assert ended.code != ExitCode.OK
    assert "otp send PHONE --channel telegram" in ended.err
    assert otp("send", PHONE, "--channel", "telegram").code == ExitCode.OK
    assert [message.channel for message in telegram.inbox] == ["telegram"]


@pytest.mark.parametrize(("sms", "messages"), [("Sinch", "Telegram"), ("Telegram", "Sinch")])
def test_rules_that_lead_to_a_broken_instance_stay_a_problem(
    otp: Otp, desk: Desk, telegram: GatewaySimulator, sms: str, messages: str
) -> None:
    desk.write(
        otp_sms_provider=sms,
        otp_telegram_provider=messages,
        providers={"telegram": telegram.provider_settings(), "sinch": {}},
    )
    doctor = otp("doctor", "--json")
    assert (doctor.code, of_sms(doctor)["level"]) == (ExitCode.REFUSED, "problem")


def test_the_test_of_an_instance_that_cannot_be_asked_is_named_with_its_channel(
    otp: Otp, desk: Desk, telegram: GatewaySimulator
) -> None:
    desk.write(providers={"telegram": telegram.provider_settings()})
    checks = [one for one in otp("doctor", "--online", "--json").document["checks"] if one["about"] == "online"]
    fixes = {one["detail"].partition(":")[0]: one["fix"] for one in checks}
    assert fixes["mada"] == "send yourself one message: otp instances test mada PHONE"
    assert fixes["telegram"] == "send yourself one message: otp instances test telegram PHONE --channel telegram"
    for fix in fixes.values():
        command = fix.partition(": otp ")[2].replace("PHONE", PHONE).split()
        assert otp(*command).code == ExitCode.OK
    assert (len(desk.mada.inbox), len(telegram.inbox)) == (1, 1)

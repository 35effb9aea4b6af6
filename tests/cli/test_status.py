"""``otp status``."""

from __future__ import annotations

import pytest

from otpcore.cli.exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp


def test_what_was_sent_and_verified_is_shown_by_prefix(otp: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="Mada:+35987;Mada")
    otp("send", PHONE)
    otp("send", OTHER_PHONE)
    otp("verify", PHONE, desk.code())
    ended = otp("status", "--json")
    assert ended.code == ExitCode.OK
    by_default, by_prefix = ended.document["routes"]
    assert (by_default["prefix"], by_default["accepted"], by_default["verified"]) == ("", 1, 0)
    assert (by_prefix["prefix"], by_prefix["accepted"], by_prefix["verified"]) == ("+35987", 1, 1)
    shown = otp("status")
    assert "+35987" in shown.out
    assert "default" in shown.out
    assert "nobody runs retries here now" in shown.out


def test_what_waits_is_shown_with_why_nobody_takes_it(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True}, retry={"breaker_threshold": 1})
    desk.mada.down()
    otp("send", PHONE)
    (route,) = otp("status", "--json").document["routes"]
    assert (route["instance"], route["queued"], route["failed"]) == ("mada", 1, {"unavailable": 1})
    assert route["oldest"] is not None
    assert route["breaker"]["is_open"] is True
    assert "open since" in otp("status").out


def test_how_far_back_it_looks_can_be_said(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    assert otp("status", "--since", "30d", "--json").document["routes"][0]["accepted"] == 1
    assert otp("status", "--since", "0s", "--json").document["routes"][0]["accepted"] == 0
    assert otp("status", "--since", "999999999d", "--json").code == ExitCode.OK


@pytest.mark.parametrize("since", ["", "1", "h", "-1h", "1w", "1.5h", "9999999999s"])
def test_a_time_that_is_none_is_wrong_usage(otp: Otp, desk: Desk, since: str) -> None:
    ended = otp("status", f"--since={since}", "--json")
    assert ended.code == ExitCode.USAGE
    assert "such as 90m" in ended.document["error"]["fix"]


def test_before_anything_was_sent_the_instances_are_there(otp: Otp, desk: Desk) -> None:
    (route,) = otp("status", "--json").document["routes"]
    assert (route["instance"], route["accepted"], route["breaker"]["is_open"]) == ("mada", 0, False)


def test_an_instance_that_the_rules_name_is_there_without_settings_of_its_own(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"sandbox": True}, otp_sms_provider="Twilio")
    assert {"mada", "twilio"} == {route["instance"] for route in otp("status", "--json").document["routes"]}
    assert "no instance is configured" not in otp("status").out
    otp("routes", "set", "Sinch")
    assert "sinch" in {route["instance"] for route in otp("status", "--json").document["routes"]}

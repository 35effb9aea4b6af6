"""The sandbox and its numbers on the command line."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otpcore.cli.exits import ExitCode
from otpcore.providers.sandbox import MAGIC

from .desk import PHONE, Desk, Otp

LANDLINE, NEVER = "+12025550113", "+12025550112"
REVIEWER, CODE = "+359881234567", "246810"


def reviewer(until: str) -> dict[str, Any]:
    return {
        "test_numbers": {"reviewer": {"number": REVIEWER, "code": CODE, "until": until}},
        "test_numbers_on": ["reviewer"],
    }


@pytest.fixture
def sandboxed(desk: Desk) -> Desk:
    """The gateway stays silent: the sandbox stands in for it."""
    desk.write(sms={"sandbox": True})
    return desk


def test_what_would_have_been_sent_is_shown_and_read_only_on_demand(otp: Otp, sandboxed: Desk) -> None:
    sent = otp("send", PHONE)
    assert sent.code == ExitCode.OK
    assert "nothing was sent to anybody" in sent.out
    assert "mada" in sent.out
    assert "code" not in otp("send", PHONE, "--json").document
    revealed = otp("send", PHONE, "--purpose", "login", "--json", "--reveal").document
    (message,) = revealed["sandbox"]
    assert message["code"] == revealed["code"]
    assert message["code"] in message["text"]
    assert sandboxed.mada.requests == []
    assert otp("verify", PHONE, message["code"], "--purpose", "login").code == ExitCode.OK


def test_another_process_opens_what_is_sealed_in_the_store(otp: Otp, sandboxed: Desk) -> None:
    challenge = otp("send", PHONE, "--json").document["id"]
    (hidden,) = otp("sandbox", PHONE, "--json").document["messages"]
    assert "code" not in hidden
    assert (hidden["challenge_id"], hidden["instance"], hidden["outcome"]) == (challenge, "mada", "accepted")
    (shown,) = otp("sandbox", PHONE, "--json", "--reveal").document["messages"]
    assert (shown["phone"], len(shown["code"])) == (PHONE, 6)
    assert otp("verify", PHONE, shown["code"]).code == ExitCode.OK
    used = otp("sandbox", PHONE, "--reveal")
    assert (used.code, shown["code"] in used.out) == (ExitCode.REFUSED, False)


def test_what_never_arrives_is_said_to_arrive_nowhere(otp: Otp, sandboxed: Desk) -> None:
    sent = otp("send", NEVER)
    assert sent.code == ExitCode.OK
    assert "nor would have been" in sent.out
    assert "try_channel" not in otp("send", LANDLINE, "--json").document["error"], "nobody serves calls"
    sandboxed.write(sms={"sandbox": True}, otp_call_provider="Twilio")
    refused = otp("send", LANDLINE, "--json").document["error"]
    assert (refused["try_channel"], refused["fix"]) == ("call", "`otp call PHONE` may reach it")
    assert otp("call", LANDLINE).code == ExitCode.OK


def test_the_numbers_are_listed(otp: Otp, sandboxed: Desk) -> None:
    listed = otp("sandbox", "--json").document
    assert listed["sandbox"] is True
    assert [one["name"] for one in listed["numbers"]] == [one.name for one in MAGIC.values()]
    assert LANDLINE in listed["numbers"][3]["numbers"]
    assert "the sandbox is on" in otp("sandbox").out


def test_without_the_sandbox_there_is_nothing_to_open(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    refused = otp("sandbox", PHONE, "--reveal")
    assert refused.code == ExitCode.REFUSED
    assert desk.code() not in refused.out + refused.err
    assert "the sandbox is off" in otp("sandbox").out


def test_codes_that_a_vendor_has_delivered_stay_sealed(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"cooldown": 0})
    otp("send", PHONE)
    desk.write(otp={"cooldown": 0}, sms={"sandbox": True})
    otp("send", PHONE)
    shown = otp("sandbox", PHONE, "--reveal", "--json")
    assert shown.code == ExitCode.OK
    assert len(shown.document["messages"]) == 1  # the sandbox's own; it knows nothing of the other
    assert desk.code() not in shown.out


def test_a_number_that_belongs_to_nobody_shows_what_is_in_doubt_too(otp: Otp, sandboxed: Desk) -> None:
    otp("send", "+12025550117")
    (shown,) = otp("sandbox", "+12025550117", "--json", "--reveal").document["messages"]
    assert (shown["outcome"], len(shown["code"])) == ("ambiguous", 6)


def test_without_keys_only_the_process_that_sent_can_say(otp: Otp, sandboxed: Desk) -> None:
    (sandboxed.directory / ".otpcore.secrets.toml").unlink()
    sent = otp("send", PHONE, "--reveal", "--json")
    assert sent.code == ExitCode.OK
    assert sent.document["sandbox"][0]["code"] == sent.document["code"]
    assert "throw-away keys were made" in sent.err
    asked = otp("sandbox", PHONE)
    assert asked.code == ExitCode.CONFIGURATION
    (fix,) = (line.removeprefix("fix: ") for line in asked.err.splitlines() if line.startswith("fix: "))
    assert otp(*shlex.split(fix)[1:]).code == ExitCode.OK
    otp("send", PHONE)
    assert otp("sandbox", PHONE).code == ExitCode.OK


def test_doctor_and_providers_say_that_nothing_is_sent(otp: Otp, sandboxed: Desk) -> None:
    checks = otp("doctor", "--json").document["checks"]
    assert [one["level"] for one in checks if one["about"] == "sandbox"] == ["note"]
    assert "mada: Sandbox; sms" in [one["detail"] for one in checks if one["about"] == "providers"]
    assert otp("providers", "--json").document["sandbox"] is True
    assert "the sandbox stands in" in otp("providers").out
    (sandboxed.directory / ".otpcore.secrets.toml").unlink()
    examined = otp("doctor", "--json")
    assert examined.code == ExitCode.OK
    assert [one["fix"] for one in examined.document["checks"] if one["about"] == "keys"] == [
        f"otp keys new --into {sandboxed.directory}/.otpcore.secrets.toml"
    ]


def test_production_refuses_the_sandbox(otp: Otp, sandboxed: Desk) -> None:
    sandboxed.write(sms={"sandbox": True}, environment="production")
    refused = otp("send", PHONE)
    assert refused.code == ExitCode.CONFIGURATION
    assert "sms.sandbox" in refused.err


def test_a_test_number_is_served_without_the_gateway(otp: Otp, desk: Desk) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    desk.write(sms=reviewer(tomorrow))
    assert otp("send", REVIEWER, "--json").document["provider"] == "test:reviewer"
    assert desk.mada.requests == []
    assert otp("routes", "explain", REVIEWER, "--json").document["test_number"] == "reviewer"
    assert otp("verify", REVIEWER, CODE).code == ExitCode.OK
    (row,) = otp("sandbox", "--json").document["test_numbers"]
    assert row == {"name": "reviewer", "phone": "+3598******67", "until": tomorrow, "state": "on"}
    assert otp("sandbox", "--json", "--reveal").document["test_numbers"][0]["code"] == CODE
    [found] = [one for one in otp("doctor", "--json").document["checks"] if one["about"] == "sandbox"]
    assert f"until the end of {tomorrow}" in found["detail"]


def test_doctor_says_that_a_test_number_is_over(otp: Otp, desk: Desk) -> None:
    desk.write(sms=reviewer("2020-01-31"))
    [found] = [one for one in otp("doctor", "--json").document["checks"] if one["about"] == "sandbox"]
    assert "its last day was 2020-01-31" in found["detail"]
    assert "test_numbers_on" in found["fix"]
    assert otp("send", REVIEWER, "--json").document["provider"] == "mada"
    assert otp("sandbox", "--json").document["test_numbers"][0]["state"] == "over"


def test_a_host_in_the_sandbox_needs_no_plugin_and_no_keys(otp: Otp, directory: Path) -> None:
    settings = {"otp_sms_provider": "some_gateway", "sms": {"sandbox": True}}
    (directory / "otpcore.json").write_text(json.dumps(settings), encoding="utf-8")
    assert otp("send", PHONE, "--json").document["provider"] == "some_gateway"
    assert otp("doctor").code == ExitCode.OK

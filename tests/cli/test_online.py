"""`otp doctor --online`: wrong credentials are found before the first person fails, and nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from otp_aws.simulator import AwsSimulator
from otp_aws.simulator.topic import certificate_of
from otp_sinch.simulator import SinchSimulator
from otp_twilio.settings import Mode
from otp_twilio.simulator import TwilioSimulator

from otpcore.cli.exits import ExitCode
from otpcore.simulators.exchange import Fault
from otpcore.simulators.simulator import running

from ..pages import blocks  # noqa: TID252 - tests are no package that could be imported by name
from .desk import PHONE, Desk, Ended, Otp

RULES = "verify;messages;sinch;mada"


@pytest.fixture
def twilio() -> TwilioSimulator:
    return TwilioSimulator()


@pytest.fixture
def sinch() -> SinchSimulator:
    return SinchSimulator()


@pytest.fixture
def instances(desk: Desk, twilio: TwilioSimulator, sinch: SinchSimulator) -> Iterator[dict[str, Any]]:
    """Settings of an instance of each kind, with all vendors running."""
    with running(twilio, sinch):
        yield {
            "verify": {"plugin": "twilio", **twilio.provider_settings()},
            "messages": {"plugin": "twilio", **twilio.provider_settings(Mode.MESSAGING)},
            "sinch": sinch.provider_settings(),
            "mada": desk.mada.provider_settings(),
        }


def online(ended: Ended) -> dict[str, tuple[str, str, str]]:
    """Level, detail and fix of each instance."""
    checks = [one for one in ended.document["checks"] if one["about"] == "online"]
    return {one["detail"].partition(":")[0]: (one["level"], one["detail"], one["fix"]) for one in checks}


def test_each_vendor_that_can_be_asked_is_and_nothing_is_sent(
    otp: Otp, desk: Desk, twilio: TwilioSimulator, sinch: SinchSimulator, instances: dict[str, Any]
) -> None:
    desk.write(otp_sms_provider=RULES, providers=instances)
    ended = otp("doctor", "--online", "--json")
    assert ended.code == ExitCode.OK
    found = online(ended)
    assert {name: level for name, (level, *_) in found.items()} == {
        "verify": "ok",
        "messages": "ok",
        "sinch": "ok",
        "mada": "note",
    }
    assert "cannot be asked without sending" in found["mada"][1]
    assert not [*twilio.inbox, *sinch.inbox, *desk.mada.inbox, *desk.mada.requests]
    assert not online(otp("doctor", "--json")), "only where it is asked for"


@pytest.mark.parametrize(
    ("instance", "key", "wrong", "code"),
    [
        ("verify", "auth_token", "0" * 32, "20003"),
        ("verify", "service_sid", "VA" + "0" * 32, "20404"),
        ("messages", "auth_token", "0" * 32, "20003"),
        ("sinch", "application_secret", "c2VjcmV0LXRoYXQtaXMtd3Jvbmc=", "40102"),
    ],
)
def test_wrong_credentials_are_a_problem_and_right_ones_end_it(
    otp: Otp, desk: Desk, instances: dict[str, Any], instance: str, key: str, wrong: str, code: str
) -> None:
    desk.write(otp_sms_provider=RULES, providers={**instances, instance: {**instances[instance], key: wrong}})
    ended = otp("doctor", "--online", "--json")
    assert ended.code == ExitCode.REFUSED
    level, detail, fix = online(ended)[instance]
    assert (level, code in detail) == ("problem", True), detail
    assert (
        fix == f"correct providers.{instance} in the settings (URL, credentials, ids): what the vendor's console shows"
    )
    assert wrong not in ended.out
    assert ended.document["checks"][0]["about"] in ("online", "sending")
    desk.write(otp_sms_provider=RULES, providers=instances)
    assert otp("doctor", "--online", "--json").code == ExitCode.OK


@pytest.mark.parametrize("fault", [Fault.HTTP_404, Fault.HTTP_405])
def test_a_url_of_another_page_is_the_settings_affair(
    otp: Otp, desk: Desk, twilio: TwilioSimulator, sinch: SinchSimulator, instances: dict[str, Any], fault: Fault
) -> None:
    desk.write(otp_sms_provider=RULES, providers=instances)
    for simulator in (twilio, sinch):
        simulator.fail(fault, times=None)
    found = online(otp("doctor", "--online", "--json"))
    for name in ("verify", "messages", "sinch"):
        level, detail, fix = found[name]
        assert (level, "misconfigured" in detail) == ("problem", True), detail
        assert fix.startswith(f"correct providers.{name} in the settings (URL,")


def test_a_host_that_is_nobodys_may_be_a_wrong_url_too(otp: Otp, desk: Desk, instances: dict[str, Any]) -> None:
    nobody = {**instances["sinch"], "base_url": "http://127.0.0.1:1"}
    desk.write(otp_sms_provider=RULES, providers={**instances, "sinch": nobody})
    level, detail, fix = online(otp("doctor", "--online", "--json"))["sinch"]
    assert (level, "unavailable" in detail) == ("problem", True)
    assert "the provider's URL names the right host and port" in fix


def test_a_wrong_url_of_the_pages_provider_is_named_and_correcting_it_ends_it(
    otp: Otp, desk: Desk, directory: Path
) -> None:
    provider, *_, simulator, _ = blocks("writing-a-provider.md")
    (directory / "otp_acme_online.py").write_text(provider, encoding="utf-8")
    names: dict[str, Any] = {}
    exec(simulator, names)
    with names["AcmeSimulator"]() as acme:
        right = {"plugin": "otp_acme_online:create_provider", **acme.provider_settings()}
        desk.write(otp_sms_provider="Acme", providers={"acme": {**right, "base_url": f"{acme.base_url}/wrong"}})
        assert otp("send", PHONE).code == ExitCode.CONFIGURATION
        first = otp("doctor", "--json").document["checks"][0]
        assert (first["about"], first["level"]) == ("sending", "problem")
        assert "refuses our account or our settings" in first["detail"]
        assert "404, refused: see token and base_url" in first["detail"]
        assert first["fix"].startswith("correct providers.acme (URL,")
        desk.write(otp_sms_provider="Acme", providers={"acme": right})
        assert otp("send", PHONE).code == ExitCode.OK
        left = otp("doctor", "--json").document["checks"]
        assert [one["detail"] for one in left if one["level"] == "problem"] == []


def test_a_vendor_who_does_not_answer_is_waited_for_within_the_timeout(
    otp: Otp, desk: Desk, twilio: TwilioSimulator, instances: dict[str, Any]
) -> None:
    desk.write(otp_sms_provider=RULES, providers=instances, otp={"provider_timeout": 1.0})
    twilio.fail(Fault.HANG, times=None)
    ended = otp("doctor", "--online", "--json")
    assert ended.code == ExitCode.REFUSED
    level, detail, fix = online(ended)["verify"]
    assert (level, "unavailable" in detail, "reaches the vendor" in fix) == ("problem", True, True)


def test_the_sandbox_asks_nobody(otp: Otp, desk: Desk, twilio: TwilioSimulator, instances: dict[str, Any]) -> None:
    desk.write(otp_sms_provider=RULES, providers=instances, sms={"sandbox": True})
    assert otp("doctor", "--online").code == ExitCode.OK
    assert not twilio.requests


def test_what_will_not_last_is_a_note_with_its_fix(otp: Otp, desk: Desk) -> None:
    ends = datetime.now(UTC) + timedelta(days=10)
    with AwsSimulator() as aws:
        pinned = {"sns_certificates": [certificate_of("sns", datetime(2020, 1, 1, tzinfo=UTC), ends)]}
        settings = {**aws.provider_settings(), **aws.topic_settings(), **pinned}
        desk.write(otp_sms_provider="Aws", providers={"aws": settings})
        ended = otp("doctor", "--online", "--json")
    assert ended.code == ExitCode.OK, "it works now"
    checks = [one for one in ended.document["checks"] if one["about"] == "online"]
    right, soon = (one for one in checks if one["detail"].startswith("aws: "))
    assert right["level"] == "ok"
    assert right["detail"].startswith("aws: the credentials of the settings are right")
    assert soon["level"] == "note"
    assert f"is good after {ends:%Y-%m-%d}" in soon["detail"]
    assert soon["fix"] == "put the next certificate of SNS beside it in providers.aws.sns_certificates"


def test_the_fix_of_a_provider_goes_before_the_general_one(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AwsSimulator() as aws:
        settings = {**aws.provider_settings(), "access_key_id": "", "secret_access_key": ""}
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", aws.access_key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        desk.write(otp_sms_provider="Aws", providers={"aws": settings})
        level, detail, fix = online(otp("doctor", "--online", "--json"))["aws"]
    assert (level, "misconfigured" in detail) == ("problem", True)
    assert "the keys of the environment" in fix

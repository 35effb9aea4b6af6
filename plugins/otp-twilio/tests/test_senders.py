"""Senders that cannot call, loaded as a service loads them: such an instance delivers SMS only, wherever one asks."""

from __future__ import annotations

import json
import logging

import pytest
from otp_twilio import Mode

from otpcore import AsyncOTPService, NoRouteError
from otpcore.cli.main import run
from otpcore.testing import Outbox

NUMBER = "+359871234567"
SENDERS = {
    "messaging service": {"from_number": "", "messaging_service_sid": "of the account"},
    "sender name": {"from_number": "Acme"},
    "short code": {"from_number": "12345"},
}


def settings_of(bench, sender):
    """A service's, which routes everything to an instance with such a sender."""
    instance = {**bench.simulator.provider_settings(Mode.MESSAGING), **sender}
    if "messaging_service_sid" in sender:
        instance["messaging_service_sid"] = bench.simulator.messaging_service_sid
    return {**Outbox().settings, "otp_sms_provider": "twilio", "providers": {"twilio": instance}}


@pytest.fixture(params=SENDERS.values(), ids=SENDERS)
def settings(request, bench):
    return settings_of(bench, request.param)


async def test_it_sends_texts_and_is_left_out_of_calls(bench, settings):
    async with AsyncOTPService(settings) as otp:
        await otp.send_sms(NUMBER)
        assert await otp.verify(NUMBER, bench.code)
        with pytest.raises(NoRouteError) as refused:
            await otp.call(NUMBER)
        assert refused.value.reason == "no_route"
        assert (await otp.diagnose())["providers"]["twilio"]["channels"] == ["sms"]


async def test_with_a_number_beside_it_a_messaging_service_calls_too(bench):
    settings = settings_of(bench, {"from_number": "+15005550006", "messaging_service_sid": "of the account"})
    async with AsyncOTPService(settings) as otp:
        await otp.call(NUMBER)
        assert bench.form["From"] == "+15005550006"
        await otp.send_sms(NUMBER)
        assert bench.form["MessagingServiceSid"]


@pytest.fixture
def logging_as_before():
    """The command line sets up logging for its process, which is the test's here."""
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("logging_as_before")
def test_the_command_line_says_so_too(bench, settings, tmp_path, monkeypatch, capsys):
    settings["storage"] = {"url": f"sqlite:///{tmp_path}/otp.db"}
    (tmp_path / "otpcore.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def otp(*arguments):
        run([*arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    assert [one["channels"] for one in otp("providers")["instances"]] == [["sms"]]
    (step,) = otp("routes", "explain", NUMBER, "--channel", "call")["steps"]
    assert "call" in step["reason"]

"""Test numbers with fixed codes: they work when switched on by name and until their last day, and in no other way differ."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from otpcore import AsyncOTPService, ChallengeState, SettingsError, VerificationStatus
from otpcore.models import RetryOver
from otpcore.runners.worker import WorkerRunner
from otpcore.settings.tree import Settings, load_settings
from otpcore.testing import FakeClock, Outbox

REVIEWER, CODE = "+359871234567", "246810"
OTHER = "+359881234567"
LAST_MOMENT = datetime(2026, 12, 31, 23, 59, 50, tzinfo=UTC)


def sms(**changes: Any) -> dict[str, Any]:
    """``sms.*`` with one test number, switched on."""
    reviewer = {"number": REVIEWER, "code": CODE, "until": "2026-12-31"}
    return {"test_numbers": {"reviewer": reviewer}, "test_numbers_on": ["reviewer"], **changes}


@pytest.fixture(params=["memory", "sql"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., AsyncOTPService]:
    """A service as on staging, whose real provider is the outbox."""

    def make(outbox: Outbox, sections: dict[str, Any] | None = None, **arguments: Any) -> AsyncOTPService:
        outbox.clock = FakeClock(LAST_MOMENT)
        storage = {"store": request.param, "url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"}
        settings = {"environment": "staging", "sms": sms(), "storage": storage}
        return outbox.service({**settings, **(sections or {})}, **arguments)

    return make


async def test_the_fixed_code_verifies_once_and_no_provider_is_called(staging: Any, otp_outbox: Outbox) -> None:
    async with staging(otp_outbox) as otp:
        for ask in (otp.send_sms, otp.call):
            challenge = await ask(REVIEWER)
            assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, True)
            assert (challenge.provider, challenge.code) == ("test:reviewer", CODE)
        assert otp_outbox.messages == []
        assert (await otp.verify(REVIEWER, "111111")).attempts_left == 4
        assert await otp.verify(REVIEWER, CODE)
        assert (await otp.verify(REVIEWER, CODE)).status is VerificationStatus.NOT_FOUND


async def test_it_keeps_its_code_where_the_host_makes_one(staging: Any, otp_outbox: Outbox) -> None:
    async with staging(otp_outbox) as otp:
        assert (await otp.send(REVIEWER, code="135790")).code == CODE
        assert not await otp.verify(REVIEWER, "135790")
        assert await otp.verify(REVIEWER, CODE)


async def test_without_a_send_the_fixed_code_is_worth_nothing(staging: Any, otp_outbox: Outbox) -> None:
    async with staging(otp_outbox) as otp:
        assert (await otp.verify(REVIEWER, CODE)).status is VerificationStatus.NOT_FOUND
        await otp.send_sms(OTHER)
        assert not await otp.verify(OTHER, CODE) or otp_outbox.code == CODE


async def test_it_has_as_many_attempts_and_as_long_a_life_as_any_other(staging: Any, otp_outbox: Outbox) -> None:
    async with staging(otp_outbox) as otp:
        await otp.send_sms(REVIEWER)
        for _ in range(5):
            await otp.verify(REVIEWER, "111111")
        assert (await otp.verify(REVIEWER, CODE)).status is VerificationStatus.MAX_ATTEMPTS
        await otp.send_sms(REVIEWER, purpose="login")
        otp_outbox.clock.advance(301)
        assert (await otp.verify(REVIEWER, CODE, purpose="login")).status is VerificationStatus.EXPIRED


async def test_each_use_is_logged_with_its_name_and_nothing_readable(
    staging: Any, otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with staging(otp_outbox) as otp:
        await otp.send_sms(REVIEWER)
        await otp.verify(REVIEWER, CODE)
        await otp.send_sms(OTHER)
    used = [record.getMessage() for record in caplog.records if "test number" in record.getMessage()]
    assert used == [
        "test number reviewer (+3598******67) is used: no provider is called",
        "test number reviewer (+3598******67) is used: its fixed code is accepted",
    ]
    assert {record.levelno for record in caplog.records if record.getMessage() in used} == {logging.WARNING}
    written = "\n".join(record.getMessage() for record in caplog.records)
    assert CODE not in written
    assert REVIEWER[1:] not in written


async def test_after_its_last_day_it_is_an_ordinary_number(staging: Any, otp_outbox: Outbox) -> None:
    async with staging(otp_outbox) as otp:
        assert (await otp.send_sms(REVIEWER)).code == CODE
        otp_outbox.clock.advance(10)  # midnight
        challenge = await otp.send_sms(REVIEWER, purpose="later")
        assert challenge.provider == "outbox"
        assert otp_outbox.code == challenge.code
        assert bool(await otp.verify(REVIEWER, CODE, purpose="later")) is (challenge.code == CODE)


async def test_what_is_not_switched_on_is_an_ordinary_number(staging: Any, otp_outbox: Outbox) -> None:
    async with staging(otp_outbox, {"sms": sms(test_numbers_on=[])}) as otp:
        assert (await otp.send_sms(REVIEWER)).provider == "outbox"


async def test_the_retry_of_a_send_that_died_calls_no_provider_either(
    staging: Any, otp_outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staging(otp_outbox, {"sms": sms(retry=True)}, runner=WorkerRunner()) as otp:
        otp_outbox.clock.advance(-3600)  # its last day has an hour left
        with monkeypatch.context() as dying:
            dying.setattr(type(otp._service.store), "record", _die)
            with pytest.raises(KeyboardInterrupt):
                await otp.send_sms(REVIEWER)
        otp_outbox.clock.advance(15)
        (claim,) = await otp._retries.claim(10)
        assert await otp._retries.run(claim) == RetryOver()
        (view,) = await otp._service.store.view(challenge_id=claim.challenge.id)
        assert [delivery.instance for delivery in view.deliveries] == ["test:reviewer"] * 2
        assert view.challenge.state is ChallengeState.SENT
        assert otp_outbox.messages == []
        assert await otp.verify(REVIEWER, CODE)


async def _die(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("text", ["until = 2026-12-31", 'until = "2026-12-31"'])
def test_it_is_written_in_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "otpcore.toml"
    file.write_text(f'[sms.test_numbers.reviewer]\nnumber = "{REVIEWER}"\n{text}\n', encoding="utf-8")
    monkeypatch.setenv("OTPCORE_SMS__TEST_NUMBERS__REVIEWER__CODE", "012345")
    monkeypatch.setenv("OTPCORE_SMS__TEST_NUMBERS_ON", "reviewer")
    settings = load_settings(file).sms
    assert settings.test_numbers["reviewer"].until == date(2026, 12, 31)
    assert settings.test_numbers["reviewer"].code == "012345"
    assert settings.test_number(REVIEWER, date(2026, 12, 31)) == "reviewer"
    assert settings.test_number(REVIEWER, date(2027, 1, 1)) is None
    assert REVIEWER[1:] not in repr(settings)
    assert "012345" not in repr(settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"until": "soon"}, "sms.test_numbers.reviewer.until: must be a date like 2027-01-31, not 'soon'"),
        ({"until": datetime(2026, 12, 31, tzinfo=UTC)}, "sms.test_numbers.reviewer.until: must be a date"),
        ({"code": "abc123"}, "sms.test_numbers.reviewer.code: must be 4 to 10 ASCII digits"),
        ({"code": "1234"}, "sms.test_numbers.reviewer.code: must have otp.length (6) digits"),
        ({"code": 246810}, "sms.test_numbers.reviewer.code: must be text"),
        ({"number": "0871234567"}, "sms.test_numbers.reviewer.number: not a phone number"),
        ({"number": "+447700900123"}, "sms.test_numbers.reviewer.number: not a phone number in use"),
        (
            {"unti": "2026-12-31"},
            "sms.test_numbers.reviewer.unti: unknown key; did you mean sms.test_numbers.reviewer.until?",
        ),
    ],
)
def test_a_wrong_one_is_named_and_not_quoted(change: dict[str, Any], message: str) -> None:
    reviewer = {"number": REVIEWER, "code": CODE, "until": "2026-12-31", **change}
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping({"sms": {"test_numbers": {"reviewer": reviewer}, "test_numbers_on": ["reviewer"]}})
    assert message in str(refused.value)
    for secret in (reviewer["number"], str(reviewer["code"])):
        assert secret not in str(refused.value)


def test_an_end_date_is_required_and_a_number_has_one_name() -> None:
    with pytest.raises(SettingsError, match=r"sms\.test_numbers\.reviewer\.until: is required"):
        Settings.from_mapping({"sms": {"test_numbers": {"reviewer": {"number": REVIEWER, "code": CODE}}}})
    twice = {name: {"number": REVIEWER, "code": CODE, "until": "2026-12-31"} for name in ("reviewer", "tester")}
    with pytest.raises(SettingsError, match=r"sms\.test_numbers\.tester\.number: is that of reviewer too"):
        Settings.from_mapping({"sms": {"test_numbers": twice}})
    with pytest.raises(SettingsError, match=r"there is no sms\.test_numbers\.reviewr; did you mean 'reviewer'\?"):
        Settings.from_mapping({"sms": sms(test_numbers_on=["reviewr"])})


def test_production_refuses_what_is_switched_on_and_only_that() -> None:
    with pytest.raises(SettingsError, match=r'sms\.test_numbers_on: .*environment = "production"'):
        Settings.from_mapping({"sms": sms(), "environment": "production"})
    assert Settings.from_mapping({"sms": sms(test_numbers_on=[]), "environment": "production"})

"""`status()`: what each instance did for each rule prefix, what waits, who runs retries."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import attrs
import pytest

from otpcore import AsyncOTPService, BreakerStatus, DeliveryError, ErrorKind, RouteStatus, Status
from otpcore.testing import FakeClock, Outbox

MADA_PHONE, OTHER_PHONE = "+359871234567", "+12125550123"


@attrs.define
class Two:
    """Two gateways behind rules, and the service between them."""

    mada: Outbox = attrs.field(factory=Outbox)
    backup: Outbox = attrs.field(factory=Outbox)
    clock: FakeClock = attrs.field(factory=FakeClock)

    def service(self, rules: str = "mada:+35987;backup", **settings: Any) -> AsyncOTPService:
        instances = {name: {"plugin": f"two_gateways:{name}"} for name in ("mada", "backup")}
        base = {**self.mada.settings, "otp_sms_provider": rules, "providers": instances}
        return AsyncOTPService({**base, **settings}, clock=self.clock)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Two:
    made = Two()
    module: Any = types.ModuleType("two_gateways")
    module.mada, module.backup = lambda context: made.mada, lambda context: made.backup
    monkeypatch.setitem(sys.modules, "two_gateways", module)
    return made


def route(status: Status, instance: str, prefix: str = "") -> RouteStatus:
    (found,) = [one for one in status.routes if (one.instance, one.prefix) == (instance, prefix)]
    return found


async def test_sends_are_counted_under_the_prefix_that_led_them(two: Two) -> None:
    async with two.service() as otp:
        await otp.send_sms(MADA_PHONE)
        assert await otp.verify(MADA_PHONE, two.mada.code)
        await otp.send_sms(OTHER_PHONE)
        status = await otp.status()
    assert route(status, "mada", "+35987") == RouteStatus(instance="mada", prefix="+35987", accepted=1, verified=1)
    assert route(status, "backup") == RouteStatus(instance="backup", accepted=1)
    assert len(status.routes) == 2


async def test_failures_are_told_by_kind_and_the_window_ends(two: Two) -> None:
    two.backup.fail(ErrorKind.THROTTLED)
    two.backup.fail(ErrorKind.BLOCKED)
    async with two.service() as otp:
        for _ in range(2):
            with pytest.raises(DeliveryError):
                await otp.send_sms(OTHER_PHONE)
        assert route(await otp.status(), "backup").failed == {"throttled": 1, "blocked": 1}
        two.clock.advance(60)
        assert route(await otp.status(window=59), "backup") == RouteStatus(instance="backup")
        assert route(await otp.status(window=60), "backup").failed
        assert route(await otp.status(window=1e15), "backup").failed
        assert not route(await otp.status(window=-1), "backup").failed


async def test_an_instance_without_traffic_is_shown_too(two: Two) -> None:
    async with two.service() as otp:
        status = await otp.status()
    assert status.routes == (RouteStatus(instance="backup"), RouteStatus(instance="mada"))
    assert status.workers == ()


async def test_an_open_breaker_and_what_waits_for_it(two: Two) -> None:
    two.backup.fail(ErrorKind.UNAVAILABLE, times=100)
    settings = {"sms": {"retry": True}, "retry": {"runner": "inline", "breaker_threshold": 2}}
    async with two.service(**settings) as otp:
        otp._runner.submit = _later
        for number in range(2):
            await otp.send_sms(f"+1212555012{number}")
            two.clock.advance(3)
        backup = route(await otp.status(), "backup")
    assert (backup.queued, backup.failed) == (2, {"unavailable": 2})
    assert backup.oldest == FakeClock()()
    opened = FakeClock()
    opened.advance(3)
    probe = FakeClock()
    probe.advance(4)
    assert backup.breaker == BreakerStatus(failures=2, is_open=True, open_since=opened(), next_probe=probe())


async def _later(job: object) -> None:
    """Leave the retry to somebody else."""


async def test_a_rule_for_one_number_is_kept_masked(two: Two) -> None:
    async with two.service(f"mada:{MADA_PHONE};backup") as otp:
        await otp.send_sms(MADA_PHONE)
        status = await otp.status()
    assert route(status, "mada", "+3598******67").accepted == 1
    assert MADA_PHONE not in json.dumps(status.to_dict())


async def test_a_forced_list_has_no_prefix(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp_sms_provider": "outbox:+35987"}) as otp:
        await otp.send_sms(MADA_PHONE)
        assert route(await otp.status(), "outbox").accepted == 1


def test_the_blocking_service_tells_the_same_ready_for_json(otp_outbox: Outbox) -> None:
    with otp_outbox.blocking_service() as otp:
        otp.send_sms(MADA_PHONE)
        document = json.loads(json.dumps(otp.status().to_dict()))
    assert document["since"] == "2030-01-01T11:00:00+00:00"
    assert document["routes"] == [
        {
            "instance": "outbox",
            "prefix": "",
            "accepted": 1,
            "failed": {},
            "unanswered": 0,
            "verified": 0,
            "relayed": 0,
            "queued": 0,
            "oldest": None,
            "breaker": {"failures": 0, "is_open": False, "open_since": None, "next_probe": None},
        }
    ]
    assert document["workers"] == []

"""A host's clock: any aware one is turned into UTC once, so that no night of the change is repeated; a naive one is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from otpcore import AsyncOTPService, OTPConfigurationError, OTPService, SettingsError
from otpcore.simulators.simulator import Simulator
from otpcore.testing import FakeClock, Outbox

SOFIA = ZoneInfo("Europe/Sofia")
CHANGE = datetime(2026, 10, 25, 1, tzinfo=UTC)  # the clocks of Sofia go back from 4 to 3
PHONE = "+359871234567"


class Wall:
    """A wall clock in some zone, moved by real seconds."""

    def __init__(self, start: datetime, zone: ZoneInfo) -> None:
        self.now, self.zone = start, zone

    def __call__(self) -> datetime:
        return self.now.astimezone(self.zone)


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize(("seconds", "approved"), [(0, True), (240, True), (299, True), (301, False), (3_700, False)])
async def test_a_code_lives_as_long_in_the_night_of_the_change(
    tmp_path: Path, store: str, seconds: int, approved: bool
) -> None:
    wall, outbox = Wall(CHANGE - timedelta(minutes=2), SOFIA), Outbox()
    storage = {"store": "memory"} if store == "memory" else {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"}
    settings = {**outbox.settings, "storage": storage}
    async with AsyncOTPService(settings, providers=outbox.providers, clock=wall) as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.expires_at == wall.now + timedelta(minutes=5)
        assert challenge.expires_at.utcoffset() == timedelta(0)
        wall.now += timedelta(seconds=seconds)
        assert bool(await otp.verify(PHONE, outbox.code)) is approved


NAIVE: list[Callable[[], object]] = [
    lambda: datetime(2030, 1, 1),  # noqa: DTZ001 - on purpose
    lambda: 1_893_456_000.0,
    lambda: None,
]


@pytest.mark.parametrize("clock", NAIVE)
async def test_a_clock_without_a_time_zone_stops_the_start(clock: Callable[[], datetime]) -> None:
    outbox = Outbox()
    otp = AsyncOTPService(outbox.settings, providers=outbox.providers, clock=clock)
    with pytest.raises(SettingsError, match=r"^clock: must tell an aware time.*datetime\.now\(UTC\)"):
        async with otp:
            pass


def test_the_blocking_service_refuses_it_at_its_start_too() -> None:
    outbox = Outbox()
    with (
        pytest.raises(OTPConfigurationError, match=r"^clock:"),
        OTPService(
            outbox.settings,
            providers=outbox.providers,
            clock=lambda: datetime(2030, 1, 1),  # noqa: DTZ001 - on purpose
        ),
    ):
        pass


def test_a_simulated_vendor_reads_the_same_clock_in_utc() -> None:
    simulator, wall = Simulator(), Wall(CHANGE - timedelta(minutes=2), SOFIA)
    simulator.clock = wall
    begun = simulator.clock()
    wall.now += timedelta(minutes=61)
    assert simulator.clock() - begun == timedelta(minutes=61)
    simulator.clock = lambda: datetime(2030, 1, 1)  # noqa: DTZ001 - on purpose
    with pytest.raises(SettingsError, match=r"^clock:"):
        simulator.clock()


def test_the_clock_of_tests_moves_by_real_seconds_in_any_zone() -> None:
    clock = FakeClock(datetime(2026, 10, 25, 3, 58, tzinfo=SOFIA))
    clock.advance(3_600)
    assert clock() == CHANGE - timedelta(minutes=2) + timedelta(hours=1)
    with pytest.raises(SettingsError, match=r"^clock:"):
        FakeClock(datetime(2030, 1, 1))  # noqa: DTZ001 - on purpose

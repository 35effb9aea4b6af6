"""What stops sending now: `otp doctor` and `otp status` begin with it, and the fix that they name ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import attrs
import pytest

from otpcore import AsyncOTPService, DeliveryError, ObstacleKind, Stops
from otpcore.cli.exits import ExitCode
from otpcore.runners.worker import WorkerRunner

from .desk import OTHER_PHONE, PHONE, Desk, Otp, send_at
from .test_doctor import beat


@attrs.frozen
class Case:
    """One thing that is in the way.

    Args:
        arrange: Puts it there.
        follow: What the fix says.
        says: Words of the finding.
        fix: Words of the fix.
    """

    kind: ObstacleKind
    stops: Stops
    arrange: Callable[[Otp, Desk], object]
    follow: Callable[[Otp, Desk], object]
    says: tuple[str, ...]
    fix: str


def _fail_until_the_breaker_opens(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True}, retry={"breaker_threshold": 1})
    desk.mada.down()
    beat(desk, datetime.now(UTC))
    otp("send", PHONE)
    otp("send", OTHER_PHONE)


def _take_messages_again(otp: Otp, desk: Desk) -> None:
    desk.mada.up()
    anyio.run(_work_until_sent)


async def _work_until_sent() -> None:
    async with AsyncOTPService.from_settings(runner="background") as service:
        with anyio.fail_after(20):
            while any(route.queued for route in (await service.status()).routes):
                await anyio.sleep(0.05)


def _use_a_wrong_password(otp: Otp, desk: Desk) -> None:
    desk.write(providers={"mada": {**desk.mada.provider_settings(), "password": "not-the-one"}})
    for _ in range(3):
        assert otp("send", PHONE).code == ExitCode.CONFIGURATION


def _use_the_right_one(otp: Otp, desk: Desk) -> None:
    desk.write()
    assert otp("send", PHONE).code == ExitCode.OK


def _leave_a_retry_behind(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True}, retry={"breaker_threshold": 100})
    desk.mada.down()
    send_at(datetime.now(UTC) - timedelta(minutes=2), PHONE)


def _send_without_a_client(otp: Otp, desk: Desk) -> None:
    send_at(datetime.now(UTC), PHONE)


def _name_the_client(otp: Otp, desk: Desk) -> None:
    send_at(datetime.now(UTC), OTHER_PHONE, client="203.0.113.7")


CASES = [
    Case(
        ObstacleKind.PAUSED,
        Stops.EVERYBODY,
        lambda otp, _: otp("pause", "--for", "2h"),
        lambda otp, _: otp("resume"),
        ("sending is paused, since 20", ", until 20"),
        "otp resume",
    ),
    Case(
        ObstacleKind.DENIED,
        Stops.EVERYBODY,
        lambda otp, _: otp("limits", "deny", "+"),
        lambda otp, _: otp("limits", "deny", "+", "--clear"),
        ("every number is denied (+), since 20",),
        "otp limits deny + --clear",
    ),
    Case(
        ObstacleKind.DENIED,
        Stops.SOME,
        lambda otp, _: otp("limits", "deny", "+35987", "--for", "30m"),
        lambda otp, _: otp("limits", "deny", "+35987", "--clear"),
        ("numbers that begin +35987 are denied, since 20", ", until 20"),
        "otp limits deny +35987 --clear",
    ),
    Case(
        ObstacleKind.BREAKER_OPEN,
        Stops.EVERYBODY,
        _fail_until_the_breaker_opens,
        _take_messages_again,
        ("mada has failed", "2 sends wait for it", "since 20", "its last words: no connection to 127.0.0.1:"),
        "the first message that mada takes ends it",
    ),
    Case(
        ObstacleKind.MISCONFIGURED,
        Stops.EVERYBODY,
        _use_a_wrong_password,
        _use_the_right_one,
        ("mada refuses our account or our settings, 3 times in the last 60 min, since 20", "its last words: "),
        "correct providers.mada",
    ),
    Case(
        ObstacleKind.NO_RULES,
        Stops.EVERYBODY,
        lambda _, desk: desk.write(otp_sms_provider=""),
        lambda otp, _: otp("routes", "set", "Mada"),
        ("no rules",),
        "otp_sms_provider",
    ),
    Case(
        ObstacleKind.DRAINED,
        Stops.EVERYBODY,
        lambda otp, _: otp("instances", "drain", "mada"),
        lambda otp, _: otp("instances", "take-back", "mada"),
        ("mada is drained: it gets no new sends and no retries, since 20",),
        "otp instances take-back mada",
    ),
    Case(
        ObstacleKind.NO_WORKER,
        Stops.SOME,
        _leave_a_retry_behind,
        _take_messages_again,
        ("nobody runs retries, and 1 send waits for a next try, since 20",),
        "otp worker",
    ),
    Case(
        ObstacleKind.NO_CLIENT,
        Stops.NOBODY,
        _send_without_a_client,
        _name_the_client,
        ("limits.client sees nothing: of the host's last sends not one named its client",),
        "pass client=",
    ),
]
SECTIONS = {ObstacleKind.NO_RULES: "rules"}
IDS = [f"{case.kind} {case.stops}" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_what_is_in_the_way_is_told_first_and_its_fix_leads_out(otp: Otp, desk: Desk, case: Case) -> None:
    case.arrange(otp, desk)
    doctor = otp("doctor", "--json")
    about = SECTIONS.get(case.kind, "sending")
    finding = next(one for one in doctor.document["checks"] if one["about"] == about and case.says[0] in one["detail"])
    assert all(words in finding["detail"] for words in case.says), finding
    assert case.fix in finding["fix"] or case.kind is ObstacleKind.NO_RULES
    is_stopping = case.stops is not Stops.NOBODY
    assert (finding["level"], doctor.code) == (("problem", 1) if is_stopping else ("note", 0))
    if about == "sending":
        assert doctor.document["checks"][0]["about"] == "sending"
    status = otp("status", "--json").document
    assert list(status)[:2] == ["is_ready", "obstacles"]
    [obstacle] = [one for one in status["obstacles"] if one["kind"] == case.kind]
    assert (obstacle["stops"], status["is_ready"]) == (case.stops, case.stops is not Stops.EVERYBODY)
    assert case.fix in otp("status").out
    probe = otp("status", "--check")
    assert probe.code == (ExitCode.REFUSED if case.stops is Stops.EVERYBODY else ExitCode.OK)
    assert len(probe.out.splitlines()) == 1

    case.follow(otp, desk)
    left = [one["kind"] for one in otp("status", "--json").document["obstacles"]]
    assert case.kind not in left
    assert case.says[0] not in otp("doctor").out
    assert otp("status", "--check").out == "ready\n"


def test_what_the_command_line_sends_says_nothing_of_how_a_host_names_clients(otp: Otp, desk: Desk) -> None:
    assert otp("send", PHONE).code == ExitCode.OK
    assert otp("status", "--json").document["obstacles"] == []
    assert "limits.client" not in otp("doctor").out
    send_at(datetime.now(UTC), OTHER_PHONE)
    assert otp("call", PHONE, "--client", "203.0.113.7").code != ExitCode.BUG
    assert [one["kind"] for one in otp("status", "--json").document["obstacles"]] == ["no_client"]


def test_pausing_again_tells_since_when_it_is_paused(otp: Otp, desk: Desk) -> None:
    otp("pause")
    [first] = otp("status", "--json").document["obstacles"]
    otp("pause", "--for", "1h")
    [second] = otp("status", "--json").document["obstacles"]
    assert first["since"] == second["since"]
    assert (first["until"], second["until"] is None) == (None, False)


def test_one_instance_out_of_two_stops_not_everybody(otp: Otp, desk: Desk) -> None:
    wrong = {**desk.mada.provider_settings(), "password": "not-the-one", "plugin": "mada"}
    desk.write(otp_sms_provider="first;mada", providers={"first": wrong})
    assert otp("send", PHONE).code == ExitCode.OK
    [obstacle] = [one for one in otp("status", "--json").document["obstacles"] if one["kind"] == "misconfigured"]
    assert (obstacle["instance"], obstacle["stops"]) == ("first", "some")
    assert otp("status", "--check").code == ExitCode.OK
    assert otp("doctor").code == ExitCode.REFUSED


@pytest.mark.parametrize("spoil", ["settings", "database"])
def test_the_probe_fails_where_it_cannot_ask(otp: Otp, desk: Desk, spoil: str) -> None:
    if spoil == "settings":
        desk.write(otp={"length": 99})
    else:
        (desk.directory / "otpcore.sqlite3").write_bytes(b"no database at all" * 100)
    ended = otp("status", "--check", "--json")
    assert ended.code == ExitCode.REFUSED
    assert ended.document["ready"] is False
    assert ended.document["reasons"][0]["detail"]


async def test_a_host_gets_the_same_as_data(desk: Desk) -> None:
    desk.write(retry={"breaker_threshold": 1})
    desk.mada.down()
    async with AsyncOTPService.from_settings(runner=WorkerRunner()) as service:
        with pytest.raises(DeliveryError):
            await service.send_sms(PHONE, client="203.0.113.7")
        status = await service.status()
    [obstacle] = status.obstacles
    assert (obstacle.kind, obstacle.stops, obstacle.instance) == (ObstacleKind.BREAKER_OPEN, Stops.EVERYBODY, "mada")
    assert obstacle.words.startswith("no connection to 127.0.0.1")
    assert obstacle.since is not None
    assert not status.is_ready

"""Limits through the service: each kind refuses with its reason, for exactly so many, and all is recorded."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from otpcore import DeliveryError, EventType, RateLimited
from otpcore.testing import Outbox, wrong_code

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name
from .hosts import GERMAN, OTHERS, PHONE, SATELLITES, Host, reasons, refused


@pytest.mark.parametrize(
    ("reason", "limits", "more"),
    [
        ("client", {"client": ["2/1h"]}, {"client": "2001:db8::1"}),
        ("prefix", {"prefix": {"+35988": ["2/1h"]}}, {}),
        ("country", {"country": ["2/1h"]}, {}),
        ("country", {"country": ["9/1h"], "countries": {"BG": ["2/1h"]}}, {}),
        ("channel", {"channel": {"sms": ["2/1h"], "call": ["1/1h"]}}, {}),
        ("global", {"global": ["2/1h"]}, {}),
    ],
)
async def test_each_limit_refuses_with_its_reason_and_the_wait(
    otp_outbox: Outbox, reason: str, limits: dict[str, Any], more: dict[str, Any]
) -> None:
    host = Host(otp_outbox, limits)
    async with host.otp as otp:
        for phone in OTHERS[:2]:
            otp_outbox.clock.advance(60)
            await otp.send_sms(phone, **more)
        error = await refused(otp, OTHERS[2], **more)
        assert (error.reason, error.retry_after) == (reason, 3540)
        assert len(otp_outbox.messages) == 2
        assert reasons(host.recorder, EventType.SEND_REFUSED) == [reason]
        (record,) = await host.refusals()
        assert (record.reason, record.phone_masked, record.channel, record.purpose) == (
            reason,
            "+3598******02",
            "sms",
            "default",
        )
        otp_outbox.clock.advance(3540)
        await otp.send_sms(OTHERS[2], **more)


async def test_a_client_counts_by_its_network_and_without_one_nobody_does(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"client": ["2/1h"]})
    async with host.otp as otp:
        await otp.send_sms(OTHERS[0], client="2001:db8:0:1::1")
        await otp.send_sms(OTHERS[1], client="2001:db8:0:1:ffff::2")
        assert (await refused(otp, OTHERS[2], client="2001:db8:0:1::3")).reason == "client"
        await otp.send_sms(OTHERS[2], client="2001:db8:0:2::1")
        for phone in OTHERS[3:9]:
            await otp.send_sms(phone)
        assert not any("2001" in counter.key for counter in await host.store.counters("", otp_outbox.clock()))


async def test_a_client_pays_once_for_a_resend_nothing_for_a_double_click_and_for_good(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"client": ["3/1h"], "phone": ["3/1h"]})
    async with host.otp as otp:

        async def counts() -> dict[str, int]:
            found = await host.store.counters("", otp_outbox.clock())
            return {key: one.count for one in found if (key := one.key.split("/")[1]) in ("client", "send")}

        await otp.send_sms(PHONE, client="203.0.113.7")
        for _ in range(3):
            await otp.send_sms(PHONE, client="203.0.113.7")
        assert await counts() == {"client": 1, "send": 1}
        otp_outbox.clock.advance(40)
        await otp.send_sms(PHONE, client="203.0.113.7")
        assert await counts() == {"client": 2, "send": 2}
        otp_outbox.clock.advance(40)
        otp_outbox.fail("blocked")
        with pytest.raises(DeliveryError):
            await otp.send_sms(PHONE, client="203.0.113.7")
        assert await counts() == {"client": 3, "send": 2}, "nothing was sent; the phone gets it back, the client not"
        assert (await refused(otp, PHONE, client="203.0.113.7")).reason == "client"


async def test_the_defaults_hold_off_one_client(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {}}) as otp:
        for phone in OTHERS[:20]:
            await otp.send_sms(phone, client="203.0.113.7")
        assert (await refused(otp, OTHERS[20], client="203.0.113.7")).reason == "client"


async def test_the_living_challenge_comes_back_before_any_limit(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"phone": ["1/1h"]})
    async with host.otp as otp:
        first = await otp.send_sms(PHONE)
        await host.switch()
        otp_outbox.clock.advance(10)
        again = await otp.send_sms(PHONE)
        assert (again.id, len(otp_outbox.messages)) == (first.id, 1)
        assert await host.refusals() == []
        otp_outbox.clock.advance(20)
        assert (await refused(otp, PHONE)).reason == "paused"


async def test_windows_survive_a_restart(otp_outbox: Outbox, tmp_path: Path) -> None:
    settings = {"limits": {"phone": ["1/1h"]}, "storage": {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"}}
    async with otp_outbox.service(settings) as otp:
        await otp.send_sms(PHONE)
    otp_outbox.clock.advance(60)
    async with otp_outbox.service(settings) as otp:
        assert (await refused(otp, PHONE)).retry_after == 3540


PROCESS = """
import sys
import anyio
from otpcore import AsyncOTPService, RateLimited
from otpcore.testing import EventRecorder, Outbox, wrong_code

outbox = Outbox()
kind, limits = sys.argv[2], {"global": ["20/1d"], "country": [], "phone": [], "unverified": [], "neighbours": []}
if kind == "mixed":
    limits = {"global": ["30/1d"], "countries": {"BG": ["25/1d"]}, "prefix": {"+35988": ["20/1d"]}, "client": ["22/1d"]}
settings = {**outbox.settings, "storage": {"url": f"sqlite:///{sys.argv[1]}"}, "limits": limits}


async def main():
    passed = []

    async def send(otp, number):
        try:
            await otp.send_sms(f"+35988{number:07d}", client="203.0.113.7")
        except RateLimited:
            return
        passed.append(number)

    async with AsyncOTPService(settings, providers=outbox.providers) as otp:
        print("ready", flush=True)
        first = int(sys.stdin.readline())
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(send, otp, first + number * 101)
    print(len(passed), len(outbox.messages), flush=True)


anyio.run(main, backend=sys.argv[3])
"""


@pytest.mark.parametrize("kind", ["global", "mixed"])
def test_exactly_so_many_of_several_processes_on_one_file_get_through(
    tmp_path: Path, kind: str, forked: Preloaded
) -> None:
    command = [forked.python, "-c", PROCESS, str(tmp_path / "otp.sqlite3"), kind]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, backend], **pipes) for backend in ("asyncio", "trio", "asyncio")]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for number, process in enumerate(processes):
        process.stdin.write(f"{1_000_000 + number * 200_000}\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sum(int(passed) for passed, _ in ended) == 20
    assert sum(int(sent) for _, sent in ended) == 20


# Numbers without a region.

NOWHERE = [f"+1357555013{digit}" for digit in range(1, 6)]  # in no region's range


@pytest.mark.parametrize(
    ("limits", "numbers"),
    [
        ({"country": ["2/1h"]}, NOWHERE),
        ({"countries": {"US": ["2/1h"]}}, NOWHERE),
        ({"country": ["2/1h"]}, SATELLITES),
        ({"unverified": ["2/1d"], "unverified_mode": "enforce"}, NOWHERE),
        ({"unverified": ["2/1d"], "unverified_mode": "enforce"}, SATELLITES),
    ],
)
async def test_a_number_of_no_region_counts_all_the_same(
    otp_outbox: Outbox, limits: dict[str, Any], numbers: list[str]
) -> None:
    host = Host(otp_outbox, limits, otp={"number_policy": "possible"})
    async with host.otp as otp:
        for phone in numbers[:2]:
            await otp.send_sms(phone)
        for phone in numbers[2:]:
            assert (await refused(otp, phone)).reason in ("country", "unverified")


# Budgets and neighbours.


async def test_sends_that_never_verify_use_the_budget_up_and_whoever_verifies_refills_it(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"unverified": ["3/1d"], "unverified_mode": "enforce"})
    async with host.otp as otp:
        for phone in OTHERS[:3]:
            await otp.send_sms(phone)
        error = await refused(otp, OTHERS[3])
        assert (error.reason, error.retry_after) == ("unverified", 86_400)
        await otp.send_sms(GERMAN)
        assert await otp.verify(OTHERS[2], otp_outbox.messages[2].code)
        await otp.send_sms(OTHERS[3])
        assert (await refused(otp, OTHERS[4])).reason == "unverified"
        assert [record.key for record in await host.store.budgets()] == ["BG//86400", "DE//86400"]


async def test_a_rule_prefix_has_a_budget_of_its_own(otp_outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("tests_outbox")
    module.create_provider = lambda _: otp_outbox
    monkeypatch.setitem(sys.modules, "tests_outbox", module)
    settings = {
        "limits": {"unverified": ["1/1d"], "unverified_mode": "enforce"},
        "otp_sms_provider": "outbox;outbox:+35987",
        "providers": {"outbox": {"plugin": "tests_outbox:create_provider"}},
    }
    async with otp_outbox.service(settings, providers=None) as otp:
        await otp.send_sms(PHONE)
        assert (await refused(otp, "+359871234599")).reason == "unverified"
        await otp.send_sms(OTHERS[0])
        assert (await refused(otp, OTHERS[1])).reason == "unverified"


async def test_a_budget_that_only_records_lets_everybody_pass_and_says_so(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"unverified": ["2/1d"]})
    async with host.otp as otp:
        for phone in OTHERS[:4]:
            await otp.send_sms(phone)
        assert len(otp_outbox.messages) == 4
        assert reasons(host.recorder, EventType.LIMIT_NOTED) == ["unverified", "unverified"]
        assert [(one.reason, one.enforced) for one in await host.refusals()] == [("unverified", False)] * 2


async def test_a_run_of_neighbouring_numbers_is_noticed_and_a_repeated_one_is_none(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"neighbours": ["3/1h"], "unverified": []})
    async with host.otp as otp:
        for number in (11, 12, 12, 13, 11, 14, 15):
            await otp.send_sms(f"+3598712345{number}")
            otp_outbox.clock.advance(31)
        assert reasons(host.recorder, EventType.LIMIT_NOTED) == ["neighbours", "neighbours"]
        assert {(one.reason, one.enforced, one.phone_masked) for one in await host.refusals()} == {
            ("neighbours", False, "+3598******14"),
            ("neighbours", False, "+3598******15"),
        }


async def test_a_locked_phone_is_recorded_too(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"lock_after": 1})
    async with host.otp as otp:
        await otp.send_sms(PHONE)
        wrong = wrong_code(otp_outbox.code)
        await otp.verify(PHONE, wrong)
        with pytest.raises(RateLimited, match="locked"):
            await otp.verify(PHONE, wrong)
        assert [(one.asked, one.reason, one.phone_masked) for one in await host.refusals()] == [
            ("verify", "locked", "+3598******67")
        ]


async def test_a_person_is_erased_everywhere(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"phone": ["1/1d"], "neighbours": ["1/1d"]})
    async with host.otp as otp:
        await otp.send_sms(PHONE)
        await otp.verify(PHONE, otp_outbox.code)
        await refused(otp, PHONE)
        count = await otp.purge(phone=PHONE)
        assert (count.counters, count.refusals, count.verified) == (2, 1, 1)
        assert await host.refusals() == []
        assert not [one for one in await host.store.counters("", otp_outbox.clock()) if "/send/" in one.key]


async def test_a_call_counts_as_a_send(otp_outbox: Outbox) -> None:
    host = Host(otp_outbox, {"phone": ["3/10m"]})
    async with host.otp as otp:
        for send in (otp.send_sms, otp.call, otp.send_sms):
            otp_outbox.clock.advance(31)
            await send(PHONE)
        otp_outbox.clock.advance(31)
        with pytest.raises(RateLimited, match="phone"):
            await otp.call(PHONE)
        assert len(otp_outbox.messages) == 3

"""Receipts about a send that a resend has replaced: what a host and an operator see of them."""

from __future__ import annotations

import json
from pathlib import Path

import anyio.to_thread
import pytest

from otpcore import ReceiptOutcome
from otpcore.cli.main import run
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.testing import FakeClock

from .carriers import PHONE, Scene, said

_LATE = [
    (["lost M1"], ("sent", True, None, "first"), ["undelivered", "accepted"]),
    (["refused M1"], ("sent", True, None, "first"), ["undelivered", "accepted"]),
    (["delivered M1", "lost M2"], ("sent", True, None, "first"), ["accepted", "undelivered"]),
    (["delivered M1", "refused M2"], ("sent", True, None, "first"), ["accepted", "undelivered"]),
    (["refused M2", "delivered M1"], ("sent", True, None, "first"), ["accepted", "undelivered"]),
    (["lost M1", "refused M2"], ("unsendable", False, "permanent", "first"), ["undelivered", "undelivered"]),
    (["lost M2", "lost M1"], ("sent", True, None, "second"), ["undelivered", "undelivered", "accepted"]),
]


@pytest.mark.parametrize(("receipts", "state", "outcomes"), _LATE)
async def test_what_a_host_and_an_operator_see_of_receipts_that_come_after_a_resend(
    receipts: list[str],
    state: tuple[str, bool, str | None, str],
    outcomes: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys = generate_keys(utc_now())
    settings = {
        "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
        "storage": {"store": "sql", "url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
    }
    scene, clock = Scene(), FakeClock(utc_now())
    async with scene.service(settings, clock=clock) as otp:
        challenge = await otp.send_sms(PHONE)
        clock.advance(31)
        assert (await otp.send_sms(PHONE)).id == challenge.id
        for receipt in receipts:
            assert (await otp.handle_receipt("first", said(receipt))).outcomes == (ReceiptOutcome.APPLIED,)
        seen = await otp.send_sms(PHONE)  # in its cooldown it is only shown
        assert (seen.state, seen.confirmed, seen.provider) == (state[0], state[1], state[3])
        file = tmp_path / "otpcore.json"
        file.write_text(json.dumps(settings), encoding="utf-8")
        file.chmod(0o600)
        command = ["--settings", str(file), "--json", "challenges", "show", challenge.id]
        assert await anyio.to_thread.run_sync(run, command) == 0
        (shown,) = json.loads(capsys.readouterr().out)["challenges"]
        assert (shown["state"], shown["confirmed"], shown["reason"], shown["provider"]) == state
        assert [delivery["outcome"] for delivery in shown["deliveries"]] == outcomes
        assert await otp.verify(challenge_id=challenge.id, code=scene.first.messages[0].code or "")

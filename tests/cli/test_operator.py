"""What operators look into and mend: retries, challenges, limits, database, purge."""

from __future__ import annotations

import sqlite3

import pytest

from otpcore.cli._exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp


@pytest.fixture
def queued(otp: Otp, desk: Desk) -> str:
    """The id of a challenge whose retry waits for a worker."""
    desk.write(sms={"retry": True}, retry={"first_delay": 600, "max_delay": 600}, otp={"life": 600})
    desk.mada.down()
    sent = otp("send", PHONE, "--json")
    assert sent.document["state"] == "unsendable" or sent.document["state"] == "queued"
    return str(sent.document["id"])

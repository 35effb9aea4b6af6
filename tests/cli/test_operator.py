"""What operators look into and mend: retries, challenges, limits, database, purge."""

from __future__ import annotations

import os
import pty
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otpcore.cli.exits import ExitCode
from otpcore.testing import wrong_code

from .desk import OTHER_PHONE, PHONE, Desk, Otp, send_at

UNKNOWN_ID = "7Y-rvvxNXifcfyo_pSCiDkQq"

HOST = """
from otpcore import AsyncOTPService, load_settings
from otpcore.providers import hookimpl

class Observer:
    events = []

    @hookimpl
    def otp_event(self, event):
        self.events.append((str(event.type), event.reason))

otp = AsyncOTPService(load_settings(), observers=[Observer()])
"""


@pytest.fixture
def queued(otp: Otp, desk: Desk) -> str:
    """The id of a challenge whose retry waits for a worker."""
    desk.write(sms={"retry": True}, retry={"first_delay": 60, "max_delay": 60})
    desk.mada.down()
    sent = otp("send", PHONE, "--json")
    assert sent.document["state"] == "queued"
    return str(sent.document["id"])


def waiting(otp: Otp) -> list[str]:
    return [retry["challenge_id"] for retry in otp("retries", "list", "--json").document["retries"]]


def test_retries_that_wait_are_listed(otp: Otp, queued: str) -> None:
    [retry] = otp("retries", "list", "--json").document["retries"]
    assert retry["challenge_id"] == queued
    assert (retry["phone"], retry["channel"], retry["under_way"]) == ("+3598******67", "sms", False)
    assert queued in otp("retries", "list").out
    assert otp("retries", "list", "--reveal", "--json").document["retries"][0]["phone"] == PHONE


def test_a_requeued_retry_is_due_at_once(otp: Otp, queued: str) -> None:
    before = otp("retries", "list", "--json").document["retries"][0]["due_at"]
    assert otp("retries", "requeue", queued, "--json").document["requeued"] == 1
    assert otp("retries", "list", "--json").document["retries"][0]["due_at"] < before


def test_a_dropped_retry_is_never_sent_and_the_hosts_observers_hear_of_it(
    otp: Otp, desk: Desk, queued: str, directory: Path
) -> None:
    (directory / "drophost.py").write_text(HOST, encoding="utf-8")
    dropped = otp("retries", "drop", queued, "--app", "drophost:otp", "--json")
    assert dropped.document["state"] == "unsendable"
    assert waiting(otp) == []
    assert __import__("drophost").Observer.events == [("unsendable", "failed"), ("operator_changed", "retries.drop")]
    assert otp("retries", "drop", queued).code == ExitCode.REFUSED
    assert otp("retries", "requeue", queued).code == ExitCode.REFUSED


def test_a_challenge_is_shown_with_deliveries_and_retries(otp: Otp, queued: str) -> None:
    [by_id] = otp("challenges", "show", queued, "--json").document["challenges"]
    [by_phone] = otp("challenges", "show", PHONE, "--json").document["challenges"]
    assert by_id == by_phone
    assert (by_id["state"], by_id["living"], by_id["phone"]) == ("queued", True, "+3598******67")
    assert [(one["provider"], one["outcome"]) for one in by_id["deliveries"]] == [("mada", "unavailable")]
    assert [one["under_way"] for one in by_id["retries"]] == [False]
    shown = otp("challenges", "show", queued)
    assert "unavailable" in shown.out
    [revealed] = otp("challenges", "show", queued, "--reveal", "--json").document["challenges"]
    assert revealed["phone"] == PHONE


@pytest.mark.parametrize("target", [UNKNOWN_ID, f"-{UNKNOWN_ID}", OTHER_PHONE])
def test_what_is_not_there_is_a_refusal(otp: Otp, desk: Desk, target: str) -> None:
    ended = otp("challenges", "show", target)
    assert ended.code == ExitCode.REFUSED
    assert "no such challenge" in ended.err


def test_what_a_phone_has_used_up_is_shown_and_forgotten(otp: Otp, desk: Desk) -> None:
    desk.write(limits={"phone": ["1/10m", "9/1d"], "lock_after": 2})
    otp("send", PHONE)
    wrong = wrong_code(desk.code())
    for _ in range(2):
        assert otp("verify", PHONE, wrong).code == ExitCode.REFUSED
    assert otp("verify", PHONE, desk.code()).code == ExitCode.RATE_LIMITED
    shown = otp("limits", "show", PHONE, "--json").document
    assert [(one["window"], one["count"], one["limit"]) for one in shown["sends"]] == [(600, 1, 1), (86_400, 1, 9)]
    assert [(one["client"], one["failures"], one["locked"]) for one in shown["failures"]] == [
        ("none named", 2, True),
        ("all", 2, False),
    ]
    assert "not locked" in otp("limits", "show", PHONE).out
    assert otp("limits", "reset", PHONE, "--json").document["removed"] == 5
    assert otp("limits", "show", PHONE, "--json").document["sends"] == []
    assert otp("verify", PHONE, desk.code()).code == ExitCode.OK


def test_the_tables_are_made_and_their_revision_is_said(otp: Otp, desk: Desk) -> None:
    (desk.directory / "otpcore.sqlite3").unlink()
    missing = otp("db", "current")
    assert missing.code == ExitCode.UNAVAILABLE
    assert "otp db upgrade" in missing.err
    upgraded = otp("db", "upgrade", "--json")
    assert upgraded.code == ExitCode.OK
    current = otp("db", "current", "--json")
    assert current.code == ExitCode.OK
    assert current.document == {**upgraded.document, "head": upgraded.document["revision"], "is_current": True}


def test_a_host_with_its_own_store_migrates_it_itself(otp: Otp, desk: Desk) -> None:
    desk.write(storage={"store": "memory"})
    assert otp("db", "upgrade").code == ExitCode.CONFIGURATION


def test_purge_removes_what_is_old_and_with_a_phone_one_person(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    otp("send", OTHER_PHONE)
    old = ("challenges", "deliveries", "receipts", "counters", "refusals", "verified", "audits")
    nothing = dict.fromkeys((*old, "records", "series", "changes"), 0)
    assert otp("purge", "--json").document == nothing
    told = otp("purge").out.removeprefix("removed ").split(", ")
    assert [one.partition(" ")[0] for one in told] == ["0"] * len(nothing), "each kind is named in the text too"
    of_one = {"challenges": 1, "deliveries": 1, "counters": 1}
    assert otp("purge", "--phone", PHONE, "--yes", "--json").document == {**nothing, **of_one}
    assert otp("challenges", "show", PHONE).code == ExitCode.REFUSED
    assert otp("challenges", "show", OTHER_PHONE).code == ExitCode.OK


def test_purging_a_person_asks_first_and_does_nothing_where_nobody_can_be_asked(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    refused = otp("purge", "--phone", PHONE)
    assert refused.code == ExitCode.USAGE
    assert "fix: give --yes" in refused.err
    assert otp("purge", "--phone", PHONE, "--json").document["error"]["fix"] == "give --yes to do it"
    assert otp("challenges", "show", PHONE).code == ExitCode.OK


@pytest.mark.parametrize(("answer", "code", "kept"), [("n\n", 1, True), ("\n", 1, True), ("y\n", 0, False)])
def test_a_person_at_the_terminal_is_asked_before_anybody_is_erased(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, kept: bool
) -> None:
    otp("send", PHONE)
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    with os.fdopen(theirs, encoding="utf-8") as keyboard, monkeypatch.context() as patched:
        patched.setattr("sys.stdin", keyboard)
        ended = otp("purge", "--phone", PHONE)
    os.close(ours)
    assert "Erase everything about +3598******67?" in ended.err
    assert ended.code == code
    assert (otp("challenges", "show", PHONE).code == ExitCode.OK) is kept


def test_purge_removes_what_is_older_than_the_settings_keep(otp: Otp, desk: Desk) -> None:
    send_at(datetime.now(UTC) - timedelta(hours=23), PHONE)
    send_at(datetime.now(UTC) - timedelta(hours=25), OTHER_PHONE)
    assert otp("purge", "--json").document["challenges"] == 1
    assert otp("challenges", "show", PHONE).code == ExitCode.OK
    desk.write(storage={"keep_challenges": 3600})
    assert otp("purge", "--json").document["challenges"] == 1


@pytest.mark.parametrize(
    "command",
    [
        ("retries", "list"),
        ("challenges", "show", PHONE),
        ("limits", "show", PHONE),
        ("limits", "show"),
        ("limits", "refused"),
        ("limits", "deny", "+35987"),
        ("pause",),
        ("routes", "set", "Mada"),
        ("purge",),
        ("worker",),
    ],
    ids=" ".join,
)
def test_a_store_that_another_process_cannot_see_is_refused(otp: Otp, desk: Desk, command: tuple[str, ...]) -> None:
    desk.write(storage={"store": "memory"}, retry={"runner": "inline"})
    refused = otp(*command)
    assert refused.code == ExitCode.CONFIGURATION
    assert '"memory"' in refused.err


@pytest.mark.parametrize("command", [("retries", "list"), ("limits", "show", PHONE), ("challenges", "show", PHONE)])
def test_looking_into_the_store_needs_no_provider(otp: Otp, desk: Desk, command: tuple[str, ...]) -> None:
    otp("send", PHONE)
    desk.write(otp_sms_provider="Sinch", providers={"sinch": {"nonsense": 1}})
    assert otp("send", OTHER_PHONE).code == ExitCode.CONFIGURATION
    assert otp(*command).code == ExitCode.OK

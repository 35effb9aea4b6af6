"""Lists of challenges and deliveries, and counts over time, at the command line."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from otpcore.cli.exits import ExitCode

from .desk import OTHER_PHONE, PHONE, Desk, Otp, send_at
from .test_output import run, terminal

WIDTH = 80  # columns of a usual terminal


@pytest.fixture(autouse=True)
def sent(desk: Desk) -> None:
    """One person half an hour ago, another one ten minutes ago."""
    now = datetime.now(UTC)
    send_at(now - timedelta(minutes=30), PHONE)
    send_at(now - timedelta(minutes=10), OTHER_PHONE)


def test_challenges_are_listed_page_by_page(otp: Otp) -> None:
    first = otp("challenges", "list", "--limit", "1", "--json").document
    assert [one["phone"] for one in first["challenges"]] == ["+3598******67"]
    rest = otp("challenges", "list", "--after", first["cursor"], "--json").document
    assert (len(rest["challenges"]), rest["cursor"]) == (1, None)
    assert first["challenges"][0]["first_sent_at"] > rest["challenges"][0]["first_sent_at"]
    told = otp("challenges", "list", "--limit", "1").out
    assert f"--after {first['cursor']}" in told
    assert first["challenges"][0]["id"] in told
    assert "+3598******67" in told


def test_challenges_are_listed_by_phone_time_and_state(otp: Otp) -> None:
    (mine,) = otp("challenges", "list", "--phone", PHONE, "--reveal", "--json").document["challenges"]
    assert mine["phone"] == PHONE
    (late,) = otp("challenges", "list", "--since", "20m", "--json").document["challenges"]
    (early,) = otp("challenges", "list", "--until", "20m", "--json").document["challenges"]
    assert (early["id"], late["id"] == mine["id"]) == (mine["id"], False)
    assert len(otp("challenges", "list", "--state", "sent", "--instance", "mada", "--json").document["challenges"]) == 2
    nothing = otp("challenges", "list", "--purpose", "pay", "--of-app", "shop")
    assert (nothing.code, nothing.out) == (ExitCode.OK, "there is none\n")
    refused = otp("challenges", "list", "--state", "lost")
    assert refused.code == ExitCode.USAGE
    assert "state: is none of sending, sent" in refused.err
    assert otp("challenges", "list", "--since", "yesterday").code == ExitCode.USAGE


def test_on_a_narrow_terminal_a_challenge_is_one_line(otp: Otp, monkeypatch: pytest.MonkeyPatch) -> None:
    late, early = otp("challenges", "list", "--json").document["challenges"]
    piped = otp("challenges", "list").out
    assert "default" in piped
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", piped), "a pipe has room for all of it"
    with terminal(WIDTH, monkeypatch) as shown:
        run(["challenges", "list"])
        lines = shown().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "purpose" not in "".join(lines)
    for one in (late, early):
        (line,) = [line for line in lines if one["id"] in line]
        assert all(word in line for word in (one["phone"], one["state"]))
        assert re.match(r"\d\d-\d\d \d\d:\d\d  ", line)


def test_on_a_narrow_terminal_a_delivery_is_one_line(otp: Otp, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [one["challenge_id"] for one in otp("deliveries", "list", "--json").document["deliveries"]]
    with terminal(WIDTH, monkeypatch) as shown:
        run(["deliveries", "list"])
        lines = shown().splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [len([line for line in lines if one in line and "accepted" in line]) for one in ids] == [1, 1]


def test_deliveries_are_listed(otp: Otp) -> None:
    late, early = otp("deliveries", "list", "--json").document["deliveries"]
    assert (late["provider"], late["channel"], late["outcome"], late["prefix"]) == ("mada", "sms", "accepted", "")
    (mine,) = otp("deliveries", "list", "--phone", PHONE, "--channel", "sms", "--json").document["deliveries"]
    assert mine == early
    assert otp("deliveries", "list", "--outcome", "throttled").out == "there is none\n"
    told = otp("deliveries", "list", "--outcome", "accepted").out
    assert mine["challenge_id"] in told
    assert "mada" in told


def test_the_price_of_a_delivery_is_shown_where_there_is_one(otp: Otp, desk: Desk) -> None:
    assert "price" not in otp("deliveries", "list").out
    late, early = otp("deliveries", "list", "--json").document["deliveries"]
    assert (late["price"], early["price"]) == (None, None)
    with closing(sqlite3.connect(desk.directory / "otpcore.sqlite3")) as database, database:
        database.execute("UPDATE otp_delivery SET price = '0.00750 USD' WHERE id = ?", (late["id"],))
    late, early = otp("deliveries", "list", "--json").document["deliveries"]
    assert (late["price"], early["price"]) == ({"amount": "0.00750", "currency": "USD"}, None)
    told = otp("deliveries", "list").out
    assert "price" in told
    assert told.count("0.00750 USD") == 1
    shown = otp("challenges", "show", late["challenge_id"], "--json").document["challenges"][0]
    assert shown["deliveries"][0]["price"] == {"amount": "0.00750", "currency": "USD"}
    assert "0.00750 USD" in otp("challenges", "show", late["challenge_id"]).out


def test_what_deliveries_cost_is_summed(otp: Otp, desk: Desk) -> None:
    (unknown,) = otp("deliveries", "cost", "--json").document["costs"]
    assert (unknown["sums"], unknown["priced"], unknown["unpriced"]) == ({}, 0, 2)
    late, early = otp("deliveries", "list", "--json").document["deliveries"]
    with closing(sqlite3.connect(desk.directory / "otpcore.sqlite3")) as database, database:
        database.execute("UPDATE otp_delivery SET price = '0.10 EUR' WHERE id = ?", (late["id"],))
        database.execute("UPDATE otp_delivery SET price = '0.2 EUR' WHERE id = ?", (early["id"],))
    (cost,) = otp("deliveries", "cost", "--json").document["costs"]
    assert (cost["sums"], cost["day"]) == ({"EUR": "0.30"}, None)
    (cost,) = otp("deliveries", "cost", "--since", "20m", "--by", "day", "--by", "instance", "--json").document["costs"]
    assert (cost["sums"], cost["day"], cost["instance"]) == ({"EUR": "0.10"}, late["recorded_at"][:10], "mada")
    lines = otp("deliveries", "cost", "--by", "day", "--by", "instance", "--by", "prefix", "--by", "channel").out
    assert all(len(line) <= WIDTH for line in lines.splitlines())
    assert "0.30 EUR" in lines
    assert otp("deliveries", "cost", "--instance", "nobody").out == "nothing left\n"
    assert otp("deliveries", "cost", "--by", "country").code == ExitCode.USAGE


def test_counts_over_time_are_shown(otp: Otp) -> None:
    assert "is counted within a minute" in otp("series").out
    otp("purge")
    steps = otp("series", "--since", "1h", "--step", "5m", "--by", "instance", "--json").document["steps"]
    assert [(one["instance"], one["accepted"], one["channel"]) for one in steps] == [("mada", 1, None)] * 2
    for apart in ((), ("--by", "instance", "--by", "channel")):
        lines = otp("series", *apart).out.splitlines()
        assert any("from, UTC" in line and "verified" in line for line in lines)
        assert all(len(line) <= WIDTH for line in lines)
    assert otp("series", "--step", "90s").code == ExitCode.USAGE
    assert otp("series", "--by", "purpose").code == ExitCode.USAGE

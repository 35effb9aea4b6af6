"""Refused: grouped so that somebody who pumps shows, and what was only recorded told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from console_client import text_of
from console_scenes import Scene, gateways, rows
from otp_server.console.outcomes import REFUSALS, WHY_REFUSED
from otp_server.console.refused import grouped

from otpcore.operator import RefusalSeen
from otpcore.rate_limits.admission import LimitReason
from otpcore.stores.commands import Refusal

LIMITS = {"phone": ["1/1d"], "client": [], "prefix": {"+4474001": ["2/1d"]}, "unverified": ["1/1h"]}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Scene]:
    """Somebody counts up numbers of +4474001; somebody else asks four times."""
    mada, twilio = gateways()
    url = f"sqlite:///{tmp_path_factory.mktemp('refused')}/otp.sqlite3"
    with serve_console(url, {"mada": mada, "twilio_eu": twilio}, limits=LIMITS) as console:
        made = Scene(console, mada, twilio)
        for number in range(9):
            made.send(f"+4474001234{number:02d}", purpose="sign-in")
        for number in range(4):
            made.send("+359881234567", purpose=f"purpose {number}")
        yield made


def test_who_pumps_is_said_first(scene: Scene) -> None:
    answer = scene.console.browser("vera").get("/refused")
    assert "<title>7 requests for +4474… were refused in the last hour." in answer.text
    told = text_of(answer)
    assert "At least 7 numbers: too many sends to the prefix. This may be somebody who pumps" in told
    assert "only recorded, and went on." in told
    assert "/switches/deny" not in answer.text
    assert 'href="/console/switches/deny?prefix=%2B4474"' in scene.console.browser("otto").get("/refused").text


def test_groups_are_by_prefix_and_reason_the_most_frequent_first(scene: Scene) -> None:
    found = [re.sub(r" [\d:]+$", "", row) for row in rows(scene.console.browser("vera").get("/refused"))]
    assert found[0] == "+4474… Refused too many sends to the prefix 7 7"
    assert found[1] == "+3598… Refused too many sends to this phone 3 1"
    assert {row.split()[1] for row in found[2:]} <= {"Recorded"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"reason": "phone"}, ["+3598…"]),
        ({"prefix": "+44", "only": "refused"}, ["+4474…"]),
        ({"prefix": "\u202a+44\u200b", "only": "refused"}, ["+4474…"]),
        ({"prefix": "+1"}, []),
        ({"only": "refused"}, ["+4474…", "+3598…"]),
        ({"last": "7d", "only": "refused"}, ["+4474…", "+3598…"]),
        ({"last": "for ever", "only": "refused"}, ["+4474…", "+3598…"]),
    ],
)
def test_the_address_narrows_it(scene: Scene, asked: dict[str, str], expected: list[str]) -> None:
    answer = scene.console.browser("vera").get("/refused", **asked)
    assert answer.status_code == 200
    if expected:
        assert [row.split()[0] for row in rows(answer)] == expected
    else:
        assert "Nothing that fits the filter was refused in the last hour." in text_of(answer)
        assert "Nothing to show." in text_of(answer)


def test_what_nobody_verified_is_shown_by_country(scene: Scene) -> None:
    answer = scene.console.browser("vera").get("/refused")
    (unverified,) = [row for row in rows(answer, 2) if row.startswith("GB")]
    assert re.match(r"GB default 2 1 0 1 h (\d+ \w+ )?\d\d:", unverified)


def test_no_whole_number_is_shown(scene: Scene) -> None:
    answer = scene.console.browser("vera").get("/refused", last="7d")
    assert not re.search(r"\d{8}", re.sub(r'[0-9a-f]{12,}|datetime="[^"]*"', "", answer.text))


def test_nothing_refused_is_said_too(tmp_path: Any, serve_console: Any) -> None:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3") as console:
        told = text_of(console.browser("vera").get("/refused"))
    assert "Nothing was refused in the last hour." in told
    assert "Look at 7 days" in told


def test_one_person_who_tries_again_is_no_suspect() -> None:
    now = datetime(2026, 11, 12, 14, tzinfo=UTC)

    def refused(phone: str | None, reason: str = "phone", count: int = 1) -> RefusalSeen:
        return RefusalSeen(
            asked="send",
            reason=reason,
            phone=phone,
            channel="sms",
            purpose="pay",
            enforced=True,
            count=count,
            first_at=now,
            last_at=now + timedelta(seconds=count),
        )

    many = [refused(f"+9471******{number:02d}", "country") for number in range(6)]
    one, unnamed, suspect = grouped([refused("+3598******67", count=40), *many, refused(None, count=20)])
    assert (one.prefix, one.count, one.numbers, one.is_suspect) == ("+3598", 40, 1, False)
    assert (unnamed.prefix, unnamed.count, unnamed.is_suspect) == ("", 20, False)
    assert (suspect.prefix, suspect.count, suspect.numbers, suspect.is_suspect) == ("+9471", 6, 6, True)


@pytest.mark.parametrize("words", [REFUSALS, WHY_REFUSED], ids=["of many", "of one"])
def test_each_reason_has_words_of_its_own(words):
    assert words.keys() == {*LimitReason, *Refusal}
    assert len({*words.values()}) == len(words)

"""Now: the first sentence in every state, and the figures behind it, over real sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from console_client import Console, text_of
from otp_server.console.plots import Mark, plot

from otpcore.testing import Outbox

BY = {"by": "petar", "reason": "Vendor change"}


@pytest.fixture
def outboxes() -> dict[str, Outbox]:
    """Two instances, in this order."""
    return {"mada": Outbox(), "twilio": Outbox()}


@pytest.fixture
def console(serve_console: Any, tmp_path: Any, outboxes: dict[str, Outbox]) -> Iterator[Console]:
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    with serve_console(url, outboxes, retry={"runner": "inline", "breaker_threshold": 3}) as started:
        yield started


def send(console: Console, *phones: str, right: bool = False, before: Callable[[int], None] | None = None) -> None:
    """Start verifications with a live key, as an application does."""
    with console.server.client(kind="live") as client:
        for number, phone in enumerate(phones):
            if before is not None:
                before(number)
            begun = client.post("/v1/verifications", json={"to": phone})
            if right:
                code = next(one.code for one in _messages(console) if one.phone.e164 == phone)
                check = f"/v1/verifications/{begun.json()['id']}/check"
                assert client.post(check, json={"code": code}).json()["valid"] is True


def _messages(console: Console) -> list[Any]:
    outboxes = console.server.server.service._setup.providers
    return [message for one in outboxes.values() for message in one.messages]


def count_now(console: Console) -> None:
    """What has happened is counted over time by whoever keeps house."""
    console.server.do(console.server.server.service.operator.purge(by="the test"))


def looked(console: Console, **query: str) -> str:
    answer = console.browser("vera").get("/", **query)
    assert answer.status_code == 200
    return text_of(answer)


def test_on_the_first_day_it_says_so(console: Console) -> None:
    said = looked(console)
    assert "Nothing has been sent yet. 2 instances are ready, and the rules are in force." in said
    assert "mada default Ready 0" in said
    assert "Nothing waits." in said
    assert "No one was refused." in said


def test_all_is_well(console: Console, phone: str) -> None:
    send(console, phone, right=True)
    said = looked(console)
    assert "Sending works. 100.0 % of the codes of the last hour came back" in said
    assert "mada default Working 1 0 no receipts 100.0 %" in said
    assert phone not in said
    assert phone[4:] not in said


def test_codes_that_are_out_are_not_rounded_away(console: Console) -> None:
    send(console, *(f"+35988700{number:04}" for number in range(2)), right=True)
    send(console, "+359887009999")
    assert "66.6 % of the codes" in looked(console)


def test_a_pause_is_told_with_who_and_why(console: Console) -> None:
    console.server.do(console.server.server.service.operator.sending.pause(**BY))
    said = looked(console)
    assert "Sending has been paused since " in said
    assert "petar: “Vendor change”." in said
    assert "Go to the switches" in said


def test_one_that_refuses_our_account_is_told_with_who_takes_over(
    console: Console, outboxes: dict[str, Outbox], phone: str
) -> None:
    outboxes["mada"].fail("misconfigured")
    send(console, phone)
    said = looked(console)
    assert "Sending works. Mada has refused our account or settings since " in said
    assert "Its last words: asked for by the test. The first message that it takes ends this" in said
    assert "Its numbers go to twilio." in said
    assert "mada default Misconfigured since " in said
    assert "See 1 message that failed" in said
    title = console.browser().get("/").text.partition("<title>")[2]
    assert title.startswith("Mada has refused our account or settings since ")


def test_nothing_goes_out_any_more(console: Console, outboxes: dict[str, Outbox]) -> None:
    for outbox in outboxes.values():
        outbox.fail("unavailable", times=3)
    send(console, *(f"+35988701{number:04}" for number in range(3)))
    said = looked(console)
    assert "Nothing has been sent since " in said
    assert (
        "All 2 instances are left out. The last answers: mada asked for by the test, twilio asked for by the test."
        in said
    )
    assert "mada default Left out since" in said


def test_the_only_account_is_refused_and_what_helps_is_told(
    tmp_path: Any, serve_console: Any, outboxes: dict[str, Outbox], phone: str
) -> None:
    outboxes["mada"].fail("misconfigured")
    with serve_console(f"sqlite:///{tmp_path}/alone.sqlite3", {"mada": outboxes["mada"]}) as console:
        send(console, phone)
        said = looked(console)
    assert "The only instance is left out. The last answers: mada asked for by the test. What helps: correct " in said
    assert said.count("asked for by the test") == 1


def test_one_that_fails_often_is_told_with_why(console: Console, outboxes: dict[str, Outbox]) -> None:
    phones = [f"+359887030{number:03}" for number in range(12)]
    send(console, *phones, before=lambda number: outboxes["mada"].fail("throttled", times=number % 2))
    said = looked(console)
    assert "Sending works. Mada fails often: 6 of 12 messages. Mostly it asked us to wait." in said
    assert "mada default Fails often 6 6" in said


def test_numbers_that_cannot_be_reached_are_no_fault_of_an_instance(
    console: Console, outboxes: dict[str, Outbox]
) -> None:
    phones = [f"+359887031{number:03}" for number in range(6)]
    send(console, *phones, before=lambda _: outboxes["mada"].fail("rejected_number"))
    assert "mada default Ready 0 6" in looked(console)


def test_what_happened_is_marked_in_the_chart_on_the_side_that_has_room() -> None:
    marks = [Mark(place=0.25, text="14:02 mada left out"), Mark(place=0.9, text="14:31 paused")]
    made = plot([10, 40, 20], [5, 30, 10], open_from=0.9, labels=["a", "b"], marks=marks)
    assert [(one.percent, one.is_late) for one in made.marks] == [("25.00%", False), ("90.00%", True)]
    assert made.ticks == ["45", "30", "15", "0"]
    assert made.good == "M0 88.9L500 33.3L1000 77.8"
    assert made.open == "M900 0H1000V100H900z"
    assert plot([0], [0], open_from=1, labels=[], marks=[]).open == ""


def test_no_rules_are_told_with_what_helps(serve_console: Any, tmp_path: Any) -> None:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", sms={"sandbox": True}) as console:
        said = looked(console)
        assert "Nothing can be sent: no rules name a provider." in said
        assert "There is no instance." in said


def test_one_that_is_drained_is_an_aside(console: Console, phone: str) -> None:
    console.server.do(console.server.server.service.operator.instances.drain("twilio", **BY))
    send(console, phone)
    said = looked(console)
    assert "Twilio is drained." in said
    assert "twilio default Drained since" in said


def test_a_limit_of_all_sends_that_is_used_up_is_the_first_sentence(
    serve_console: Any, tmp_path: Any, phone: str
) -> None:
    limits = {"global": ["1/1d"], "client": []}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", limits=limits) as console:
        send(console, phone)
        said = looked(console)
        assert "Every send is refused, until " in said
        assert "In the settings, limits.global (1/1d) is used up" in said


def test_one_that_failed_and_is_in_no_rules_any_more_is_not_the_first_sentence(
    serve_console: Any, tmp_path: Any, outboxes: dict[str, Outbox], phone: str
) -> None:
    outboxes["mada"].fail("misconfigured")
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", outboxes) as console:
        send(console, phone)
        assert "Mada has refused our account or settings since " in looked(console)
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", {"twilio": outboxes["twilio"]}) as console:
        assert "Mada has refused our account or settings since " not in looked(console)


def test_what_is_denied_is_an_aside(console: Console) -> None:
    console.server.do(console.server.server.service.operator.sending.deny("+8835", **BY))
    said = looked(console)
    assert "1 prefix is denied: +8835 ." in said
    assert "What else needs somebody" not in said


def test_a_limit_of_zero_in_the_settings_is_the_first_sentence(serve_console: Any, tmp_path: Any) -> None:
    limits = {"global": ["0/1d"], "client": []}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", limits=limits) as console:
        said = looked(console)
        assert "Every number is denied. In the settings, limits.global is 0" in said
        assert "What helps: in [limits]: global = []." in said


def test_what_is_refused_is_counted_by_reason(serve_console: Any, tmp_path: Any, phone: str) -> None:
    limits = {"phone": ["1/1h"], "client": []}
    otp = {"cooldown": 0}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", limits=limits, otp=otp) as console:
        send(console, phone, phone, phone)
        assert "Too many for a phone 1 phone 2" in looked(console)


@pytest.mark.parametrize(
    ("window", "title", "each"),
    [
        ("hour", "hour", "a minute"),
        ("day", "day", "a quarter of an hour"),
        ("week", "week", "an hour"),
        ("x", "hour", "a minute"),
    ],
)
def test_every_window_has_a_chart_and_a_table(
    console: Console, phone: str, window: str, title: str, each: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(console, phone, right=True)
    monkeypatch.setattr("otpcore.stores.transactions.series._SETTLED", timedelta(seconds=-5))
    count_now(console)
    answer = console.browser().get("/", window=window)
    said = text_of(answer)
    assert f"Last {title}, since " in said
    assert f"Accepted and verified, {each}" in said
    assert answer.text.count('<svg class="spark"') == 1
    assert "1 0 1" in said.partition("The same as a table")[2].partition("What waits")[0]
    assert 'style="' not in answer.text


def test_it_can_be_stopped_and_kept_fresh(console: Console) -> None:
    browser = console.browser()
    fresh = browser.get("/")
    assert 'data-fresh="10"' in fresh.text
    stopped = browser.get("/", refresh="off")
    assert "data-fresh" not in stopped.text
    assert "Keep it fresh" in text_of(stopped)

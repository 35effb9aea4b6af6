"""The switches: what is in force, since when, by whom and why; and every one of them, for a reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from console_client import Browser, Console, text_of

PHONE = "+359881234567"
SECTIONS: dict[str, Any] = {
    "sms": {"sandbox": True, "retry": True},
    "retry": {"runner": "background", "first_delay": 100, "max_delay": 120},
    "otp_sms_provider": "twilio;mada:+359",
    "limits": {"phone": [], "client": [], "deny": ["KP"]},
}


@pytest.fixture
def console(tmp_path: Any, serve_console: Any) -> Iterator[Console]:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", **SECTIONS) as started:
        yield started


@pytest.fixture(scope="module")
def in_memory(serve_console: Any) -> Iterator[Console]:
    with serve_console("", **{**SECTIONS, "storage": {"store": "memory"}}) as started:
        yield started


@pytest.fixture
def otto(console: Console) -> Browser:
    made = console.browser("otto")
    made.get("/switches")
    return made


def operator(console: Console) -> Any:
    return console.server.server.service.operator


def seen(console: Console) -> Any:
    return console.server.do(operator(console).sending.show())


def latest(console: Console) -> tuple[str, str, str, str]:
    (one,) = console.server.do(operator(console).audit(1))
    return one.action, one.target, one.by, one.reason


def test_nothing_is_switched_off(console: Console) -> None:
    said = text_of(console.browser("vera").get("/switches"))
    assert "Nothing is switched off." in said
    assert "Denied by the settings KP" in said
    assert "twilio Working 0 0 0" in said
    assert "Pause" not in said


def test_sending_is_paused_for_a_time_and_resumed(console: Console, otto: Browser) -> None:
    asked = otto.get("/switches/pause")
    assert "Pause all sending? No one is sent anything; 0 messages went out in the last hour." in text_of(asked)
    refused = otto.post("/switches/pause", lasts="7200", reason="")
    assert refused.status_code == 422
    assert '<option value="7200" selected>' in refused.text
    assert seen(console).paused is None
    said = text_of(otto.does("/switches/pause", lasts="7200", reason="vendor change"))
    assert "Sending is paused. Every process follows within 5 s." in said
    assert "otto paused it at" in said
    assert "“vendor change”. It ends by itself at" in said
    paused = seen(console).paused
    assert (paused.until - paused.since).total_seconds() == 7200
    assert "Resume sending?" in text_of(otto.get("/switches/resume"))
    assert "Nothing is switched off." in text_of(otto.does("/switches/resume", reason="done"))
    assert latest(console) == ("sending.resume", "", "otto", "done")


def test_a_prefix_is_denied_for_a_time_once_it_is_told_whom_it_concerns(console: Console, otto: Browser) -> None:
    console.server.do(operator(console).sending.deny("+1202", by="petar", reason="last week"))
    console.server.do(operator(console).sending.clear("+1202", by="petar"))
    console.server.do(console.server.server.service.send_sms("+12025550116"))
    asked = otto.does("/switches", do="deny", prefix=" +1202 ", lasts="3600")
    said = text_of(asked)
    assert "Deny +1202?" in said
    assert "1 waiting send to them ends , and cannot be brought back." in said
    assert '<option value="3600" selected>' in asked.text
    said = text_of(otto.does("/switches/deny?prefix=%2B1202", lasts="3600", reason="pumped"))
    assert "1 prefix or region is denied." in said
    assert "+1202 Denied" in said
    assert "otto: pumped" in said
    (one,) = seen(console).prefixes
    assert (one.prefix, one.state, (one.until - one.since).total_seconds()) == ("+1202", "denied", 3600)
    assert "Now it is denied until" in text_of(otto.get("/switches/allow", prefix="+1202"))
    otto.does("/switches/clear?prefix=%2B1202", reason="over")
    assert seen(console).prefixes == ()
    assert latest(console) == ("sending.clear", "+1202", "otto", "over")


def test_a_region_is_allowed_until_it_is_switched_again(console: Console, otto: Browser) -> None:
    otto.does("/switches", do="allow", prefix="kp", lasts="")
    said = text_of(otto.does("/switches/allow?prefix=KP", lasts="", reason="a customer there"))
    assert "Nothing is switched off; 1 allowed by hand." in said
    assert "KP Allowed" in said
    assert [(one.prefix, one.state, one.until) for one in seen(console).prefixes] == [("KP", "allowed", None)]


@pytest.mark.parametrize(
    "typed", ["\u202a+35987\u202c", "\uff0b359\u00a087", "\u200b+359-87", "+\u0663\u0665\u0669 87"]
)
def test_a_pasted_prefix_is_read_as_a_number_is(console: Console, otto: Browser, typed: str) -> None:
    asked = otto.does("/switches", do="deny", prefix=typed, lasts="")
    assert "Deny +35987?" in text_of(asked)


def test_an_instance_is_drained_and_taken_back(console: Console, otto: Browser) -> None:
    console.server.do(console.server.server.service.send_sms(PHONE))
    said = text_of(otto.get("/switches/drain", instance="MADA"))
    assert "Drain mada? It took 1 of 1 message in the last hour" in said
    assert "No one would serve" not in said
    alone = text_of(otto.get("/switches/drain", instance="twilio"))
    assert "No one would serve other numbers over sms, other numbers over call." in alone
    said = text_of(otto.does("/switches/drain?instance=mada", reason="their gateway changes"))
    assert "1 instance is drained." in said
    assert "mada Drained 1 0 0 otto: their gateway changes , since" in said
    assert latest(console) == ("instances.drain", "mada", "otto", "their gateway changes")
    assert "Nothing is switched off." in text_of(otto.does("/switches/take-back?instance=mada", reason="it answers"))
    assert latest(console) == ("instances.take_back", "mada", "otto", "it answers")


def test_no_whole_number_comes_into_an_address(console: Console, otto: Browser) -> None:
    for typed in (PHONE, "359", "", "BULGARIA"):
        refused = otto.post("/switches", do="deny", prefix=typed)
        assert refused.status_code == 422, typed
        assert "No whole number." in text_of(refused)
        assert PHONE[1:] not in refused.text


@pytest.mark.parametrize(
    "path",
    [
        "/switches/burn",
        "/switches/deny",
        f"/switches/deny?prefix=%2B{PHONE[1:]}",
        "/switches/drain",
        "/switches/drain?instance=nobody",
    ],
)
def test_what_names_nothing_is_no_page(console: Console, otto: Browser, path: str) -> None:
    assert otto.get(path).status_code == 404
    assert otto.post(path, reason="x").status_code == 404
    assert latest(console)[0] == "console.user.add"


@pytest.mark.parametrize("path", ["/switches/pause", "/switches/deny?prefix=BG", "/switches/drain?instance=mada"])
def test_a_viewer_and_a_strangers_form_switch_nothing(console: Console, path: str) -> None:
    vera, otto = console.browser("vera"), console.browser("otto")
    vera.get("/switches")
    assert vera.get(path).status_code == 403
    assert vera.post(path, reason="x").status_code == 403
    assert vera.post("/switches", do="deny", prefix="BG").status_code == 403
    otto.token = "0" * 64
    assert otto.post(path, reason="forged").status_code == 403
    assert latest(console)[0] == "console.user.add"


@pytest.mark.parametrize(
    "path", ["/queue", "/queue/drop?prefix=BG", "/rules", "/rules/call", "/switches", "/switches/pause"]
)
def test_the_pages_are_there_over_a_store_in_memory(in_memory: Console, path: str) -> None:
    assert in_memory.browser("otto").get(path).status_code == 200

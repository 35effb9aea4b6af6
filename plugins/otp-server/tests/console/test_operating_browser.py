"""Queue, rules and switches in Chromium: every state in three widths, light and dark, with and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from console_client import Console

IN_DARK = {"queue", "queue-drop", "rules", "switches", "switches-drain"}
LONG = "a_gateway_of_thirty_letters_xx"
FORTY = ";".join(f"instance_{number}:+{358400 + number},+{359880 + number}" for number in range(40))
SECTIONS: dict[str, Any] = {
    "sms": {"sandbox": True, "retry": True},
    "otp": {"life": 600},
    "retry": {"runner": "background", "first_delay": 300, "max_delay": 300},
    "limits": {"phone": [], "client": [], "deny": ["KP"], "allow": []},
    "otp_sms_provider": f"twilio;mada:+35987,+35988;{LONG}",
}
BACKUP = f"twilio;sinch:+35987,+35988;mada:+35987,+35988;{LONG}"


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Console]:
    """Sends that wait, rules with a history, and something of everything that can be switched."""
    with serve_console(f"sqlite:///{tmp_path_factory.mktemp('operating')}/otp.sqlite3", **SECTIONS) as started:
        service, do = started.server.server.service, started.server.do
        for number in range(6):
            do(service.send_sms(f"+35988{1_000_000 + number}"))
        for number in ("+12025550116", "+442079460016", "+46701740616"):  # whose first tries find everybody down
            for purpose in ("sign-in", "pay", "change the number"):
                do(service.send_sms(number, purpose=purpose))
        operator = service.operator
        do(operator.routes.set(f"twilio;{LONG}", by="ana", reason="mada ends its contract"))
        do(operator.routes.set(SECTIONS["otp_sms_provider"], by="petar", reason="a reason " * 20))
        do(operator.sending.deny("+44790", for_=7200, by="petar", reason="pumped from one range"))
        do(operator.sending.allow("BG", by="ana", reason="our market"))
        do(operator.instances.drain(LONG, by="ana", reason="they change their gateway tonight"))
        yield started


def pages(console: Console) -> dict[str, str]:
    waiting = console.server.do(console.server.server.service.operator.retries.list()).items
    assert waiting
    picked = "&".join(f"id={one.challenge_id}" for one in waiting[:3])
    return {
        "queue": "/queue",
        "queue-of-an-instance": "/queue?instance=twilio",
        "queue-of-nobody": "/queue?prefix=%2B49",
        "queue-drop": f"/queue/drop?{picked}",
        "queue-send": "/queue/requeue?instance=twilio",
        "queue-over": "/queue/drop?prefix=%2B49",
        "rules": "/rules",
        "rules-of-calls": "/rules/call",
        "rules-back": "/rules/sms?to=file",
        "switches": "/switches",
        "switches-deny": "/switches/deny?prefix=%2B4420&lasts=3600",
        "switches-drain": "/switches/drain?instance=twilio",
        "switches-pause": "/switches/pause",
    }


def test_every_page_is_fine(console: Console, browse: Any, fine: Any) -> None:
    for name, path in pages(console).items():
        fine(browse(console, path), name)


def test_pages_are_fine_in_the_dark(console: Console, browse: Any, fine: Any) -> None:
    for name, path in pages(console).items():
        if name in IN_DARK:
            fine(browse(console, path, scheme="dark"), f"{name}-dark")


def test_every_page_works_without_scripts(console: Console, browse: Any, fits: Any) -> None:
    for name, path in pages(console).items():
        fits(browse(console, path, js=False), f"{name}-bare")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rules_are_tried_and_mistakes_are_shown(console: Console, browse: Any, fine: Any, scheme: str) -> None:
    for name, rules, samples in (
        ("moves", BACKUP, ""),
        ("samples", BACKUP, "+359881234567, +4915112345678"),
        ("forty", FORTY, ""),
        ("wrong", "twilio;mada:+35987,35988;sinch", "12"),
        ("two-thousand", f"{FORTY};{LONG * 20}!", ""),
    ):
        page = browse(console, "/rules", scheme=scheme)
        page.fill("#rules", rules)
        page.fill("#samples", samples)
        page.click("button[value=try]")
        page.wait_for_load_state()
        fine(page, f"rules-{name}-{scheme}")
        is_wrong = name in ("wrong", "two-thousand")
        assert page.evaluate("document.activeElement.className") == ("alert" if is_wrong else "")
        assert page.input_value("#rules") == rules


@pytest.mark.parametrize("js", [True, False])
def test_picked_sends_are_counted_and_dropped(console: Console, browse: Any, js: bool) -> None:
    page = browse(console, "/queue", js=js)
    before = page.locator("input[name=id]").count()
    page.check("#pick-1")
    page.check("#pick-2")
    page.click("button[value=drop] >> nth=0")
    page.wait_for_selector("h1:has-text('Drop 2 waiting sends?')")
    page.fill("#reason", "tried in a browser")
    page.click("button.danger")
    page.wait_for_selector(".said:has-text('Dropped: 2 sends.')")
    assert page.locator("input[name=id]").count() == before - 2
    page.reload()
    assert not page.locator(".said").count()


def test_what_is_picked_or_typed_is_not_taken_away_by_the_refresh(console: Console, browse: Any) -> None:
    for path, do, is_there in (
        ("/queue", lambda page: page.check("#pick-1"), lambda page: page.is_checked("#pick-1")),
        ("/switches", lambda page: page.fill("#prefix", "+3598"), lambda page: page.input_value("#prefix") == "+3598"),
    ):
        page = browse(console, path)
        page.clock.install()
        page.reload()
        do(page)
        page.locator("h1").click()
        page.clock.run_for(31_000)
        assert is_there(page)


def test_sending_is_paused_and_resumed_by_keyboard(console: Console, browse: Any, fine: Any) -> None:
    page = browse(console, "/switches")
    page.focus("a:has-text('Pause sending')")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Pause all sending?')")
    page.focus("#reason")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Sending is paused')")
    fine(page, "switches-paused")
    page.goto(f"{console.url}/queue")
    fine(page, "queue-paused")
    page.click("a:has-text('Resume sending')")
    page.fill("#reason", "done")
    page.keyboard.press("Enter")
    page.wait_for_selector(".said:has-text('Sending goes on.')")

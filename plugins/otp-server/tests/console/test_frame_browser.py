"""The frame, Now, Audit and signing in, in Chromium: widths, schemes, without scripts, kept fresh, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from console_client import Console
from otp_server.console.app import PARTS
from otp_server.console.desk import Desk
from otp_server.console.frame import NAVIGATION

from otpcore.testing import Outbox

LONG = "a_provider_with_a_long_name_30"
REASON = "Vendor change, 30 min, and a word that does not end: " + "x" * 60
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Console]:
    """One that has something to show: three instances, of which one refuses our account."""
    outboxes = {LONG: Outbox(), "mada": Outbox(), "twilio": Outbox()}
    url = f"sqlite:///{tmp_path_factory.mktemp('browser')}/otp.sqlite3"
    with serve_console(url, outboxes) as started, pytest.MonkeyPatch.context() as patch:
        with started.server.client(kind="live") as client:
            for number in range(12):
                phone = f"+359887020{number:03}"
                if number > 6:
                    outboxes[LONG].fail("misconfigured")
                begun = client.post("/v1/verifications", json={"to": phone}).json()
                code = next(one.code for box in outboxes.values() for one in box.messages if one.phone.e164 == phone)
                if number % 3:
                    client.post(f"/v1/verifications/{begun['id']}/check", json={"code": code})
        operator = started.server.server.service.operator
        patch.setattr("otpcore.stores.transactions.series._SETTLED", timedelta(seconds=-5))
        started.server.do(operator.purge(by="the test"))
        started.server.do(operator.sending.deny("+8835", by="petar", reason=REASON))
        started.server.do(operator.sending.deny("+8836", by="p" * 60, reason="pumping"))
        yield started


@SCHEMES
@pytest.mark.parametrize("path", ["/", "/?window=day", "/audit", "/audit?action=erase", "/nothing"])
def test_every_page_is_fine(console: Console, browse: Any, fine: Any, path: str, scheme: str) -> None:
    page = browse(console, path, scheme=scheme)
    fine(page, f"{path.strip('/?').replace('?', '-').replace('=', '-') or 'now'}-{scheme}")


def test_every_page_of_the_navigation_is_fine(console: Console, browse: Any, fine: Any) -> None:
    page = browse(console, "/")
    served = {getattr(route, "path", "") for part in PARTS for route in part(Desk(server=console.server.server))}
    for _, path in [one for group in NAVIGATION for one in group]:
        if path not in served:
            continue
        page.goto(f"{console.url}{path}")
        assert page.locator("h1").count() == 1
        assert page.locator(".side [aria-current=page]").count() == 1
        fine(page, f"all-{path.strip('/') or 'now'}")


@SCHEMES
def test_signing_in_is_fine(console: Console, browse: Any, fine: Any, scheme: str) -> None:
    page = browse(console, "/audit", scheme=scheme, name="")
    assert page.url.endswith("/sign-in?next=%2Faudit")
    assert page.evaluate("document.activeElement.id") == "name"
    fine(page, f"sign-in-{scheme}")
    page.fill("#name", "ann")
    page.fill("#password", "wrong")
    page.fill("#digits", "000000")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "alert"
    assert (page.input_value("#name"), page.input_value("#password"), page.input_value("#digits")) == ("ann", "", "")
    fine(page, f"sign-in-wrong-{scheme}")


@pytest.mark.parametrize("path", ["/", "/audit"])
def test_it_works_without_scripts(console: Console, browse: Any, fits: Any, path: str) -> None:
    page = browse(console, path, 768, js=False)
    fits(page, f"bare-{path.strip('/') or 'now'}")
    page.click("summary:has-text('Menu')") if page.is_visible("summary:has-text('Menu')") else None
    page.click("nav:visible a:has-text('Audit')")
    assert page.inner_text("h1") == "Audit"
    page.select_option("#action", "sending.deny")
    page.click("text=Filter")
    assert page.locator("tbody tr").count() == 2


def test_states_are_fine(console: Console, browse: Any, fine: Any) -> None:
    operator = console.server.server.service.operator
    console.server.do(operator.sending.pause(by="petar", reason=REASON))
    try:
        page = browse(console, "/")
        assert page.inner_text("h1").startswith("Sending has been paused since ")
        fine(page, "now-paused")
    finally:
        console.server.do(operator.sending.resume(by="petar", reason="over"))


def test_many_instances_fit(serve_console: Any, tmp_path: Any, browse: Any, fine: Any) -> None:
    outboxes = {f"{LONG[:27]}_{number:02}": Outbox() for number in range(40)}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", outboxes) as many:
        page = browse(many, "/")
        assert page.locator("main table.rows tbody tr").count() == 40
        fine(page, "now-many")


def test_it_is_kept_fresh_without_taking_the_focus(console: Console, browse: Any) -> None:
    page = browse(console, "/")
    page.clock.install()
    page.reload()
    page.click("summary:has-text('The same as a table')")
    page.focus("main a:has-text('Last day')")
    phone = "+359887030001"
    with console.server.client(kind="live") as client:
        client.post("/v1/verifications", json={"to": phone})
    before = page.inner_text("tfoot")
    page.clock.run_for(11_000)
    page.wait_for_function("(before) => document.querySelector('tfoot').innerText !== before", arg=before)
    assert page.evaluate("document.activeElement.textContent") == "Last day"
    assert page.evaluate("document.getElementById('table').open")
    assert page.get_attribute("main tbody time", "title")


def test_what_cannot_be_loaded_stays_with_its_time(console: Console, browse: Any) -> None:
    page = browse(console, "/")
    page.clock.install()
    page.reload()
    page.route("**/*", lambda route: route.abort())
    page.clock.run_for(11_000)
    page.wait_for_selector("#late")
    assert "These figures are of " in page.inner_text("#late")
    assert page.is_visible("text=Load again >> visible=true")
    assert page.locator("main tbody tr").count() >= 3
    page.unroute("**/*")
    page.clock.run_for(10_000)
    page.wait_for_selector("#late", state="detached")


def test_stop_stops_it(console: Console, browse: Any) -> None:
    page = browse(console, "/")
    page.click("text=Stop")
    page.clock.install()
    page.reload()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.clock.run_for(30_000)
    assert asked == []
    page.click("text=Keep it fresh")
    assert page.get_attribute("main", "data-fresh") == "10"


def test_all_of_it_can_be_reached_by_keyboard(console: Console, browse: Any) -> None:
    page = browse(console, "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim()"))
        box = page.evaluate(
            "(({outlineStyle, outlineWidth}) => outlineStyle + outlineWidth)(getComputedStyle(document.activeElement))"
        )
        if page.evaluate("document.activeElement !== document.body"):
            assert box.startswith(("solid", "auto")), box
    assert {"Last day", "Stop", "The same as a table", "Open the queue", "Audit", "Inbox"} <= seen

"""Providers, webhooks, keys and the inbox in Chromium: every state in three widths, light and dark, and without scripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from console_client import Console
from otp_server.keys import Kind, Scope
from otp_server.webhooks import teller
from webhook_receiver import listening

from otpcore.testing import Outbox

LONG = "a_vendor_whose_name_is_30_long"
START = "/v1/verifications"
HOOK = "whsec_" + "c2VjcmV0" * 4
SANDBOX: dict[str, Any] = {"sms": {"sandbox": True}, "otp_sms_provider": "anyone", "otp": {"app": "Linden Bank"}}


@attrs.define
class Scene:
    """A console with something in every state, and who starts verifications."""

    console: Console
    paths: dict[str, str]
    start: Callable[..., str]


def _until(done: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := done()) and time.monotonic() < end:
        time.sleep(0.05)
    assert found
    return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Scene]:
    patched = pytest.MonkeyPatch()
    patched.setattr(teller, "DELAYS", (0.05,))
    patched.setattr(teller, "_POLL", 0.05)
    url = f"sqlite:///{tmp_path_factory.mktemp('vendors')}/otp.sqlite3"
    gateways = {name: Outbox() for name in ("mada", LONG, "sinch", "twilio_eu")}
    with ExitStack() as stack, listening() as receiver:
        hook = {"url": receiver.url, "secrets": [HOOK]}
        shop = {"purposes": ["sign-in"], "channels": ["sms", "call"], "webhook": hook}
        own = {"apps": {"shop": shop, "bank": {}}, "webhook_networks": ["127.0.0.0/8"]}
        storage = {"url": url, "outbox": True}
        with serve_console(url, gateways, storage=storage, otp={"app": "Linden Bank"}, server=own) as console:
            yield _scene(stack, console, gateways, receiver)
    patched.undo()


def _scene(stack: ExitStack, console: Console, gateways: dict[str, Outbox], receiver: Any) -> Scene:
    server = console.server
    note = "web shop, in the vault of the team"
    clients = {kind: stack.enter_context(server.client(kind, app="shop", note=note)) for kind in Kind}
    server.token(Kind.LIVE, app="shop", networks=["10.0.0.0/8", "2001:db8::/32"], scopes=[Scope.VERIFY])
    server.token(Kind.TEST, app="mall")
    old = server.do(server.server.keys.new(Kind.LIVE, app="bank", by="the test"))
    server.do(server.server.keys.revoke(old.key.id, by="the test"))

    def start(kind: Kind, to: str, **more: Any) -> str:
        answer = clients[kind].post(START, json={"to": to, "purpose": "sign-in", **more})
        assert answer.status_code == 202, answer.text
        begun: str = answer.json()["id"]
        return begun

    receiver.answers = [500, 204, 500, 500, 410]
    _break(server, gateways, start)
    for number, locale in enumerate(["en", "ar", "de", "hi"]):
        begun = start(Kind.TEST, f"+3598712345{number}7", locale=locale, channel="call" if number == 2 else "sms")
        if not number:
            assert clients[Kind.TEST].post(f"{START}/{begun}/check", json={"code": server.code()}).json()["valid"]
    return Scene(console, {**_paths(console), "key": f"/keys/{old.key.id}"}, start)


def _break(server: Any, gateways: dict[str, Outbox], start: Callable[..., str]) -> None:
    """One instance refuses our account, one is left out, one is drained."""
    for number in range(4):
        start(Kind.LIVE, f"+35987100001{number}")
    gateways["mada"].fail("misconfigured")
    start(Kind.LIVE, "+359871000015")
    instances = server.server.service.operator.instances
    gateways["sinch"].fail("unavailable", times=9)
    for number in range(5):
        server.do(instances.test("sinch", f"+35987100002{number}", by="the test"))
    server.do(instances.drain("twilio_eu", by="the test", reason="an invoice"))


def _paths(console: Console) -> dict[str, str]:
    """Each page in each state, by a name for its picture."""
    someone = console.browser("ada")
    someone.get(f"/providers/instances/{LONG}")
    form = {"to": "+359871000099", "channel": "sms", "reason": "a new password"}
    tested = someone.post(f"/providers/instances/{LONG}/test", **form).headers["location"].removeprefix("/console")
    _until(lambda: "told nothing since" in someone.get("/webhooks").text)
    attempts = someone.get("/webhooks").text.split('href="/console/webhooks/')[1:]
    return {
        "providers": "/providers",
        "provider-misconfigured": "/providers/instances/mada",
        "provider-left-out": "/providers/instances/sinch",
        "provider-drained": "/providers/instances/twilio_eu",
        "provider-tested": tested,
        "setup": "/providers/health",
        "webhooks": "/webhooks",
        "webhooks-none": "/webhooks?type=message.failed",
        "webhook": "/webhooks/" + attempts[-1].partition('"')[0],
        "keys": "/keys",
        "key-new": "/keys/new?app=shop",
        "inbox": "/inbox",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_is_fine_in_every_width(scene: Scene, browse: Any, fine: Any, scheme: str) -> None:
    page = browse(scene.console, "/providers", scheme=scheme)
    for name, path in scene.paths.items():
        page.goto(scene.console.url + path)
        fine(page, f"{name}-{scheme}")


def test_each_page_works_without_scripts(scene: Scene, browse: Any, fits: Any) -> None:
    page = browse(scene.console, "/providers", js=False)
    for name, path in scene.paths.items():
        page.goto(scene.console.url + path)
        fits(page, f"{name}-bare")
        assert page.locator("[data-copy]:visible").count() == 0
        assert page.locator("h1").count() == 1


def test_a_key_is_made_with_the_keyboard_and_copied_with_one_press(scene: Scene, browse: Any, fine: Any) -> None:
    page = browse(scene.console, "/keys/new?app=bank")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("document.querySelectorAll('[required]').forEach((one) => { one.required = false; })")
    page.keyboard.press("Tab")
    page.focus("#note")
    page.keyboard.type("made by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector(".alert")
    assert page.evaluate("document.activeElement.className") == "alert"
    assert page.input_value("#note") == "made by keyboard"
    fine(page, "key-new-wrong")
    page.fill("#reason", "for the bank")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token")
    fine(page, "key-made")
    token = page.inner_text("#token")
    assert token not in page.url
    page.click("[data-copy]")
    page.wait_for_selector(".token [role=status]:has-text('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == token
    page.click("#token")
    assert page.evaluate("String(getSelection())") == token
    page.goto(f"{scene.console.url}/keys")
    assert token.split("_", 3)[3] not in page.content()


def test_a_new_message_comes_by_itself_and_takes_neither_focus_nor_place(scene: Scene, browse: Any) -> None:
    page = browse(scene.console, "/inbox")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    code = page.locator(".big").first.inner_text()
    page.locator("[data-copy]").first.focus()
    held = page.evaluate("document.activeElement.id")
    page.keyboard.press("Enter")
    page.wait_for_selector(".copy [role=status]:has-text('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == code
    scene.start(Kind.TEST, f"+3598720{int(time.monotonic() * 1000) % 100000:05d}")
    fresh = scene.console.server.code()
    page.wait_for_selector(f".big:has-text('{fresh}')")
    assert page.evaluate("document.activeElement.id") == held
    assert page.locator(".big").first.inner_text() == fresh
    page.locator(".big").first.click()
    assert page.evaluate("String(getSelection())").strip() == fresh
    page.click("text=Stop")
    page.wait_for_selector("text=Keep it fresh")


def test_at_home_the_inbox_is_fine_too(browse: Any, fine: Any, fits: Any, run_server: Any, tmp_path: Path) -> None:
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", **SANDBOX) as server, server.client() as client:
        home = SimpleNamespace(url=server.url)
        for scheme in ("light", "dark"):
            page = browse(home, "/inbox", scheme=scheme, name="")
            fine(page, f"home-empty-{scheme}")
            for number, locale in enumerate(["en", "ar", "tr"]):
                to = f"+44207946{number}{'05' if scheme == 'dark' else '06'}0"
                client.post("/v1/verifications", json={"to": to, "locale": locale})
            page.wait_for_selector(f".big:has-text('{server.code()}')")
            fine(page, f"home-{scheme}")
        page = browse(home, "/inbox", js=False, name="")
        page.fill("#to", "12")
        page.click("text=Show")
        assert page.input_value("#to") == "12"
        fits(page, "home-wrong")
        page.fill("#to", to)
        page.click("text=Show")
        page.wait_for_selector(".msg")
        assert page.locator(".msg").count() == 1
        assert to[1:] not in page.url
        fits(page, "home-one")

"""Draws the README's pictures anew: an hour of made-up sends through three instances, one of which fails, and pages in Chromium.

``nox -s screenshots`` writes them below ``images/``. Nothing is sent: the instances are objects of this file.
"""
# ruff: noqa: INP001 - a script beside the package

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from otp_server.app import app_of
from otp_server.keys import Kind
from otp_server.server import Server
from otp_server.serving import configured
from playwright.async_api import Page, async_playwright

from otpcore import AsyncOTPService, DeliveryError, ErrorKind, ProviderError, hookimpl
from otpcore.providers import DeliveryReceipt, ProviderContext, ProviderInfo
from otpcore.testing import FakeClock

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1200, "height": 780}
MINUTES = 58
BROKEN_AT = 35  # minutes after the beginning
KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"

chance = random.Random(7)
clock = FakeClock(datetime.now(UTC) - timedelta(minutes=MINUTES))
codes: dict[str, str] = {}
past = True
broken = False


def now() -> datetime:
    """The made-up hour, and then the real time."""
    return clock() if past else datetime.now(UTC)


class Instance:
    """Takes what it is given, unless it is the one that is out of order."""

    def __init__(self, name: str) -> None:
        self._name = name

    @hookimpl
    def describe(self) -> ProviderInfo:
        """One of plain text."""
        return ProviderInfo(display_name=self._name.title())

    @hookimpl
    async def send_sms(self, request: Any) -> DeliveryReceipt:
        """Take it, or not."""
        if broken and self._name == "mada":
            raise ProviderError(
                ErrorKind.MISCONFIGURED, "the gateway refuses the credentials", provider_code="HTTP 401"
            )
        codes[request.challenge_id] = request.code
        return DeliveryReceipt(reference=f"SM{request.delivery_id[8:20]}")


def create(context: ProviderContext) -> Instance:
    """The factory that the settings name."""
    return Instance(context.instance)


SETTINGS: dict[str, Any] = {
    "keys": {"index": KEY, "code": {"test": KEY}, "current": "test"},
    "storage": {"store": "memory"},
    "retry": {"runner": "inline"},
    "limits": {"phone": [], "client": []},
    "otp": {"app": "The Shop", "number_policy": "possible"},
    "otp_sms_provider": "mada:+35987,+35988;twilio;sinch",
    "providers": {name: {"plugin": "screenshots:create"} for name in ("mada", "twilio", "sinch")},
    "server": {
        "console": {
            "path": "/console",
            "trusted_header": "X-User",
            "trusted_from": ["127.0.0.1"],
            "trusted_role": "operator",
        }
    },
}


async def live_an_hour(otp: AsyncOTPService) -> str:
    """Sends and codes that come back, and the id of the last verification."""
    global broken, past  # noqa: PLW0603 - one hour, one script
    began, last = clock(), ""
    for minute in range(MINUTES):
        broken = minute >= BROKEN_AT
        for _ in range(chance.randint(2, 6)):
            prefix = chance.choice(["+35987", "+35988", "+4915", "+1202555"])
            phone = prefix + "".join(chance.choices("0123456789", k=12 - len(prefix) + (prefix == "+4915")))
            try:
                sent = await otp.send_sms(phone, purpose="sign-in")
            except DeliveryError:
                continue
            last = sent.id
            clock.advance(chance.uniform(2, 12))
            if chance.random() < 0.9:  # noqa: PLR2004 - most people type it
                await otp.verify(challenge_id=sent.id, code=codes[sent.id], purpose="sign-in")
        clock.advance(max(0.0, (began + timedelta(minutes=minute + 1) - clock()).total_seconds()))
    past = False
    await otp.operator.purge(by="screenshots", reason="what happened is counted over time")
    return last


async def shoot(page: Page, url: str, name: str) -> None:
    """One picture."""
    await page.goto(url)
    await page.wait_for_timeout(300)
    await page.screenshot(path=IMAGES / f"{name}.png", full_page=True)


async def main() -> None:
    """All of them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed. Fix: install the package chromium")
    IMAGES.mkdir(exist_ok=True)
    server = Server(AsyncOTPService(SETTINGS, clock=now))
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    runs = uvicorn.Server(configured(app_of(server), server))
    serving = asyncio.create_task(runs.serve(sockets=[listening]))
    while not runs.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    last = await live_an_hour(server.service)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = await browser.new_context(
            viewport=SIZE, extra_http_headers={"X-User": "ana"}, reduced_motion="reduce"
        )
        page = await context.new_page()
        await shoot(page, f"{url}/console/?refresh=off", "console")
        await shoot(page, f"{url}/console/verification/{last}?refresh=off", "verification")
        token = (await server.keys.new(Kind.TEST, by="ana")).token
        answer = await context.request.post(
            f"{url}/v1/verifications",
            headers={"Authorization": f"Bearer {token}"},
            data={"to": "+359881234567", "channels": ["sms", "call"], "page": {}},
        )
        narrow = await browser.new_context(viewport={"width": 420, "height": 780})
        await shoot(await narrow.new_page(), (await answer.json())["page_url"], "page")
        await browser.close()
    runs.should_exit = True
    await serving


if __name__ == "__main__":
    sys.modules["screenshots"] = sys.modules["__main__"]
    asyncio.run(main())

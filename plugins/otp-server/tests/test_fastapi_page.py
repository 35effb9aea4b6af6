"""docs/fastapi.md: its program on a real server, and every snippet, run or found in that program."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import attrs
import httpx
import pytest

from otpcore import Operator, load_settings

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "fastapi.md"
SHOP = ROOT / "examples" / "fastapi" / "shop.py"
PHONE = "+359871234567"
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the page lies in the repository, not in the distribution")


@attrs.frozen
class Shop:
    """The program, and what its operator can do."""

    client: httpx.Client
    file: Path
    environment: dict[str, str]

    def otp(self, *words: str) -> dict[str, object]:
        ran = subprocess.run(
            [sys.executable, "-m", "otpcore", "--json", "--app", "shop:otp", *words],
            cwd=SHOP.parent,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return dict(json.loads(ran.stdout))

    def code(self) -> str:
        with Operator(load_settings(self.file)) as operator:
            code = operator.inbox(PHONE, reveal=True)[-1].code
        assert code
        return code

    def post(self, path: str, user: str = "ann", verification: str = "", **values: str) -> httpx.Response:
        headers = {"User": user, **({"OTP-Verification": verification} if verification else {})}
        return self.client.post(path, headers=headers, json=values or None)


def prepared(place: Path) -> tuple[Path, dict[str, str]]:
    made = subprocess.run(
        [sys.executable, "-m", "otpcore", "keys", "new"], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    file = place / "otpcore.toml"
    file.write_text(
        f'otp_sms_provider = "Carrier"\n[sms]\nsandbox = true\n[storage]\nurl = "sqlite:///{place}/otp.sqlite3"\n'
        f"[otp]\ncooldown = 0\n[limits]\nphone = []\n{made.stdout}"
    )
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTPCORE_")}
    return file, {**own, "OTPCORE_SETTINGS_FILE": str(file)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    place = tmp_path_factory.mktemp("shop")
    file, environment = prepared(place)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (place / "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "shop:app"],
                cwd=SHOP.parent,
                env=environment,
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
            )
    try:
        with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
            end = time.monotonic() + PATIENCE
            while "startup complete" not in (place / "log").read_text():
                assert time.monotonic() < end, (place / "log").read_text()
                time.sleep(0.05)
            yield Shop(client, file, environment)
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) in (0, -signal.SIGTERM)
    finally:
        server.kill()
        server.wait(PATIENCE)
    assert "Traceback" not in (place / "log").read_text()


def test_who_has_just_confirmed_the_number_of_the_account_may_pay_once(shop: Shop):
    assert shop.post("/codes", user="eve").status_code == 401
    begun = shop.post("/codes")
    assert begun.status_code == 202
    named = begun.json()["id"]
    assert shop.post("/pay", verification=named).status_code == 403, "no code was typed"
    code = shop.code()
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert shop.post(f"/codes/{named}", code=wrong).json() == {"valid": False}
    assert shop.post(f"/codes/{named}", user="bob", code=code).json() == {"valid": False}
    assert shop.post(f"/codes/{named}", code=code).json() == {"valid": True}
    assert shop.post("/pay").status_code == 403
    assert shop.post("/pay", user="bob", verification=named).status_code == 403
    paid = shop.post("/pay", verification=named)
    assert (paid.status_code, paid.json()) == (200, {"paid": True, "verification": named})
    assert shop.post("/pay", verification=named).status_code == 403


def test_the_service_is_there_below_its_path(shop: Shop):
    assert shop.client.get("/otp/healthz").status_code == 200
    assert shop.client.post("/otp/v1/verifications", json={"to": PHONE}).status_code == 401
    named = shop.post("/codes").json()["id"]
    key = shop.otp("keys", "api", "new", "--kind", "live", "--reason", "the test")["token"]
    seen = shop.client.get(f"/otp/v1/verifications/{named}", headers={"Authorization": f"Bearer {key}"})
    assert (seen.status_code, seen.json()["status"]) == (200, "pending")


def test_what_is_refused_is_answered_by_the_table(shop: Shop):
    for _ in range(5):
        named = shop.post("/codes").json().get("id", "none")
        code = shop.code()
        shop.post(f"/codes/{named}", code=f"{(int(code) + 1) % 1_000_000:06}")
    refused = shop.post("/codes")
    assert refused.status_code == 429, refused.text
    assert refused.json() == {"error": "RateLimited", "reason": "max_attempts", "try_channel": None}
    assert int(refused.headers["Retry-After"]) > 0


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def loaded(monkeypatch: pytest.MonkeyPatch, place: Path) -> ModuleType:
    file, _ = prepared(place)
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", str(file))
    found = importlib.util.spec_from_file_location("shop_of_the_page", SHOP)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, found.name, module)
    found.loader.exec_module(module)
    return module


def test_the_snippets_between_the_first_and_the_last_are_of_the_program():
    assert [one for one in snippets()[1:-1] if one not in SHOP.read_text(encoding="utf-8")] == []


async def test_the_first_and_the_last_snippet_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    shop = loaded(monkeypatch, tmp_path)
    first: dict[str, object] = {}
    exec(snippets()[0], first)
    assert first["app"].router.lifespan_context is not None
    last: dict[str, object] = {"shop": shop}
    exec(snippets()[-1], last)
    with pytest.MonkeyPatch.context() as patch:
        await SimpleNamespace(**last).test_a_code_is_sent(patch)


_BEHIND_A_SOCKET = """
import anyio, httpx, shop

async def main():
    async with shop.app.router.lifespan_context(shop.app):
        transport = httpx.ASGITransport(shop.app, client=None)  # as uvicorn tells who calls over a Unix socket
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
            for user, address in (("ann", "192.0.2.1"), ("bob", "192.0.2.1"), ("bob", "192.0.2.2")):
                answer = await client.post("/codes", headers={"User": user, "X-Forwarded-For": f"192.0.2.9, {address}"})
                print(answer.status_code)
            answer = await client.post("/codes/none", headers={"User": "ann"}, json={"code": 163406})
            print(answer.status_code, "163406" in answer.text)

anyio.run(main)
"""


def test_behind_a_proxy_on_a_unix_socket_each_person_is_one_client(tmp_path: Path):
    _, environment = prepared(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", _BEHIND_A_SOCKET],
        cwd=SHOP.parent,
        env={**environment, "OTPCORE_LIMITS__CLIENT": '["1/1h"]'},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.stdout.split("\n") == ["202", "429", "202", "422 False", ""], ran.stderr

"""A person who is erased by another process is gone from everything that the server keeps, and no one else is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otp_server.keys import Kind
from otp_server.webhooks import teller
from relay_callers import KRATOS, SETTINGS

START = "/v1/verifications"
KEPT = ("inbox", "answers", "pages", "verifications", "outcomes", "attempts")
SECRET = "whsec_" + "c2VjcmV0" * 4


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/otp.sqlite3"
    made: str = request.getfixturevalue(request.param)
    return made


def live_through(client: Any, phone: str) -> str:
    """Leave something in every namespace; the verification's id."""

    def named(name: str) -> dict[str, str]:
        return {"Idempotency-Key": f"{name}-of-{phone}"}

    begun = client.post(START, json={"to": phone, "page": {}, "metadata": {"a": "b"}}, headers=named("start")).json()
    client.post(f"{START}/{begun['id']}/check", json={"code": "000000"}, headers=named("check"))
    client.post(f"{START}/{begun['id']}/resend", json={}, headers=named("resend"))  # refused, as it is too early
    client.post("/v1/decoys", json={"to": phone}, headers=named("decoy"))
    carried = client.post("/v1/messages", json={"to": phone, "code": "123456"}, headers=named("carry")).json()
    client.post(f"/v1/messages/{carried['id']}/outcome", json={"used": True})
    handed = KRATOS.call(str(client.base_url).rstrip("/"), KRATOS.body(phone))
    assert handed.status_code == 200, handed.text
    refused = client.post(START, json={"to": phone, "purpose": "pay"}, headers=named("refused"))
    assert refused.status_code == 422
    return str(begun["id"])


def kept(server: Any, namespace: str) -> list[Any]:
    found: list[Any] = server.do(server.server.records.every(namespace))
    return found


def erase(directory: Path, url: str, keys: Any, phone: str) -> Any:
    """As an operator does, at the command line."""
    text = (
        f'otp_sms_provider = "anyone"\n[storage]\nurl = "{url}"\n'
        f'[keys]\nindex = "{keys.index}"\ncurrent = "test"\ncode = {{test = "{keys.code["test"]}"}}\n'
    )
    path = directory / "otpcore.toml"
    path.write_text(text)
    path.chmod(0o600)
    ran = subprocess.run(
        [sys.executable, "-m", "otpcore", "--json", "purge", "--phone", "-", "--yes"],
        cwd=directory,
        input=f"{phone}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.parametrize("kind", [Kind.TEST, Kind.LIVE])
def test_an_erased_person_is_gone_from_all_that_the_server_keeps(
    kind: Kind,
    url: str,
    run_server: Callable[..., Any],
    tmp_path: Path,
    phone: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(teller, "DELAYS", (3600.0,))  # each change is told once while this lasts
    other = f"{phone[:-7]}{(int(phone[-7:]) + 5_000_000) % 10_000_000:07d}"
    webhook = {"url": "http://127.0.0.1:1/nobody-hears", "secrets": [SECRET]}
    relay = {"kratos": {**SETTINGS["kratos"], "kind": str(kind)}}
    purposes = ["default", "login_code_valid"]
    apps = {"shop": {"purposes": purposes, "webhook": webhook, "relay": relay}}
    own = {"apps": apps, "webhook_networks": ["127.0.0.0/8"]}
    with (
        run_server(url, storage={"url": url, "outbox": True}, server=own) as server,
        server.client(kind, app="shop") as client,
    ):
        before = {namespace: len(kept(server, namespace)) for namespace in KEPT}
        ids = {one: live_through(client, one) for one in (phone, other)}
        end = time.monotonic() + 30
        while len(kept(server, "attempts")) < before["attempts"] + 8 and time.monotonic() < end:
            time.sleep(0.05)
        server.do(server.server.inbox.share())
        both = {namespace: len(kept(server, namespace)) for namespace in KEPT}
        assert all((both[one] - before[one]) % 2 == 0 and both[one] > before[one] for one in KEPT), both
        erased = erase(tmp_path, url, server.server.otp_settings.keys, phone)
        assert erased["challenges"] >= 2
        assert erased["records"] == sum(both[one] - before[one] for one in KEPT) / 2
        assert client.get(f"{START}/{ids[phone]}").status_code == 404
        assert client.get(f"{START}/{ids[other]}").json()["metadata"] == {"a": "b"}
        told = client.get("/v1/webhooks/attempts").json()["attempts"]
        assert told
        assert all(ids[phone] not in json.dumps(one) for one in told)
        if kind is Kind.TEST:
            inbox = client.get("/v1/inbox").json()["messages"]
            assert {one["to"] for one in inbox} == {other}

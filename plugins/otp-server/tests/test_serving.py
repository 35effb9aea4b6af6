"""``otp serve`` as a process: without settings, told to end, killed; and on PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from otp_server.serving import _listen

START = "/v1/verifications"
SANDBOX = 'otp_sms_provider = "anyone"\n[sms]\nsandbox = true\n[limits]\nphone = []\n'


def with_key(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def test_without_settings_a_code_is_in_the_inbox_and_verified(serve: Callable[..., Any], tmp_path: Path) -> None:
    running = serve()
    assert running.told["sandbox"] is True
    assert running.url.startswith("http://127.0.0.1:")
    assert httpx.post(f"{running.url}{START}", json={"to": 1}).status_code == 401
    with with_key(running.url, running.told["token"]) as client:
        begun = client.post(START, json={"to": "+12025550110"}).json()
        (message,) = client.get("/v1/inbox").json()["messages"]
        assert message["code"] in client.get(running.told["inbox"]).text
        checked = client.post(f"{START}/{begun['id']}/check", json={"code": message["code"]}).json()
        assert (checked["valid"], checked["status"]) == (True, "approved")
    assert list(tmp_path.iterdir()) == []
    assert running.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("host", ["::", "0.0.0.0"])
def test_the_inbox_is_seen_from_this_machine_wherever_it_listens(
    serve: Callable[..., Any], tmp_path: Path, host: str
) -> None:
    running = serve(tmp_path, "--host", host)
    port = httpx.URL(running.url).port
    for address in (running.told["inbox"], f"http://127.0.0.1:{port}/inbox", f"http://localhost:{port}/inbox"):
        assert httpx.get(address).status_code == 200, address
    assert httpx.get(f"http://127.0.0.1:{port}/inbox", headers={"Host": "evil.example"}).status_code == 404
    assert running.end(signal.SIGTERM) == 0


def test_told_to_end_it_answers_what_is_under_way(
    site: Path, otp: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    with (site / "otpcore.toml").open("a") as file:
        file.write("[otp]\nprovider_timeout = 2\n")
    running = serve(site)
    answers: list[httpx.Response] = []
    with with_key(running.url, otp("keys", "api", "new")[1]["token"]) as client:
        # The provider takes the message and does not answer in time.
        asked = threading.Thread(target=lambda: answers.append(client.post(START, json={"to": "+12025550111"})))
        asked.start()
        time.sleep(0.7)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
        running.process.send_signal(signal.SIGTERM)  # a group is told, and a supervisor passes the same one on
        asked.join(60)
        assert answers[0].status_code < 500
        assert running.process.wait(60) == 0
        with pytest.raises(httpx.TransportError):
            client.get("/healthz")


def test_commands_are_listed_without_a_web_framework() -> None:
    program = (
        "import otp_server.command, sys; print([one for one in sys.modules if one.startswith(('fastapi', 'jinja2'))])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[]\n"


def test_an_answer_on_a_kept_connection_leaves_at_once() -> None:
    """Head and body are two packets: without TCP_NODELAY the second waits until the first is acknowledged."""

    async def delays() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with _listen("127.0.0.1", 0) as listening:
            async with await asyncio.start_server(met, sock=listening):
                with socket.create_connection(listening.getsockname()):
                    return await seen

    assert asyncio.run(delays()) == 1


def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-m", "otpcore", "serve", "--port", port],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (ran.returncode, ran.stdout) == (3, "")
    assert f"port {port}" in ran.stderr
    assert "--port" in ran.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("[server]\nprot = 8025\n", "server.prot: unknown key; did you mean server.port?"),
        (
            '[server.apps.shop.webhook]\nurl = "https://a.example"\nsecrets = ["whsec_' + "A" * 32 + '"]\n',
            "storage.outbox: is off",
        ),
    ],
)
def test_what_it_does_not_start_with_is_what_doctor_finds(
    site: Path, otp: Callable[..., Any], wrong: str, told: str
) -> None:
    assert otp("doctor")[0] == 0
    (site / "otpcore.toml").write_text(SANDBOX + wrong)
    assert told in str(otp("serve")[1])
    code, document = otp("doctor")
    (problem,) = (one for one in document["checks"] if one["level"] == "problem")
    assert code == 1
    assert told in problem["detail"]
    assert {one["about"] for one in document["checks"]} >= {"limits", "rules", "providers", "retries"}


@pytest.mark.parametrize("host", ["a..b", ".", "nowhere.invalid"])
def test_a_host_that_is_none_is_told_with_what_to_do(host: str, tmp_path: Path, otp: Callable[..., Any]) -> None:
    code, document = otp("serve", "--host", host)
    assert code == 3
    assert document["error"]["message"].startswith(f"cannot listen at {host} port 8025: ")
    (tmp_path / "otpcore.toml").write_text(f'{SANDBOX}[server.console]\nhost = "{host}"\n')
    assert otp("serve", "--port", "0")[0] == 3


def test_without_keys_the_fix_makes_them_beside_the_settings_that_are_there(
    tmp_path: Path, otp: Callable[..., Any]
) -> None:
    (tmp_path / "otpcore.toml").write_text(SANDBOX)
    for refused in (("keys", "api", "new"), ("console", "user", "add", "ann"), ("serve", "--workers", "2")):
        code, document = otp(*refused)
        assert code == 3
        (words,) = re.findall(r"otp (keys new --into [^;]+)", document["error"]["fix"])
    assert otp(*shlex.split(words))[0] == 0
    assert otp("keys", "api", "new")[0] == 0


@pytest.fixture
def site(tmp_path: Path, otp: Callable[..., Any]) -> Path:
    """A directory with keys, and settings for a sandbox that keeps what it knows."""
    assert otp("init")[0] == 0
    (tmp_path / "otpcore.toml").write_text(SANDBOX)
    return tmp_path


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_it_works_on_servers(
    kind: str, request: pytest.FixtureRequest, run_server: Callable[..., Any], phone: str
) -> None:
    url = request.getfixturevalue(kind)
    with run_server(url) as server, server.client() as client:
        named = {"Idempotency-Key": "one"}
        begun = client.post(START, json={"to": phone, "metadata": {"a": "b"}}, headers=named).json()
        assert client.post(START, json={"to": phone, "metadata": {"a": "b"}}, headers=named).json() == begun
        check = f"{START}/{begun['id']}/check"
        assert client.post(check, json={"code": server.code()}).json()["valid"] is True
        seen = client.get(f"{START}/{begun['id']}").json()
        assert (seen["status"], seen["metadata"]) == ("approved", {"a": "b"})
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_the_sandbox_of_test_keys_is_no_warning_about_everybody(
    run_server: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with run_server(f"sqlite:///{tmp_path}/live.sqlite3"):
        assert "nothing is sent to anybody" not in caplog.text
    with run_server(f"sqlite:///{tmp_path}/sandbox.sqlite3", sms={"sandbox": True}, otp_sms_provider="anyone"):
        assert "nothing is sent to anybody" in caplog.text

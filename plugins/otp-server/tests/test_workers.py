"""``otp serve --workers``: real processes on one address; killed, replaced, ended, and refused where they could not share."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

START = "/v1/verifications"
KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"
HOST = """
from otpcore import AsyncOTPService
from otpcore.testing import Outbox

otp = AsyncOTPService(
    {{
        "keys": {{"index": "{key}", "code": {{"test": "{key}"}}, "current": "test"}},
        "storage": {{"url": "{url}"}},
        "limits": {{"phone": [], "client": []}},
        "server": {{"console": {{"on": False}}}},
    }},
    providers=Outbox().providers,
)
"""


@pytest.fixture(params=["sqlite", "postgres"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a host's module over a database."""
    url = f"sqlite:///{tmp_path}/otp.sqlite3" if request.param == "sqlite" else request.getfixturevalue("postgres")
    (tmp_path / "host.py").write_text(HOST.format(key=KEY, url=url))
    monkeypatch.setenv("OTPCORE_APP", "host:otp")
    return tmp_path


@pytest.fixture
def token(host: Path) -> Iterator[str]:
    """A key for one test; two may live at a time, and tests share a server."""
    ran = otp(host, "new", "--note", "workers")
    (found,) = [word for word in ran.stdout.split() if word.startswith("otp_test_")] or [ran.stderr]
    yield found
    assert otp(host, "revoke", found.split("_")[2]).returncode == 0


def otp(host: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``otp keys api``."""
    return subprocess.run(
        [sys.executable, "-m", "otpcore", "keys", "api", *words],
        cwd=host,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def of(running: Any) -> list[psutil.Process]:
    """The processes that serve."""
    found = []
    for one in psutil.Process(running.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have died just now
            found += [one] if "spawn_main" in " ".join(one.cmdline()) else []
    return found


def ask(running: Any, token: str, stop: threading.Event, answers: list[int], broken: list[Exception]) -> None:
    """Start verifications, each over a connection of its own."""
    number = 0
    while not stop.is_set():
        number += 1
        try:
            answer = httpx.post(
                running.url + START,
                json={"to": f"+35987{threading.get_ident() % 10}{number:06d}"},
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
            answers.append(answer.status_code)
        except httpx.TransportError as error:
            broken.append(error)


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_one_that_is_killed_is_replaced_and_the_others_go_on(host: Path, token: str, serve: Callable[..., Any]) -> None:
    running = serve(host, "--workers", "3", OTPCORE_APP="host:otp")
    assert running.told["workers"] == 3
    before = {one.pid for one in of(running)}
    assert len(before) == 3
    stop, answers, broken = threading.Event(), [], []
    threads = [threading.Thread(target=ask, args=(running, token, stop, answers, broken)) for _ in range(3)]
    for one in threads:
        one.start()
    wait(lambda: len(answers) > 10)
    psutil.Process(min(before)).kill()
    wait(lambda: len({one.pid for one in of(running)} - before) == 1)
    seen = len(answers)
    wait(lambda: len(answers) > seen + 20)
    stop.set()
    for one in threads:
        one.join(60)
    assert set(answers) == {202}
    assert len(broken) <= 3, "what the killed one had under way, and no more"
    assert running.end(signal.SIGTERM) == 0
    assert not any(psutil.pid_exists(pid) for pid in before)


def test_the_inbox_shows_what_any_of_them_sent(host: Path, token: str, serve: Callable[..., Any]) -> None:
    running = serve(host, "--workers", "2", OTPCORE_APP="host:otp")
    headers, codes = {"Authorization": f"Bearer {token}"}, {}
    for number in range(12):  # each over a connection of its own: none of the two processes takes all of them
        begun = httpx.post(running.url + START, json={"to": f"+3598712300{number:02}"}, headers=headers, timeout=60)
        shown = httpx.get(f"{running.url}/v1/inbox", headers=headers, timeout=60).json()["messages"]
        found = {one["verification"]: one["code"] for one in shown}
        codes[begun.json()["id"]] = found[begun.json()["id"]]
        assert codes.items() <= found.items()
        assert shown[0]["verification"] == begun.json()["id"], "the latest first"
    for challenge_id, code in codes.items():
        checked = httpx.post(
            f"{running.url}{START}/{challenge_id}/check", json={"code": code}, headers=headers, timeout=60
        )
        assert checked.json()["valid"]
    assert running.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_all_of_them_answer_what_is_under_way(
    number: signal.Signals, token: str, host: Path, serve: Callable[..., Any]
) -> None:
    running = serve(host, "--workers", "2", OTPCORE_APP="host:otp")
    crew = of(running)
    answers: list[int] = []
    slow = ("+12025550111", "+442079460011", "+46701740611")  # the sandbox takes these and does not answer in time

    def start(to: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        body = {"to": to, "purpose": number.name}  # a server may be shared, and a living verification is not sent again
        answers.append(httpx.post(running.url + START, json=body, headers=headers, timeout=60).status_code)

    threads = [threading.Thread(target=start, args=(one,)) for one in slow]
    for one in threads:
        one.start()
    time.sleep(1.0)
    assert not answers
    assert running.end(number) == 0
    for one in threads:
        one.join(60)
    assert len(answers) == 3
    assert all(one in (202, 503) for one in answers)
    assert not any(one.is_running() for one in crew)


def test_without_the_one_that_watches_the_others_end_too(host: Path, serve: Callable[..., Any]) -> None:
    running = serve(host, "--workers", "2", OTPCORE_APP="host:otp")
    crew = of(running)
    running.process.kill()
    _, left = psutil.wait_procs(crew, 60)
    assert left == []


def test_measurements_are_of_all_of_them(host: Path, token: str, serve: Callable[..., Any]) -> None:
    running = serve(host, "--workers", "3", OTPCORE_APP="host:otp")
    for _ in range(30):
        httpx.get(f"{running.url}/healthz")  # a connection each: whoever is free takes it
    seen = set()
    for _ in range(6):
        text = httpx.get(f"{running.url}/metrics", headers={"Authorization": f"Bearer {token}"}).text
        (line,) = [one for one in text.splitlines() if one.startswith("otp_http_requests_total") and "healthz" in one]
        seen.add(line.rpartition(" ")[2])
        assert "otp_ready 1.0" in text
    assert seen == {"30.0"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("", "the memory store is seen by its own process only"),
        ('otp_sms_provider = "anyone"\n[sms]\nsandbox = true\n[storage]\nurl = "sqlite:///otp.sqlite3"\n', "no keys"),
    ],
)
def test_what_could_not_be_shared_is_refused(settings: str, told: str, tmp_path: Path) -> None:
    if settings:
        (tmp_path / "otpcore.toml").write_text(settings)
    ran = subprocess.run(
        [sys.executable, "-m", "otpcore", "serve", "--port", "0", "--workers", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (3, "")
    assert told in ran.stderr
    assert "--workers 1" in ran.stderr


def test_what_keeps_one_from_starting_is_told_once_and_ends_all(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text(HOST.format(key=KEY, url=f"sqlite:///{tmp_path}/missing/otp.sqlite3"))
    own = {name: value for name, value in os.environ.items() if not name.startswith("OTPCORE_")}
    ran = subprocess.run(
        [sys.executable, "-m", "otpcore", "--app", "host:otp", "serve", "--port", "0", "--workers", "4"],
        cwd=tmp_path,
        env=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode in (3, 5), ran.stderr
    assert ran.stderr.count("error:") == 1
    assert "Traceback" not in ran.stderr

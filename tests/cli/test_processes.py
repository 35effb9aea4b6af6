"""Real processes: from ``otp init`` to a verified code, and workers that are killed, stopped and told new rules."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from otp_mada.simulator import MadaSimulator

from otpcore.cli.exits import ExitCode
from otpcore.simulators.exchange import Fault, SimulatedAnswer, SimulatedRequest

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name
from .desk import OTHER_PHONE, PHONE, Desk, Otp, shown_secrets

PATIENCE = 60.0  # seconds, for a machine with much else to do; what is waited for takes a few

QUICK = {
    "sms": {"retry": True},
    "otp": {"provider_timeout": 1, "send_timeout": 2},
    "retry": {"runner": "worker", "first_delay": 0.05, "max_delay": 0.2, "lease": 1.5, "poll": 0.05},
}

PATIENT = {**QUICK, "otp": {"provider_timeout": 30, "send_timeout": 60}, "retry": {**QUICK["retry"], "lease": 90}}

Start = Callable[..., "subprocess.Popen[str]"]


class Noticed(list[Any]):
    """A list on whose length one can wait."""

    def __init__(self) -> None:
        super().__init__()
        self._news = threading.Condition()

    def append(self, item: Any) -> None:
        with self._news:
            super().append(item)
            self._news.notify_all()

    def wait_for(self, count: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: len(self) >= count, PATIENCE)


class Gateway(MadaSimulator):
    """Mada, which can be watched, and told to think before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: Noticed = Noticed()
        self.inbox: Noticed = Noticed()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        self.may_answer.wait(PATIENCE)
        return super().handle(request)


@pytest.fixture
def gateway(desk: Desk) -> Iterator[Gateway]:
    """The gateway of the settings, with everything quick."""
    with Gateway() as mada:
        desk.mada = mada
        desk.write(**QUICK)
        yield mada


@pytest.fixture
def start(directory: Path, forked: Preloaded) -> Iterator[Start]:
    """Start ``otp worker``, and wait until it is ready; whatever still runs at the end is killed."""
    workers: list[subprocess.Popen[str]] = []

    def start_worker(*arguments: str) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [forked.otp, "worker", *arguments],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        workers.append(worker)
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("ready: up to ")
        return worker

    yield start_worker
    for worker in workers:
        worker.kill()
        worker.communicate()


def otp_process(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTPCORE_")}
    command = [sys.executable, "-m", "otpcore", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def test_from_init_to_a_verified_code(directory: Path) -> None:
    with MadaSimulator() as mada:
        assert otp_process(directory, "init").returncode == ExitCode.OK
        settings = (
            (directory / "otpcore.toml").read_text().replace('otp_sms_provider = ""', 'otp_sms_provider = "Mada"')
        )
        own = "\n".join(f"{key} = {json.dumps(value)}" for key, value in mada.provider_settings().items())
        (directory / "otpcore.toml").write_text(f"{settings}\n[providers.mada]\n{own}\n")
        sent = otp_process(directory, "send", PHONE, "--json")
        assert sent.returncode == ExitCode.OK, sent.stderr
        challenge = json.loads(sent.stdout)
        code = mada.inbox[0].code
        assert not shown_secrets(sent.stdout + sent.stderr, [code, PHONE[1:]])
        verified = otp_process(directory, "--json", "verify", challenge["id"], code)
        assert verified.returncode == ExitCode.OK, verified.stderr
        assert json.loads(verified.stdout)["status"] == "approved"


def test_a_worker_that_is_killed_during_an_outage_loses_nothing(
    otp: Otp, desk: Desk, gateway: Gateway, start: Start
) -> None:
    gateway.down()
    for phone in (PHONE, OTHER_PHONE):
        assert otp("send", phone, "--json").document["state"] == "queued"
    gateway.fail(Fault.HANG, times=None)
    gateway.up()
    first = start()
    gateway.requests.wait_for(1)
    first.kill()
    first.wait()
    gateway.down()  # what the first had sent, and the gateway has not read, ends with its connection
    assert gateway.inbox == []
    gateway.recover()
    gateway.up()
    desk.write(**PATIENT)  # a machine that stalls is no second outage, after which a message may come twice
    second = start()
    gateway.inbox.wait_for(2)
    for phone in (PHONE, OTHER_PHONE):
        assert otp("verify", phone, desk.code(phone)).code == ExitCode.OK
    second.terminate()
    _, logged = second.communicate(timeout=PATIENCE)
    assert second.returncode == ExitCode.OK
    assert len(gateway.inbox) == 2
    assert not shown_secrets(logged, desk.secrets())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_worker_that_is_told_to_stop_finishes_what_is_under_way(
    otp: Otp, desk: Desk, gateway: Gateway, start: Start, backend: str
) -> None:
    desk.write(**{**QUICK, "otp": {"provider_timeout": 5, "send_timeout": 10}, "retry": {"runner": "worker"}})
    gateway.down()
    challenge = otp("send", PHONE, "--json").document["id"]
    gateway.may_answer.clear()
    gateway.up()
    worker = start("--backend", backend, "--concurrency", "2")
    gateway.requests.wait_for(1)
    worker.terminate()
    assert worker.stderr is not None
    assert "SIGTERM: finishing what is under way" in worker.stderr.readline()
    gateway.may_answer.set()
    worker.communicate(timeout=PATIENCE)
    assert worker.returncode == ExitCode.OK
    [shown] = otp("challenges", "show", challenge, "--json").document["challenges"]
    assert (shown["state"], shown["confirmed"]) == ("sent", True)
    assert otp("verify", PHONE, desk.code()).code == ExitCode.OK


@pytest.mark.parametrize("apart", [0.0, 0.002, 0.02])
def test_a_signal_that_comes_twice_as_groups_pass_it_on_ends_a_worker_in_good_order(
    directory: Path, desk: Desk, gateway: Gateway, otp: Otp, start: Start, apart: float
) -> None:
    worker = start()
    worker.send_signal(signal.SIGINT)
    time.sleep(apart)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == ExitCode.OK
    assert otp("status", "--json").document["workers"] == []


def test_another_signal_stops_a_worker_at_once(otp: Otp, desk: Desk, gateway: Gateway, start: Start) -> None:
    desk.write(**PATIENT)
    gateway.down()
    otp("send", PHONE)
    gateway.may_answer.clear()
    gateway.up()
    worker = start()
    gateway.requests.wait_for(1)
    worker.send_signal(signal.SIGINT)
    assert worker.stderr is not None
    assert "SIGINT: finishing what is under way" in worker.stderr.readline()
    time.sleep(0.6)  # those that come together are one
    worker.send_signal(signal.SIGINT)
    assert worker.wait(PATIENCE) == -signal.SIGINT
    gateway.may_answer.set()


def test_a_running_worker_follows_new_rules(otp: Otp, desk: Desk, gateway: Gateway, start: Start) -> None:
    with Gateway() as other:
        spare = {**other.provider_settings(), "plugin": "mada"}
        desk.write(**QUICK, providers={"mada_eu": spare})
        gateway.down()
        otp("send", PHONE)
        worker = start()
        assert otp("routes", "set", "Mada_eu").code == ExitCode.OK
        other.inbox.wait_for(1)
        assert otp("verify", PHONE, other.inbox[0].code).code == ExitCode.OK
        worker.terminate()
        worker.communicate(timeout=PATIENCE)
        assert worker.returncode == ExitCode.OK


def test_a_worker_shows_up_in_the_status_and_is_gone_when_it_stops(
    directory: Path, desk: Desk, gateway: Gateway, start: Start, otp: Otp
) -> None:
    worker = start()
    deadline = time.monotonic() + PATIENCE
    while not (found := otp("status", "--json").document["workers"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (one,) = found
    assert one["kind"] == "worker"
    assert one["name"].startswith("worker-")
    assert otp("doctor", "--json").code == ExitCode.OK
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == ExitCode.OK
    assert otp("status", "--json").document["workers"] == []

"""A broker of the test's own is killed and comes back."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from .rig import Gateway, eventually, phone
from .test_trouble import told

pytestmark = pytest.mark.anyio

# Debian's command of this name changes to a user of its own, who may not write here.
_SERVER = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or shutil.which("rabbitmq-server")


class Node:
    """A RabbitMQ node with its own name, ports and directory."""

    def __init__(self, directory: Path) -> None:
        self.port, distribution = _free_ports(2)
        self.directory = directory
        self._environment = {
            **os.environ,
            "HOME": str(directory),
            "RABBITMQ_NODENAME": f"otpcore-test-{secrets.token_hex(3)}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} -setcookie {secrets.token_hex(8)} +S 1:1",
        }
        (directory / "plugins").write_text("[].\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> bool:
        """Until it answers; False: it does not."""
        self._process = subprocess.Popen(
            [_SERVER or ""],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                connection.settimeout(2)
                if connection.recv(8):
                    return True
            if self._process.poll() is not None:
                return False
            time.sleep(0.1)
        return False

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@pytest.fixture
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    if _SERVER is None:
        pytest.skip("rabbitmq-server is not installed here")
    one = Node(tmp_path_factory.mktemp("rabbitmq"))
    try:
        if not one.start():
            pytest.skip("rabbitmq-server does not start here")
        yield one
    finally:
        one.kill()


async def test_a_broker_is_killed_and_comes_back_and_nothing_is_lost(
    opened: Callable[..., Any], gateway: Gateway, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otpcore")
    gateway.failures = 5
    async with opened({"url": node.url}) as otp:
        for number in range(20):
            await otp.send_sms(phone(number))
        await eventually(lambda: sum(map(len, gateway.tries.values())) > 30)
        node.kill()
        await eventually(lambda: told(caplog, "broker_away"))
        assert await anyio.to_thread.run_sync(node.start)
        began = time.monotonic()
        await eventually(lambda: told(caplog, "broker_connected") == 2)
        assert time.monotonic() - began < 10
        await otp.send_sms(phone(20))
        await eventually(lambda: len(gateway.sent) == 21, 40)
    assert set(gateway.sent.values()) == {1}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]

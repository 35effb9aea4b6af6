"""``otp serve``: listens, says where, and ends in good order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import anyio
import attrs
import uvicorn
from fastapi import FastAPI

from otp_server.app import app_of
from otp_server.connections import Connection
from otp_server.keys import Kind, Scope
from otp_server.server import Server
from otp_server.settings import read_settings
from otpcore import AsyncOTPService, Settings
from otpcore.cli import CommandError, ExitCode, Options, run, service_for, settings_for

__all__ = ["configured", "serve"]

_SANDBOX = {"sms": {"sandbox": True}, "otp_sms_provider": "sandbox", "storage": {"store": "memory"}}
"""What holds where nothing is set: nobody is reached, and nothing is kept."""


def serve(options: Options, host: str | None, port: int | None) -> ExitCode:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CommandError: The address cannot be listened at.
        OTPConfigurationError: A setting is wrong.
    """
    settings = settings_for(options)
    is_bare = options.app is None and attrs.evolve(settings, server={}) == Settings()
    service = AsyncOTPService({**_SANDBOX, "server": settings.server}) if is_bare else service_for(options)
    own = read_settings(settings.server)
    listening = _listen(host or own.host, own.port if port is None else port)
    with contextlib.closing(listening):
        run(_serve, options, Server(service), listening)
    return ExitCode.OK


class _Uvicorn(uvicorn.Server):
    """Leaves signals to who runs it, which ends with an exit code of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


async def _serve(options: Options, server: Server, listening: socket.socket) -> None:
    app = app_of(server)
    runs = _Uvicorn(configured(app, server))
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

            async def work() -> None:
                await runs.serve(sockets=[listening])
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)
            tasks.start_soon(_announce, options, server, runs, listening)
            async for number in signals:
                options.note(f"{signal.Signals(number).name}: finishing what is under way; another one stops at once")
                runs.force_exit = runs.should_exit
                runs.should_exit = True


def configured(app: FastAPI, server: Server) -> uvicorn.Config:
    """How uvicorn serves it: no log of addresses beside ours, and word of the caller's address from trusted proxies only."""
    logging.getLogger("uvicorn.access").disabled = True
    proxies = [*server.settings.trusted_proxies]
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=server.patience,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=16 * 1024,
    )


async def _announce(options: Options, server: Server, runs: uvicorn.Server, listening: socket.socket) -> None:
    while not runs.started:
        if runs.should_exit:
            return
        await anyio.sleep(0.01)
    host, port = listening.getsockname()[:2]
    at = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    document = {"ready": True, "url": at, "sandbox": server.is_sandbox}
    lines = [f"ready: {at}/v1 (HTTP API); Ctrl-C or SIGTERM stops it"]
    if server.is_sandbox:
        document["inbox"] = f"{at}/inbox"
        lines += ["this is the sandbox: nobody is sent anything", f"inbox: {at}/inbox"]
    if server.otp_settings.needs_throw_away_keys:
        made = await server.keys.new(Kind.TEST, scopes=list(Scope), by="otp serve", note="for this run")
        document["token"] = made.token
        lines += ["its keys were made up, and everything is forgotten when it ends", f"key: {made.token}"]
    options.say(document, *lines)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; bound before anything is opened, so that a taken port costs nothing."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise CommandError(
            f"cannot listen at {host} port {port}: {error.strerror or type(error).__name__}",
            "give an address of this machine with --host, and a free port with --port (0 takes any)",
            ExitCode.CONFIGURATION,
        ) from error
    return listening

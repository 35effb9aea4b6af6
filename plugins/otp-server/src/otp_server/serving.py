"""``otp serve``: listens, says where, and ends in good order."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Literal

import anyio
import attrs
import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from otp_server.app import app_of
from otp_server.console import create_console
from otp_server.console_settings import DEFAULT_PORT, ConsoleSettings
from otp_server.keys import Kind, Scope
from otp_server.peers import Peered
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
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listen(host or own.host, own.port if port is None else port))
        console = own.console
        beside = stack.enter_context(_listen_beside(console)) if console.on and not console.path else None
        run(_serve, options, Server(service), listening, beside)
    return ExitCode.OK


class _Uvicorn(uvicorn.Server):
    """Leaves signals to who runs it, which ends with an exit code of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


async def _serve(options: Options, server: Server, listening: socket.socket, beside: socket.socket | None) -> None:
    api = _Uvicorn(configured(app_of(server), server))
    console = None if beside is None else _Uvicorn(configured(create_console(server), server, lifespan="off"))
    async with anyio.create_task_group() as tasks:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

            async def work() -> None:
                await api.serve(sockets=[listening])
                tasks.cancel_scope.cancel()

            async def work_beside(runs: _Uvicorn, at: socket.socket) -> None:
                await _until_started(api)
                await runs.serve(sockets=[at])

            tasks.start_soon(work)
            if console is not None and beside is not None:
                tasks.start_soon(work_beside, console, beside)
            tasks.start_soon(_announce, options, server, (api, listening), (console, beside))
            async for number in signals:
                options.note(f"{signal.Signals(number).name}: finishing what is under way; another one stops at once")
                for runs in filter(None, (console, api)):
                    runs.force_exit = runs.should_exit
                    runs.should_exit = True


def configured(app: ASGIApp, server: Server, *, lifespan: Literal["on", "off"] = "on") -> uvicorn.Config:
    """How uvicorn serves it: no log of addresses beside ours, and word of the caller's address from trusted proxies only."""
    logging.getLogger("uvicorn.access").disabled = True
    proxies = [*server.settings.trusted_proxies]
    return uvicorn.Config(
        Peered(ProxyHeadersMiddleware(app, trusted_hosts=proxies) if proxies else app),  # type: ignore[arg-type] # uvicorn's own types of ASGI
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=server.patience,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=16 * 1024,
    )


async def _until_started(*all_of: _Uvicorn) -> bool:
    """False: one of them ends instead."""
    while not all(runs.started for runs in all_of):
        if any(runs.should_exit for runs in all_of):
            return False
        await anyio.sleep(0.01)
    return True


async def _announce(
    options: Options,
    server: Server,
    api: tuple[_Uvicorn, socket.socket],
    console: tuple[_Uvicorn | None, socket.socket | None],
) -> None:
    if not await _until_started(*filter(None, (api[0], console[0]))):
        return
    at = _address(api[1])
    path = server.settings.console.path
    seen_at = _address(console[1]) if console[1] is not None else f"{at}{path}" if path else ""
    document = {"ready": True, "url": at, "sandbox": server.is_sandbox}
    lines = [f"ready: {at}/v1 (HTTP API); Ctrl-C or SIGTERM stops it"]
    if server.settings.console.on and seen_at:
        document["console"] = seen_at
        lines.append(f"console: {seen_at}/")
    if server.is_sandbox:
        document["inbox"] = f"{at}/inbox"
        lines += ["this is the sandbox: nobody is sent anything", f"inbox: {at}/inbox"]
    if server.otp_settings.needs_throw_away_keys:
        made = await server.keys.new(Kind.TEST, scopes=list(Scope), by="otp serve", note="for this run")
        document["token"] = made.token
        lines += ["its keys were made up, and everything is forgotten when it ends", f"key: {made.token}"]
    options.say(document, *lines)


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen_beside(console: ConsoleSettings) -> socket.socket:
    """Where the console listens; where no port is said, and its own is taken, at a free one."""
    if console.port is not None:
        return _listen(console.host, console.port, "server.console.port")
    try:
        return _listen(console.host, DEFAULT_PORT, "server.console.port")
    except CommandError:
        return _listen(console.host, 0, "server.console.port")


def _listen(host: str, port: int, setting: str = "--port") -> socket.socket:
    """A socket that listens there; bound before anything is opened, so that a taken port costs nothing."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise CommandError(
            f"cannot listen at {host} port {port}: {error.strerror or type(error).__name__}",
            f"give an address of this machine, and a free port with {setting} (0 takes any)",
            ExitCode.CONFIGURATION,
        ) from error
    return listening

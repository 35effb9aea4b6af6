"""``otp serve``: listens, says where, and ends in good order."""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import anyio
import attrs
import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from otp_server.app import app_of
from otp_server.connections import Connection
from otp_server.console import create_console
from otp_server.console_settings import DEFAULT_PORT, ConsoleSettings
from otp_server.keys import Kind, Scope
from otp_server.measures import measured_together
from otp_server.networks import with_mapped
from otp_server.peers import Peered
from otp_server.server import Server
from otp_server.workers import Crew
from otpcore import AsyncOTPService, Settings
from otpcore.cli import (
    ENDING,
    CommandError,
    ExitCode,
    Options,
    let_another_stop_at_once,
    run,
    service_for,
    settings_for,
)

__all__ = ["configured", "serve", "settle"]

_SANDBOX = {"sms": {"sandbox": True}, "otp_sms_provider": "sandbox", "storage": {"store": "memory"}}
"""What holds where nothing is set: nobody is reached, and nothing is kept."""
_AT_ONCE = 1.0  # seconds within which a signal is no second one
_TO_CLOSE = 10  # seconds beyond what is under way, for the store and the providers


def serve(options: Options, host: str | None, port: int | None, workers: int = 1) -> ExitCode:
    """Serve until SIGTERM or SIGINT.

    Raises:
        CommandError: The address cannot be listened at, or this cannot be done by several processes.
        OTPConfigurationError: A setting is wrong.
    """
    server = _server(options)
    if workers > 1:
        _check_sharing(server)
    own = server.settings
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(_listen(host or own.host, own.port if port is None else port))
        console = own.console
        beside = stack.enter_context(_listen_beside(console)) if console.on and not console.path else None
        if workers > 1:
            _serve_together(options, server, listening, beside, workers)
        else:
            run(_serve, options, server, listening, beside)
    return ExitCode.OK


def _server(options: Options) -> Server:
    settings = settings_for(options)
    is_bare = options.app is None and attrs.evolve(settings, server={}) == Settings()
    return Server(AsyncOTPService({**_SANDBOX, "server": settings.server}) if is_bare else service_for(options))


def _check_sharing(server: Server) -> None:
    """That several processes would see the same.

    Raises:
        CommandError: They would not.
    """
    one = "give --workers 1, or none"
    settings = server.otp_settings
    if settings.store_name == "memory":
        told = "--workers: the memory store is seen by its own process only, so several would know different codes"
        raise CommandError(told, f'{one}; or keep data, in [storage]: store = "sql"', ExitCode.CONFIGURATION)
    if settings.needs_throw_away_keys:
        told = (
            "--workers: there are no keys, and each process would make up its own, so none could read another's codes"
        )
        raise CommandError(told, f"{one}; or for keys to keep: {settings.makes_keys}", ExitCode.CONFIGURATION)
    if server.is_sandbox:
        told = "--workers: the inbox of a sandbox is in the memory of one process, so several would each show a part"
        raise CommandError(told, one, ExitCode.CONFIGURATION)


def _serve_together(
    options: Options, server: Server, listening: socket.socket, beside: socket.socket | None, workers: int
) -> None:
    """Watch over processes that serve."""
    addresses = [_address(one) for one in (listening, beside) if one is not None]
    crew = Crew(
        work=_work,
        given=(options, listening, beside),
        count=workers,
        patience=server.patience + _TO_CLOSE,
        announce=partial(_tell, options, server, addresses, {"workers": workers}),
        note=options.note,
    )
    with measured_together():
        crew.run()


def _work(
    options: Options, listening: socket.socket, beside: socket.socket | None, *, ready: Callable[[], None]
) -> None:
    """One of several processes."""
    options.configure_logging()
    run(_serve, options, _server(options), listening, beside, ready)


def settle() -> None:
    """What is there by now stays: the collector need not look at it again, which would hold up whoever asks just then."""
    gc.collect()
    gc.freeze()


class _Uvicorn(uvicorn.Server):
    """Leaves signals to who runs it, which ends with an exit code of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of them."""
        yield


async def _serve(
    options: Options,
    server: Server,
    listening: socket.socket,
    beside: socket.socket | None,
    ready: Callable[[], None] | None = None,
) -> None:
    """Serve here. Who is told when it is ready tells people the rest, too."""
    async with server, anyio.create_task_group() as tasks:
        places = [_Place.of(app_of(server), server, listening)]
        if beside is not None:
            places.append(_Place.of(create_console(server), server, beside))
        settle()
        with _told_to_end() as signals:

            async def work() -> None:
                async with anyio.create_task_group() as serving:
                    for place in places:
                        serving.start_soon(place.serve)
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)
            tasks.start_soon(_announce, options, server, places, ready)
            if ready is not None:
                tasks.start_soon(_until_alone, places)
            async for number in _apart(signals):
                if ready is None:
                    options.note(f"{number.name}: finishing what is under way; another one stops at once")
                for place in places:
                    place.runs.force_exit = place.runs.should_exit
                    place.runs.should_exit = True


@contextlib.contextmanager
def _told_to_end() -> Iterator[AsyncIterator[signal.Signals]]:
    """The signals that tell it to end; once it has, another one stops the process while it closes."""
    try:
        with anyio.open_signal_receiver(*ENDING) as signals:
            yield signals
    finally:
        let_another_stop_at_once()


async def _apart(signals: AsyncIterator[signal.Signals]) -> AsyncIterator[signal.Signals]:
    """Those that do not come together: a whole group is told, and the process that watches passes the same one on."""
    latest = -_AT_ONCE
    async for number in signals:
        if anyio.current_time() - latest >= _AT_ONCE:
            latest = anyio.current_time()
            yield signal.Signals(number)


async def _until_alone(places: Sequence[_Place]) -> None:
    """A process whose parent is gone would serve for ever: nobody could tell it to end."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    await anyio.wait_readable(parent.sentinel)
    for place in places:
        place.runs.should_exit = True


@attrs.frozen
class _Place:
    """An application, and where it listens."""

    runs: _Uvicorn
    listening: socket.socket

    @classmethod
    def of(cls, app: ASGIApp, server: Server, listening: socket.socket) -> _Place:
        """Served in the way of this server, which is open."""
        return cls(_Uvicorn(configured(app, server, lifespan="off")), listening)

    async def serve(self) -> None:
        """Until it is told to end."""
        await self.runs.serve(sockets=[self.listening])

    @property
    def address(self) -> str:
        """For people on this machine."""
        return _address(self.listening)


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _here(address: str) -> str:
    """The same by a name of this machine, where it is that of all its addresses: only from here the inbox is seen."""
    return address.replace("//[::]:", "//[::1]:").replace("//0.0.0.0:", "//127.0.0.1:")


def configured(app: ASGIApp, server: Server, *, lifespan: Literal["on", "off"] = "on") -> uvicorn.Config:
    """How uvicorn serves it: no log of addresses beside ours, and word of the caller's address from trusted proxies only."""
    logging.getLogger("uvicorn.access").disabled = True
    proxies = with_mapped(server.settings.trusted_proxies)
    return uvicorn.Config(
        Peered(ProxyHeadersMiddleware(app, trusted_hosts=proxies) if proxies else app),  # type: ignore[arg-type] # uvicorn's own types of ASGI
        http=Connection,
        ws="none",
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


async def _announce(
    options: Options, server: Server, places: Sequence[_Place], ready: Callable[[], None] | None
) -> None:
    while not all(place.runs.started for place in places):
        if any(place.runs.should_exit for place in places):
            return
        await anyio.sleep(0.01)
    if ready is not None:
        ready()
        return
    addresses = [place.address for place in places]
    if not server.otp_settings.needs_throw_away_keys:
        _tell(options, server, addresses, {})
        return
    made = await server.keys.new(Kind.TEST, scopes=list(Scope), by="otp serve", note="for this run")
    forgotten = "its keys were made up, and everything is forgotten when it ends"
    _tell(options, server, addresses, {"token": made.token}, forgotten, f"key: {made.token}")


def _tell(options: Options, server: Server, addresses: Sequence[str], more: Mapping[str, Any], *lines: str) -> None:
    """Say where it listens, and what else there is to know."""
    at, console = addresses[0], server.settings.console
    document = {"ready": True, "url": at, "sandbox": server.is_sandbox}
    told = [f"ready: {at}/v1 (HTTP API); Ctrl-C or SIGTERM stops it"]
    if console.on:
        document["console"] = f"{at}{console.path}/" if console.path else f"{addresses[1]}/"
        told.append(f"console: {document['console']}")
    if server.is_sandbox:
        document["inbox"] = f"{_here(at)}/inbox"
        told += ["this is the sandbox: nobody is sent anything", f"inbox: {document['inbox']}"]
    options.say({**document, **more}, *told, *lines)


def _listen_beside(console: ConsoleSettings) -> socket.socket:
    """Where the console listens; where no port is said, and its own is taken, at a free one."""
    if console.port is not None:
        return _listen(console.host, console.port, "server.console.port")
    try:
        return _listen(console.host, DEFAULT_PORT, "server.console.port")
    except CommandError:
        return _listen(console.host, 0, "server.console.port")


def _listen(host: str, port: int, setting: str = "--port") -> socket.socket:
    """A socket that listens there; bound before anything is opened, so that a taken port costs nothing.

    It names its protocol, as asyncio sends small packets at once (TCP_NODELAY) only where a socket does: else each answer on a
    connection that is kept would wait for forty milliseconds.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, UnicodeError) as error:  # the latter: a name that cannot be one, such as a..b
        why = getattr(error, "strerror", None) or "it is no name of a host"
        raise CommandError(
            f"cannot listen at {host} port {port}: {why}",
            f"give an address of this machine, and a free port with {setting} (0 takes any)",
            ExitCode.CONFIGURATION,
        ) from error
    return listening

"""Why there is no connection: host, port and cause are told, and what to do; nothing else of the URL is."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import AsyncExitStack

import anyio
import httpx
import pytest

from otpcore.errors import ErrorKind, ProviderError
from otpcore.http.causes import cause_of
from otpcore.http.client import HttpClient, open_client
from otpcore.providers.guard import clean_error
from otpcore.providers.hooks import ProviderContext
from otpcore.simulators import SimulatedAnswer, Simulator

pytestmark = pytest.mark.anyio


class Plain(Simulator):
    """A vendor that speaks no TLS."""

    def handle(self, request: object) -> SimulatedAnswer:
        del request
        return SimulatedAnswer(200, b"")


async def _failure(url: str, timeout: float = 5.0) -> ProviderError:
    async with AsyncExitStack() as stack:
        client = await open_client(stack, ProviderContext(instance="acme", timeout=timeout), base_url=url)
        with pytest.raises(ProviderError) as caught:
            await client.request("POST", "/token/T0KEN?key=T0KEN", content=b"x")
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    return caught.value


def _free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port: int = own.getsockname()[1]
        return port


async def test_a_port_at_which_nothing_listens_refuses():
    port = _free_port()
    failure = await _failure(f"http://127.0.0.1:{port}/path/T0KEN")
    assert failure.summary == f"no connection to 127.0.0.1:{port}: refused, nothing listens there"
    assert "host and port" in failure.fix
    assert "T0KEN" not in f"{failure!r} {failure.args}"


async def test_a_port_that_the_url_does_not_say_is_told_too():
    failure = await _failure("https://no-such-host.invalid")
    assert failure.summary == "no connection to no-such-host.invalid:443: its name is not found (DNS)"
    assert "spells the host right" in failure.fix


async def test_https_at_a_port_that_speaks_plain_http_is_a_matter_of_tls():
    with Plain() as vendor:
        place = vendor.base_url.removeprefix("http://")
        failure = await _failure(f"https://{place}")
    assert failure.summary == f"no connection to {place}: TLS failed"
    assert f"at {place} speaks https" in failure.fix


async def test_a_host_that_does_not_answer_is_told_by_the_timeout():
    """Its queue of connections is full, so a SYN gets no answer."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        place = deaf.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(place)
        await anyio.sleep(0.05)
        failure = await _failure(f"http://127.0.0.1:{place[1]}", timeout=0.5)
        for filler in fillers:
            filler.close()
    assert failure.summary == f"no connection to 127.0.0.1:{place[1]}: no answer in time (timeout)"
    assert "firewall" in failure.fix


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENETUNREACH, "hush"), "no route to it"),
        (OSError(errno.EHOSTUNREACH, "hush"), "no route to it"),
        (ConnectionResetError(errno.ECONNRESET, "hush"), "cut off while it was made"),
        (socket.gaierror(socket.EAI_NONAME, "hush"), "its name is not found (DNS)"),
        (ssl.SSLError(1, "hush"), "TLS failed"),
        (
            ExceptionGroup("hush", [OSError("hush"), OSError(errno.ECONNREFUSED, "hush")]),
            "refused, nothing listens there",
        ),
        (httpx.PoolTimeout("hush"), "all connections to it are busy (timeout)"),
        (OSError("hush"), "OSError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_cause_is_found_below_what_the_library_raises(error: Exception, words: str) -> None:
    outer = httpx.ConnectError("hush")
    outer.__cause__ = error
    for raised in (error, outer):
        assert cause_of(raised).words == words
        assert "hush" not in cause_of(raised).fix


def test_user_password_path_and_query_of_a_url_are_told_nowhere() -> None:
    def refuse(*_: object) -> None:
        raise httpx.ConnectError("x")

    client = HttpClient(
        None,  # type: ignore[arg-type] # not reached
        base_url="https://user:pa55word@[2001:db8::1]/T0KEN?key=T0KEN",
        headers={},
        timeout=1,
        clock=refuse,  # type: ignore[arg-type] # not asked
    )
    told = client._failure(httpx.ConnectError("x"))
    assert "no connection to [2001:db8::1]:443: " in told.summary
    assert not {"user:", "pa55word", "T0KEN"} & set(f"{told.summary} {told.fix}".split())
    assert "pa55word" not in repr(told.args)


def test_the_fix_of_a_plugin_goes_on_cleaned() -> None:
    raised = ProviderError(ErrorKind.UNAVAILABLE, "no connection", fix="look at 359871234567\n" + "x" * 999)
    assert clean_error(raised, "mada", ("359871234567",)).fix == ""
    assert clean_error(raised, "mada", ()).fix.startswith("look at 359871234567?")
    assert len(clean_error(raised, "mada", ()).fix) < 400

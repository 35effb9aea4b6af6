"""Callers that are slow on purpose: each is cut off, and none keeps others waiting."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from otp_server import connections
from raw_requests import connected, exchange, is_closed, read_answer

HEAD = b"POST /v1/explain HTTP/1.1\r\nHost: here\r\n"
WHOLE = b"GET /problems HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths."""
    monkeypatch.setattr(connections, "HEAD_PATIENCE", 0.5)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)


def drip(made: Any, head: bytes, over: Callable[[], bool]) -> None:
    """A byte of it at a time, and then one header after another, until the connection is closed."""
    endless = itertools.chain(head, itertools.cycle(b"X-A: 1\r\n"))
    try:
        while not over():
            made.sendall(bytes([next(endless)]))
            time.sleep(0.02)
    except ConnectionError:
        return
    raise AssertionError("it was not closed")


def flood(made: Any, piece: bytes) -> None:
    """So much of it as is taken, and no end of it."""
    for _ in range(100_000):
        made.sendall(piece)


@pytest.mark.parametrize("first", [b"", WHOLE])
def test_a_head_that_comes_byte_by_byte_is_given_up(shared: Any, hasty: None, first: bytes) -> None:
    with connected(shared.url) as made:
        if first:
            made.sendall(first)
            assert read_answer(made).status == 200
        began = time.monotonic()
        drip(made, HEAD, lambda: time.monotonic() > began + 30)
        assert time.monotonic() - began > 0.4


def test_a_caller_that_says_nothing_is_given_up(shared: Any, hasty: None) -> None:
    with connected(shared.url) as made:
        assert is_closed(made)


def test_many_of_them_do_not_keep_others_waiting(shared: Any, hasty: None) -> None:
    """More than the server takes at once; when they are cut off, it answers again."""
    with contextlib.ExitStack() as stack:
        for _ in range(1_010):
            stack.enter_context(connected(shared.url))
        end = time.monotonic() + 30
        while httpx.get(f"{shared.url}/healthz").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_caller_that_reads_no_answer_is_given_up(
    shared: Any, hasty: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "_MORE_PATIENCE", 0.5 - shared.server.patience)
    with connected(shared.url) as made, caplog.at_level(logging.ERROR):
        made.settimeout(1)
        with pytest.raises((TimeoutError, ConnectionError)):  # it takes no more, or has closed
            flood(made, WHOLE * 50)
        end = time.monotonic() + 30
        own = made.getsockname()
        while any(one.client == own for one in list(shared.connections)):
            assert time.monotonic() < end
            time.sleep(0.05)
    assert [one.getMessage() for one in caplog.records] == []


def test_a_body_that_takes_its_time_is_no_slow_one(shared: Any, hasty: None) -> None:
    with connected(shared.url) as made:
        made.sendall(HEAD + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n")
        time.sleep(1.0)
        made.sendall(b"{}")
        assert read_answer(made).status == 401  # it was read, and has no key


def test_a_connection_that_rests_is_kept(shared: Any, hasty: None) -> None:
    with connected(shared.url) as made:
        for _ in range(2):
            made.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
            assert read_answer(made).status == 200
            time.sleep(1.0)


@pytest.mark.parametrize("size", [20_000, 900_000])
def test_who_sends_too_much_hears_so(shared: Any, size: int) -> None:
    """All of it is taken in, as a connection that is cut off while one sends loses the answer."""
    with httpx.Client(base_url=shared.url) as client:
        answer = client.post("/v1/explain", content=b"1" * size, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert "connection" not in answer.headers


def test_who_sends_far_too_much_is_cut_off(shared: Any) -> None:
    head = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"1" * 65_536 + b"\r\n"
    with connected(shared.url) as made:
        made.sendall(head)
        with pytest.raises(ConnectionError):
            flood(made, piece)


def test_who_asks_before_sending_too_much_is_told_at_once(shared: Any) -> None:
    head = HEAD + b"Content-Length: 20000\r\nExpect: 100-continue\r\n\r\n"
    (answer,) = exchange(shared.url, head)
    assert (answer.status, answer.headers["connection"]) == (413, "close")

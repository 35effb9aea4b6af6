"""What the vendors' simulators send of their own accord: HTTP requests to a URL that their customer gave."""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Callable, Mapping
from json import dumps
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs

__all__ = ["Callback", "Caller", "call", "never", "written"]

_TIMEOUT = 15.0  # seconds; as long as Twilio waits


def never(_tries: int, _status: int) -> bool:
    """A callback is sent once, whatever comes of it."""
    return False


@attrs.frozen(kw_only=True)
class Callback:
    """One request to the customer.

    Args:
        url: Where to, with its query.
        headers: All but those of HTTP itself.
        body: Bytes.
        again: Whether it is repeated, by how often it was tried and by the status of the answer (0: there was none).
        method: HTTP verb.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    again: Callable[[int, int], bool] = never
    method: str = "POST"


def written(
    url: str,
    headers: Mapping[str, str],
    *,
    query: Mapping[str, str] | None,
    form: Mapping[str, str] | None,
    json: Any,
) -> tuple[str, dict[str, str], bytes]:
    """URL, headers and body of a request with these fields in its query, or as a form or JSON in its body."""
    if query:
        url = f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
    if form is not None:
        return url, {"Content-Type": "application/x-www-form-urlencoded", **headers}, urlencode(form).encode()
    if json is not None:
        return url, {"Content-Type": "application/json", **headers}, dumps(json).encode()
    return url, dict(headers), b""


class Caller:
    """Sends callbacks one after the other, in a thread of its own, so that nobody waits for them."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[Callback, threading.Event] | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def send(self, callback: Callback, after: threading.Event) -> None:
        """Queue one, to be sent once something else has happened."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="simulator-callbacks", daemon=True)
            self._thread.start()
        self._queue.put((callback, after))

    def wait(self) -> None:
        """Until all that were queued are answered or have failed."""
        self._queue.join()

    def close(self) -> None:
        """Send what is queued, then end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (queued := self._queue.get()) is not None:
            callback, after = queued
            after.wait()
            tries = 1
            while callback.again(tries, call(callback)[0]):
                tries += 1
            self._queue.task_done()
        self._queue.task_done()


def call(callback: Callback) -> tuple[int, bytes]:
    """Make one now: status and body of the answer; status 0 where there was none."""
    parts = urlsplit(callback.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection.request(callback.method, target, callback.body or None, dict(callback.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""  # the customer's affair
    finally:
        connection.close()

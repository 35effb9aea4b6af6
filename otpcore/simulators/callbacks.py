"""What the vendors' simulators send of their own accord: HTTP requests to a URL that their customer gave."""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import attrs

__all__ = ["Callback", "Caller", "never", "post"]

_TIMEOUT = 15.0  # seconds; as long as Twilio waits


def never(_tries: int, _status: int) -> bool:
    """A callback is sent once, whatever comes of it."""
    return False


@attrs.frozen(kw_only=True)
class Callback:
    """One POST to the customer.

    Args:
        url: Where to.
        headers: All but those of HTTP itself.
        body: Bytes.
        again: Whether it is repeated, by how often it was tried and by the status of the answer (0: there was none).
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    again: Callable[[int, int], bool] = never


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
            while callback.again(tries, post(callback)[0]):
                tries += 1
            self._queue.task_done()
        self._queue.task_done()


def post(callback: Callback) -> tuple[int, bytes]:
    """Send one now: status and body of the answer; status 0 where there was none."""
    parts = urlsplit(callback.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection.request("POST", target, callback.body, dict(callback.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""  # the customer's affair
    finally:
        connection.close()

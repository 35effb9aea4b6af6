"""An app's server that hears webhooks."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs


@attrs.define(eq=False)
class Receiver:
    """An app's server: keeps what it hears, and answers as it is told to."""

    url: str = ""
    answers: list[int] = attrs.field(factory=list)
    heard: list[tuple[dict[str, str], bytes]] = attrs.field(factory=list)

    def wait(self, count: int) -> list[dict[str, Any]]:
        end = time.monotonic() + 60
        while len(self.heard) < count and time.monotonic() < end:
            time.sleep(0.01)
        return [json.loads(body) for _, body in self.heard]


@contextlib.contextmanager
def listening() -> Iterator[Receiver]:
    """One that listens."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(made.answers.pop(0) if made.answers else 204)
            self.send_header("Location", made.url + "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/events"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        server.shutdown()
        thread.join()

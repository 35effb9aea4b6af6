"""A forwarding proxy as stands before a web application: it tells who asked, in a header of its own beside whatever the client wrote."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .proxy import Address

PEER = "X-Test-Peer"
"""In this header a test says which address the proxy sees; loopback has only one everywhere."""
PATIENCE = 60.0  # seconds until the server must listen
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", PEER.casefold()}


@contextlib.contextmanager
def forwarding(target: Address) -> Iterator[str]:
    """The URL of a proxy before the server at this address or Unix socket; it waits until that listens."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = http.client.HTTPConnection("upstream")
            upstream.sock = reached(target)
            with contextlib.closing(upstream):
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.casefold() not in _HOP_BY_HOP:
                        upstream.putheader(name, value)
                upstream.putheader("X-Forwarded-For", self.headers.get(PEER, "203.0.113.1"))
                upstream.putheader("Connection", "close")
                upstream.endheaders(body)
                answer = upstream.getresponse()
                content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.casefold() not in {*_HOP_BY_HOP, "content-length", "server", "date"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - the standard library's naming

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def reached(target: Address) -> socket.socket:
    """A connection, once somebody listens."""
    given_up = time.monotonic() + PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET)
        try:
            connection.connect(target)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            if time.monotonic() > given_up:
                raise
            time.sleep(0.02)
        else:
            return connection

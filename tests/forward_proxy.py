"""A forward proxy on loopback: tunnels by CONNECT, and requests in plain HTTP; and a vendor with a certificate of its own authority."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import attrs
from certificates import Certificates


@attrs.define(eq=False)
class ForwardProxy:
    """What it saw, and what it does wrong.

    Args:
        login: Whoever does not bring it gets 407.
        refuses: The status with which it refuses everybody; 0: nobody.
        breaks: ``"close"``, ``"garbage"`` or ``"stall"`` in answer to a request; empty: it does its work.
        seen: Methods and targets.
        active: Connections that are open.
    """

    port: int = 0
    login: str = ""
    refuses: int = 0
    breaks: str = ""
    seen: list[tuple[str, str]] = attrs.field(factory=list)
    active: set[int] = attrs.field(factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def handle(self, client: socket.socket) -> None:
        """One request of a client, or one tunnel."""
        head = _read_head(client)
        if not head:
            return
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        self.seen.append((method, target))
        if self.breaks == "stall":
            client.recv(1)  # until the other side gives up
        elif self.breaks == "garbage":
            client.sendall(b"\x00\x01 this is no HTTP\r\n\r\n")
        elif not self.breaks:
            status = self._status(lines)
            if status != 200:
                client.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            elif method == "CONNECT":
                self._tunnel(client, target)
            else:
                self._forward(client, lines)

    def _status(self, lines: list[str]) -> int:
        wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and f"proxy-authorization: {wanted}".lower() not in (line.lower() for line in lines):
            return 407
        return self.refuses or 200

    def _tunnel(self, client: socket.socket, target: str) -> None:
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as vendor:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pass_on(client, vendor)

    def _forward(self, client: socket.socket, lines: list[str]) -> None:
        method, target, version = lines[0].split(" ", 2)
        parts = urlsplit(target)
        kept = [line for line in lines[1:] if not line.lower().startswith(("proxy-", "connection:"))]
        place = target.partition("//")[2]
        first = f"{method} /{place.partition('/')[2]} {version}"
        with socket.create_connection((parts.hostname or "", parts.port or 80)) as vendor:
            head = "\r\n".join([first, "Connection: close", *[line for line in kept if line]])
            vendor.sendall(head.encode("latin-1") + b"\r\n\r\n")
            _pass_on(client, vendor)


def _read_head(client: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        one = client.recv(1)
        if not one:
            return b""
        head += one
    return head


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    while True:
        readable, _, _ = select.select([one, other], [], [])
        for source in readable:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def forward_proxy(certificates: Certificates | None = None) -> Iterator[ForwardProxy]:
    """A proxy that ends with the block; with certificates it speaks TLS."""
    proxy = ForwardProxy()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                client = self.request if certificates is None else _secured(certificates, self.request)
                proxy.active.add(id(self))
                with client:
                    proxy.handle(client)

        def finish(self) -> None:
            proxy.active.discard(id(self))

    with _Server(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield proxy
        server.shutdown()


def _secured(certificates: Certificates, accepted: socket.socket) -> ssl.SSLSocket:
    return _context(certificates).wrap_socket(accepted, server_side=True)


def _context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.chain, certificates.key)
    return context


@attrs.define(eq=False)
class PrivateVendor:
    """A vendor whose certificate nobody knows.

    Args:
        breaks: ``"close"`` or ``"stall"`` once it has read a request; empty: it answers 200.
        seen: Request lines and headers.
    """

    port: int = 0
    breaks: str = ""
    seen: list[tuple[str, dict[str, str]]] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@contextlib.contextmanager
def private_vendor(certificates: Certificates) -> Iterator[PrivateVendor]:
    vendor = PrivateVendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            vendor.seen.append((self.requestline, {name.lower(): value for name, value in self.headers.items()}))
            if vendor.breaks:
                self.close_connection = True
                if vendor.breaks == "stall":
                    self.connection.recv(1)
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names are those of the base

        def log_message(self, *_: Any) -> None:
            """Not into the tests' output."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that does not trust us breaks off."""

        def finish_request(self, request: Any, client_address: Any) -> None:
            with _secured(certificates, request) as client:
                super().finish_request(client, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        vendor.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield vendor
        server.shutdown()

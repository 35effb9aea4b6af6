"""A vendor's SDK, kept on this machine: a server that answers as told and remembers what was sent to it.

SDKs name their vendor's host themselves, mostly with ``https``. ``redirected`` bends every client that they use to the
server; the host that the SDK meant stays in the header ``Host`` and is remembered with the rest.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

__all__ = ["Loopback", "redirected"]

OF_NO_MEANING = {
    "accept-encoding",
    "cache-control",
    "connection",
    "content-length",
    "date",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-request-id",
    "x-ts-auth-method",
    "x-ts-nonce",
}
"""Headers of the SDK's own HTTP client, or that differ with each request."""


class Loopback:
    """Answers on 127.0.0.1; ``sent`` is what arrived, ``answer`` what is said to it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answer: tuple[int, Any] = (200, {})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        loopback = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                loopback.sent.append(_read(self.command, self.path, dict(self.headers.items()), body, loopback.address))
                status, answer = loopback.answer
                said = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_PUT = _any  # noqa: N815 - the server's names

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _read(method: str, target: str, headers: dict[str, str], body: bytes, address: str) -> dict[str, Any]:
    path, query = urlsplit(target).path, urlsplit(target).query
    names = {name.lower(): value for name, value in headers.items()}
    kept = {
        name: value
        for name, value in sorted(names.items())
        if name not in OF_NO_MEANING and not name.startswith("x-stainless") and value != "*/*"
    }
    sent: dict[str, Any] = {"method": method, "path": path, "headers": kept}
    if names["host"] != address:
        sent = {"host": names["host"]} | sent
    if query:
        sent["query"] = dict(parse_qsl(query, keep_blank_values=True))
    if "json" in names.get("content-type", ""):
        sent["json"] = json.loads(body)
    elif body:
        sent["form"] = dict(parse_qsl(body.decode(), keep_blank_values=True))
    return sent


@contextlib.contextmanager
def redirected(address: str) -> Iterator[None]:
    """Every request of requests, httpx and httplib2 goes to ``address``, without TLS."""
    undo = []
    for bend in (_bend_requests, _bend_httpx, _bend_httplib2):
        with contextlib.suppress(ImportError):  # an SDK brings one of them
            undo.append(bend(address))
    try:
        yield
    finally:
        for restore in undo:
            restore()


def _bend_requests(address: str) -> Any:
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - there where an SDK has brought it

    genuine = HTTPAdapter.send

    def send(self: Any, request: Any, **kwargs: Any) -> Any:
        url = urlsplit(request.url)
        request.headers["Host"] = url.netloc
        request.url = urlunsplit(("http", address, url.path, url.query, ""))
        return genuine(self, request, **kwargs | {"proxies": {}})

    HTTPAdapter.send = send
    return lambda: setattr(HTTPAdapter, "send", genuine)


def _bend_httpx(address: str) -> Any:
    import httpx  # noqa: PLC0415 - there where an SDK has brought it

    genuine = httpx.HTTPTransport.handle_request
    host, port = address.split(":")

    def handle_request(self: Any, request: Any) -> Any:
        request.url = request.url.copy_with(scheme="http", host=host, port=int(port))
        return genuine(self, request)

    httpx.HTTPTransport.handle_request = handle_request
    return lambda: setattr(httpx.HTTPTransport, "handle_request", genuine)


def _bend_httplib2(address: str) -> Any:
    import httplib2  # noqa: PLC0415 - there where an SDK has brought it

    genuine = httplib2.Http.request

    def request(self: Any, uri: str, method: str = "GET", **kwargs: Any) -> Any:
        url = urlsplit(uri)
        headers = {**(kwargs.pop("headers", None) or {}), "Host": url.netloc}
        return genuine(self, urlunsplit(("http", address, url.path, url.query, "")), method, headers=headers, **kwargs)

    httplib2.Http.request = request
    return lambda: setattr(httplib2.Http, "request", genuine)

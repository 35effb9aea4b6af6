"""The widget: one ES module that shows the verification page in a page of an app's own."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.problems import ProblemError

__all__ = ["integrity", "routes", "tag", "versioned"]

_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_A_WHILE = "public, max-age=300"


def routes() -> Sequence[BaseRoute]:
    """The module under its plain address and under one that changes with it, and its types."""

    async def plain(_: Request) -> Response:
        return _answer("otp.js", "text/javascript", _FOR_A_WHILE)

    async def fixed(request: Request) -> Response:
        if request.url.path.rpartition("/")[2] != versioned():
            raise ProblemError("not_found")
        return _answer("otp.js", "text/javascript", _FOR_EVER)

    async def types(_: Request) -> Response:
        return _answer("otp.d.ts", "text/plain", _FOR_A_WHILE)

    return [
        Route("/widget/otp.js", plain),
        Route("/widget/otp.d.ts", types),
        Route("/widget/otp.{digest}.js", fixed),
    ]


@functools.cache
def versioned() -> str:
    """The module's name that changes with it."""
    return f"otp.{hashlib.sha256(_content('otp.js')).hexdigest()[:12]}.js"


@functools.cache
def integrity() -> str:
    """What a browser holds the module against (W3C, *Subresource Integrity*)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(_content("otp.js")).digest()).decode()


def tag(url: str) -> str:
    """The element that loads this version of the module, and no other.

    Args:
        url: Of the server.
    """
    address = f"{url.rstrip('/')}/widget/{versioned()}"
    return f'<script type="module" src="{address}" integrity="{integrity()}" crossorigin="anonymous"></script>'


def _answer(name: str, kind: str, kept: str) -> Response:
    return Response(_content(name), headers={**_HEADERS, "Cache-Control": kept}, media_type=kind)


@functools.cache
def _content(name: str) -> bytes:
    return files("otp_server").joinpath("static", "widget", name).read_bytes()

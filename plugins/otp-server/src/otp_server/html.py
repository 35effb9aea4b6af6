"""Pages: templates and static files, and the headers that keep everything foreign out of them."""

from __future__ import annotations

import functools
import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.places import outside
from otp_server.problems import ProblemError

__all__ = ["page", "routes", "static_url"]

_POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "otp-credentials=(self), camera=(), microphone=(), geolocation=()",
}
_FOR_EVER = "public, max-age=31536000, immutable"


@functools.cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("otp_server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": static_url, "outside": outside}
    return made


def page(
    template: str, values: Mapping[str, Any], *, status: int = 200, policy: Mapping[str, str] | None = None
) -> Response:
    """A page of HTML.

    Args:
        template: Below ``templates/``.
        values: What it shows; a missing one is an error, and all of them are escaped.
        status: HTTP's.
        policy: What of the Content-Security-Policy is otherwise here, such as ``{"frame-ancestors": "https://shop.example"}``.
    """
    text = _templates().get_template(template).render(values)
    rules = "; ".join(f"{name} {value}" for name, value in {**_POLICY, **(policy or {})}.items())
    return Response(text, status, {**_HEADERS, "Content-Security-Policy": rules}, media_type="text/html")


@functools.cache
def static_url(path: str) -> str:
    """The address of a file below ``static/``: another content has another one, so that it may be kept for ever."""
    return f"/static/{hashlib.sha256(_content(path)).hexdigest()[:12]}/{path}"


def routes() -> Sequence[BaseRoute]:
    """The static files."""

    async def static(request: Request) -> Response:
        path = request.path_params["path"]
        try:
            known = request.path_params["digest"] == static_url(path).split("/")[2]
        except (OSError, ValueError):
            known = False
        if not known:
            raise ProblemError("not_found")
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        headers = {"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"}
        return Response(_content(path), headers=headers, media_type=kind)

    return [Route("/static/{digest}/{path:path}", static)]


@functools.cache
def _content(path: str) -> bytes:
    steps = path.split("/")
    if any(not one or one.startswith(".") for one in steps):
        raise ValueError("no path below static/")
    return files("otp_server").joinpath("static", *steps).read_bytes()

"""A page of what can be changed: what is picked on it, the question whether it is meant, and the change."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from otp_server.console.asking import Asked, FormError, Role, changing, person_of
from otp_server.console.desk import Desk

__all__ = ["steps"]


class _Page(Protocol):
    """Shows the page, or hears what was picked on it."""

    def __call__(self, desk: Desk, request: Request, /) -> Awaitable[Response]: ...


class _Question(Protocol):
    """Asks whether it is meant; once more, with what is wrong in what was typed."""

    def __call__(
        self,
        desk: Desk,
        request: Request,
        errors: Mapping[str, str] | None = None,
        typed: Mapping[str, str] | None = None,
        /,
    ) -> Awaitable[Response]: ...


class _Change(Protocol):
    """Makes the change that was confirmed."""

    def __call__(self, desk: Desk, request: Request, asked: Asked, /) -> Awaitable[Response]: ...


def steps(
    desk: Desk, path: str, name: str, *, page: _Page, picked: _Page, confirm: _Question, change: _Change
) -> Sequence[BaseRoute]:
    """The addresses of such a page: a viewer sees it, an operator goes on.

    Args:
        desk: The console's.
        path: Of the page; what can be done lies below it.
        name: Of the part of the path that says what is done.
        page: Shows it.
        picked: Hears what was picked on it, and leads to the question.
        confirm: The question.
        change: What is done after it, for a reason.
    """

    async def shown(request: Request) -> Response:
        await person_of(desk, request)
        return await page(desk, request)

    async def heard(request: Request) -> Response:
        return await picked(desk, request)

    async def asked(request: Request) -> Response:
        await person_of(desk, request, Role.OPERATOR)
        return await confirm(desk, request)

    async def changed(request: Request) -> Response:
        try:
            form = await changing(desk, request)
        except FormError as error:
            return await confirm(desk, request, error.errors, error.form)
        return await change(desk, request, form)

    below = f"{path}/{{{name}:str}}"
    return [
        Route(path, shown, methods=["GET"]),
        Route(path, heard, methods=["POST"]),
        Route(below, asked, methods=["GET"]),
        Route(below, changed, methods=["POST"]),
    ]

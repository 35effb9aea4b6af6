"""``Idempotency-Key``: the same request again is answered as before, for a day; kept sealed, and without the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
from fastapi.encoders import jsonable_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from otp_server.api.auth import Caller, look_up_phone
from otp_server.api.views import look_up
from otp_server.edge import request_id
from otp_server.problems import ProblemError, is_final, problem_of, respond
from otp_server.server import Server

__all__ = ["DESCRIBED", "Answered", "Kept", "once"]

_NAMESPACE = "answers"
_KEPT = timedelta(hours=24)
_LONGEST = 128

DESCRIBED: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same request again is answered as before, for a day.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
        }
    ]
}
"""For the description of each address that takes it."""


@attrs.frozen(kw_only=True)
class Answered:
    """What is answered.

    Args:
        status: HTTP's.
        body: A model of ``schemas``.
        headers: Besides the usual ones.
    """

    status: int = 200
    body: Any
    headers: dict[str, str] = attrs.field(factory=dict)


async def once(
    server: Server,
    caller: Caller,
    request: Request,
    work: Callable[[], Awaitable[Answered]],
    *,
    phone: str = "",
    challenge_id: str = "",
) -> Response:
    """Do the work, unless the same request was answered before. What is kept is erased with the phone that it is about.

    A request that died with its process is done again once the time is over that it might have taken.

    Raises:
        ProblemError: The key is none, came with another request, or its request is under way.
    """
    name = request.headers.get("idempotency-key")
    if name is None:
        return _response(await work())
    if not 0 < len(name) <= _LONGEST or not (name.isascii() and name.isprintable()):
        raise ProblemError("malformed")
    about = await _about(caller, phone, challenge_id)
    kept = Kept(server=server, key=server.vault.digest("idempotency key", caller.key.id, name), about=about)
    asked = server.vault.digest("request", request.method, request.url.path, (await request.body()).hex())
    version = await kept.begin(asked)
    if version is None:
        return await kept.replay(asked)
    try:
        answered: Response = _response(await work())
    except Exception as error:
        problem = problem_of(error)  # told as everywhere
        if not is_final(problem):
            await kept.forget(version)
            raise
        answered = respond(problem, request_id())
    except BaseException:
        with anyio.CancelScope(shield=True):
            await kept.forget(version)
        raise
    await kept.finish(asked, version, answered)
    return answered


@attrs.frozen(kw_only=True)
class Kept:
    """The answer to one request, for as long as it is given again.

    Args:
        server: In whose store it is.
        key: A keyed digest of what names the request.
        about: The look-up of the phone with which it is erased; empty: of none.
        lasts: From the answer on.
    """

    server: Server
    key: str
    about: str = ""
    lasts: timedelta = _KEPT

    async def begin(self, asked: str) -> int | None:
        """Claim the key; None: it is somebody else's."""
        until = datetime.now(UTC) + timedelta(seconds=self.server.patience)
        value = {"asked": asked, "answer": None}
        return await self.server.records.put(_NAMESPACE, self.key, value, expires_at=until, expect=0, about=self.about)

    async def finish(self, asked: str, version: int, answered: Response) -> None:
        """Keep the answer."""
        headers = {name: answered.headers[name] for name in ("location", "retry-after") if name in answered.headers}
        answer = {
            "status": answered.status_code,
            "headers": headers,
            "media_type": answered.headers["content-type"],
            "text": bytes(answered.body).decode(),
        }
        value = {"asked": asked, "answer": answer}
        until = datetime.now(UTC) + self.lasts
        await self.server.records.put(_NAMESPACE, self.key, value, expires_at=until, expect=version, about=self.about)

    async def forget(self, version: int) -> None:
        """Let who asks again be the first."""
        await self.server.records.delete(_NAMESPACE, self.key, expect=version)

    async def replay(self, asked: str) -> Response:
        """The answer of before.

        Raises:
            ProblemError: It came with another request, or is not there yet.
        """
        kept = await self.server.records.get(_NAMESPACE, self.key)
        if kept is None:  # it went meanwhile: whoever asks again is the first
            raise ProblemError("in_progress", retry_after=1)
        if kept.value["asked"] != asked:
            raise ProblemError("key_reused")
        answer = kept.value["answer"]
        if answer is None:
            raise ProblemError("in_progress", retry_after=1)
        headers = {**answer["headers"], "Idempotent-Replayed": "true", "Cache-Control": "no-store"}
        return Response(answer["text"], answer["status"], headers, media_type=answer["media_type"])


async def _about(caller: Caller, phone: str, challenge_id: str) -> str:
    """The look-up of the phone that a request is about; empty: it is about none that could be meant."""
    if phone:
        return await look_up_phone(caller.service, phone)
    try:
        return (await look_up(caller, challenge_id))[0].phone_key if challenge_id else ""
    except ProblemError:
        return ""


def _response(answered: Answered) -> Response:
    return JSONResponse(
        jsonable_encoder(answered.body), answered.status, {"Cache-Control": "no-store", **answered.headers}
    )

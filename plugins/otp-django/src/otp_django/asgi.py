"""For ``asgi.py``, in the place of ``django.core.asgi``: the server's lifespan opens and closes otpcore."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application as _of_django

from otp_django.running import forget, running_here
from otpcore import OTPConfigurationError, OTPError

__all__ = ["get_asgi_application"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def get_asgi_application() -> Application:
    """Django's application, with the lifespan that Django leaves to others.

    At its start otpcore opens on the server's event loop: retries that another process left go on, and wrong settings
    stop the start. A server without lifespan (``--lifespan off``, daphne) opens nothing: the first use does.
    """
    application = cast("Application", _of_django())

    async def with_otp(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await application(scope, receive, send)

    return with_otp


async def _live(receive: Receive, send: Send) -> None:
    await receive()  # lifespan.startup
    try:
        async with running_here():
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
            await sync_to_async(
                forget, thread_sensitive=False
            )()  # that of plain views: a server may end without Python's exit
    except (OTPError, OTPConfigurationError) as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.shutdown.complete"})

"""For uvicorn: ``uvicorn portal.asgi:application``. Django leaves start and end of a worker to others; here otpcore opens and closes."""

from __future__ import annotations

import asyncio
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django = get_asgi_application()

from otpcore import OTPConfigurationError, OTPError  # noqa: E402 - as below
from portal.otp import otp  # noqa: E402 - after Django is set up


async def application(scope, receive, send):
    if scope["type"] != "lifespan":
        await django(scope, receive, send)
        return
    await receive()  # startup
    try:
        await asyncio.to_thread(otp.open)  # retries go on from here, and wrong settings stop the start
    except (OTPError, OTPConfigurationError) as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()  # shutdown
    await asyncio.to_thread(otp.close)
    await send({"type": "lifespan.shutdown.complete"})

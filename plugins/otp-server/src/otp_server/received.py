"""What the sandbox kept from people, but for those who were erased since, by whatever process."""

from __future__ import annotations

from otp_server.server import Server
from otpcore import DeliveredMessage

__all__ = ["received"]


async def received(server: Server, app: str | None = None) -> list[DeliveredMessage]:
    """The latest first, of one app; None: of all."""
    found = server.sandbox.sandbox_inbox()
    apps: dict[str, str | None] = {}
    for one in found:
        if one.challenge_id not in apps:
            views = await server.sandbox.store.view(challenge_id=one.challenge_id)
            apps[one.challenge_id] = views[0].challenge.app if views else None
    return [one for one in reversed(found) if (of := apps[one.challenge_id]) is not None and app in (None, of)]

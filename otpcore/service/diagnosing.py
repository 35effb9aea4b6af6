"""Facts about a running service for people: what it rests on."""

from __future__ import annotations

from typing import Any

from otpcore.service.service import Service

__all__ = ["diagnosis"]


async def diagnosis(service: Service) -> dict[str, Any]:
    """Store, rules, providers, those that could not be loaded, and what is retried."""
    channels, retried = service.live.rules.channels, service.retried
    return {
        "sandbox": service.sandbox is not None,
        "store": dict(await service.store.diagnose()),
        "rules": {
            str(channel): str(rules.source) if (rules := service.live.rules.in_force(channel)) else "none"
            for channel in channels
        },
        "providers": {
            name: {"distribution": one.distribution, "version": one.version, "channels": sorted(one.channels)}
            for name, one in service.providers.items()
        },
        "broken": {name: str(error) for name, error in service.instances.broken.items()},
        "retries": {str(channel): channel in retried for channel in channels},
    }

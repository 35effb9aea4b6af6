"""Where each code key stands in its rotation: what the settings list, against what the store's challenges need."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.service.service import Service
from otpcore.settings.tree import Settings
from otpcore.stores.counts import KeyUse

__all__ = ["KeyStanding", "KeyState", "key_states", "keys_in_use", "needed_until", "waiting_keys"]


class KeyStanding(enum.StrEnum):
    """What may be done with a code key."""

    CURRENT = "current"
    """Protects what is new."""
    WAITING = "waiting"
    """Listed as readable, to be made current next."""
    NEEDED = "needed"
    """Kept challenges were written under it."""
    UNUSED = "unused"
    """Nothing needs it any more: it may be retired."""
    MISSING = "missing"
    """Kept challenges were written under it, and it is not listed."""


@attrs.frozen(kw_only=True)
class KeyState:
    """One code key.

    Args:
        challenges: How many were written under it.
        until: When the last of them is removed, at the latest, if no more are written; None: there are none.
    """

    key_id: str
    standing: KeyStanding
    challenges: int = 0
    until: datetime | None = None


def key_states(settings: Settings, in_use: Sequence[KeyUse]) -> tuple[KeyState, ...]:
    """Every code key that is listed or needed, in the order of the settings."""
    keys, uses = settings.keys, {use.key_id: use for use in in_use}
    waiting = waiting_keys(settings)
    states = []
    for key_id in [*keys.code, *(key_id for key_id in uses if key_id not in keys.code)]:
        use = uses.get(key_id)
        if key_id == keys.current:
            standing = KeyStanding.CURRENT
        elif use is not None:
            standing = KeyStanding.NEEDED if key_id in keys.code else KeyStanding.MISSING
        else:
            standing = KeyStanding.WAITING if key_id in waiting else KeyStanding.UNUSED
        until = needed_until(settings, use) if use is not None else None
        challenges = use.challenges if use is not None else 0
        states.append(KeyState(key_id=key_id, standing=standing, challenges=challenges, until=until))
    return tuple(states)


async def keys_in_use(service: Service) -> tuple[KeyUse, ...]:
    """What the kept challenges need each key for: this world's, and of the other's what was written under a key listed here."""
    uses = {use.key_id: use for use in await service.store.keys_in_use()}
    for use in await service.elsewhere.store.keys_in_use() if service.elsewhere is not None else ():
        own = uses.get(use.key_id)
        if own is not None:
            uses[use.key_id] = attrs.evolve(
                own,
                challenges=own.challenges + use.challenges,
                begun_at=max(own.begun_at, use.begun_at),
                expires_at=max(own.expires_at, use.expires_at),
            )
        elif use.key_id in service.settings.keys.code:  # under keys of its own it does without these
            uses[use.key_id] = use
    return tuple(uses.values())


def waiting_keys(settings: Settings) -> tuple[str, ...]:
    """Keys listed after the current one: a new key is added at the end, and then made current."""
    listed, current = tuple(settings.keys.code), settings.keys.current
    return listed[listed.index(current) + 1 :] if current in listed else ()  # the sandbox does without keys


def needed_until(settings: Settings, use: KeyUse) -> datetime:
    """When retention ends for all that was written under a key, even if every code is sent again."""
    last = max(use.expires_at, use.begun_at + timedelta(seconds=settings.otp.longest_life))
    return last + timedelta(seconds=settings.storage.keep_challenges)

"""Passwords and the digits of authenticator apps (RFC 6238): made, kept as little as can be, compared in constant time."""

from __future__ import annotations

import functools
import hmac
import secrets
import time
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import RunVar

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["matching_step", "new_password", "new_seed", "password_fits", "password_hash", "seed_address"]

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 of them: none looks like another
_GROUPS, _IN_A_GROUP = 4, 5  # 100 bits
_LONGEST_PASSWORD = 200
_NO_SEED = "A" * 32
_STEP = 30  # seconds
_DRIFT = 1  # steps that a clock may be off, and a person slow
_AT_ONCE = 2  # each takes 64 MiB
_limiters: RunVar[anyio.CapacityLimiter] = RunVar("otp_server_password_limiter")


def new_password() -> str:
    """100 bits, in four groups."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_IN_A_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def new_seed() -> str:
    """160 bits in base 32, as apps take it."""
    import pyotp  # noqa: PLC0415 - only where there are accounts

    return pyotp.random_base32()


def seed_address(seed: str, name: str, issuer: str) -> str:
    """As apps read it from a picture: ``otpauth://totp/…``."""
    import pyotp  # noqa: PLC0415 - likewise

    return pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name=issuer)


def matching_step(seed: str, digits: str, *, after: int) -> int | None:
    """The step of time whose digits these are; None: there is none, or it is not after the one that was used last."""
    import pyotp  # noqa: PLC0415 - likewise

    typed = "".join(digits.split()).encode(errors="replace")
    made = pyotp.TOTP(seed or _NO_SEED, interval=_STEP)
    now = int(time.time()) // _STEP
    found = None
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        fits = hmac.compare_digest(made.generate_otp(step).encode(), typed)
        if fits and step > after and seed:
            found = step
    return found


async def password_hash(password: str) -> str:
    """What is kept of a password (Argon2id, RFC 9106)."""
    return await anyio.to_thread.run_sync(_hash, password, limiter=_limiter())


async def password_fits(kept: str, password: str) -> bool:
    """Whether it is this one; with nothing kept it takes as long, and is not."""
    fits = await anyio.to_thread.run_sync(_verify, kept or _no_ones(), password[:_LONGEST_PASSWORD], limiter=_limiter())
    return fits and bool(kept)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 - likewise

    return PasswordHasher()


def _hash(password: str) -> str:
    return _hasher().hash(password)


def _verify(kept: str, password: str) -> bool:
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415 - likewise

    try:
        return _hasher().verify(kept, password)
    except VerifyMismatchError:
        return False


@functools.cache
def _no_ones() -> str:
    return _hash(secrets.token_hex(16))


def _limiter() -> anyio.CapacityLimiter:
    """Of this event loop."""
    try:
        return _limiters.get()
    except LookupError:
        made = anyio.CapacityLimiter(_AT_ONCE)
        _limiters.set(made)
        return made

"""Redis or Valkey as the store of otpcore."""

from __future__ import annotations

from otp_redis.store import RedisStore, create_store

__all__ = ["RedisStore", "create_store"]

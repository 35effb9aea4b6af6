"""Whether a server may hold what must not be lost, and what becomes of it there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from otp_redis.trouble import is_passing
from otpcore.stores import SettingsError

__all__ = ["Fitness", "warn"]

_logger = logging.getLogger("otpcore.stores.redis")
_OLDEST = (6, 2)


class Fitness:
    """Looks at one server.

    Args:
        place: For people.
        run: Runs a command on the server that holds our keys.
        may_fail_over: A replica is a primary that was demoted just now; somebody will name the new one.
    """

    def __init__(self, place: str, run: Callable[..., Any], *, may_fail_over: bool = False) -> None:
        self._place = place
        self._run = run
        self._may_fail_over = may_fail_over

    def check(self) -> None:
        """Refuse a server that may lose data.

        Raises:
            SettingsError: With the fix.
        """
        info = self._info()
        if not info:
            warn(f"{self._place}: INFO is not allowed, so eviction, persistence and version are not known", "unchecked")
        else:
            self._check_version(info)
            self._check_role(info)
            self._check_eviction(info)
            self._check_persistence(info)

    def _check_version(self, info: Mapping[str, Any]) -> None:
        if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):  # Redis, Valkey
            raise SettingsError(
                f"storage.url: {self._place} is a sentinel, which keeps no data; "
                "write redis+sentinel://host:26379/SERVICE with the name of the service that it watches"
            )
        name, version = _version(info)
        if name == "Redis" and version[:2] < _OLDEST:
            raise SettingsError(
                f"storage.url: {self._place} is Redis {'.'.join(map(str, version))}; Redis 6.2 or newer, or Valkey, is needed"
            )

    def _check_role(self, info: Mapping[str, Any]) -> None:
        if info.get("role") == "slave":
            if self._may_fail_over:
                raise ReadOnlyError
            raise SettingsError(f"storage.url: {self._place} is a replica and takes no changes; name the primary")

    def _check_eviction(self, info: Mapping[str, Any]) -> None:
        policy = info.get("maxmemory_policy") or self._config("maxmemory-policy")
        if policy is None:
            warn(f"{self._place}: maxmemory-policy may not be read; it must be noeviction", "unchecked")
        elif policy != "noeviction":
            raise SettingsError(
                f"storage.url: {self._place} has maxmemory-policy {policy}: when memory is short it drops codes, limits and "
                "retries without a word. Fix: CONFIG SET maxmemory-policy noeviction, and the same in its configuration"
            )

    def _check_persistence(self, info: Mapping[str, Any]) -> None:
        found = self._persistence(info)
        if found is None:
            warn(
                f"{self._place}: neither AOF nor RDB is on: a restart of the server forgets everything; "
                "fix: CONFIG SET appendonly yes, and the same in its configuration",
                "persistence",
            )
        elif not found:
            warn(f"{self._place}: whether it writes snapshots may not be read, and AOF is off", "unchecked")

    def _persistence(self, info: Mapping[str, Any]) -> str | None:
        """How data survives a restart; None: not at all; empty: not known."""
        if info.get("aof_enabled"):
            policy = self._config("appendfsync")
            return f"AOF ({policy})" if policy else "AOF"
        save = self._config("save")
        if save is None:
            return ""
        return f"RDB ({save})" if save else None

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``."""
        info = self._info()
        if not info:
            return dict.fromkeys(("server", "eviction", "persistence"), "not known")
        name, version = _version(info)
        persistence = self._persistence(info)
        forgets = "none: a restart of the server forgets everything"
        return {
            "server": f"{name} {'.'.join(map(str, version))}",
            "eviction": str(info.get("maxmemory_policy") or "not known"),
            "persistence": forgets if persistence is None else persistence or "not known",
        }

    def rewrite_log(self) -> None:
        """Let the server write its append-only file anew; it does so in the background.

        Where that may not be asked for, its operator is told.
        """
        try:
            if self._info().get("aof_enabled", 1):
                self._run("BGREWRITEAOF")
        except RedisError as error:
            if "in progress" not in str(error):
                warn(
                    f"{self._place}: BGREWRITEAOF was refused; until its next rewrite an AOF holds what was erased",
                    "log",
                )

    def _info(self) -> dict[str, Any]:
        """Empty: it may not be asked."""
        try:
            info: dict[str, Any] = self._run("INFO")
        except ResponseError as error:
            if is_passing(error):
                raise
            return {}
        return info

    def _config(self, name: str) -> str | None:
        """A server's setting; None: it may not be asked, as with many that somebody else runs."""
        try:
            found = self._run("CONFIG GET", name)
        except ResponseError as error:
            if is_passing(error):
                raise
            return None
        return str(found[name]) if name in found else None


def warn(text: str, reason: str) -> None:
    """Tell the operator of a doubt about the server."""
    _logger.warning("%s", text, extra={"otp_event": "store_doubtful", "otp_reason": reason})


def _version(info: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    name, text = (
        ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info.get("redis_version"))
    )
    numbers = [part for part in str(text or "0").split(".") if part.isdecimal()]
    return name, tuple(map(int, numbers))

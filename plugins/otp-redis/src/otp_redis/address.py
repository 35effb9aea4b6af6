"""The URL of a server or cluster, taken apart; a password in it is shown nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import attrs
from redis.connection import Connection, parse_url

from otpcore.stores import SettingsError

__all__ = ["Address"]

_KINDS = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss", "unix": "unix"}
_CLUSTERS = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
_SENTINELS = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_TAG = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NODE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@/]+)(?::(\d{1,5}))?")
_PORT = 6379
_SENTINEL_PORT = 26379
_SERVICE = re.compile(r"/([A-Za-z0-9._-]+)(?:/(\d{1,5}))?/?")

_OURS = {
    "decode_responses",
    "encoding",
    "encoding_errors",
    "max_connections",
    "retry_on_error",
    "retry_on_timeout",
    "timeout",
}


@attrs.frozen(kw_only=True)
class Address:
    """Where the data is.

    Args:
        place: For people: without user, password and options.
        arguments: For a connection of redis-py.
        nodes: Of a cluster; empty: it is none.
        sentinels: Which know the primary; empty: it is one server, or a cluster.
        service: The name under which they watch it.
        sentinel_arguments: For a connection to one of them.
        tag: What all keys of a deployment share, between braces: it makes them one slot of a cluster.
        wait_replicas: How many replicas must have a change before it counts as done.
    """

    place: str
    arguments: Mapping[str, Any] = attrs.field(repr=False)
    nodes: tuple[tuple[str, int], ...] = ()
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel_arguments: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    tag: str = "otp"
    wait_replicas: int = 0

    @property
    def base(self) -> str:
        """What every key begins with."""
        return f"otp:{{{self.tag}}}:"

    @property
    def cluster_scheme(self) -> str:
        """What the URL of a cluster of such servers begins with."""
        return "rediss+cluster" if self.place.startswith(("rediss:", "valkeys:")) else "redis+cluster"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``redis://user:password@host:6379/0?tag=otp`` and its like.

        Others are ``unix:///path``, ``redis+cluster://host:7000,host:7001`` and ``redis+sentinel://host:26379,host:26379/service/0``.

        Raises:
            SettingsError: It cannot be used; without quoting what may hold a password.
        """
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:  # not chained: its text may quote a password
            parts, options = None, {}
        if parts is None or parts.scheme not in {**_KINDS, **_CLUSTERS, **_SENTINELS}:
            known = ", ".join(f"{scheme}://" for scheme in (*_KINDS, *_CLUSTERS, *_SENTINELS))
            raise SettingsError(f"storage.url: not the URL of a Redis or Valkey server; one of {known}")
        tag, wait = options.pop("tag", "otp"), options.pop("wait_replicas", "0")
        if not _TAG.fullmatch(tag):
            raise SettingsError("storage.url: tag must be letters, digits, '.', '_' and '-'")
        if not re.fullmatch(r"\d{1,2}", wait):
            raise SettingsError("storage.url: wait_replicas must be a number of replicas")
        more: dict[str, Any] = {"tag": tag, "wait_replicas": int(wait)}
        if parts.scheme in _CLUSTERS:
            nodes = _nodes(parts.netloc.rpartition("@")[2])
            place = f"{parts.scheme}://{','.join(f'{host}:{port}' for host, port in nodes)}"
            arguments = _arguments(parts, _CLUSTERS[parts.scheme], "{}:{}".format(*nodes[0]), options)
            if arguments.pop("db", 0):
                raise SettingsError("storage.url: a cluster has no numbered databases; remove the path")
            own = {name: value for name, value in arguments.items() if name not in ("host", "port", "connection_class")}
            return cls(place=place, arguments={**own, "ssl": parts.scheme == "rediss+cluster"}, nodes=nodes, **more)
        if parts.scheme in _SENTINELS:
            return cls(**_watched(parts, options), **more)
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme == "unix" and not parts.path:
            raise SettingsError("storage.url: unix:// needs the path of a socket, as in unix:///run/redis/redis.sock")
        if _KINDS[parts.scheme] != "unix":
            _nodes(host or "localhost")
        arguments = _arguments(parts, _KINDS[parts.scheme], host, options)
        place = f"{parts.scheme}://{host}{parts.path}"
        return cls(place=place, arguments=arguments, **more)


def _watched(parts: SplitResult, options: dict[str, str]) -> dict[str, Any]:
    """A service that sentinels watch."""
    own = {name: options.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in options}
    nodes = _nodes(parts.netloc.rpartition("@")[2], _SENTINEL_PORT)
    match = _SERVICE.fullmatch(parts.path)
    if match is None:
        raise SettingsError(
            f"storage.url: after the sentinels there must be the name of the service that they watch, and perhaps the number "
            f"of a database, as in {parts.scheme}://host:26379,host:26379/mymaster/0"
        )
    service, database = match[1], match[2] or "0"
    first = "{}:{}".format(*nodes[0])
    found = _arguments(parts._replace(path=f"/{database}"), _SENTINELS[parts.scheme], first, options)
    arguments = {name: value for name, value in found.items() if name not in ("host", "port")}
    shared = {name: value for name, value in arguments.items() if name.startswith(("ssl_", "socket_", "connection_"))}
    return {
        "place": f"{parts.scheme}://{','.join(f'{host}:{port}' for host, port in nodes)}/{service}/{database}",
        "arguments": arguments,
        "sentinels": nodes,
        "service": service,
        "sentinel_arguments": {**shared, **own},
    }


def _nodes(hosts: str, usual_port: int = _PORT) -> tuple[tuple[str, int], ...]:
    found = [_NODE.fullmatch(host) for host in hosts.split(",")]
    nodes = tuple((match[1], int(match[2] or usual_port)) for match in found if match is not None)
    if len(nodes) < len(found) or any(not 0 < port < 1 << 16 for _, port in nodes):
        raise SettingsError("storage.url: after '@' there must be a host, with its port behind ':'")
    return nodes


def _arguments(parts: SplitResult, scheme: str, host: str, options: Mapping[str, str]) -> dict[str, Any]:
    """What redis-py makes of it, tried out on a connection that is not opened."""
    if ours := _OURS & options.keys():
        raise SettingsError(
            f"storage.url: an option that otp-redis chooses itself: {', '.join(sorted(ours))}; take it out"
        )
    user, at, _ = parts.netloc.rpartition("@")
    query = f"?{urlencode(options)}" if options else ""
    try:
        parse: Any = parse_url  # it has no types
        found: dict[str, Any] = dict(parse(f"{scheme}://{user}{at}{host}{parts.path}{query}"))
        if parts.path.strip("/") and scheme != "unix" and "db" not in found:
            raise SettingsError("storage.url: the path must be the number of a database")
        kind: Any = found.get("connection_class", Connection)
        kind(**{name: value for name, value in found.items() if name != "connection_class"})
    except (TypeError, ValueError, AttributeError):  # not chained: the text may quote a password
        found = {}
    if not found and options:
        raise SettingsError(f"storage.url: an option is not known, or cannot be read: {', '.join(sorted(options))}")
    return {name: unquote(value) if name == "path" else value for name, value in found.items()}

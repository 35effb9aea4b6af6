"""``retry.options.*`` of this runner: where the broker is and what its queues are called."""

from __future__ import annotations

import re

import attrs
from yarl import URL

from otpcore.runners import SettingsError

__all__ = ["RabbitMQSettings"]

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PORTS = {"amqp": 5672, "amqps": 5671}
_HEARTBEAT = "5"  # seconds; the client gives a silent peer up after three of them


def _good_url(_: RabbitMQSettings, __: attrs.Attribute[str], value: str) -> None:
    try:
        url = URL(value)
        good = url.scheme in _PORTS and bool(url.host) and url.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError("must be the URL of the broker, such as amqps://user:password@rabbit.example.com/vhost")


def _good_prefix(_: RabbitMQSettings, __: attrs.Attribute[str], value: str) -> None:
    if not _PREFIX.fullmatch(value) or value.startswith("amq."):
        raise SettingsError("must begin with a letter or digit, then letters, digits, dots, - and _, at most 100")


@attrs.frozen(kw_only=True)
class RabbitMQSettings:
    """What ``retry.options`` may say.

    Args:
        url: Of the broker; the path is the virtual host. ``?heartbeat=`` in seconds and the TLS files (``cafile``,
            ``certfile``, ``keyfile``) may follow, as aiormq reads them.
        prefix: Names of all queues begin with it. Whoever shares a store shares the prefix, and nobody else does.
    """

    url: str = attrs.field(repr=False, validator=_good_url)
    prefix: str = attrs.field(default="otpcore", validator=_good_prefix)

    @property
    def address(self) -> URL:
        """The URL to connect to, with a heartbeat that finds a silent broker within a quarter of a minute."""
        url = URL(self.url)
        return url if "heartbeat" in url.query else url.update_query(heartbeat=_HEARTBEAT)

    @property
    def place(self) -> str:
        """Host, port and virtual host, for people; no user and no password."""
        url = URL(self.url)
        return f"{url.host}:{url.port or _PORTS[url.scheme]}{url.path if url.path != '/' else ''}"

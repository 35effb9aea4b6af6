"""How requests to vendors leave this machine, through which proxy and whose certificates are trusted, and where theirs arrive."""

from __future__ import annotations

import base64
import ipaddress
import os
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from otpcore.errors import SettingsError

__all__ = ["DIRECT", "Network", "Proxy", "check_public_url", "is_loopback", "parse_proxy", "split", "trust"]

DIRECT = "direct"
"""In place of a proxy's URL: none, whatever is set for all."""

_CA_VARIABLE = "SSL_CERT_FILE"
_HIGHEST_PORT = 65_535


@attrs.frozen(kw_only=True)
class Proxy:
    """A forward proxy.

    Args:
        url: Without user and password.
        authorization: The header ``Proxy-Authorization``; empty: it needs none.
        named_by: The setting or environment variable that names it.
    """

    url: str
    authorization: str = attrs.field(default="", repr=False)
    named_by: str

    @property
    def headers(self) -> dict[str, str]:
        """What it wants to be told."""
        return {"Proxy-Authorization": self.authorization} if self.authorization else {}

    @property
    def shown(self) -> str:
        """For people."""
        return f"the proxy {urlsplit(self.url).netloc} ({self.named_by})"


@attrs.frozen(kw_only=True)
class Network:
    """What the settings say of the way to the vendors of one instance.

    Args:
        proxy: URL of a forward proxy, or ``"direct"``; None: none, unless the environment is asked.
        proxy_key: The setting that says so.
        ca_file: Absolute path of certificates in PEM that are trusted besides the usual ones.
        ca_file_key: The setting that says so.
        trust_env: Where the settings say nothing, take ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` and
            ``SSL_CERT_FILE``.
    """

    proxy: str | None = attrs.field(default=None, repr=False)
    proxy_key: str = "http.proxy"
    ca_file: str | None = None
    ca_file_key: str = "http.ca_file"
    trust_env: bool = False

    def check(self) -> None:
        """See that all of it can be used.

        Raises:
            SettingsError: It cannot; the message names the setting and quotes no password.
        """
        if self.proxy not in (None, DIRECT):
            parse_proxy(self.proxy or "", key=self.proxy_key)
        trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.authorities)

    def proxy_for(self, url: str) -> Proxy | None:
        """Through which proxy requests to this URL go.

        Raises:
            SettingsError: What the environment names is no such proxy.
        """
        if self.proxy is not None:
            return None if self.proxy == DIRECT else parse_proxy(self.proxy, key=self.proxy_key)
        return _proxy_of_environment(urlsplit(url)) if self.trust_env else None

    @property
    def authorities(self) -> tuple[tuple[str, str], ...]:
        """The files of certificates, each with the setting or variable that names it."""
        if self.ca_file is not None:
            return ((self.ca_file, self.ca_file_key),)
        named = os.environ.get(_CA_VARIABLE) if self.trust_env else None
        return ((named, f"environment variable {_CA_VARIABLE}"),) if named else ()


def parse_proxy(text: str, *, key: str) -> Proxy:
    """Read ``http://user:password@host:3128``; https speaks TLS with the proxy itself.

    Args:
        key: The setting that holds it, for the error.

    Raises:
        SettingsError: It is no such URL. The message never quotes it, since it may hold a password.
    """
    parts = split(text, key=key)
    if parts is not None and parts.scheme.startswith("socks"):
        raise SettingsError(f"{key}: SOCKS is not spoken; name a proxy for HTTP, as http://host:3128")
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{key}: not the URL of a proxy; write it as http://host:3128, or {DIRECT} for none")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise SettingsError(f"{key}: a proxy has no path; cut it off after the port")
    authorization = ""
    if "@" in parts.netloc:
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode("ascii")
    place = parts.netloc.rpartition("@")[2]
    return Proxy(url=f"{parts.scheme}://{place}", authorization=authorization, named_by=key)


def check_public_url(text: str, *, key: str) -> None:
    """See that it can be the beginning of addresses that vendors call.

    Args:
        text: As the settings give it; https, or http on loopback.
        key: The setting that holds it, for the error.

    Raises:
        SettingsError: It cannot.
    """
    parts = split(text, key=key)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise SettingsError(f"{key}: not a public URL; write it as https://example.com/receipts")
    if "?" in text or "#" in text or text.endswith("/"):
        raise SettingsError(f"{key}: must end with its path, as in https://example.com/receipts; cut off what follows")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{key}: plain http would show to the network what proves a receipt; use https")


def is_loopback(host: str) -> bool:
    """This machine itself, by name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def split(text: str, *, key: str) -> SplitResult | None:
    """The parts of a URL; None: it is none.

    Args:
        text: As the settings give it.
        key: The setting that holds it, for the error.

    Raises:
        SettingsError: Its port is a number that no port has. The message never quotes it.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    port = parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2]
    if port and not port.isdecimal():
        return None
    if port and not 1 <= int(port) <= _HIGHEST_PORT:
        raise SettingsError(f"{key}: the port of an address must be 1 to {_HIGHEST_PORT}")
    return parts


def trust(context: ssl.SSLContext, authorities: tuple[tuple[str, str], ...]) -> None:
    """Let a context trust these files too.

    Raises:
        SettingsError: One cannot be read, or is not what it should be; it is named with its setting.
    """
    for path, key in authorities:
        try:
            context.load_verify_locations(cafile=path)
        except ssl.SSLError:
            raise SettingsError(
                f"{key}: {path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----); "
                "one in DER is turned into it by `openssl x509 -inform der`"
            ) from None
        except OSError as error:
            raise SettingsError(f"{key}: {path} cannot be read: {error.strerror}") from None


def _proxy_of_environment(url: SplitResult) -> Proxy | None:
    from urllib import request  # noqa: PLC0415 - heavy: for few

    proxies = request.getproxies_environment()
    if request.proxy_bypass_environment(url.netloc, proxies):  # type: ignore[attr-defined] # the stubs leave it out
        return None
    for name in (url.scheme, "all"):
        if text := proxies.get(name):
            whole = text if "://" in text else f"http://{text}"  # as curl reads it
            return parse_proxy(whole, key=f"environment variable {name.upper()}_PROXY")
    return None

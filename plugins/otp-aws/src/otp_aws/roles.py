"""The role of a container: credentials that are lent for some hours, from an address that AWS names in the environment.

ECS names a path (``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI``) on a host of its own; EKS Pod Identity names a whole URL
(``AWS_CONTAINER_CREDENTIALS_FULL_URI``), and a token to show there, in a file that is written anew while the process
runs. As credentials are sent there and believed from there, plain http is for the addresses that AWS documents alone.

They are renewed some minutes before they end. One that cannot be renewed is used for as long as it lasts.

Sources: docs.aws.amazon.com, "Container credential provider" (AWS SDKs and Tools), "Task IAM role" (ECS).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs

from otp_aws.signing import Credentials
from otpcore.http import HttpClient, open_client
from otpcore.providers import ErrorKind, Network, ProviderContext, ProviderError, SettingsError

__all__ = ["EARLY", "ContainerRole", "Endpoint", "endpoint_of"]

EARLY = timedelta(minutes=5)
"""How long before they end they are renewed: what is signed with them may be looked at a while later."""

_ECS = "http://169.254.170.2"
_PLAIN_HTTP = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost"})
_PATH = re.compile(r"/[!-~]*")
_DIRECT = Network(proxy="direct")  # the address is of this machine, whatever proxy leads to the vendor


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where the credentials are.

    Args:
        base_url: Scheme and host.
        path: With its query.
        token: To show there; empty: none.
        token_file: Where the token is instead, read each time; empty: nowhere.
    """

    base_url: str
    path: str
    token: str = attrs.field(default="", repr=False)
    token_file: str = ""


def endpoint_of(environment: Mapping[str, str], *, key: str) -> Endpoint | None:
    """The endpoint that the environment names; None: it names none.

    Raises:
        SettingsError: It names one that must not be asked. ``key`` is the setting that would do without.
    """
    relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    full = f"{_ECS}{relative}" if relative else environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if not full:
        return None
    parts = urlsplit(full)
    host, path = parts.hostname or "", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    known = parts.scheme == "https" or (parts.scheme == "http" and host in _PLAIN_HTTP)
    if not known or "@" in parts.netloc or not _PATH.fullmatch(path):
        raise SettingsError(
            f"{key}: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http at an address of ECS, EKS or loopback"
        )
    return Endpoint(
        base_url=f"{parts.scheme}://{parts.netloc}",
        path=path,
        token=environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""),
        token_file=environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""),
    )


@attrs.define(eq=False, kw_only=True)
class ContainerRole:
    """Credentials of a container's role, asked for when they are needed."""

    context: ProviderContext = attrs.field(repr=False)
    endpoint: Endpoint
    _http: HttpClient | None = attrs.field(default=None, init=False, repr=False)
    _lent: Credentials | None = attrs.field(default=None, init=False, repr=False)
    _asking: anyio.Lock = attrs.field(factory=anyio.Lock, init=False, repr=False)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._asking = anyio.Lock()  # an instance may be started again, in another event loop
        self._http = await open_client(
            exit_stack, attrs.evolve(self.context, network=_DIRECT), base_url=self.endpoint.base_url
        )

    async def credentials(self) -> Credentials:
        """Those that were lent last, or new ones where these end soon. Many callers wait for one question.

        Raises:
            ProviderError: ``unavailable``: there are none that are still good.
        """
        async with self._asking:
            if self._ends_within(EARLY):
                try:
                    self._lent = await self._ask()
                except ProviderError as error:
                    if self._ends_within(timedelta(0)):
                        raise ProviderError(
                            ErrorKind.UNAVAILABLE, f"no credentials of the container's role: {error.summary}"
                        ) from None
            lent = self._lent
        assert lent is not None  # noqa: S101 - asked for above, or raised
        return lent

    def _ends_within(self, time: timedelta) -> bool:
        if self._lent is None:
            return True
        ends = self._lent.expires_at
        return ends is not None and self.context.clock() + time >= ends

    async def _ask(self) -> Credentials:
        if self._http is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        token = await self._token()
        answer = await self._http.request("GET", self.endpoint.path, headers={"Authorization": token} if token else {})
        if answer.status != HTTPStatus.OK:
            raise ProviderError(ErrorKind.UNAVAILABLE, f"its address answered HTTP {answer.status}")
        read = answer.json_object()
        fields = {name: read.get(name) for name in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")}
        ends = _moment(fields["Expiration"])
        if ends is None or not all(isinstance(value, str) and value for value in fields.values()):
            raise ProviderError(ErrorKind.UNAVAILABLE, "its address answered something else")
        return Credentials(
            access_key_id=str(fields["AccessKeyId"]),
            secret_access_key=str(fields["SecretAccessKey"]),
            session_token=str(fields["Token"]),
            expires_at=ends,
        )

    async def _token(self) -> str:
        if not self.endpoint.token_file:
            return self.endpoint.token
        try:
            return (await anyio.to_thread.run_sync(Path(self.endpoint.token_file).read_text)).strip()
        except (OSError, ValueError) as error:
            reason = type(error).__name__
        raise ProviderError(ErrorKind.UNAVAILABLE, f"its token file could not be read ({reason})")


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

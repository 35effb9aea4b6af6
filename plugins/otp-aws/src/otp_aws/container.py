"""The role of a container: credentials that are lent at an address that AWS names in the environment.

ECS names a path (``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI``) on a host of its own; EKS Pod Identity names a whole URL
(``AWS_CONTAINER_CREDENTIALS_FULL_URI``), and a token to show there, in a file that is written anew while the process
runs. As credentials are sent there and believed from there, plain http is for the addresses that AWS documents alone.

Sources: docs.aws.amazon.com, "Container credential provider" (AWS SDKs and Tools), "Task IAM role" (ECS).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from urllib.parse import urlsplit

import attrs

from otp_aws.lending import credentials_in, text_of
from otp_aws.signing import Credentials
from otpcore.http import HttpClient, check_base_url, open_client
from otpcore.providers import ErrorKind, Network, ProviderContext, ProviderError, SettingsError

__all__ = ["DIRECT", "ContainerRole", "Endpoint", "endpoint_of"]

DIRECT = Network(proxy="direct")
"""The way to an address of this machine, whatever proxy leads to the vendor."""

_ECS = "http://169.254.170.2"
_PLAIN_HTTP = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost"})
_PATH = re.compile(r"/[!-~]*")


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
    named = f"{key}: AWS_CONTAINER_CREDENTIALS_FULL_URI"
    return Endpoint(
        base_url=check_base_url(f"{parts.scheme}://{parts.netloc}", key=named, allow_plain_http=True),
        path=path,
        token=environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""),
        token_file=environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", ""),
    )


@attrs.define(eq=False, kw_only=True)
class ContainerRole:
    """Lends the credentials of a container's role."""

    context: ProviderContext = attrs.field(repr=False)
    endpoint: Endpoint
    name: str = "the container's role"
    fix: str = (
        "see that the task or the pod has a role, and that the agent of ECS or EKS Pod Identity on its host answers at "
        "the address of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI"
    )
    _http: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._http = await open_client(
            exit_stack, attrs.evolve(self.context, network=DIRECT), base_url=self.endpoint.base_url
        )

    async def ask(self) -> Credentials:
        """Ask at the address.

        Raises:
            ProviderError: There are none.
        """
        if self._http is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        token = self.endpoint.token
        if self.endpoint.token_file:
            token = await text_of(self.endpoint.token_file, variable="AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        headers = {"Accept": "application/json", **({"Authorization": token} if token else {})}
        answer = await self._http.request("GET", self.endpoint.path, headers=headers)
        if answer.status != HTTPStatus.OK:
            raise ProviderError(ErrorKind.UNAVAILABLE, f"its address answered HTTP {answer.status}")
        return credentials_in(answer.json_object(), "Token")

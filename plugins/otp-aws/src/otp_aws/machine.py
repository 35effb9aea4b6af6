"""The role of an EC2 instance: credentials that its metadata service lends (IMDS, version 2 alone).

A token is fetched first, by a PUT that no careless proxy passes on and whose answer goes one hop by default; version 1,
which does without, is not spoken. What the service lends while it cannot renew has ended or is about to, and AWS takes
it all the same: it is used for ten minutes more, and the service asked again before that.

Sources: docs.aws.amazon.com, "Use the Instance Metadata Service" (EC2), "IMDS credential provider" and "Static
stability" (AWS SDKs and Tools).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from http import HTTPStatus

import attrs

from otp_aws.container import DIRECT
from otp_aws.lending import credentials_in
from otp_aws.signing import Credentials
from otpcore.http import HttpAnswer, HttpClient, check_base_url, open_client
from otpcore.providers import ErrorKind, ProviderContext, ProviderError, SettingsError

__all__ = ["EXTENDED", "MachineRole", "machine_of"]

EXTENDED = timedelta(minutes=10)
"""How long what the service lends is good at least."""

_PLACES = {"ipv4": "http://169.254.169.254", "ipv6": "http://[fd00:ec2::254]"}
_TOKEN = "/latest/api/token"  # noqa: S105 - its address
_TOKEN_LIFE = "21600"  # noqa: S105 - in seconds: six hours, the longest
_ROLES = "/latest/meta-data/iam/security-credentials/"
_ROLE = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}")
_SECONDS = 1.0  # of each of three requests: the service is on the host

_NO_HOST = (
    "on EC2, turn the metadata service on, with a hop limit of 2 where this runs in a container; elsewhere give keys: "
    "access_key_id and secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_NO_ROLE = "attach an IAM role to the EC2 instance (its instance profile), with the policy of otp-aws"
_NO_TRUST = "let the trust policy of the instance's role name ec2.amazonaws.com"


def machine_of(context: ProviderContext, environment: Mapping[str, str], *, key: str) -> MachineRole | None:
    """The lender of the machine's role; None: it must not be asked (``AWS_EC2_METADATA_DISABLED``).

    Raises:
        SettingsError: The environment names a place for it that is none.
    """
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    mode = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() or "ipv4"
    if mode not in _PLACES:
        raise SettingsError(f"{key}: AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE must be IPv4 or IPv6")
    url = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/")
    if url in ("", *_PLACES.values()):
        return MachineRole(context=context, base_url=url or _PLACES[mode])
    return MachineRole(context=context, base_url=check_base_url(url, key=f"{key}: AWS_EC2_METADATA_SERVICE_ENDPOINT"))


@attrs.define(eq=False, kw_only=True)
class MachineRole:
    """Lends the credentials of the role of the EC2 instance on which the process runs."""

    context: ProviderContext = attrs.field(repr=False)
    base_url: str
    name: str = "the EC2 instance's role"
    fix: str = _NO_HOST
    _http: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        near = attrs.evolve(self.context, network=DIRECT, timeout=min(_SECONDS, self.context.timeout))
        self._http = await open_client(exit_stack, near, base_url=self.base_url)

    async def ask(self) -> Credentials:
        """Ask for a token, for the role, and for its credentials.

        Raises:
            ProviderError: It lends none.
        """
        asked = await self._asked("PUT", _TOKEN, {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_LIFE})
        token = asked.body.decode("ascii", "replace").strip()
        if asked.status != HTTPStatus.OK or not token:
            kind = ErrorKind.MISCONFIGURED if asked.status == HTTPStatus.FORBIDDEN else ErrorKind.UNAVAILABLE
            raise ProviderError(kind, f"the metadata service gave no token (HTTP {asked.status})")
        shown = {"x-aws-ec2-metadata-token": token}
        listed = await self._asked("GET", _ROLES, shown)
        role = next(iter(listed.body.decode("ascii", "replace").split()), "")
        if listed.status == HTTPStatus.NOT_FOUND or (listed.status == HTTPStatus.OK and not role):
            raise ProviderError(ErrorKind.MISCONFIGURED, "the EC2 instance has no role", fix=_NO_ROLE)
        if listed.status != HTTPStatus.OK or not _ROLE.fullmatch(role):
            raise ProviderError(ErrorKind.UNAVAILABLE, f"the metadata service named no role (HTTP {listed.status})")
        return self._lent(await self._asked("GET", f"{_ROLES}{role}", shown))

    async def _asked(self, method: str, path: str, headers: Mapping[str, str]) -> HttpAnswer:
        if self._http is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        return await self._http.request(method, path, headers=headers)

    def _lent(self, answer: HttpAnswer) -> Credentials:
        read = answer.json_object()
        if answer.status != HTTPStatus.OK:
            raise ProviderError(ErrorKind.UNAVAILABLE, f"the metadata service answered HTTP {answer.status}")
        if read.get("Code", "Success") != "Success":
            raise ProviderError(ErrorKind.MISCONFIGURED, "EC2 may not take the instance's role", fix=_NO_TRUST)
        lent, least = credentials_in(read, "Token"), self.context.clock() + EXTENDED
        if lent.expires_at is None or lent.expires_at >= least:
            return lent
        self.context.logger.warning("the metadata service cannot renew the credentials of the instance's role now")
        return attrs.evolve(lent, expires_at=least)

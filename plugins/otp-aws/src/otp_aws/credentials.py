"""Where the credentials of an instance come from: its settings, else the surroundings of the process.

The order of AWS's own SDKs, as far as servers need it:

1. ``access_key_id`` of the instance.
2. The variables ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``, read when the instance is
   made.
3. The role of a container (``otp_aws.roles``): ECS, and EKS Pod Identity.

Not here: the files below ``~/.aws``, IAM Identity Center, the metadata service of EC2 and web identity tokens (IRSA).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Protocol

import attrs

from otp_aws.roles import ContainerRole, endpoint_of
from otp_aws.settings import AwsSettings
from otp_aws.signing import Credentials
from otpcore.providers import ProviderContext, SettingsError

__all__ = ["CredentialSource", "FixedCredentials", "source_of"]


class CredentialSource(Protocol):
    """Who signs, now."""

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open what it needs; it is closed with the stack."""

    async def credentials(self) -> Credentials:
        """Credentials that are good for the next request.

        Raises:
            ProviderError: There are none; never ``ambiguous``, because nothing was sent.
        """


@attrs.frozen(kw_only=True)
class FixedCredentials:
    """The same for the whole life of the instance."""

    fixed: Credentials

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Nothing has to be opened."""

    async def credentials(self) -> Credentials:
        """The same as ever."""
        return self.fixed


def source_of(context: ProviderContext, settings: AwsSettings, environment: Mapping[str, str]) -> CredentialSource:
    """The first of the places that has credentials; no I/O.

    Raises:
        SettingsError: None of them has, or one of them is incomplete.
    """
    key = f"providers.{context.instance}.access_key_id"
    if settings.access_key_id:
        return FixedCredentials(
            fixed=Credentials(
                access_key_id=settings.access_key_id,
                secret_access_key=settings.secret_access_key,
                session_token=settings.session_token,
            )
        )
    if named := environment.get("AWS_ACCESS_KEY_ID"):
        if not (secret := environment.get("AWS_SECRET_ACCESS_KEY")):
            raise SettingsError(f"{key}: AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not")
        token = environment.get("AWS_SESSION_TOKEN", "")
        return FixedCredentials(fixed=Credentials(access_key_id=named, secret_access_key=secret, session_token=token))
    if endpoint := endpoint_of(environment, key=key):
        return ContainerRole(context=context, endpoint=endpoint)
    raise SettingsError(
        f"{key}: is required with secret_access_key, unless the environment has AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or the role of a container"
    )

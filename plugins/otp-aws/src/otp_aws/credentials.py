"""Where the credentials of an instance come from: its settings, else the surroundings of the process.

The order of AWS's own SDKs, as far as servers need it:

1. ``access_key_id`` of the instance.
2. The variables ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and ``AWS_SESSION_TOKEN``.
3. A web identity (``otp_aws.web_identity``): IRSA.
4. The role of a container (``otp_aws.container``): ECS, and EKS Pod Identity.
5. The role of the EC2 instance (``otp_aws.machine``).

Variables are read when the instance is made. The first place that is named counts, and no other is asked where it
fails: an account that nobody meant would send. Not here: the files below ``~/.aws``, and IAM Identity Center.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Protocol

import attrs

from otp_aws.container import ContainerRole, endpoint_of
from otp_aws.lending import Lender, LentCredentials
from otp_aws.machine import machine_of
from otp_aws.settings import AwsSettings
from otp_aws.signing import Credentials
from otp_aws.web_identity import web_identity_of
from otpcore.providers import ProviderContext, SettingsError

__all__ = ["CredentialSource", "FixedCredentials", "source_of"]


class CredentialSource(Protocol):
    """Who signs, now."""

    @property
    def name(self) -> str:
        """As errors and ``otp doctor`` call it, such as "the environment"."""

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

    name: str
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
            name="the settings",
            fixed=Credentials(
                access_key_id=settings.access_key_id,
                secret_access_key=settings.secret_access_key,
                session_token=settings.session_token,
            ),
        )
    if named := environment.get("AWS_ACCESS_KEY_ID"):
        if not (secret := environment.get("AWS_SECRET_ACCESS_KEY")):
            raise SettingsError(f"{key}: AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not")
        token = environment.get("AWS_SESSION_TOKEN", "")
        fixed = Credentials(access_key_id=named, secret_access_key=secret, session_token=token)
        return FixedCredentials(name="the environment", fixed=fixed)
    if (lender := _lender_of(context, settings, environment, key)) is not None:
        return LentCredentials(context=context, lender=lender)
    raise SettingsError(
        f"{key}: is required with secret_access_key, unless the environment has AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, a web identity, or the role of a container or of an EC2 instance, which "
        "AWS_EC2_METADATA_DISABLED forbids to ask for"
    )


def _lender_of(
    context: ProviderContext, settings: AwsSettings, environment: Mapping[str, str], key: str
) -> Lender | None:
    """The first lender that there is."""
    if identity := web_identity_of(context, settings.region, environment, key=key):
        return identity
    if endpoint := endpoint_of(environment, key=key):
        return ContainerRole(context=context, endpoint=endpoint)
    return machine_of(context, environment, key=key)

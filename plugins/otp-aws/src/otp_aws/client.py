"""One call to the service: signed, sent once, and what is no success as an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import attrs

from otp_aws.credentials import CredentialSource
from otp_aws.errors import error_of
from otp_aws.signing import signed_headers
from otpcore.http import HttpClient, check_base_url, open_client
from otpcore.providers import ErrorKind, ProviderContext, ProviderError, SettingsError

__all__ = ["CONTENT_TYPE", "SERVICE", "TARGET", "AwsClient", "checked_base_url"]

SERVICE = "sms-voice"
"""The service's name in host names and signatures."""

TARGET = "PinpointSMSVoiceV2"
"""What stands before the name of an operation in ``X-Amz-Target``."""

CONTENT_TYPE = "application/x-amz-json-1.0"
_USUAL_PORTS = {"https": ":443", "http": ":80"}


def checked_base_url(url: str, *, key: str, allow_plain_http: bool) -> str:
    """The URL of the service: scheme and host only, as every request goes to ``/`` and that is signed.

    Raises:
        SettingsError: It is none, or has a path.
    """
    base_url = check_base_url(url, key=key, allow_plain_http=allow_plain_http)
    if urlsplit(base_url).path:
        raise SettingsError(f"{key}: give scheme and host only, such as https://{SERVICE}.eu-west-1.amazonaws.com")
    return base_url


@attrs.define(eq=False, kw_only=True)
class AwsClient:
    """The service in one region, for one account. Opened by ``start``.

    Args:
        context: Of the instance.
        base_url: As ``checked_base_url`` answers it.
        region: Is signed.
        source: Who signs.
    """

    context: ProviderContext = attrs.field(repr=False)
    base_url: str
    region: str
    source: CredentialSource
    _http: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        await self.source.start(exit_stack)
        self._http = await open_client(exit_stack, self.context, base_url=self.base_url)

    async def call(self, operation: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Run one operation, such as ``"SendTextMessage"``; what AWS answered.

        Raises:
            ProviderError: AWS refused it, or it is not known what it did.
        """
        if self._http is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        body = json.dumps(fields).encode()
        headers = signed_headers(
            {"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"{TARGET}.{operation}"},
            body,
            host=self.host,
            region=self.region,
            service=SERVICE,
            credentials=await self.source.credentials(),
            now=self.context.clock(),
        )
        answer = await self._http.request("POST", "/", content=body, headers=headers)
        if answer.status != HTTPStatus.OK:
            raise error_of(answer)
        read: Any = answer.json()
        if not isinstance(read, dict):
            raise ProviderError(ErrorKind.AMBIGUOUS, "the answer is no object")
        return read

    @property
    def host(self) -> str:
        """As the HTTP client writes the header ``Host``: without the port that is usual."""
        parts = urlsplit(self.base_url)
        return parts.netloc.lower().removesuffix(_USUAL_PORTS[parts.scheme])

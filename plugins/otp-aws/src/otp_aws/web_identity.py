"""A web identity: STS lends the credentials of a role for a token that somebody else has signed, such as EKS (IRSA).

``AWS_WEB_IDENTITY_TOKEN_FILE`` names a file with the token, which is written anew while the process runs, and
``AWS_ROLE_ARN`` the role. The request is not signed: the token is all that STS asks for.

Sources: docs.aws.amazon.com, "AssumeRoleWithWebIdentity" (STS), "Assume role credential provider" (AWS SDKs and Tools).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus

import attrs

from otp_aws.lending import credentials_in, text_of
from otp_aws.signing import Credentials
from otpcore.http import HttpAnswer, HttpClient, check_base_url, open_client
from otpcore.providers import ErrorKind, ProviderContext, ProviderError, SettingsError

__all__ = ["REFUSALS", "WebIdentity", "web_identity_of"]

_VERSION = "2011-06-15"
_ROLE = re.compile(r"arn:aws(-[a-z]+)*:iam::[0-9]{12}:role/[!-~]{1,512}")
_SESSION = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_NOT_OF_A_SESSION = re.compile(r"[^A-Za-z0-9_+=,.@-]")
_FIELDS = re.compile(r"<(AccessKeyId|SecretAccessKey|SessionToken|Expiration)>\s*([!-~]+?)\s*</\1>")
_CODE = re.compile(r"<Code>\s*([A-Za-z]{3,64})\s*</Code>")

_MISCONFIGURED, _UNAVAILABLE = ErrorKind.MISCONFIGURED, ErrorKind.UNAVAILABLE

REFUSALS: Mapping[str, tuple[ErrorKind, str, str]] = {
    "AccessDenied": (
        _MISCONFIGURED,
        "STS does not let the token have the role",
        "let the trust policy of the role in AWS_ROLE_ARN name the identity provider of the cluster and this service account",
    ),
    "ExpiredTokenException": (
        _UNAVAILABLE,
        "the token has ended",
        "see that the file of AWS_WEB_IDENTITY_TOKEN_FILE is renewed, and that the clock of this host is right",
    ),
    "IDPCommunicationError": (
        _UNAVAILABLE,
        "STS does not reach the identity provider",
        "see that the address of the identity provider's keys is open to AWS",
    ),
    "IDPRejectedClaim": (
        _MISCONFIGURED,
        "the identity provider has refused the token",
        "see that the token was not revoked, and that the role's trust policy names its audience",
    ),
    "InvalidIdentityToken": (
        _MISCONFIGURED,
        "STS does not take the token",
        "register the identity provider of the cluster with IAM, with the audience sts.amazonaws.com",
    ),
    "MalformedPolicyDocument": (_MISCONFIGURED, "STS does not take the request", "report this to otp-aws"),
    "PackedPolicyTooLarge": (
        _MISCONFIGURED,
        "the token has more tags than STS takes",
        "have the identity provider put fewer session tags into the token",
    ),
    "RegionDisabledException": (
        _MISCONFIGURED,
        "STS is not active in the region for this account",
        "activate the region's STS in IAM (account settings), or name another by AWS_ENDPOINT_URL_STS",
    ),
    "Throttling": (ErrorKind.THROTTLED, "STS is asked too often", "wait; one answer serves for an hour"),
    "ValidationError": (
        _MISCONFIGURED,
        "STS does not take the role or the session's name",
        "correct AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME",
    ),
}
"""What STS refuses, with what it means and the fix, by its own names."""


@attrs.frozen(kw_only=True)
class _Asked:
    """What STS is asked for."""

    base_url: str
    role: str
    session: str
    token_file: str = attrs.field(repr=False)


def web_identity_of(
    context: ProviderContext, region: str, environment: Mapping[str, str], *, key: str
) -> WebIdentity | None:
    """The lender of a web identity; None: the environment names none.

    Raises:
        SettingsError: It names one by half. ``key`` is the setting that would do without.
    """
    token_file, role = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""), environment.get("AWS_ROLE_ARN", "")
    if not token_file:
        return None
    if not _ROLE.fullmatch(role):
        raise SettingsError(
            f"{key}: AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN is not the ARN of a role; "
            "set it to arn:aws:iam::ACCOUNT:role/NAME"
        )
    session = environment.get("AWS_ROLE_SESSION_NAME", "") or _NOT_OF_A_SESSION.sub("-", f"otpcore-{context.instance}")
    if not _SESSION.fullmatch(session[:64]):
        raise SettingsError(f"{key}: AWS_ROLE_SESSION_NAME must have 2 to 64 letters, digits or any of _+=,.@-")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = environment.get("AWS_ENDPOINT_URL_STS", "") or f"https://sts.{region}.{domain}"
    base_url = check_base_url(url, key=f"{key}: AWS_ENDPOINT_URL_STS")
    asked = _Asked(base_url=base_url, role=role, session=session[:64], token_file=token_file)
    return WebIdentity(context=context, asked=asked)


@attrs.define(eq=False, kw_only=True)
class WebIdentity:
    """Lends the credentials of a role for a token. Goes the way of the instance, proxy and all: STS is out there."""

    context: ProviderContext = attrs.field(repr=False)
    asked: _Asked
    name: str = "the web identity of AWS_ROLE_ARN"
    fix: str = "see whether this host reaches STS in the region, or the address of AWS_ENDPOINT_URL_STS"
    _http: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._http = await open_client(exit_stack, self.context, base_url=self.asked.base_url)

    async def ask(self) -> Credentials:
        """Ask STS, with the token that is in the file now.

        Raises:
            ProviderError: It lends none.
        """
        if self._http is None:
            raise ProviderError(_UNAVAILABLE, "the instance has not been started")
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": _VERSION,
            "RoleSessionName": self.asked.session,
            "RoleArn": self.asked.role,
            "WebIdentityToken": await text_of(self.asked.token_file, variable="AWS_WEB_IDENTITY_TOKEN_FILE"),
        }
        answer = await self._http.request("POST", "/", form=form)
        text = answer.body.decode(errors="replace")
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer, text)
        # Four texts without entities, of a document that never changes: no parser has to be trusted with what comes in.
        return credentials_in(dict(_FIELDS.findall(text)), "SessionToken")


def _refusal(answer: HttpAnswer, text: str) -> ProviderError:
    """What STS's answer stands for; its own words, which may quote the token's claims, stay here."""
    found = _CODE.search(text)
    code = found[1] if found else ""
    usual = _MISCONFIGURED if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else _UNAVAILABLE
    kind, summary, fix = REFUSALS.get(code, (usual, f"STS answered HTTP {answer.status}", ""))
    return ProviderError(kind, summary, answer.retry_after, code or f"http-{answer.status}", fix=fix)

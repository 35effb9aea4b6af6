"""Credentials that are lent for some hours: asked for when they are needed, kept, and renewed before they end.

One caller asks, and the others go on with what was lent before, or wait for the answer where that has ended. What
cannot be renewed is used for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import anyio
import attrs

from otp_aws.signing import Credentials
from otpcore.providers import ErrorKind, ProviderContext, ProviderError

__all__ = ["AGAIN", "EARLY", "Lender", "LentCredentials", "credentials_in", "text_of"]

EARLY = timedelta(minutes=5)
"""How long before they end they are renewed: what is signed with them may be looked at a while later."""

AGAIN = timedelta(seconds=30)
"""How long after a renewal that failed the next one is tried, as long as those from before are good."""

_SHARE = 0.5  # of the time of a call: the rest is for what is signed
_CLOCK = "see whether the clock of this host is right"
_NEEDED = ("AccessKeyId", "SecretAccessKey", "Expiration")


class Lender(Protocol):
    """Who lends."""

    @property
    def name(self) -> str:
        """As errors and ``otp doctor`` call it, such as "the container's role"."""

    @property
    def fix(self) -> str:
        """What an operator can do where it does not answer."""

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open what it needs; it is closed with the stack."""

    async def ask(self) -> Credentials:
        """Credentials, with the time at which they end.

        Raises:
            ProviderError: It lends none. Its ``fix`` may be empty: then it is that of the lender.
        """


@attrs.define(eq=False, kw_only=True)
class LentCredentials:
    """What one lender lends to one instance."""

    context: ProviderContext = attrs.field(repr=False)
    lender: Lender
    _lent: Credentials | None = attrs.field(default=None, init=False, repr=False)
    _failure: ProviderError | None = attrs.field(default=None, init=False, repr=False)
    _not_before: datetime | None = attrs.field(default=None, init=False, repr=False)
    _answers: int = attrs.field(default=0, init=False, repr=False)
    _asking: anyio.Lock = attrs.field(factory=anyio.Lock, init=False, repr=False)

    @property
    def name(self) -> str:
        """That of the lender."""
        return self.lender.name

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the lender."""
        self._asking = anyio.Lock()  # an instance may be started again, in another event loop
        await self.lender.start(exit_stack)

    async def credentials(self) -> Credentials:
        """Those that were lent last, or new ones where these end soon. Many callers wait for one answer.

        Raises:
            ProviderError: There are none that are still good; never ``ambiguous``.
        """
        good = self._good()
        if good is not None and (self._asking.locked() or not self._is_due()):
            return good
        answers = self._answers
        async with self._asking:
            if self._answers == answers:
                await self._renew()
        good = self._good()
        if good is None:
            raise self._refusal()
        return good

    def _good(self) -> Credentials | None:
        return None if self._ends_within(timedelta(0)) else self._lent

    def _is_due(self) -> bool:
        waits = self._not_before is not None and self.context.clock() < self._not_before
        return self._ends_within(EARLY) and not waits

    def _ends_within(self, time: timedelta) -> bool:
        if self._lent is None:
            return True
        ends = self._lent.expires_at
        return ends is not None and self.context.clock() + time >= ends

    async def _renew(self) -> None:
        seconds = self.context.timeout * _SHARE
        failure = ProviderError(ErrorKind.UNAVAILABLE, f"no answer within {seconds:g} s")
        lent: Credentials | None = None
        with anyio.move_on_after(seconds):
            try:
                lent = await self.lender.ask()
            except ProviderError as error:
                failure = error
        now = self.context.clock()
        if lent is not None and lent.expires_at is not None and lent.expires_at <= now:
            lent, failure = None, ProviderError(ErrorKind.UNAVAILABLE, "what it lends has ended", fix=_CLOCK)
        if lent is not None:
            self._lent, self._not_before = lent, None
        else:
            self._failure, self._not_before = failure, now + AGAIN
            self._tell_of(failure)
        self._answers += 1

    def _tell_of(self, failure: ProviderError) -> None:
        if (good := self._good()) is not None and good.expires_at is not None:
            self.context.logger.warning(
                "the credentials of %s could not be renewed (%s); those from before are good until %s",
                self.name,
                failure.summary,
                good.expires_at.isoformat(timespec="seconds"),
            )

    def _refusal(self) -> ProviderError:
        """The last failure as an error of its own: every caller raises one. Nothing was sent, so nothing is in doubt."""
        failure = self._failure or ProviderError(ErrorKind.UNAVAILABLE, "they have ended")
        kind = ErrorKind.UNAVAILABLE if failure.kind is ErrorKind.AMBIGUOUS else failure.kind
        return ProviderError(
            kind,
            f"no credentials of {self.name}: {failure.summary}",
            failure.retry_after,
            failure.provider_code,
            fix=failure.fix or self.lender.fix,
        )


def credentials_in(fields: Mapping[str, Any], token: str) -> Credentials:
    """The credentials of an answer. ``token``: how it calls the session token.

    Raises:
        ProviderError: ``unavailable``: something is missing.
    """
    read = {name: fields.get(name) for name in (*_NEEDED, token)}
    ends = _moment(read["Expiration"])
    if ends is None or not all(isinstance(value, str) and value for value in read.values()):
        raise ProviderError(ErrorKind.UNAVAILABLE, "the answer holds no credentials")
    return Credentials(
        access_key_id=str(read["AccessKeyId"]),
        secret_access_key=str(read["SecretAccessKey"]),
        session_token=str(read[token]),
        expires_at=ends,
    )


async def text_of(file: str, *, variable: str) -> str:
    """What stands in the file that a variable of the environment names, without the space around it.

    Raises:
        ProviderError: ``unavailable``: it could not be read, or is empty. Its name is not told.
    """
    problem = "is empty"
    try:
        if text := (await anyio.Path(file).read_text(encoding="utf-8")).strip():
            return text
    except (OSError, ValueError) as error:
        problem = f"could not be read ({type(error).__name__})"
    raise ProviderError(
        ErrorKind.UNAVAILABLE,
        f"the file of {variable} {problem}",
        fix=f"see that the file which {variable} names is there, and that this process may read it",
    )


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

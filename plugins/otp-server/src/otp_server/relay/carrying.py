"""Carry what an auth system hands over: once for the same body, and answered before it gives up waiting."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime, timedelta

import anyio
import attrs
from starlette.responses import Response

from otp_server.api.auth import look_up_phone
from otp_server.idempotency import Kept
from otp_server.problems import ProblemError, is_final, problem_of
from otp_server.relay.adapter import Adapter, Relayed
from otp_server.server import Server
from otpcore import AsyncOTPService, OTPConfigurationError, OTPError, StoreError

__all__ = ["Handover", "carry"]

_logger = logging.getLogger("otpcore.server")

_LOOK_AGAIN = 0.1  # seconds
_FOR_A_LOOK = 0.1  # of the patience
_OPEN = "open"


@attrs.define(eq=False, kw_only=True)
class Handover:
    """One message under way.

    Args:
        server: That carries it.
        adapter: From whose auth system it is.
        service: That sends it.
        app: For which it is.
        message: As it goes out.
        asked: A keyed digest of the body.
    """

    server: Server
    adapter: Adapter
    service: AsyncOTPService
    app: str
    message: Relayed
    asked: str
    _is_over: anyio.Event = attrs.field(factory=anyio.Event)
    _is_left: bool = False
    _about: str = ""
    _answer: Response | None = None
    _error: Exception | None = None

    @property
    def kept(self) -> Kept:
        """The answer, for as long as the same body is the same message."""
        return Kept(server=self.server, key=self.asked, about=self._about, lasts=self.adapter.window)

    async def run(self) -> None:
        """Send, unless it was done before. What was begun goes on to its end, whatever becomes of who asked."""
        with anyio.CancelScope(shield=True):
            try:
                self._about = await look_up_phone(self.service, self.message.to)
                while self._answer is None and not self._is_left:
                    version = await self.kept.begin(self.asked)
                    await (self._send(version) if version is not None else self._look())
            except Exception as error:  # noqa: BLE001 - it is raised where it is answered, and ends no other message
                self._error = error
                if self._is_left:
                    name, why = self.adapter.name, type(error).__name__
                    _logger.warning("a message of %s failed after it had been answered: %s", name, why)
            self._is_over.set()

    async def answer(self) -> Response:
        """The answer, once there is one."""
        await self._is_over.wait()
        if self._answer is None:
            raise self._error or StoreError("there is no answer")
        return self._answer

    async def leave(self) -> Response:
        """The answer when it is time for one, and sending goes on.

        A delivery is written down before its provider is called, and is open until that has answered.

        Raises:
            StoreError: The store is not known to have the message.
        """
        self._is_left = True
        if self._error is not None:
            raise self._error
        with contextlib.suppress(ProblemError):
            return await self.kept.replay(self.asked)
        message, since = self.message, datetime.now(UTC) - timedelta(seconds=self.server.patience)
        for one in await self.service.operator.challenges.show(message.to):
            is_ours = (one.app, one.purpose, one.verifiable) == (self.app, message.purpose, False)
            if is_ours and any(each.outcome == _OPEN and each.recorded_at > since for each in one.deliveries):
                return self.adapter.accept(one.id)
        raise StoreError("the store does not have the message yet")

    async def _look(self) -> None:
        """Another request with the same body has begun it: its answer, or a moment's wait for it."""
        try:
            self._answer = await self.kept.replay(self.asked)
        except ProblemError:
            await anyio.sleep(_LOOK_AGAIN)

    async def _send(self, version: int) -> None:
        try:
            message = self.message
            sent = await self.service.send(
                message.to,
                channel=message.channel,
                purpose=message.purpose,
                client=message.client,
                locale=message.locale,
                message=message.text,
                code=message.code,
                verifiable=False,
                app=self.app,
            )
        except (OTPError, OTPConfigurationError) as error:
            problem = problem_of(error)
            if not is_final(problem):
                await self.kept.forget(version)
                raise
            _logger.info("%s was refused a message: %s", self.adapter.name, problem.reason)
            self._answer = self.adapter.refuse(problem)
        except Exception:
            await self.kept.forget(version)
            raise
        else:
            self._answer = self.adapter.accept(sent.id)
        with contextlib.suppress(StoreError):  # who repeats it is told that it is under way, for a while
            await self.kept.finish(self.asked, version, self._answer)


async def carry(handover: Handover) -> Response:
    """Hand a message over, and answer in time.

    A provider may take longer than the auth system waits: then the message counts as taken, and sending goes on.

    Raises:
        ProblemError, OTPError, OTPConfigurationError: It is not carried.
    """
    patience = handover.adapter.patience
    handover.server.tasks.start_soon(handover.run)
    with anyio.move_on_after(patience * (1 - _FOR_A_LOOK)):
        return await handover.answer()
    with anyio.move_on_after(patience * _FOR_A_LOOK):
        return await handover.leave()
    raise StoreError("the store does not answer in time")

"""Tells vendors that carried a code of ours how it ended: fire and forget, and never in the way of a verification.

What is told is kept nowhere: a process that dies, or closes, leaves the rest untold. Whoever needs to know more exactly has the
events.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import anyio.abc

from otpcore.errors import OTPConfigurationError, OTPError, ProviderError
from otpcore.events import Work, fields
from otpcore.models import CodeOwner
from otpcore.providers.requests import OutcomeRequest
from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import NOT_SENT
from otpcore.stores.records import ChallengeRecord

if TYPE_CHECKING:
    from otpcore.service.service import Service

__all__ = ["Outcomes"]

_logger = logging.getLogger("otpcore.outcomes")

_MOST = 1_000  # challenges that wait to be told about; the end of any more is not told
_AT_ONCE = 16
_LAST_WAIT = 2.0  # seconds that closing leaves to what is under way


class Outcomes:
    """Tells each end in a task of its own, once; opened with the service, and mute until then."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: anyio.abc.TaskGroup | None = None
        self._places = anyio.Semaphore(_AT_ONCE)
        self._under_way = 0

    async def open(self, exit_stack: AsyncExitStack) -> None:
        """Begin; closing the stack leaves a moment to what is under way, and drops the rest."""
        tasks = anyio.create_task_group()
        await tasks.__aenter__()

        async def finish() -> None:
            self._tasks = None
            tasks.cancel_scope.deadline = anyio.current_time() + _LAST_WAIT
            await tasks.__aexit__(None, None, None)

        exit_stack.push_async_callback(finish)
        self._tasks = tasks

    def tell(self, challenge: ChallengeRecord, *, approved: bool) -> None:
        """A challenge is over: whoever carried its code and wants to know hears of it soon. Returns at once, and never fails."""
        if self._tasks is None:
            return
        if self._under_way >= _MOST:
            self._report(challenge.id, "too_many")
            return
        self._under_way += 1
        self._tasks.start_soon(self._tell, challenge.id, approved)

    async def _tell(self, challenge_id: str, approved: bool) -> None:
        try:
            async with self._places:
                with anyio.fail_after(self._service.settings.otp.send_timeout):
                    for view in await self._service.store.view(challenge_id=challenge_id):
                        for instance, request in self._requests(view, approved=approved):
                            await self._tell_one(instance, request)
        except TimeoutError:
            self._report(challenge_id, "too_late")
        except Exception as error:  # noqa: BLE001 - nobody waits for this, and all else goes on
            self._report(challenge_id, type(error).__name__)
        finally:
            self._under_way -= 1

    async def _tell_one(self, instance: str, request: OutcomeRequest) -> None:
        """One call to a provider."""
        patience = self._service.settings.otp.provider_timeout
        try:
            provider = await self._service.opened(instance, patience)
            with self._service.span(Work.CALL, operation="report_outcome", instance=instance, channel=request.channel):
                await provider.report_outcome(request, patience)
        except ProviderError as error:
            self._report(request.challenge_id, error.kind.value, instance)
        except (OTPError, OTPConfigurationError) as error:
            self._report(request.challenge_id, type(error).__name__, instance)

    def _requests(self, view: ChallengeView, *, approved: bool) -> Iterator[tuple[str, OutcomeRequest]]:
        """Each message or verification that may have left through who wants to know, newest first, with the name of the instance."""
        service, challenge = self._service, view.challenge
        told: set[tuple[str, str]] = set()
        for delivery in reversed(view.deliveries):
            provider = service.providers.get(delivery.instance)
            if provider is None or not provider.reports_outcomes or delivery.owner is not CodeOwner.CORE:
                continue
            what = (delivery.instance, delivery.reference or delivery.id)
            if delivery.outcome in NOT_SENT or what in told:
                continue
            told.add(what)
            yield (
                delivery.instance,
                OutcomeRequest(
                    challenge_id=challenge.id,
                    delivery_id=delivery.id,
                    recipient=service.recipient_of(challenge, delivery.channel),
                    channel=delivery.channel,
                    reference=delivery.reference,
                    approved=approved and delivery.code_number == challenge.code_number,
                ),
            )

    @staticmethod
    def _report(challenge_id: str, reason: str, instance: str = "") -> None:
        about = fields("outcome_not_reported", challenge_id=challenge_id, instance=instance, reason=reason)
        _logger.warning(
            "challenge %s: %s was not told how it ended: %s",
            challenge_id,
            instance or "whoever carried its code",
            reason,
            extra=about,
        )

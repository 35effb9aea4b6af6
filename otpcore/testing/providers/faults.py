"""Contract tests of what goes wrong on the way: what was certainly not sent, what nobody knows, and no hidden repeats."""

from __future__ import annotations

from typing import ClassVar

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import Channel
from otpcore.providers.requests import send_hook
from otpcore.simulators.exchange import Fault
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import (
    IN_DOUBT,
    PATIENCE,
    STATUSES,
    WRONG_URL,
    Bench,
    name_of,
    why_in_doubt,
)

__all__ = ["FaultTests"]

_BROKEN_CONNECTIONS = (Fault.CLOSE_AFTER_READ, Fault.RESET_AFTER_READ, Fault.RESET_AFTER_WORK)


class FaultTests(ContractBase):
    """A vendor that fails, is gone, or does not answer."""

    kind_of_http_401: ClassVar[ErrorKind] = ErrorKind.MISCONFIGURED
    kind_of_http_429: ClassVar[ErrorKind] = ErrorKind.THROTTLED
    kind_of_http_500: ClassVar[ErrorKind] = ErrorKind.AMBIGUOUS
    kind_of_http_503: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    kind_of_redirect: ClassVar[ErrorKind] = ErrorKind.MISCONFIGURED

    @pytest.mark.anyio
    async def test_a_refused_connection_is_unavailable_and_the_next_send_works(
        self, accepting: Bench, channel: Channel
    ) -> None:
        async with accepting.open() as provider:
            accepting.simulator.down()
            failure = await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
            assert failure.kind is ErrorKind.UNAVAILABLE, "without a connection certainly nothing was sent"
            accepting.simulator.up()
            await provider.send(accepting.delivery(channel), PATIENCE)
        assert len(accepting.simulator.inbox) == 1

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", IN_DOUBT, ids=name_of)
    async def test_what_breaks_after_the_vendor_read_it_is_ambiguous_and_sent_once(
        self, accepting: Bench, channel: Channel, fault: Fault
    ) -> None:
        accepting.simulator.fail(fault, times=None)
        async with accepting.open() as provider:
            failure = await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
        assert failure.kind is ErrorKind.AMBIGUOUS, why_in_doubt(failure)
        assert len(accepting.simulator.requests) == 1, "a send is never repeated in secret"

    @pytest.mark.anyio
    async def test_a_vendor_who_does_not_answer_in_time_is_ambiguous(self, accepting: Bench) -> None:
        async with accepting.open(timeout=self.short_timeout) as provider:
            silence = accepting.silence(provider, send_hook(self.channels[0]))
            failures = await accepting.unanswered(
                silence, lambda: provider.send(accepting.delivery(self.channels[0]), silence.outer)
            )
        for failure in failures:
            assert failure.kind is ErrorKind.AMBIGUOUS, why_in_doubt(failure)
        assert len(accepting.simulator.requests) == len(failures), "a send is never repeated in secret"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", _BROKEN_CONNECTIONS, ids=name_of)
    async def test_a_connection_that_breaks_when_it_is_used_again_is_ambiguous_and_sent_once(
        self, accepting: Bench, channel: Channel, fault: Fault
    ) -> None:
        async with accepting.open() as provider:
            await provider.send(accepting.delivery(channel), PATIENCE)
            before = len(accepting.simulator.requests)
            accepting.simulator.fail(fault, times=None)
            failure = await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
            assert failure.kind is ErrorKind.AMBIGUOUS, why_in_doubt(failure)
            assert len(accepting.simulator.requests) == before + 1, "a send is never repeated in secret"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", STATUSES, ids=name_of)
    async def test_a_bare_http_status_has_the_kind_that_the_author_says(
        self, accepting: Bench, channel: Channel, fault: Fault
    ) -> None:
        accepting.simulator.fail(fault, times=None)
        async with accepting.open() as provider:
            failure = await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
        kind = getattr(self, f"kind_of_{fault.value}")
        assert failure.kind is kind, (
            f"without a code of the vendor's this status means `{kind}`; if this vendor means another, "
            f"`kind_of_{fault.value}` of the suite says so"
        )
        assert len(accepting.simulator.requests) == 1, "neither repeated in secret nor redirected"
        assert not accepting.simulator.inbox
        if fault is Fault.HTTP_429:
            assert failure.retry_after == 7, "the vendor said how long to wait"

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", [*WRONG_URL, Fault.HTTP_418], ids=name_of)
    async def test_a_wrong_url_is_misconfigured_and_sent_nothing(
        self, accepting: Bench, channel: Channel, fault: Fault
    ) -> None:
        accepting.simulator.fail(fault, times=None)
        async with accepting.open() as provider:
            failure = await accepting.failure(provider.send(accepting.delivery(channel), PATIENCE))
        assert failure.kind is ErrorKind.MISCONFIGURED, (
            "a wrong URL sends nothing until an operator corrects it: every 4xx and redirect that the vendor's page "
            "does not list is `misconfigured`"
        )
        assert failure.summary, "what an operator has to look at"
        assert len(accepting.simulator.requests) == 1, "it stays wrong"

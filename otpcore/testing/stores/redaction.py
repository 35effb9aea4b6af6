"""Contract tests of what a store shows: nothing readable on its medium, in its logs, its facts, its repr and its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from otpcore.errors import ErrorKind, OTPConfigurationError, OTPError
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.contract import Store
from otpcore.testing.codes import wrong_code
from otpcore.testing.outbox import Outbox
from otpcore.testing.stores.base import StoreBase

__all__ = ["RedactionTests"]

_PHONE = "+359871234567"
_SETTINGS = {
    "sms": {"retry": True},
    "otp": {"cooldown": 0},
}


class RedactionTests(StoreBase):
    """A whole life of codes passes through the store, and nobody can read them there."""

    async def test_no_code_and_no_number_is_readable_on_the_medium(
        self, new_store: Store, raw_contents: Callable[[], bytes]
    ) -> None:
        readable = await _live(new_store)
        contents = raw_contents()
        assert len(contents) > 100, "`raw_contents` reads nothing"
        for what, value in readable.items():
            assert value.encode() not in contents, f"{what} is readable on the medium"

    async def test_neither_logs_nor_facts_nor_repr_show_anything_readable(
        self, new_store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        readable = await _live(new_store)
        shown = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        shown += [repr(new_store), str(new_store)]
        async with AsyncExitStack() as stack:
            await new_store.start(stack)
            shown.append(str(await new_store.diagnose()))
        for what, value in readable.items():
            assert not [text for text in shown if value in text], f"{what} is shown"

    async def test_an_error_of_a_store_that_is_away_is_one_of_ours_and_shows_no_password(
        self, unreachable: tuple[Store, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        for logger in (None, "otpcore"):  # whatever level a host has given them
            caplog.set_level(logging.DEBUG, logger=logger)
        store, password = unreachable
        with pytest.raises((OTPError, OTPConfigurationError)) as caught:
            await _read_settings(store)
        chain: list[BaseException] = [caught.value]
        for error in chain:
            chain.extend(one for one in (error.__cause__, error.__context__) if one is not None and one not in chain)
        shown = [f"{error} {error!r} {error.args!r}" for error in chain]
        shown += [repr(store), *(f"{record.getMessage()} {vars(record)}" for record in caplog.records)]
        assert not [text for text in shown if password in text], "the password is shown"


async def _read_settings(store: Store) -> None:
    async with AsyncExitStack() as stack:
        await store.start(stack)
        await store.settings()


async def _live(store: Store) -> dict[str, str]:
    """Sends, a retry that waits, wrong and right codes; what only the person may read."""
    outbox = Outbox()
    async with outbox.service(_SETTINGS, store=store, runner=WorkerRunner()) as service:
        await service.send_sms(_PHONE, message="Only for you: {code}")
        code = outbox.code
        await service.verify(_PHONE, wrong_code(code))
        await service.verify(_PHONE, code)
        outbox.fail(ErrorKind.AMBIGUOUS, delivered=True)
        await service.send_sms(_PHONE, purpose="waits")
        waiting = outbox.code
    return {"the number": _PHONE[1:], "a used code": code, "a code that waits": waiting, "the text": "Only for you"}

"""What a plugin answers, raises and forgets to answer."""

from __future__ import annotations

import functools
import logging
from contextlib import AsyncExitStack

import anyio
import attrs
import pytest

from otpcore.errors import ErrorKind, InvalidPhoneNumber, PluginLoadError, ProviderError, SettingsError
from otpcore.models import Channel, CodeOwner
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.hooks import hookimpl
from otpcore.providers.provider import provider_from_object
from otpcore.providers.requests import CancelRequest, CheckRequest, CheckResult, DeliveryReceipt, ProviderInfo

from .plugins import CODE, NUMBER, SECRET, BlockingSms, Sms, delivery, everything_in, failure_of, install, load


class Owned:
    """A provider that owns the code; ``verdict`` is what its check answers."""

    def __init__(self, verdict=CheckResult.APPROVED, cancelled=None):
        self.verdict, self.cancelled = verdict, cancelled

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Owned", code_owner=CodeOwner.PROVIDER, code_scope="owned:1")

    @hookimpl
    async def call(self, request):
        return DeliveryReceipt(reference="V1")

    @hookimpl
    async def check_code(self, request):
        return self.verdict

    @hookimpl
    async def cancel(self, request):
        return self.cancelled


both_kinds = pytest.mark.parametrize("kind", [Sms, BlockingSms])


def raising(error):
    def body():
        raise error

    return body


@both_kinds
async def test_a_receipt_comes_back(kind):
    provider = provider_from_object("acme", kind(lambda: DeliveryReceipt(reference="M1")))
    assert (await provider.send(delivery(), 5)).reference == "M1"


async def test_the_hook_is_chosen_by_the_channel():
    provider = provider_from_object("owned", Owned())
    assert (await provider.send(delivery(Channel.CALL), 5)).reference == "V1"
    with pytest.raises(ProviderError, match="does not implement send_sms") as caught:
        await provider.send(delivery(Channel.SMS), 5)
    assert caught.value.kind is ErrorKind.MISCONFIGURED


async def test_two_instances_of_one_plugin_are_called_apart(site):
    install(site, "otp-acme")
    receipts = [await load(name, "acme").send(delivery(), 5) for name in ("acme_eu", "acme_us")]
    assert [receipt.reference for receipt in receipts] == ["sent by acme_eu", "sent by acme_us"]


async def test_objects_that_compare_equal_can_be_providers():
    @attrs.define
    class Equal:
        @hookimpl
        def describe(self):
            return ProviderInfo(display_name="Equal")

        @hookimpl
        async def send_sms(self, request):
            return DeliveryReceipt()

    for name in ("one", "two"):
        assert await provider_from_object(name, Equal()).send(delivery(), 5) == DeliveryReceipt()


@both_kinds
@pytest.mark.parametrize("answer", [None, "sent", {"reference": "M1"}])
async def test_an_answer_of_the_wrong_type_is_no_receipt(kind, answer):
    failure = await failure_of(provider_from_object("acme", kind(lambda: answer)))
    assert failure.kind is ErrorKind.AMBIGUOUS
    assert f"answered {type(answer).__name__} instead of DeliveryReceipt" in str(failure)


async def test_a_reference_that_no_store_could_keep_is_no_receipt():
    failure = await failure_of(provider_from_object("acme", Sms(lambda: DeliveryReceipt(reference=None))))
    assert failure.kind is ErrorKind.AMBIGUOUS


@both_kinds
async def test_a_provider_error_comes_out_under_the_instance_name_and_alone(kind):
    def body():
        try:
            int(NUMBER + "x")
        except ValueError as error:
            raise ProviderError(ErrorKind.THROTTLED, "slow down", 7.0, "20429") from error

    failure = await failure_of(provider_from_object("acme_eu", kind(body)))
    assert (failure.kind, failure.summary, failure.retry_after, failure.provider_code) == (
        ErrorKind.THROTTLED,
        "slow down",
        7.0,
        "20429",
    )
    assert NUMBER not in everything_in(failure)


@pytest.mark.parametrize("wait", ["7", float("nan"), float("inf"), -1])
async def test_a_wait_that_makes_no_sense_is_left_out(wait):
    failure = await failure_of(
        provider_from_object("acme", Sms(raising(ProviderError(ErrorKind.THROTTLED, "", wait, 88))))
    )
    assert failure.retry_after is None
    assert failure.provider_code == "88"


async def test_a_subclass_of_provider_error_is_understood():
    class AcmeError(ProviderError):
        def __init__(self):
            super().__init__(ErrorKind.BLOCKED, "opted out", provider_code="21610")

    failure = await failure_of(provider_from_object("acme", Sms(raising(AcmeError()))))
    assert (failure.kind, failure.provider_code) == (ErrorKind.BLOCKED, "21610")


@both_kinds
@pytest.mark.parametrize("error", [ValueError(f"{NUMBER} {CODE}"), InvalidPhoneNumber(NUMBER), StopIteration(CODE)])
async def test_an_unexpected_exception_is_ambiguous_and_keeps_its_text_to_itself(kind, error, caplog):
    caplog.set_level(logging.DEBUG)
    failure = await failure_of(provider_from_object("acme", kind(raising(error))))
    assert failure.kind is ErrorKind.AMBIGUOUS
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "acme: send_sms raised" in record.getMessage()
    shown = everything_in(failure) + caplog.text + str(record.__dict__)
    assert NUMBER not in shown
    assert CODE not in shown


@both_kinds
async def test_an_unexpected_exception_is_named_by_type_and_place(kind, caplog):
    failure = await failure_of(provider_from_object("acme", kind(raising(KeyError(CODE)))))
    assert failure.summary == "raised KeyError"
    assert "send_sms raised KeyError at " in caplog.text
    assert "test_calls.py:" in caplog.text


async def test_no_answer_in_time_is_ambiguous():
    class Silent(Sms):
        @hookimpl
        async def send_sms(self, request):
            await anyio.sleep_forever()

    failure = await failure_of(provider_from_object("acme", Silent()), timeout=0.05)
    assert (failure.kind, failure.summary) == (ErrorKind.AMBIGUOUS, "no answer within 0.05 s")


async def test_nothing_is_called_when_no_time_is_left():
    calls = []
    failure = await failure_of(provider_from_object("acme", Sms(lambda: calls.append(1))), timeout=0)
    assert failure.kind is ErrorKind.UNAVAILABLE
    assert not calls


async def test_a_hooks_own_timeout_error_is_not_mistaken_for_the_deadline():
    failure = await failure_of(provider_from_object("acme", Sms(raising(TimeoutError()))))
    assert failure.summary == "raised TimeoutError"


async def test_what_tells_the_process_to_end_passes_through():
    with pytest.raises(KeyboardInterrupt):
        await provider_from_object("acme", Sms(raising(KeyboardInterrupt()))).send(delivery(), 5)


async def test_a_thread_is_told_nothing_that_could_be_meant_for_the_process():
    failure = await failure_of(provider_from_object("acme", BlockingSms(raising(KeyboardInterrupt()))))
    assert (failure.kind, failure.summary) == (ErrorKind.AMBIGUOUS, "raised KeyboardInterrupt")


async def test_an_async_hook_behind_a_plain_decorator_works():
    def decorate(function):
        @functools.wraps(function)
        def wrapper(self, request):
            return function(self, request)

        return wrapper

    class Decorated(Sms):
        @hookimpl
        @decorate
        async def send_sms(self, request):
            await anyio.lowlevel.checkpoint()
            return DeliveryReceipt(reference="M1")

    assert (await provider_from_object("acme", Decorated()).send(delivery(), 5)).reference == "M1"


def check_request():
    return CheckRequest(
        challenge_id="c1", delivery_id="d1", recipient=PhoneNumber(NUMBER), channel=Channel.CALL, code=CODE
    )


def cancel_request():
    return CancelRequest(challenge_id="c1", delivery_id="d1", recipient=PhoneNumber(NUMBER), channel=Channel.CALL)


@pytest.mark.parametrize("verdict", list(CheckResult))
async def test_a_vendors_verdict_comes_back(verdict):
    assert await provider_from_object("owned", Owned(verdict)).check_code(check_request(), 5) is verdict


@pytest.mark.parametrize("verdict", [True, "approved", None])
async def test_only_a_check_result_is_a_verdict(verdict):
    with pytest.raises(ProviderError, match="instead of CheckResult") as caught:
        await provider_from_object("owned", Owned(verdict)).check_code(check_request(), 5)
    assert caught.value.kind is ErrorKind.AMBIGUOUS


async def test_cancelling_says_nothing_when_it_worked_and_a_false_is_no_success():
    provider = provider_from_object("owned", Owned())
    assert provider.can_cancel
    await provider.cancel(cancel_request(), 5)
    with pytest.raises(ProviderError, match="bool"):
        await provider_from_object("owned", Owned(cancelled=False)).cancel(cancel_request(), 5)


def test_the_provider_object_is_not_shown_in_repr():
    class Showy(Sms):
        def __repr__(self):
            return SECRET

    assert SECRET not in repr(provider_from_object("acme", Showy()))


# Start


async def test_start_opens_on_the_stack_and_is_optional():
    class Opens(Sms):
        @hookimpl
        async def start(self, exit_stack):
            exit_stack.callback(happened.append, "closed")
            happened.append("opened")

    happened = []
    async with AsyncExitStack() as stack:
        await provider_from_object("acme", Opens()).start(stack)
        await provider_from_object("plain", Sms()).start(stack)
        assert happened == ["opened"]
    assert happened == ["opened", "closed"]


async def test_a_start_that_fails_is_a_load_error_without_the_plugins_text():
    class Fails(Sms):
        @hookimpl
        def start(self, exit_stack):
            raise ValueError(SECRET)

    async with AsyncExitStack() as stack:
        with pytest.raises(PluginLoadError, match=r"provider 'acme'.*start raised ValueError") as caught:
            await provider_from_object("acme", Fails()).start(stack)
    assert SECRET not in everything_in(caught.value)


async def test_a_setting_refused_at_start_stays_a_settings_error():
    class Picky(Sms):
        @hookimpl
        async def start(self, exit_stack):
            raise SettingsError("providers.acme.base_url: no")

    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match="base_url"):
            await provider_from_object("acme", Picky()).start(stack)

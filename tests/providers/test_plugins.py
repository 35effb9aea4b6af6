"""Tests of plugin loading and hook calls: real distributions on the path, real entry points, real threads."""

from __future__ import annotations

import contextvars
import functools
import importlib.metadata
import logging
import os
import subprocess
import sys
import textwrap
import threading
import traceback
from contextlib import AsyncExitStack
from contextvars import ContextVar
from datetime import UTC, datetime

import anyio
import attrs
import pytest

from otpcore.errors import (
    ErrorKind,
    InvalidPhoneNumber,
    PluginLoadError,
    ProviderError,
    SettingsError,
    UnknownProviderError,
)
from otpcore.models import Channel, CodeOwner
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers import discovery as _discovery
from otpcore.providers.hooks import ProviderContext, hookimpl
from otpcore.providers.observers import Observers
from otpcore.providers.provider import (
    PROVIDERS,
    RETRY_RUNNERS,
    STORES,
    installed,
    load_provider,
    load_target,
    provider_from_object,
)
from otpcore.providers.requests import (
    CancelRequest,
    CheckRequest,
    CheckResult,
    DeliveryReceipt,
    DeliveryRequest,
    ProviderInfo,
)

NUMBER = "+359871234567"
CODE = "48205173"
SECRET = "hunter2hunter2"

GOOD = """
    from otpcore.providers import hookimpl
    from otpcore.providers import DeliveryReceipt, ProviderInfo

    class Good:
        def __init__(self, context):
            self.context = context

        @hookimpl
        def describe(self):
            return ProviderInfo(display_name=self.context.settings.get("title", "Good"))

        @hookimpl
        async def send_sms(self, request):
            return DeliveryReceipt(reference="sent by " + self.context.instance)

    def create_provider(context):
        return Good(context)
"""


@pytest.fixture
def site(importable):
    """Where distributions are installed."""
    return importable


def install(site, distribution, source=GOOD, *, version="1.2.3", group=PROVIDERS, name=None, module=None, points=None):
    """A distribution as pip leaves it behind: a module, METADATA and entry_points.txt."""
    module = module or distribution.replace("-", "_")
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    line = f"{name or distribution.removeprefix('otp-')} = {module}:create_provider"
    (info / "entry_points.txt").write_text(points if points is not None else f"[{group}]\n{line}\n")


def load(instance, plugin=None, **settings):
    return load_provider(instance, plugin, ProviderContext(instance=instance, settings=settings))


def delivery(channel=Channel.SMS):
    return DeliveryRequest(
        delivery_id="d1",
        challenge_id="c1",
        recipient=PhoneNumber(NUMBER),
        channel=channel,
        code=CODE,
        text=f"Your code is {CODE}",
        deadline=datetime(2026, 11, 22, tzinfo=UTC),
        idempotency_key="k1",
    )


def everything_in(error):
    """All that a log, a debugger or an error tracker could show of an exception."""
    chain = [error]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    return "".join(traceback.format_exception(error)) + "".join(f"{each} {each!r} {each.args}" for each in chain)


# Discovery


def test_what_is_installed_is_read_from_metadata_and_nothing_is_imported(site):
    install(site, "otp-acme", "raise RuntimeError('imported')", name="Acme")
    (found,) = [plugin for plugin in installed(PROVIDERS) if plugin.distribution == "otp-acme"]
    assert (found.name, found.target, found.version) == ("acme", "otp_acme:create_provider", "1.2.3")
    assert not found.problem
    assert "otp_acme" not in sys.modules


def test_what_is_installed_or_removed_meanwhile_is_noticed_and_metadata_is_read_no_more_often(site, monkeypatch):
    def names():
        return {plugin.name for plugin in installed(PROVIDERS)}

    read = 0
    real = importlib.metadata.entry_points

    def counted(**query):
        nonlocal read
        read += 1
        return real(**query)

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    assert "acme" not in names()
    os.utime(site, (1, 1))  # long ago, as a folder's last change is
    before = names()
    assert names() == before
    assert read == 2
    install(site, "otp-acme")
    assert names() == before | {"acme"}
    (site / "otp_acme-1.2.3.dist-info" / "entry_points.txt").unlink()
    (site / "otp_acme-1.2.3.dist-info" / "METADATA").unlink()
    (site / "otp_acme-1.2.3.dist-info").rmdir()
    assert names() == before


def test_a_provider_is_loaded_by_its_entry_point_and_knows_its_distribution(site):
    install(site, "otp-acme")
    provider = load("acme_eu", "Acme", title="Acme SMS")
    assert (provider.instance, provider.distribution, provider.version) == ("acme_eu", "otp-acme", "1.2.3")
    assert provider.info.display_name == "Acme SMS"
    assert provider.channels == {Channel.SMS}
    assert not provider.can_cancel


def test_without_a_plugin_name_the_instance_name_is_the_plugin_name(site):
    install(site, "otp-acme")
    assert load("acme").distribution == "otp-acme"


def test_an_in_house_gateway_needs_no_packaging(site):
    (site / "house_gateway.py").write_text(textwrap.dedent(GOOD))
    provider = load("house", "house_gateway:create_provider")
    assert (provider.distribution, provider.version) == ("", "")


@pytest.mark.parametrize("target", ["house_gateway:absent", "no_such_module:create", "not a module:create"])
def test_a_wrong_in_house_target_is_named_with_the_fix(site, target):
    (site / "house_gateway.py").write_text("")
    with pytest.raises(PluginLoadError, match=r"provider 'house'.*module:attribute") as caught:
        load("house", target)
    assert target in str(caught.value)


def test_a_broken_plugin_is_named_with_distribution_version_and_cause(site):
    install(site, "otp-broken", "import no_such_sdk")
    with pytest.raises(PluginLoadError) as caught:
        load("broken")
    assert "otp-broken 1.2.3" in str(caught.value)
    assert "ModuleNotFoundError: No module named 'no_such_sdk'" in str(caught.value)


def test_a_script_named_by_mistake_does_not_end_the_host(site):
    install(site, "otp-script", "import sys\nsys.exit(3)")
    with pytest.raises(PluginLoadError, match="SystemExit"):
        load("script")


def test_a_broken_plugin_that_nobody_uses_hurts_nobody(site):
    install(site, "otp-acme")
    install(site, "otp-broken", "raise RuntimeError")
    assert load("acme").distribution == "otp-acme"


def test_an_unknown_provider_is_answered_with_what_is_installed_and_what_to_install(site):
    install(site, "otp-acme")
    with pytest.raises(UnknownProviderError) as caught:
        load("acmee")
    message = str(caught.value)
    assert "did you mean 'acme'?" in message
    assert 'Fix: write acme there and in the rules, or in [providers.acmee]: plugin = "acme"' in message


def test_the_installation_of_a_name_that_nobody_vouches_for_is_never_advised(site):
    with pytest.raises(UnknownProviderError, match=r"Fix: install the package that brings it, or in") as caught:
        load("acme")
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize("name", ["mada", "Sinch", "twilio"])
def test_a_package_of_ours_that_is_missing_is_named(monkeypatch, name):
    monkeypatch.setattr(_discovery, "installed", lambda group: ())
    with pytest.raises(UnknownProviderError, match=f"Fix: pip install otp-{name.casefold()}, or in"):
        _discovery.find(_discovery.PROVIDERS, name, subject="providers.x")


def test_an_unknown_store_is_answered_with_what_is_installed(site):
    install(site, "otp-stores", group=STORES, name="ledger")
    with pytest.raises(PluginLoadError, match=r"nope.*installed: .*ledger"):
        load_target(STORES, "nope")
    assert callable(load_target(STORES, "Ledger"))


def test_a_name_claimed_twice_hurts_only_who_uses_it(site):
    install(site, "otp-acme")
    install(site, "other-acme", name="ACME")
    install(site, "otp-good")
    claims = [plugin for plugin in installed(PROVIDERS) if plugin.name == "acme"]
    assert all("otp-acme 1.2.3" in claim.problem and "other-acme 1.2.3" in claim.problem for claim in claims)
    assert len(claims) == 2
    with pytest.raises(PluginLoadError, match="is claimed by"):
        load("acme")
    assert load("good").distribution == "otp-good"


def test_one_target_in_two_distributions_is_one_plugin(site):
    install(site, "otp-acme")
    install(site, "otp-acme-renamed", name="acme", module="otp_acme")
    assert load("acme").distribution in ("otp-acme", "otp-acme-renamed")


def test_damaged_metadata_of_a_stranger_does_not_stop_us(site, caplog):
    install(site, "otp-acme")
    install(site, "stranger", points="[console_scripts]\nthis line is damaged\n")
    assert load("acme").distribution == "otp-acme"
    assert "stranger" in caplog.text


# What a plugin may get wrong, refused at load


def provider_source(body):
    """A plugin's module from the body of its class."""
    head = "from otpcore.providers import *\n\nclass Wrong:\n"
    return (
        head + textwrap.indent(textwrap.dedent(body), "    ") + "\ndef create_provider(context):\n    return Wrong()\n"
    )


DESCRIBE = """
@hookimpl
def describe(self):
    return ProviderInfo(display_name="Wrong")
"""
DESCRIBE_OWNED = """
@hookimpl
def describe(self):
    return ProviderInfo(display_name="Wrong", code_owner=CodeOwner.PROVIDER, code_scope="wrong:1")
"""
SEND = """
@hookimpl
async def send_sms(self, request): ...
"""
CHECK = """
@hookimpl
async def check_code(self, request): ...
"""

WRONG = {
    "misspelt hook": (DESCRIBE + SEND.replace("send_sms", "sendsms"), "no hook 'sendsms'; did you mean 'send_sms'"),
    "invented hook": (DESCRIBE + SEND + "@hookimpl\ndef xyz(self): ...", "no hook 'xyz'; the hooks of a provider are"),
    "observer's hook": (DESCRIBE + SEND + "@hookimpl\ndef otp_event(self, event): ...", "not a hook of a provider"),
    "no hook": ("def unmarked(self): ...", "no hook at all"),
    "marker forgotten": (DESCRIBE + SEND + "def cancel(self, request): ...", "cancel is not marked with @hookimpl"),
    "no describe": (SEND, "no describe"),
    "async describe": (DESCRIBE.replace("def describe", "async def describe") + SEND, "describe is async"),
    "describe raises": (DESCRIBE.replace("return", "raise KeyError or") + SEND, "describe raised KeyError"),
    "describe answers text": (DESCRIBE.replace("ProviderInfo(display_name=", "str(") + SEND, "describe answered str"),
    "no way to send": (DESCRIBE + CHECK, "neither send_sms nor call"),
    "channel without hook": (
        DESCRIBE.replace('"Wrong"', '"Wrong", channels=frozenset({Channel.SMS, Channel.CALL})') + SEND,
        "declares call without the hook call",
    ),
    "no channel": (DESCRIBE.replace('"Wrong"', '"Wrong", channels=frozenset()') + SEND, "declares no channel"),
    "strange channel": (DESCRIBE.replace('"Wrong"', '"W", channels=["sms", "Fax!"]') + SEND, "the channel 'Fax!'"),
    "other channel without hook": (
        DESCRIBE.replace('"Wrong"', '"W", channels=["sms", "whatsapp"]') + SEND,
        "declares whatsapp without the hook send_message. Fix: implement send_message, or leave whatsapp out",
    ),
    "other hook without channel": (
        DESCRIBE + SEND.replace("send_sms", "send_message"),
        "no channel for send_message. Fix: name those that it sends over in ProviderInfo.channels",
    ),
    "nobody checks": (DESCRIBE_OWNED + SEND, "PROVIDER without the hook check_code"),
    "check never asked": (DESCRIBE + SEND + CHECK, "check_code is never asked"),
    "no scope": (DESCRIBE_OWNED.replace("wrong:1", "") + SEND + CHECK, "without code_scope"),
    "no code lengths": (
        DESCRIBE_OWNED.replace('"wrong:1"', '"wrong:1", code_lengths=frozenset()') + SEND + CHECK,
        "empty code_lengths",
    ),
    "nobody reads": (
        DESCRIBE.replace('"Wrong"', '"Wrong", signs_receipts=False') + SEND,
        "signs_receipts=False without the hook parse_receipt",
    ),
    "strange owner": (DESCRIBE_OWNED.replace("CodeOwner.PROVIDER", "'me'") + SEND + CHECK, "code_owner"),
    "wrong argument name": (DESCRIBE + SEND.replace("request", "message"), "send_sms(self, request)"),
    "no argument": (DESCRIBE + SEND.replace(", request", ""), "send_sms takes (self)"),
    "keyword only": (DESCRIBE + SEND.replace("request", "*, request"), "send_sms takes (self)"),
    "default argument": (DESCRIBE + SEND.replace("request", "request=None"), "send_sms takes (self)"),
    "wrapper": (
        DESCRIBE + "@hookimpl(wrapper=True)\ndef send_sms(self, request):\n    return (yield)",
        "send_sms is a wrapper",
    ),
}


@pytest.mark.parametrize(("body", "words"), WRONG.values(), ids=WRONG)
def test_a_provider_that_could_fail_silently_is_refused_at_load(site, body, words):
    install(site, "otp-wrong", provider_source(body))
    with pytest.raises(PluginLoadError) as caught:
        load("wrong_eu", "wrong")
    message = str(caught.value)
    assert words in message
    assert "provider 'wrong_eu' (otp-wrong 1.2.3)" in message
    assert "Fix: " in message


@pytest.mark.parametrize("declared", ["frozenset({Channel.CALL})", "{'call'}", "[Channel.CALL]"])
def test_an_instance_may_declare_fewer_channels_than_its_class_has_hooks(site, declared):
    described = DESCRIBE.replace('"Wrong"', f'"Narrow", channels={declared}')
    install(site, "otp-narrow", provider_source(described + SEND + SEND.replace("send_sms", "call")))
    provider = load("narrow")
    assert provider.channels == provider.info.channels == {Channel.CALL}
    assert all(isinstance(channel, Channel) for channel in provider.channels)


def test_other_channels_than_sms_and_calls_are_those_that_are_declared(site):
    described = DESCRIBE.replace('"Wrong"', '"W", channels=["sms", "whatsapp", "viber"]')
    install(site, "otp-wide", provider_source(described + SEND + SEND.replace("send_sms", "send_message")))
    provider = load("wide")
    assert provider.channels == provider.info.channels == {"sms", "whatsapp", "viber"}
    assert all(isinstance(channel, Channel) for channel in provider.channels)


def test_what_declares_nothing_delivers_what_it_has_hooks_for():
    provider = provider_from_object("sms", Sms())
    assert provider.channels == provider.info.channels == {Channel.SMS}


FACTORIES = {
    "not callable": ("create_provider = 'text'", "is str, not a factory"),
    "raises": ("def create_provider(context):\n    raise KeyError('x')", "its factory raised KeyError at"),
    "lacks a library": ("def create_provider(context):\n    import no_such_sdk", "No module named 'no_such_sdk'"),
    "answers None": ("def create_provider(context): ...", "its factory answered None"),
    "is async": ("async def create_provider(context): ...", "its factory is async"),
    "answers a class": ("def create_provider(context):\n    return int", "it is a class"),
}


@pytest.mark.parametrize(("source", "words"), FACTORIES.values(), ids=FACTORIES)
def test_a_factory_that_makes_no_provider_is_refused(site, source, words):
    install(site, "otp-wrong", source)
    with pytest.raises(PluginLoadError) as caught:
        load("wrong")
    assert words in str(caught.value)
    assert "otp-wrong 1.2.3" in str(caught.value)


def test_a_settings_error_comes_through_untouched(site):
    install(
        site,
        "otp-picky",
        "from otpcore.errors import SettingsError\ndef create_provider(context): raise SettingsError('providers.picky.x')",
    )
    with pytest.raises(SettingsError, match=r"^providers\.picky\.x$"):
        load("picky")


def test_a_secret_that_a_factory_quotes_is_not_shown(site):
    install(site, "otp-loose", "def create_provider(context): raise ValueError(context.settings['token'])")
    with pytest.raises(PluginLoadError) as caught:
        load("loose", token=SECRET)
    assert SECRET not in everything_in(caught.value)


def test_a_hook_for_a_later_otpcore_may_be_marked_optional():
    class Modern(Sms):
        @hookimpl(optionalhook=True)
        def hook_of_tomorrow(self, request): ...

    assert provider_from_object("modern", Modern()).channels == {Channel.SMS}


# Calls


class Sms:
    """A correct provider; ``answer`` says what its hook does."""

    def __init__(self, answer=None):
        self.answer = answer or DeliveryReceipt

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Sms")

    @hookimpl
    async def send_sms(self, request):
        return self.answer()


class BlockingSms:
    """The same with a hook that blocks."""

    def __init__(self, answer=None):
        self.answer = answer or DeliveryReceipt

    @hookimpl
    def describe(self):
        return ProviderInfo(display_name="Blocking")

    @hookimpl
    def send_sms(self, request):
        return self.answer()


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


async def failure_of(provider, timeout=5.0):
    with pytest.raises(ProviderError) as caught:
        await provider.send(delivery(), timeout)
    assert caught.value.provider == provider.instance
    return caught.value


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
    assert "test_plugins.py:" in caplog.text


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


# Blocking hooks


class Gate:
    """A vendor's library that blocks until the test lets it go on; counts who is inside."""

    def __init__(self):
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        self.opened.wait(10)
        with self.lock:
            self.inside -= 1
        return DeliveryReceipt(reference="late")


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


async def test_a_blocking_hook_runs_elsewhere_and_sees_the_callers_context():
    variable = contextvars.ContextVar("variable", default="nothing")
    variable.set("the request id")
    seen = []

    def body():
        seen.append((threading.current_thread(), variable.get()))
        return DeliveryReceipt()

    await provider_from_object("acme", BlockingSms(body)).send(delivery(), 5)
    ((thread, value),) = seen
    assert thread is not threading.current_thread()
    assert value == "the request id"


async def test_a_blocking_hook_may_run_an_event_loop_of_its_own():
    async def inner():
        await anyio.lowlevel.checkpoint()
        return DeliveryReceipt(reference="inner loop")

    provider = provider_from_object("acme", BlockingSms(lambda: anyio.run(inner)))
    assert (await provider.send(delivery(), 5)).reference == "inner loop"


async def test_abandoned_hooks_keep_their_slots_and_no_slot_means_not_sent(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=2)
    failures = []

    async def send():
        failures.append(await failure_of(provider, timeout=0.1))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(send)
    kinds = sorted(failure.kind for failure in failures)
    assert kinds == [ErrorKind.AMBIGUOUS] * 2 + [ErrorKind.UNAVAILABLE] * 4
    assert {str(failure) for failure in failures if failure.kind is ErrorKind.UNAVAILABLE} == {
        "acme: unavailable: no worker thread was free within 0.1 s"
    }
    assert (await failure_of(provider, timeout=0.05)).kind is ErrorKind.UNAVAILABLE
    assert gate.most == 2


async def test_a_slot_that_comes_free_wakes_the_one_who_waits_longest(gate):
    sender, began = ContextVar("sender"), []

    def answer():
        began.append(sender.get())
        return gate()

    provider = provider_from_object("acme", BlockingSms(answer), thread_slots=1)

    async def send(name):
        sender.set(name)
        await provider.send(delivery(), 10)

    async with anyio.create_task_group() as group:
        for name in ("first", "second", "third"):
            group.start_soon(send, name)
            await anyio.wait_all_tasks_blocked()
        gate.opened.set()
    assert began == ["first", "second", "third"]
    assert gate.most == 1


async def test_after_an_abandoned_hook_ends_its_slot_is_used_again(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=1)
    await failure_of(provider, timeout=0.05)
    gate.opened.set()
    assert (await provider.send(delivery(), 10)).reference == "late"


async def test_a_cancelled_caller_leaves_at_once_and_passes_its_turn_on(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=1)
    outcomes = []

    async def send(name, scope):
        with scope:
            await provider.send(delivery(), 10)
        outcomes.append((name, scope.cancelled_caught))

    async with anyio.create_task_group() as group:
        scopes = {name: anyio.CancelScope() for name in ("running", "waiting", "next")}
        for name, scope in scopes.items():
            group.start_soon(send, name, scope)
            await anyio.wait_all_tasks_blocked()
        scopes["waiting"].cancel()
        scopes["running"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert sorted(outcomes) == [("running", True), ("waiting", True)]
        gate.opened.set()
    assert outcomes[-1] == ("next", False)


async def test_a_turn_handed_to_a_caller_who_is_cancelled_in_that_moment_is_not_lost(gate):
    provider = provider_from_object("acme", BlockingSms(gate), thread_slots=1)

    async def send(scope):
        with scope:
            await provider.send(delivery(), 10)

    async with anyio.create_task_group() as group:
        running, waiting = anyio.CancelScope(), anyio.CancelScope()
        group.start_soon(send, running)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(send, waiting)
        await anyio.wait_all_tasks_blocked()
        (holder,) = [thread for thread in threading.enumerate() if thread.name == "otpcore-hook"]
        gate.opened.set()
        holder.join(10)  # the loop stands still meanwhile: the turn is handed over, and nobody has seen it yet
        waiting.cancel()
    assert (await provider.send(delivery(), 10)).reference == "late"


async def test_many_calls_over_few_slots_all_come_through():
    provider = provider_from_object("acme", BlockingSms(), thread_slots=3)
    receipts = []

    async def send():
        receipts.append(await provider.send(delivery(), 30))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(send)
    assert len(receipts) == 100


async def test_a_system_without_threads_left_means_not_sent(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    provider = provider_from_object("acme", BlockingSms(), thread_slots=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert (await failure_of(provider)).kind is ErrorKind.UNAVAILABLE
    assert await provider.send(delivery(), 5) == DeliveryReceipt()


def test_a_hook_that_hangs_for_ever_does_not_keep_the_interpreter(anyio_backend_name):
    program = f"""
        import anyio, threading
        from datetime import UTC, datetime
        from otpcore.errors import ProviderError
        from otpcore.providers import hookimpl
        from otpcore.providers import Channel, DeliveryRequest, ProviderInfo
        from otpcore.phone.numbers import PhoneNumber
        from otpcore.providers.provider import provider_from_object

        class Hangs:
            @hookimpl
            def describe(self):
                return ProviderInfo(display_name="Hangs")
            @hookimpl
            def send_sms(self, request):
                threading.Event().wait()

        request = DeliveryRequest(delivery_id="d", challenge_id="c", recipient=PhoneNumber("{NUMBER}"),
                                  channel=Channel.SMS, deadline=datetime.now(UTC), idempotency_key="k")

        async def main():
            try:
                await provider_from_object("acme", Hangs()).send(request, 0.05)
            except ProviderError as error:
                print(error)

        anyio.run(main, backend="{anyio_backend_name}")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "acme: ambiguous: no answer within 0.05 s"


# Observers


class Listener:
    def __init__(self, error=None):
        self.heard, self.error = [], error

    @hookimpl
    def otp_event(self, event):
        self.heard.append(event)
        if self.error:
            raise self.error


def test_every_observer_hears_everything_whatever_another_one_does(caplog):
    listeners = [Listener(), Listener(ValueError(f"{NUMBER} {CODE}")), Listener()]
    observers = Observers(listeners[:2])
    observers.add(listeners[2])
    observers.emit("event")
    assert [listener.heard for listener in listeners] == [["event"]] * 3
    assert "otp_event raised ValueError" in caplog.text
    assert NUMBER not in caplog.text
    assert CODE not in caplog.text


def test_what_is_no_exception_is_not_swallowed_by_observers():
    with pytest.raises(KeyboardInterrupt):
        Observers([Listener(KeyboardInterrupt())]).emit("event")


@attrs.define
class EqualListener:
    heard: list = attrs.field(factory=list)

    @hookimpl
    def otp_event(self, event):
        self.heard.append(event)


def test_observers_that_compare_equal_are_both_told():
    listeners = [EqualListener(), EqualListener()]
    Observers(listeners).emit("event")
    assert [listener.heard for listener in listeners] == [["event"]] * 2


class AsyncListener:
    @hookimpl
    async def otp_event(self, event): ...


class Misspelt:
    @hookimpl
    def otp_events(self, event): ...


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (AsyncListener(), "async"),
        (Misspelt(), "did you mean 'otp_event'"),
        (object(), "no otp_event"),
        (Sms(), "observer"),
    ],
)
def test_an_observer_that_would_never_hear_anything_is_refused(listener, words):
    with pytest.raises(PluginLoadError, match=words):
        Observers([listener])


@pytest.mark.parametrize("group", [STORES, RETRY_RUNNERS])
def test_an_app_that_left_the_metadata_behind_is_told_so(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    _discovery._read.cache_clear()
    try:
        with pytest.raises(PluginLoadError, match="--copy-metadata otpcore"):
            installed(group)
        with pytest.raises(PluginLoadError, match="--copy-metadata otpcore"):
            load_provider("mada", None, ProviderContext(instance="mada", settings={}))
    finally:
        _discovery._read.cache_clear()

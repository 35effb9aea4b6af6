"""What a plugin may get wrong is refused when it is loaded."""

from __future__ import annotations

import textwrap

import pytest

from otpcore.errors import PluginLoadError, SettingsError
from otpcore.models import Channel
from otpcore.providers.hooks import hookimpl
from otpcore.providers.provider import provider_from_object

from .plugins import SECRET, Sms, everything_in, install, load


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

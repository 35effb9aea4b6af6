"""Observers are told of every event, whatever another one does."""

from __future__ import annotations

import attrs
import pytest

from otpcore.errors import PluginLoadError
from otpcore.providers.hooks import hookimpl
from otpcore.providers.observers import Observers

from .plugins import CODE, NUMBER, Sms


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

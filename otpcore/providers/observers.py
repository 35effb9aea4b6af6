"""Those who are told of events, each guarded from the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from otpcore.events import fields
from otpcore.providers import checks as _hook_checks
from otpcore.providers.checks import raised_at, register
from otpcore.providers.guard import ends_the_caller
from otpcore.providers.hooks import ObserverHooks

__all__ = ["Observers"]

_logger = logging.getLogger("otpcore.plugins")


class Observers:
    """Those who are told of events, each on its own: what one of them does wrong reaches neither the others nor the send.

    Args:
        objects: Each carries ``otp_event``, marked with ``@hookimpl``.

    Raises:
        PluginLoadError: One of them does not.
    """

    def __init__(self, objects: Iterable[object] = ()) -> None:
        self.listeners: tuple[_hook_checks.Hooks, ...] = ()
        for obj in objects:
            self.add(obj)

    def add(self, obj: object) -> None:
        """Tell this one too.

        Raises:
            PluginLoadError: It carries no usable ``otp_event``.
        """
        hooks = register(obj, ObserverHooks, "an observer", "observer", type(obj).__name__)
        if "otp_event" not in hooks.implemented:
            raise hooks.load_error("it has no otp_event", "add otp_event(self, event), marked with @hookimpl")
        if "otp_event" in hooks.asynchronous:
            raise hooks.load_error("otp_event is async", "make it a plain def that hands the event on")
        self.listeners = (*self.listeners, hooks)

    def emit(self, event: object) -> None:
        """Tell everyone, in the order in which they were added."""
        for hooks in self.listeners:
            where = ""
            try:
                hooks.relay.otp_event(event=event)
            except BaseException as error:
                if ends_the_caller(error):
                    raise
                where, about = raised_at(error), fields("observer_raised", reason=type(error).__name__)
            if where:  # outside the handler: logging prints what is being handled where a handler of the host's fails
                _logger.error("observer %s: otp_event raised %s", hooks.origin, where, extra=about)

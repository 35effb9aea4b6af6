"""Providers that are bad guests, or whose suites say too little; and which tests must notice, with which words."""

from __future__ import annotations

import os
import threading
import time
import urllib.error
import urllib.request
from contextlib import AsyncExitStack
from types import MappingProxyType

import anyio

from otpcore.errors import ErrorKind
from otpcore.models import Channel
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt

from .acme import Text
from .acme_in_threads import Threads
from .broken import Broken
from .suites import TextSuite, ThreadSuite


class IgnoresTheSender(Text):
    def body(self, request):
        return {name: text for name, text in super().body(request).items() if name != "from"}


class Prints(Text):
    async def send(self, request):
        print("sending")  # noqa: T201 - what must be noticed
        return await super().send(request)


class PrintsReceipts(Text):
    def read(self, request):
        print("reported")  # noqa: T201 - what must be noticed
        return super().read(request)


class WritesToStderr(Text):
    def error(self, answer, request):
        os.write(2, b"refused\n")
        return super().error(answer, request)


class LeavesItsClientOpen(Text):
    async def open(self, exit_stack):
        self.never_closed = AsyncExitStack()
        return await super().open(self.never_closed)


class LeavesAThread(Text):
    async def open(self, exit_stack):
        threading.Thread(target=time.sleep, args=(3,), name="acme-poller", daemon=True).start()
        return await super().open(exit_stack)


class Blocks(Text):
    """A blocking client in an asynchronous hook."""

    seconds: float | None = None

    async def send(self, request):
        self.ask()
        return await super().send(request)

    def ask(self):
        try:
            urllib.request.urlopen(self.settings.base_url, data=b"{}", timeout=self.seconds).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return


class BlocksForAWhile(Blocks):
    """The same with a timeout."""

    seconds = 0.6


class BlocksWhereItCatchesAll(Blocks):
    async def send(self, request):
        try:
            return await super().send(request)
        except Exception:  # noqa: BLE001 - as some do
            return DeliveryReceipt()


class ComputesForEver(Text):
    async def open(self, exit_stack):
        while True:
            pass


class WaitsInStart(Text):
    async def open(self, exit_stack):
        await anyio.sleep_forever()


class SleepsWhileLoading(Text):
    def read_settings(self):
        time.sleep(60)
        return super().read_settings()


class FailsToLoad(Text):
    def read_settings(self):
        return {}["token"]


class FailsToStart(Text):
    async def open(self, exit_stack):
        return {}["client"]


class NamesNoSuchHook(Text):
    @hookimpl
    async def send_smss(self, request):
        return await self.send(request)


class TakesItsTime(Threads):
    seconds = 4


class TakesAnyAnswerForAcceptance(Text):
    def receipt(self, answer, request):
        if answer.status in (404, 418):
            return DeliveryReceipt()
        return super().receipt(answer, request)


class LeavesTeapotsInDoubt(Text):
    def kind_of_class(self, status_class):
        return ErrorKind.AMBIGUOUS


class SaysTooLittle(Text):
    """The suite forgets what it is there for."""


HANGING = MappingProxyType({"watchdog": 0.5})
BROKEN = (
    Broken(IgnoresTheSender, "sender_that_a_host_names", "request.sender was ignored"),
    Broken(Prints, "nothing_is_printed and not receipt", "log through context.logger instead"),
    Broken(PrintsReceipts, "nothing_is_printed_of_a_receipt", "log through context.logger instead"),
    Broken(WritesToStderr, "nothing_is_printed and not receipt", "prints to stdout or stderr"),
    Broken(LeavesItsClientOpen, "left_behind", "push the closing of each client on the exit stack"),
    Broken(LeavesAThread, "left_behind", "threads are left behind after the instance was closed: ['acme-poller']"),
    Broken(Blocks, "does_not_answer_in_time", "use `def` (a plain hook runs in a thread of its own)", said=HANGING),
    Broken(BlocksForAWhile, "does_not_answer_in_time", "the event loop stood still for"),
    Broken(BlocksWhereItCatchesAll, "cancellation_passes", "your hook blocks the event loop", said=HANGING),
    Broken(ComputesForEver, "instance_loads", "your hook blocks the event loop", said=HANGING),
    Broken(WaitsInStart, "instance_loads", "the test is not over after 0.5 s", said=HANGING),
    Broken(SleepsWhileLoading, "loading_asks", "no I/O at import, in the factory and in `describe`", said=HANGING),
    Broken(FailsToLoad, "instance_loads", "its factory raised KeyError"),
    Broken(FailsToStart, "instance_loads", "start raised KeyError"),
    Broken(NamesNoSuchHook, "instance_loads", "send_smss"),
    Broken(TakesItsTime, "does_not_answer_in_time", "`overtime` says how much longer", ThreadSuite, {"overtime": 0.5}),
    Broken(
        TakesAnyAnswerForAcceptance, "wrong_url_is_misconfigured_and_sent and http_418", "hook answered DeliveryReceipt"
    ),
    Broken(
        LeavesTeapotsInDoubt, "wrong_url_is_misconfigured_and_sent and http_418", "does not list is `misconfigured`"
    ),
    Broken(SaysTooLittle, "must_know_is_said and secret", "say `secret_settings`", said={"secret_settings": None}),
    Broken(
        SaysTooLittle,
        "must_know_is_said and required",
        "write `required_settings = ()`",
        said={"required_settings": None},
    ),
    Broken(SaysTooLittle, "must_know_is_said and refusals", "say `refusals`", said={"refusals": None}),
    Broken(
        SaysTooLittle,
        "secret_settings_are_settings",
        "what the simulator does not set",
        said={"secret_settings": ("key",)},
    ),
    Broken(
        Text,
        "declaration_is_what_the_author",
        "set `channels` of the suite",
        TextSuite,
        {"channels": (Channel.SMS, Channel.CALL)},
    ),
    Broken(
        Text,
        "sender_that_a_host_names",
        "another than the instance's own",
        TextSuite,
        {"sender": "acme-token-of-the-test"},
    ),
)

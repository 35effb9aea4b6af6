"""What a page answers is the same for a number that is reached, blocked, a landline, limited, or unknown: in shape and time."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from otp_server.keys import Kind
from page_client import Person, decoy_of, page_of

from otpcore import (
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ProviderError,
    ProviderInfo,
    hookimpl,
)
from otpcore.testing import wrong_code

CLASSES = ("sent", "blocked", "landline", "failed", "decoy")
VISITS = int(os.environ.get("OTP_SERVER_VISITS", "4"))  # of each class; `nox -s alike` makes 200
ENOUGH_FOR_MEDIANS = 100
FIRSTS = itertools.count(0, 1_000)  # a second try is of other people: the first has used up what these may
_ENDS = {"blocked": ErrorKind.BLOCKED, "landline": ErrorKind.REJECTED_NUMBER, "failed": ErrorKind.MISCONFIGURED}
_OWN = re.compile(
    r"[0-9a-f]{64}|/v/[A-Za-z0-9_-]{22}|\+\d{4}\*+\d\d|data-(?:lasts|wait)=\"\d+\"|PT\d+S|>\d:\d\d<|\d more minutes?"
)


class Vendor:
    """Takes the first message to each number, and later ones as the number's last digit says; it may be held."""

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.seen: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.free = threading.Event()
        self.free.set()

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return await self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        return await self._take(request)

    async def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        number = request.recipient.e164
        self.seen[number] = self.seen.get(number, 0) + 1
        while not self.free.is_set():
            await anyio.sleep(0.01)
        kind = _ENDS.get(CLASSES[int(number[-1])])
        if kind is not None and self.seen[number] > 1:
            raise ProviderError(kind, "asked for by the test")
        self.codes[number] = request.code
        self.answered[number] = self.answered.get(number, 0) + 1
        return DeliveryReceipt(reference=request.delivery_id)


@pytest.fixture(scope="module")
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, run_server: Any, vendor: Vendor) -> Iterator[httpx.Client]:
    url = f"sqlite:///{tmp_path_factory.mktemp('alike')}/otp.sqlite3"
    sections = {"otp": {"cooldown": 0}, "otp_sms_provider": "acme", "otp_call_provider": "acme"}
    with run_server(url, providers={"acme": vendor}, **sections) as server, server.client(Kind.LIVE) as made:
        yield made


def _opened(live: httpx.Client, kind: str, number: int) -> Person:
    phone = f"+35988{number:06d}{CLASSES.index(kind)}"
    opener = decoy_of if kind == "decoy" else page_of
    return Person(opener(live, phone, channels=["sms", "call"]))


def _visit(live: httpx.Client, vendor: Vendor, kind: str, number: int) -> tuple[list[Any], list[float]]:
    """What is answered to everything that can be done on a page, and how long it took."""
    person = _opened(live, kind, number)
    code = vendor.codes.get(f"+35988{number:06d}{CLASSES.index(kind)}", "000000")
    wrong = wrong_code(code)
    answers: list[httpx.Response] = []
    times: list[float] = []
    with person.client:
        steps: list[tuple[str, dict[str, str]]] = [
            ("look", {}),
            ("", {"code": wrong}),
            ("look", {}),
            ("/send", {"channel": "sms"}),
            ("look", {}),
            ("/send", {"channel": "call"}),
            ("look", {}),
            ("", {"code": "12"}),
            ("look", {}),
            *[("", {"code": wrong})] * 4,
            ("look", {}),
            ("/state", {}),
        ]
        for path, form in steps:
            begun = time.perf_counter()
            if path == "look":
                answers.append(person.look().answer)
            elif path == "/state":
                answers.append(person.client.get(person.url + path))
            else:
                answers.append(person.post(path, **form))
            times.append(time.perf_counter() - begun)
    return [_shape(one) for one in answers], times


def _shape(answer: httpx.Response) -> tuple[int, tuple[str, ...], str, str]:
    """Everything but what every page has of its own; lengths count, the digits of clocks do not."""
    names = tuple(sorted(name for name in answer.headers if name not in ("date", "x-request-id")))
    where = _OWN.sub("*", answer.headers.get("location", ""))
    return answer.status_code, names, where, _OWN.sub("*", answer.text)


def test_everybody_is_answered_alike(live: httpx.Client, vendor: Vendor) -> None:
    shapes: dict[str, list[Any]] = {}
    times: dict[str, list[list[float]]] = {kind: [] for kind in CLASSES}
    first = next(FIRSTS)
    for number in range(first, first + VISITS):
        for kind in CLASSES:
            shape, taken = _visit(live, vendor, kind, number)
            times[kind].append(taken)
            assert shapes.setdefault("sent", shape) == shape, kind
    assert "No tries are left" in str(shapes["sent"][-2])
    middle = {kind: statistics.median(sum(one[1:-1]) for one in times[kind]) for kind in CLASSES}
    # the least of each step: a machine that is busy elsewhere only ever adds
    least = {kind: sum([*map(min, zip(*times[kind], strict=True))][1:-1]) for kind in CLASSES}
    assert max(least.values()) < 3 * min(least.values()), (least, middle)
    if VISITS >= ENOUGH_FOR_MEDIANS:
        assert max(middle.values()) < 1.2 * min(middle.values()), middle


def test_what_a_vendor_takes_long_for_is_not_waited_for(live: httpx.Client, vendor: Vendor) -> None:
    person = _opened(live, "sent", 999_900)
    phone = "+359889999000"
    with person.client, contextlib.ExitStack() as stack:
        person.look()
        stack.callback(vendor.free.set)
        vendor.free.clear()
        assert person.asks("call").says("We have passed on your request.")
        assert person.post("/send", channel="sms").status_code == 303
        end = time.monotonic() + 20
        while vendor.seen[phone] < 2:  # the vendor has it now, and has not answered
            assert time.monotonic() < end
            time.sleep(0.01)
    assert vendor.seen[phone] >= 2


def test_what_was_asked_for_is_sent_though_the_server_ends(tmp_path: Any, run_server: Any) -> None:
    vendor = Vendor()
    sections = {"otp": {"cooldown": 0}, "otp_sms_provider": "acme", "otp_call_provider": "acme"}
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", providers={"acme": vendor}, **sections) as server,
        server.client(Kind.LIVE) as made,
    ):
        person = _opened(made, "sent", 999_901)
        with person.client:
            person.look()
            vendor.free.clear()
            person.asks("call")
        threading.Timer(0.5, vendor.free.set).start()
    assert vendor.seen["+359889999010"] == vendor.answered["+359889999010"] == 2

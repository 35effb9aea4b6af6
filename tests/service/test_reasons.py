"""What a send that failed says: whose affair it is, whether waiting helps, and what else may be tried."""

from __future__ import annotations

import contextlib
import pickle
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from otp_mada.simulator import MadaSimulator
from otp_twilio.simulator import TwilioSimulator

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    InvalidPhoneNumber,
    NoRouteError,
    OTPError,
    ProviderError,
    ProviderInfo,
    RateLimited,
    Receipt,
    ReceiptFault,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptStatus,
    StoreError,
    errors,
    hookimpl,
)
from otpcore.errors import ANSWERS, known_as
from otpcore.rate_limits.admission import LimitReason
from otpcore.service.switches import PAUSED, Switch, switch_text
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
NEVER = {"retry": True, "max_retries": 0}


def end_of(recorder: EventRecorder) -> str:
    """The reason of the last event, which must say that sending has ended."""
    assert recorder.events[-1].type is EventType.UNSENDABLE
    return recorder.events[-1].reason


@attrs.define(eq=False)
class OnlySms:
    """A carrier of texts that refuses as a test says, and reports what the body of a receipt says."""

    refuses: ErrorKind | None = None

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Only SMS")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        if self.refuses is not None:
            raise ProviderError(self.refuses)
        return DeliveryReceipt(reference="M1")

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        return Receipt(status=ReceiptStatus.UNDELIVERED, reference="M1", kind=ErrorKind(request.body.decode()))


async def failure(otp: AsyncOTPService, channel: str = "send_sms") -> DeliveryError:
    """The error of a send that must fail."""
    with pytest.raises(DeliveryError) as caught:
        await getattr(otp, channel)(PHONE)
    return caught.value


def outboxes(*kinds: str) -> dict[str, Outbox]:
    """Instances in order that answer so, every time."""
    made = {f"p{number}": Outbox() for number in range(len(kinds))}
    for outbox, kind in zip(made.values(), kinds, strict=True):
        outbox.fail(kind, times=50)
    return made


# Whose affair it is.


@pytest.mark.parametrize("channel", ["send_sms", "call"])
@pytest.mark.parametrize("retry", [False, True], ids=["not retried", "retried"])
@pytest.mark.parametrize(
    ("kinds", "reason", "status"),
    [
        (["misconfigured"], "misconfigured", 503),
        (["misconfigured", "misconfigured"], "misconfigured", 503),
        (["limit_reached"], "limit_reached", 429),
        (["misconfigured", "limit_reached"], "limit_reached", 429),
        (["limit_reached", "misconfigured"], "limit_reached", 429),
        (["misconfigured", "rejected_number"], "permanent", 422),
        (["limit_reached", "blocked", "misconfigured"], "permanent", 422),
    ],
    ids=str,
)
async def test_the_person_is_told_that_a_number_is_bad_only_where_a_provider_said_so(
    kinds: list[str], reason: str, status: int, channel: str, *, retry: bool
) -> None:
    recorder, retried = EventRecorder(), {"retry": retry}
    store = MemoryStore()
    instances = outboxes(*kinds)
    async with Outbox().service(
        {"sms": retried, "call": retried}, providers=instances, observers=[recorder], store=store
    ) as otp:
        error = await failure(otp, channel)
        assert (error.reason, error.http_status, error.retry_after) == (reason, status, None)
        assert end_of(recorder) == reason
        (view,) = await store.view(challenge_id=recorder.events[-1].challenge_id)
        assert (view.challenge.state, view.challenge.reason) == (ChallengeState.UNSENDABLE, reason)


@given(kinds=st.lists(st.sampled_from(list(ErrorKind)), min_size=1, max_size=4))
@example(kinds=[ErrorKind.MISCONFIGURED, ErrorKind.UNAVAILABLE])
@example(kinds=[ErrorKind.UNAVAILABLE, ErrorKind.LIMIT_REACHED])
@example(kinds=[ErrorKind.AMBIGUOUS, ErrorKind.MISCONFIGURED])
@settings(max_examples=60, deadline=None)
def test_several_providers_come_to_one_reason(kinds: list[ErrorKind]) -> None:
    stop = next((number for number, kind in enumerate(kinds) if kind in ("rejected_number", "blocked")), None)
    heard = kinds if stop is None else kinds[: stop + 1]
    with Outbox().blocking_service(providers=outboxes(*kinds)) as otp:
        if ErrorKind.AMBIGUOUS in heard:
            assert not otp.send_sms(PHONE).confirmed
            return
        with pytest.raises(DeliveryError) as caught:
            otp.send_sms(PHONE)
    assert [attempt.kind for attempt in caught.value.attempts] == heard
    if stop is not None:
        assert caught.value.reason == "permanent"
    elif {"unavailable", "throttled"} & set(heard):
        assert caught.value.reason == "failed"
    else:
        assert caught.value.reason == ("limit_reached" if "limit_reached" in heard else "misconfigured")


async def test_a_retry_that_finds_only_bad_credentials_says_so(otp_outbox: Outbox) -> None:
    recorder = EventRecorder()
    fast = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02}}
    async with otp_outbox.service(fast, observers=[recorder]) as otp:
        otp_outbox.fail("unavailable")
        otp_outbox.fail("misconfigured")
        assert (await otp.send_sms(PHONE)).state is ChallengeState.UNSENDABLE
        assert end_of(recorder) == "misconfigured"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("misconfigured", "misconfigured"),
        ("limit_reached", "limit_reached"),
        ("unavailable", "failed"),
        ("blocked", "permanent"),
    ],
)
async def test_a_receipt_that_says_why_is_believed(kind: str, reason: str) -> None:
    recorder = EventRecorder()
    async with Outbox().service(providers={"one": OnlySms()}, observers=[recorder]) as otp:
        await otp.send_sms(PHONE)
        await otp.handle_receipt("one", ReceiptRequest(url="https://example.com/", body=kind.encode()))
        assert end_of(recorder) == reason


async def test_a_wrong_token_at_every_real_vendor_is_the_operators_affair() -> None:
    with TwilioSimulator() as twilio, MadaSimulator() as mada:
        config = {
            **Outbox().settings,
            "otp_sms_provider": "twilio;mada",
            "providers": {
                "twilio": {**twilio.provider_settings(), "auth_token": "0" * 32},
                "mada": {**mada.provider_settings(), "password": "wrong"},
            },
        }
        async with AsyncOTPService(config) as otp:
            error = await failure(otp)
    assert (error.reason, error.http_status) == ("misconfigured", 503)
    assert [attempt.kind for attempt in error.attempts] == ["misconfigured", "misconfigured"]


async def test_the_five_sends_of_a_verification_at_twilio_are_a_limit() -> None:
    with TwilioSimulator() as twilio:
        config = {
            **Outbox().settings,
            "otp_sms_provider": "twilio",
            "providers": {"twilio": twilio.provider_settings()},
        }
        async with AsyncOTPService(config) as otp:
            with pytest.raises(DeliveryError) as caught:
                await otp.send_sms("+15005550203")
    assert (caught.value.reason, caught.value.http_status) == ("limit_reached", 429)


@pytest.mark.parametrize("kind", ["limit_reached", "throttled"])
async def test_the_shortest_wait_that_a_provider_asked_for_is_told(kind: str) -> None:
    one, two = Outbox(), Outbox()
    async with one.service(providers={"one": one, "two": two}) as otp:
        one.fail(kind, retry_after=600)
        two.fail(kind, retry_after=90)
        assert (await failure(otp)).retry_after == 90


async def test_a_wait_that_an_operator_must_end_is_not_told() -> None:
    one, two = Outbox(), Outbox()
    async with one.service(providers={"one": one, "two": two}) as otp:
        one.fail("misconfigured", retry_after=5)
        two.fail("limit_reached", retry_after=600)
        error = await failure(otp)
        assert (error.reason, error.retry_after) == ("limit_reached", 600)


# Retries that are none.


@pytest.mark.parametrize("runner", ["inline", "background", "worker"])
@pytest.mark.parametrize("channel", ["send_sms", "call"])
async def test_at_most_no_retries_means_that_a_failed_send_says_so(
    otp_outbox: Outbox, tmp_path: Path, runner: str, channel: str
) -> None:
    file = tmp_path / "otp.db"
    config = {
        "sms": NEVER,
        "call": NEVER,
        "retry": {"runner": runner},
        "storage": {"store": "sql", "url": f"sqlite:///{file}"},
    }
    async with otp_outbox.service(config) as otp:
        otp_outbox.fail("unavailable", times=50)
        for _ in range(5):  # all but the first are resends
            assert (await failure(otp, channel)).reason == "failed"
        refused = await failure(otp, channel)
        assert (refused.reason, refused.retry_after) == ("breaker_open", 1)
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM otp_schedule").fetchone() == (0,)


async def test_nor_does_a_receipt_make_a_retry_due_then() -> None:
    recorder, store, second = EventRecorder(), MemoryStore(), OnlySms(refuses=ErrorKind.UNAVAILABLE)
    async with Outbox().service(
        {"sms": NEVER}, providers={"one": OnlySms(), "two": second}, observers=[recorder], store=store
    ) as otp:
        await otp.send_sms(PHONE)
        await otp.handle_receipt("one", ReceiptRequest(url="https://example.com/", body=b"unavailable"))
        assert end_of(recorder) == "failed"
        assert await store.next_due() is None


# The other channel.


@pytest.mark.parametrize(
    ("rules", "hint"),
    [
        ({"otp_sms_provider": "texts"}, None),
        ({"otp_sms_provider": "texts;both:+49"}, None),
        ({"otp_sms_provider": "texts", "otp_call_provider": "both:+49"}, None),
        ({"otp_sms_provider": "texts;both"}, "call"),
        ({"otp_sms_provider": "texts", "otp_call_provider": "both:+359"}, "call"),
    ],
    ids=str,
)
async def test_another_channel_is_hinted_at_only_where_a_route_leads_there(
    rules: dict[str, str], hint: str | None
) -> None:
    both = {name: {"plugin": f"{__name__}:{factory}"} for name, factory in (("texts", "refusing"), ("both", "taking"))}
    async with AsyncOTPService({**Outbox().settings, **rules, "providers": both}) as otp:
        error = await failure(otp)
        assert (error.reason, error.try_channel) == ("permanent", hint)
        if hint is None:
            with pytest.raises(NoRouteError):
                await otp.call(PHONE)
        else:
            assert (await otp.call(PHONE)).state is ChallengeState.SENT


def refusing(_: Any) -> OnlySms:
    """A factory, as the loader wants one."""
    return OnlySms(refuses=ErrorKind.REJECTED_NUMBER)


def taking(_: Any) -> Outbox:
    """Another."""
    return Outbox()


async def test_a_forced_list_that_cannot_call_gives_no_hint() -> None:
    carrier = OnlySms(refuses=ErrorKind.REJECTED_NUMBER)
    async with Outbox().service(providers={"one": carrier}) as otp:
        error = await failure(otp)
        assert (error.try_channel, str(error)) == (None, "not sent: permanent [one: rejected_number]")


async def test_a_channel_that_refused_the_number_already_is_not_hinted_at(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        otp_outbox.fail("rejected_number", times=2)
        assert (await failure(otp)).try_channel == "call"
        assert (await failure(otp, "call")).try_channel is None


# Limits.


@pytest.mark.parametrize(("lasts", "wait"), [(None, 60), (timedelta(minutes=9), 540)])
async def test_a_pause_asks_for_a_minute_unless_its_end_is_known(
    otp_outbox: Outbox, lasts: timedelta | None, wait: float
) -> None:
    store, until = MemoryStore(), otp_outbox.clock() + lasts if lasts else None
    await store.write_setting(PAUSED, switch_text(Switch(until=until)))
    async with otp_outbox.service(store=store) as otp:
        with pytest.raises(RateLimited) as caught:
            await otp.send_sms(PHONE)
    assert (caught.value.reason, caught.value.http_status, caught.value.retry_after) == ("paused", 503, wait)


async def test_who_is_denied_is_forbidden(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"deny": ["+359"]}}) as otp:
        with pytest.raises(RateLimited) as caught:
            await otp.send_sms(PHONE)
    assert (caught.value.reason, caught.value.http_status, caught.value.retry_after) == ("denied", 403, None)


async def test_no_rules_are_the_operators_affair_and_no_route_the_numbers(otp_outbox: Outbox) -> None:
    for config, reason, status in (
        ({}, "no_rules", 503),
        ({"otp_sms_provider": "both:+49", "providers": {"both": {"plugin": f"{__name__}:taking"}}}, "no_route", 422),
    ):
        async with AsyncOTPService({**otp_outbox.settings, **config}) as otp:
            with pytest.raises(NoRouteError) as caught:
                await otp.send_sms(PHONE)
            assert (caught.value.reason, caught.value.http_status) == (reason, status)


# The table.


def every_error() -> list[type[OTPError]]:
    found, left = [], [OTPError]
    while left:
        kind = left.pop()
        found.append(kind)
        left.extend(one for one in kind.__subclasses__() if one.__module__ == errors.__name__)
    return found


def test_every_error_has_its_answers() -> None:
    assert {name for name, _ in ANSWERS} == {kind.__name__ for kind in every_error()}


def test_every_limit_that_refuses_has_its_answer() -> None:
    refusing = {*LimitReason} - {LimitReason.NEIGHBOURS}
    assert refusing <= {reason for name, reason in ANSWERS if name == "RateLimited"}


@pytest.mark.parametrize(
    "error",
    [
        DeliveryError("limit_reached", [ProviderError(ErrorKind.LIMIT_REACHED, "s", 7.5, "60203", "one")], "call", 7.5),
        RateLimited("phone", 12.5),
        NoRouteError("no rules", reason="no_rules"),
        InvalidPhoneNumber("no"),
        ReceiptRefused(ReceiptFault.MALFORMED, "no"),
        StoreError("locked"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_says_the_same_on_the_other_side_of_a_pickle(error: OTPError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.http_status, copy.retry_after) == (str(error), error.http_status, error.retry_after)
    assert (type(copy), vars(copy).keys()) == (type(error), vars(error).keys())


def test_a_reason_or_class_that_a_plugin_made_up_counts_as_what_it_is_derived_from() -> None:
    class MineError(ProviderError):
        pass

    assert known_as(MineError(ErrorKind.UNAVAILABLE)) == ("ProviderError", "")
    assert RateLimited("mine").http_status == 503
    assert [kind().http_status for kind in (OTPError, StoreError)] == [503, 503]


def test_waiting_is_not_asked_for_where_it_does_not_help() -> None:
    assert DeliveryError("permanent", retry_after=9).retry_after is None
    assert DeliveryError("misconfigured", retry_after=9).retry_after is None
    assert DeliveryError("limit_reached", retry_after=9).retry_after == 9

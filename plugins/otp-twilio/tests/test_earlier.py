"""Mode ``messaging``: how a lost answer is asked for, and that nothing is taken for the lost message but that message."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from otp_twilio import Mode
from otp_twilio.earlier import Asked, lost_message
from otp_twilio.simulator import TwilioSimulator

from otpcore import ChallengeState
from otpcore.models import RetryJob
from otpcore.providers import EarlierTry, ErrorKind
from otpcore.simulators import Fault, SimulatedAnswer
from otpcore.testing import FakeClock, Outbox

CODE = "042137"
TEXT = "Acme: 042137. Valid 5 minutes."
NUMBER = "+359871234567"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Send:
    """The tries of one challenge, told to the provider as the core tells them."""

    def __init__(self, bench, provider, failure_of):
        self.bench, self.provider, self.failure_of = bench, provider, failure_of
        self.tries = []

    async def sent(self, **other):
        """A try that Twilio takes."""
        request = self._begin(**other)
        receipt = await self.provider.send_sms(request)
        self._answered(receipt.reference)
        return receipt.reference

    async def lost(self, fault, **other):
        """A try whose answer is lost."""
        request = self._begin(**other)
        self.bench.simulator.fail(fault)
        assert (await self.failure_of(self.provider.send_sms(request))).kind is ErrorKind.AMBIGUOUS

    async def repeated(self, **other):
        """A repeat of the last try."""
        earlier = tuple(
            EarlierTry(delivery_id=name, reference=reference, age=self.bench.now - began_at)
            for name, began_at, reference in self.tries
        )
        return await self.sent(repeat=self.tries[-1][0], earlier=earlier, **other)

    def _begin(self, **other):
        request = self.bench.delivery(**{"code": CODE, "text": TEXT, **other})
        self.tries.append((request.delivery_id, self.bench.now, ""))
        return request

    def _answered(self, reference):
        name, began_at, _ = self.tries.pop()
        self.tries.append((name, began_at, reference))

    @property
    def received(self):
        return [message.reference for message in self.bench.simulator.inbox]


@pytest.fixture(params=[0, 90, -90, 3600], ids=lambda seconds: f"{seconds}s-off")
async def send(bench, failure_of, request):
    """At a Twilio whose clock is that far off."""
    bench.simulator.clock = lambda: bench.now + timedelta(seconds=request.param)
    async with bench.instance(Mode.MESSAGING) as provider:
        yield Send(bench, provider, failure_of)


async def test_a_repeat_finds_the_message_whose_answer_was_lost(bench, send):
    await send.lost(Fault.RESET_AFTER_WORK)
    bench.advance(5)
    found = await send.repeated(text="Acme: 042137. Valid 4 minutes.")
    assert send.received == [found]


async def test_a_repeat_finds_a_whole_text_without_a_code_and_takes_no_other_for_it(bench, send):
    await send.sent(code=None, text="Your parcel is there. All of it.")
    await send.lost(Fault.RESET_AFTER_WORK, code=None, text="Your parcel is there.")
    assert await send.repeated(code=None, text="Your parcel is there.") == send.received[1]
    assert len(send.received) == 2


async def test_a_repeat_sends_when_twilio_never_saw_the_message(bench, send):
    await send.sent(code="111111", text="Acme: 111111")
    await send.sent(number="+359871234568")
    await send.lost(Fault.RESET_AFTER_READ)
    again = await send.repeated()
    assert send.received[2:] == [again]


@pytest.mark.parametrize("apart", [0, 1, 29, 31, 120])
async def test_a_resends_lost_message_is_not_the_message_of_the_send_before_it(bench, send, apart):
    first = await send.sent()
    bench.advance(apart)
    await send.lost(Fault.RESET_AFTER_READ)
    second = await send.repeated()
    assert second != first
    assert send.received == [first, second]


@pytest.mark.parametrize("apart", [0, 1, 5, 31, 120])
async def test_a_message_whose_answer_was_lost_before_is_not_that_of_the_resend_either(bench, send, apart):
    await send.lost(Fault.RESET_AFTER_WORK)
    bench.advance(apart)
    await send.lost(Fault.RESET_AFTER_READ)
    bench.advance(1)
    first, second = send.received[0], await send.repeated()
    assert first != second
    assert send.received == [first, second]


@pytest.mark.parametrize("apart", [0, 5, 31])
async def test_where_both_answers_were_lost_and_both_messages_are_there_nothing_is_sent(bench, send, apart):
    await send.lost(Fault.RESET_AFTER_WORK)
    bench.advance(apart)
    await send.lost(Fault.RESET_AFTER_WORK)
    assert await send.repeated() == send.received[1]
    assert len(send.received) == 2


async def test_a_try_that_came_to_nothing_long_ago_is_no_reason_to_send_twice(bench, send):
    await send.lost(Fault.RESET_AFTER_READ)
    bench.advance(31)
    await send.lost(Fault.RESET_AFTER_WORK)
    found = await send.repeated()
    assert send.received == [found]


async def test_an_older_challenge_with_the_same_code_is_another_one(bench, send):
    await send.sent()
    send.tries.clear()
    bench.advance(20)
    await send.lost(Fault.RESET_AFTER_READ)
    await send.repeated()
    assert len(send.received) == 2


async def test_a_repeat_does_not_settle_for_a_message_that_failed(bench, send):
    await send.lost(Fault.RESET_AFTER_WORK)
    bench.simulator._resources["Messages"]._made[0]["status"] = "failed"
    await send.repeated()
    assert len(send.received) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.HTTP_500, ErrorKind.UNAVAILABLE),
        (Fault.RESET_AFTER_READ, ErrorKind.UNAVAILABLE),
        (Fault.HTTP_429, ErrorKind.THROTTLED),
        (Fault.HTTP_401, ErrorKind.MISCONFIGURED),
    ],
)
async def test_a_repeat_sends_nothing_when_twilio_does_not_say_what_became_of_the_first(bench, failure_of, fault, kind):
    async with bench.instance(Mode.MESSAGING) as provider:
        send = Send(bench, provider, failure_of)
        await send.lost(Fault.RESET_AFTER_READ)
        bench.simulator.fail(fault)
        assert (await failure_of(send.repeated())).kind is kind
    assert not bench.simulator.inbox


@pytest.mark.parametrize("messages", [None, "x", [{"body": TEXT}], [{"body": TEXT, "date_created": "soon"}], [7, None]])
async def test_a_repeat_sends_when_the_list_of_messages_shows_nothing_usable(bench, failure_of, monkeypatch, messages):
    own = bench.simulator.handle
    listed = SimulatedAnswer.json(200, {"messages": messages})
    monkeypatch.setattr(bench.simulator, "handle", lambda request: listed if request.method == "GET" else own(request))
    async with bench.instance(Mode.MESSAGING) as provider:
        send = Send(bench, provider, failure_of)
        await send.lost(Fault.RESET_AFTER_READ)
        assert await send.repeated()


@pytest.mark.parametrize("off", [-40, 0, 40])
async def test_through_the_service_a_resend_is_sent_whatever_was_sent_before(off):
    clock = FakeClock()
    with TwilioSimulator() as twilio:
        twilio.clock = lambda: clock() + timedelta(seconds=off)
        settings = {
            "otp_sms_provider": "twilio",
            "providers": {"twilio": twilio.provider_settings(Mode.MESSAGING)},
            "otp": {"cooldown": 5},
            "sms": {"retry": True},
        }
        async with Outbox().service(settings, clock=clock, providers=None, runner="inline") as otp:
            first = await otp.send_sms(NUMBER)
            clock.advance(6)
            twilio.fail(Fault.RESET_AFTER_READ)
            await otp.send_sms(NUMBER)
            for _ in range(3):
                clock.advance(2)
                (view,) = await otp._service.store.view(challenge_id=first.id)
                for row in view.schedule:
                    await otp.run_retry(RetryJob(challenge_id=first.id, channel=row.channel, due_at=row.due_at))
            assert [message.code for message in twilio.inbox] == [first.code] * 2
            (view,) = await otp._service.store.view(challenge_id=first.id)
            assert view.challenge.state is ChallengeState.SENT
            assert view.deliveries[-1].reference == twilio.inbox[1].reference


# What is taken for the lost message, over all histories.


@attrs.frozen(kw_only=True)
class Try:
    """Seconds from the start to its begin, and from there until Twilio makes the message (None: never)."""

    at: float
    made_after: float | None
    answered: bool


PATIENCE = 5.0
tries = st.builds(
    Try,
    at=st.floats(0, 120),
    made_after=st.none() | st.floats(0, PATIENCE),
    answered=st.booleans(),
)


@given(
    before=st.lists(tries, max_size=3),
    lost=tries,
    asked_after=st.floats(0, 60),
    latency=st.floats(0, PATIENCE),
    skew=st.floats(-86_400, 86_400),
    told_late=st.floats(0, 1),
)
@example(
    before=[Try(at=0.0, made_after=0.0, answered=False)],
    lost=Try(at=4.0, made_after=None, answered=False),
    asked_after=0.0,
    latency=5.0,
    skew=0.0,
    told_late=0.0,
)
def test_whatever_is_taken_for_the_lost_message_is_that_message(before, lost, asked_after, latency, skew, told_late):
    history = [attrs.evolve(one, at=lost.at - one.at) for one in before] + [attrs.evolve(lost, answered=False)]
    asked_at = lost.at + PATIENCE + asked_after
    messages, earlier = [], []
    for number, one in enumerate(history):
        sid = f"SM{number:032x}"
        if one.made_after is not None:
            made_at = START + timedelta(seconds=one.at + one.made_after + skew)
            messages.append(
                (made_at, {"sid": sid, "body": TEXT, "status": "queued", "date_created": _rfc2822(made_at)})
            )
        known = sid if one.answered and one.made_after is not None else ""
        age = timedelta(seconds=asked_at - one.at - told_late)
        earlier.append(EarlierTry(delivery_id=f"delivery-{number}", reference=known, age=age))
    found = lost_message(
        [message for _, message in sorted(messages, key=lambda one: one[0], reverse=True)],
        CODE,
        repeat=earlier[-1].delivery_id,
        earlier=earlier,
        asked=Asked(
            at=START + timedelta(seconds=asked_at),
            until=START + timedelta(seconds=asked_at + latency),
            date=(START + timedelta(seconds=asked_at + latency / 2 + skew)).replace(microsecond=0),
        ),
        patience=timedelta(seconds=PATIENCE),
    )
    found = "" if found is None else found["sid"]
    own = f"SM{len(history) - 1:032x}" if lost.made_after is not None else ""
    assert found not in {one.reference for one in earlier if one.reference}, "that one is another send's"
    assert own or not found, "nothing is taken for a message that was never made"
    if all(one.reference for one in earlier[:-1]):
        assert found == own, "nothing is sent twice where it can be told"


def _rfc2822(moment):
    return email.utils.format_datetime(moment)

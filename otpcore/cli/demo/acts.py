"""The acts of ``otp demo``, in order. The numbers are made up; the messages stay on this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from otpcore.cli.demo.stage import Stage
from otpcore.events import EventType
from otpcore.models import Challenge, ChallengeState, Channel, VerificationStatus

__all__ = ["ACTS"]

_BULGARIAN, _CALLED, _TYPED_WRONG, _TYPED_LATE = "+359871234567", "+359871234568", "+359881234567", "+359881234568"
# 555-01xx is reserved for fiction.
_AMERICAN, _DURING_FAILURE, _DURING_OUTAGE = "+12025550123", "+12025550124", "+12025550125"

_RETRIES_TO_WATCH = 2
_CODE_LIFE = timedelta(minutes=5)


async def _by_prefix(stage: Stage) -> None:
    challenge = await stage.send(_BULGARIAN, by="mada")
    message = stage.read("mada", _BULGARIAN)
    stage.story.claim("otpcore made the code; the host gets it too", holds=challenge.code == message.code)
    await stage.approve(_BULGARIAN, message.code)


async def _by_default(stage: Stage) -> None:
    challenge = await stage.send(_AMERICAN, by="twilio")
    message = stage.read("twilio", _AMERICAN)
    stage.story.claim("Twilio Verify made the code; otpcore does not know it", holds=challenge.code is None)
    await stage.approve(_AMERICAN, message.code)


async def _by_call(stage: Stage) -> None:
    challenge = await stage.otp.call(_CALLED)
    stage.story.claim(f"Mada cannot call, so {_CALLED} is called through twilio", holds=challenge.provider == "twilio")
    message = stage.read("twilio", _CALLED)
    stage.story.claim("it was a call", holds=message.channel is Channel.CALL)
    await stage.approve(_CALLED, message.code)


async def _failover(stage: Stage) -> None:
    stage.simulators["twilio"].down()
    stage.story.tell("Twilio goes down: connections are refused")
    await stage.send(_DURING_FAILURE, by="sinch")
    await stage.approve(_DURING_FAILURE, stage.read("sinch", _DURING_FAILURE).code)


async def _outage(stage: Stage) -> None:
    stage.simulators["sinch"].down()
    stage.story.tell("Sinch goes down as well: nobody is left for this number")
    challenge = await stage.otp.send_sms(_DURING_OUTAGE)
    stage.story.claim(f"the SMS to {_DURING_OUTAGE} is queued", holds=challenge.state is ChallengeState.QUEUED)
    await _watch_retries(stage, challenge)
    stage.simulators["twilio"].up()
    stage.story.tell("Twilio comes back")
    [accepted] = await stage.watcher.wait_for(EventType.DELIVERY_ACCEPTED, challenge)
    stage.story.claim(f"the next retry is taken by {accepted.instance}", holds=accepted.instance == "twilio")
    await stage.approve(_DURING_OUTAGE, stage.read("twilio", _DURING_OUTAGE).code)
    stage.simulators["sinch"].up()


async def _watch_retries(stage: Stage, challenge: Challenge) -> None:
    """Each failover that fails schedules the next one; the first of them is the send's own."""
    for number in range(1, _RETRIES_TO_WATCH + 1):
        scheduled = await stage.watcher.wait_for(EventType.RETRY_SCHEDULED, challenge, number + 1)
        waited = (scheduled[-1].at - scheduled[-2].at).total_seconds()
        stage.story.tell(f"retry {number}, {waited:.1f} s later: still nobody")
    failed = await stage.watcher.wait_for(EventType.DELIVERY_FAILED, challenge, 2 * (_RETRIES_TO_WATCH + 1))
    tried = [event.instance for event in failed]
    stage.story.claim(
        f"each failover tried both providers: {', '.join(tried)}",
        holds=tried == ["twilio", "sinch"] * (len(tried) // 2),
    )


async def _wrong_and_reused(stage: Stage) -> None:
    await stage.send(_TYPED_WRONG, by="mada")
    code = stage.read("mada", _TYPED_WRONG).code
    result = await stage.refuse(
        _TYPED_WRONG, f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}", "a wrong code", VerificationStatus.INCORRECT
    )
    stage.story.claim("four attempts are left", holds=result.attempts_left == 4)  # noqa: PLR2004 - as it says
    await stage.approve(_TYPED_WRONG, code)
    await stage.refuse(_TYPED_WRONG, code, "the same code once more", VerificationStatus.NOT_FOUND)


async def _too_late(stage: Stage) -> None:
    await stage.send(_TYPED_LATE, by="mada")
    code = stage.read("mada", _TYPED_LATE).code
    stage.clock.move(_CODE_LIFE + timedelta(seconds=1))
    stage.story.tell("five minutes pass: the demo moves the service's clock")
    await stage.refuse(_TYPED_LATE, code, "the right code, too late,", VerificationStatus.EXPIRED)


ACTS: tuple[tuple[str, Callable[[Stage], Awaitable[None]]], ...] = (
    ("An SMS to a number with a prefix of the rules", _by_prefix),
    ("An SMS to any other number", _by_default),
    ("A call to a number with that prefix", _by_call),
    ("A provider is down: the next one takes over", _failover),
    ("All providers of a route are down: retries", _outage),
    ("A wrong code, and a code used twice", _wrong_and_reused),
    ("An expired code", _too_late),
)

"""``otp send``, ``otp call`` and ``otp verify``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from otpcore.cli.exits import CommandError, ExitCode, exit_code_of
from otpcore.cli.host import load_host, make_service, parse_channel, run
from otpcore.cli.layout import fields
from otpcore.cli.options import Options
from otpcore.cli.send.sandbox import message_lines, plain_messages
from otpcore.clock import when
from otpcore.codes import parse_code
from otpcore.events import Event, EventType
from otpcore.messages.texts import check_message
from otpcore.models import Challenge, ChallengeState, Channel, Verification
from otpcore.operator.fixes import error_of_end, fix_of
from otpcore.providers.delivered import DeliveredMessage
from otpcore.providers.hooks import hookimpl
from otpcore.runners.worker import WorkerRunner
from otpcore.service.arguments import check_app, is_id
from otpcore.service.setup import Setup

__all__ = ["Order", "send", "verify"]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

_WITHOUT_SUCCESS = frozenset({ChallengeState.UNSENDABLE, ChallengeState.EXPIRED, ChallengeState.CANCELLED})

_NOTES = {
    ChallengeState.QUEUED: "no provider took it yet; a retry is due, run by the host or by `otp worker`",
    ChallengeState.UNDELIVERED: "the provider reported that it did not arrive; the next one is tried",
}
_COOLING = "nothing new was sent: the last message has just left; it may be sent again at the time above"
_UNCONFIRMED = "no provider said that it took it, and none said that it did not"


@attrs.frozen(kw_only=True)
class Order:
    """What was typed."""

    phone: str = attrs.field(repr=False)
    purpose: str
    client: str | None = attrs.field(repr=False)
    locale: str | None
    message: str | None = attrs.field(repr=False)
    code: str | None = attrs.field(repr=False)
    relayed: bool
    app: str


def send(options: Options, word: str, order: Order) -> ExitCode:
    """Send over the channel of this word, and wait for the retries that nobody else would run."""
    channel = parse_channel(word)
    _require_usable(purpose=order.purpose, locale=order.locale, message=order.message, client=order.client)
    _require_content(order)
    host = load_host(options)
    course = _Course()
    with options.progress("sending"):
        challenge, arrived = run(_send, attrs.evolve(host, observers=(*host.observers, course)), channel, order)
    document = {**_document(options, challenge), "is_new_send": course.began}
    if course.end:
        document["reason"] = course.end
    lines = [_shown(document, challenge), _note(challenge, course) if course.began else _COOLING]
    if host.settings.sms.sandbox:
        document["sandbox"] = plain_messages(options, arrived)
        lines.extend(message_lines(document["sandbox"]))
    options.say(document, *lines)
    if course.end:
        return exit_code_of(error_of_end(course.end))
    return ExitCode.REFUSED if challenge.state in _WITHOUT_SUCCESS else ExitCode.OK


def verify(options: Options, target: str, code: str, *, purpose: str, client: str | None, app: str) -> ExitCode:
    """Check a code against a phone or a challenge."""
    _require_usable(purpose=purpose, client=client)
    _require_app(app)
    host = load_host(options)
    result = run(_verify, host, target, code, purpose, client, app)
    document = {
        "status": str(result.status),
        "request_valid": result.request_valid,
        "code_valid": result.code_valid,
        "attempts_left": result.attempts_left,
        "challenge_id": result.challenge_id,
    }
    options.say(document, fields({name.replace("_", " "): value for name, value in document.items()}))
    return ExitCode.OK if result else ExitCode.REFUSED


def _require_usable(**texts: str | None) -> None:
    """Refuse what the service would: that is wrong usage here, and no bug.

    Raises:
        CommandError: A text cannot be stored.
    """
    for name, text in texts.items():
        if text is not None and _UNSTORABLE.search(text):
            raise CommandError(
                f"--{name}: holds bytes that are no text, or a NUL",
                "write it in the terminal's encoding",
                ExitCode.USAGE,
            )


def _require_content(order: Order) -> None:
    """Refuse a code and a text that the service would not send, without a word of them.

    Raises:
        CommandError: The code is not 4 to 10 digits, the message has no place for it, or nothing is there to be relayed.
    """
    _require_app(order.app)
    try:
        if order.code is not None:
            parse_code(order.code)
    except ValueError as error:
        raise CommandError(f"--{error}", "give 4 to 10 digits", ExitCode.USAGE) from error
    if order.relayed and order.code is None:
        if order.message is None:
            raise CommandError(
                "--relayed: carries what is yours, and nothing is given",
                "give --code, --message or both",
                ExitCode.USAGE,
            )
        return
    if order.message is not None:
        try:
            check_message(order.message)
        except ValueError as error:
            fix = "write {code} where the code goes; a text without one is sent with --relayed"
            raise CommandError(f"--message: {error}", fix, ExitCode.USAGE) from error


def _require_app(app: str) -> None:
    """Refuse what is no word of an app.

    Raises:
        CommandError: It is none.
    """
    try:
        check_app(app)
    except ValueError as error:
        raise CommandError(f"--of-{error}", "write it as in [otp.apps]", ExitCode.USAGE) from error


class _Course:
    """An observer that knows whether a send began (within the cooldown none does), and why its retries ended without success."""

    def __init__(self) -> None:
        self.began = False
        self.end = ""

    @hookimpl
    def otp_event(self, event: Event) -> None:
        """Look for the start and the end."""
        self.began = self.began or event.type is EventType.SEND_STARTED
        if event.type is EventType.UNSENDABLE:
            self.end = event.reason


async def _send(host: Setup, channel: Channel, order: Order) -> tuple[Challenge, Sequence[DeliveredMessage]]:
    # The embedded runner would end with this process: whoever asks for one send waits for its retries.
    runner = host.settings.retry.runner
    async with make_service(host, "inline" if runner == "background" else runner) as otp:
        challenge = await otp.send(
            order.phone,
            channel=channel,
            purpose=order.purpose,
            client=order.client,
            locale=order.locale,
            message=order.message,
            code=order.code,
            verifiable=not order.relayed,
            app=order.app,
        )
        return challenge, otp.sandbox_inbox() if host.settings.sms.sandbox else ()


async def _verify(host: Setup, target: str, code: str, purpose: str, client: str | None, app: str) -> Verification:
    async with make_service(host, WorkerRunner()) as otp:
        if is_id(target):
            return await otp.verify(code=code, challenge_id=target, purpose=purpose, client=client, app=app)
        return await otp.verify(target, code, purpose=purpose, client=client, app=app)


def _document(options: Options, challenge: Challenge) -> dict[str, Any]:
    shown = challenge.to_dict()
    return {**shown, "phone": challenge.phone.e164, "code": challenge.code} if options.reveal else shown


def _shown(document: Mapping[str, Any], challenge: Challenge) -> Any:
    times = {"expires_at": when(challenge.expires_at), "resend_at": when(challenge.resend_at)}
    return fields({name.replace("_", " "): value for name, value in {**document, **times}.items()})


def _note(challenge: Challenge, course: _Course) -> str:
    if course.end:
        return f"nothing more will be tried: {course.end}; {fix_of(error_of_end(course.end))}"
    if challenge.state is ChallengeState.SENT and not challenge.confirmed:
        return _UNCONFIRMED
    return _NOTES.get(challenge.state, "")

"""Why a message was not accepted, told by what the simulator was asked and answered."""

from __future__ import annotations

from otpcore.errors import ProviderError
from otpcore.providers.guard import WORDS_LEFT_OUT
from otpcore.simulators.exchange import SimulatedAnswer, SimulatedRequest
from otpcore.testing.providers.bench import QUOTED, Bench

__all__ = ["what_went_wrong"]

_FIRST_WORDS = 120  # characters of an answer
_FEW = 12  # paths and fields that are named

_UNASKED = (
    "the simulator was asked nothing. See that the hook is reached and sends, and that the client is opened with the "
    "vendor's URL from the settings (`provider_settings` gives the simulator's); the captured log says what the hook raised"
)
_RAISED = (
    "`handle` of the simulator raised {error}, so that no answer came; the request has the fields {fields}. Send what "
    "the vendor's page asks for, or let the simulator answer as the vendor does where something is missing"
)
_FAILED = "see why the simulator gives no answer"
_CREDENTIALS = "send the credentials of the settings in the header or the field in which the vendor wants them"
_PATH = "ask for the path, by the method, that the vendor's page names"
_FIELDS = (
    "compare the request with the vendor's page and with `handle` of the simulator: its fields are {fields}, and its "
    "content type is {sort}"
)
_TAKEN = (
    "if this answer is an acceptance by the vendor's page, return DeliveryReceipt; else let the simulator accept the number "
    "`recipient` of the suite"
)
_ANSWERS_WRONGLY = "let the simulator accept a plain message to the number `recipient` of the suite"


def what_went_wrong(bench: Bench, error: ProviderError) -> str:
    """Cause and fix, with nothing in it that only the person or the operator may read."""
    simulator = bench.simulator
    cause = f"Cause: the hook ended with {error}."
    if not simulator.requests:
        return bench.masked(f"{cause}\nFix: {_UNASKED}")
    asked, answer = simulator.requests[-1], simulator.answers[-1]
    lines = [cause, f"The simulator was asked {asked.method} {asked.path} and {_told(answer)}."]
    if simulator.paths:
        lines.append(f"It knows {', '.join(simulator.paths[:_FEW])}.")
    fix = QUOTED if error.summary == WORDS_LEFT_OUT else _fix(asked, answer)
    return bench.masked("\n".join([*lines, f"Fix: {fix}"]))


def _told(answer: SimulatedAnswer | Exception | None) -> str:
    if not isinstance(answer, SimulatedAnswer):
        return "answered nothing" if answer is None else f"raised {type(answer).__name__}"
    text = " ".join(answer.body.decode(errors="replace").split())
    words = text if len(text) <= _FIRST_WORDS else f"{text[:_FIRST_WORDS]} …"
    return f"answered {answer.status}: {words}" if words else f"answered {answer.status} without a word"


def _fix(asked: SimulatedRequest, answer: SimulatedAnswer | Exception | None) -> str:
    fields = ", ".join(_fields_of(asked)) or "none that could be read"
    if isinstance(answer, Exception):
        return _RAISED.format(error=repr(answer), fields=fields)
    match answer.status if answer is not None else 0:
        case 0:
            return _FAILED
        case 401 | 403:
            return _CREDENTIALS
        case 404 | 405:
            return _PATH
        case status if status < 300:
            return _TAKEN
        case status if status < 500:
            return _FIELDS.format(fields=fields, sort=asked.headers.get("content-type", "not said"))
    return _ANSWERS_WRONGLY


def _fields_of(asked: SimulatedRequest) -> list[str]:
    """The names of what was sent, and none of the values."""
    try:
        said = asked.json()
    except ValueError:
        is_form = "form" in asked.headers.get("content-type", "")
        return list(asked.form())[:_FEW] if is_form else []
    return [str(name) for name in said][:_FEW] if isinstance(said, dict) else []

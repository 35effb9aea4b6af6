"""The fields and arguments in the reference are those of the classes, in the words of their docstrings."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterator

import attrs
import pytest

from otpcore import (
    AccountState,
    AsyncOperator,
    CancelRequest,
    Carries,
    CheckRequest,
    DeliveredMessage,
    DeliveryReceipt,
    DeliveryRequest,
    EarlierTry,
    OutcomeRequest,
    Price,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptAnswer,
    ReceiptRefused,
    ReceiptRequest,
)
from otpcore import embedding as _embedding
from otpcore import operator as _operator
from otpcore.http import HttpAnswer
from otpcore.simulators import SimulatedAnswer, SimulatedMessage, SimulatedRequest, Simulator
from otpcore.stores import ChallengeFilter, ChangeRecord, DeliveryFilter, Page, SealedRecord, SeriesPoint
from otpcore.testing import (
    CrashFactory,
    EventRecorder,
    FakeClock,
    Outbox,
    ProviderContract,
    Refusal,
    RetryRunnerContract,
    StoreContract,
    wrong_code,
)

from .pages import REFERENCE

TOLD = {
    "For providers": (
        *(ProviderContext, ProviderInfo, Carries, DeliveryRequest, EarlierTry, DeliveryReceipt, Price, ProviderError),
        *(
            CheckRequest,
            CancelRequest,
            OutcomeRequest,
            AccountState,
            ReceiptRequest,
            Receipt,
            ReceiptAnswer,
            ReceiptRefused,
            HttpAnswer,
        ),
    ),
    "For frameworks": (
        *(_embedding.Embedding, _embedding.Spelling, _embedding.TrustedProxies, _embedding.ErrorAnswer),
        *(_embedding.answer_to, _embedding.said_of, _embedding.said_of_code),
        *(_embedding.phone_typed, _embedding.in_sandbox),
    ),
    "For simulators": (Simulator, SimulatedRequest, SimulatedAnswer, SimulatedMessage),
    "For tests": (Outbox, DeliveredMessage, FakeClock, EventRecorder, wrong_code, Refusal, CrashFactory),
    "For operators": tuple(
        getattr(_operator, name) for name in _operator.__all__ if attrs.has(getattr(_operator, name))
    ),
    "For contract suites": (ProviderContract, StoreContract, RetryRunnerContract),
    "For services that stand on a store": (
        *(Page, DeliveryFilter, ChallengeFilter, SeriesPoint, SealedRecord, ChangeRecord),
    ),
}


def plain(text: str) -> str:
    """A piece of a docstring as it stands in a table."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def summary(one: object) -> str:
    return plain(inspect.getdoc(one).partition("\n\n")[0])


def told(doc: str, title: str) -> dict[str, str]:
    """What a docstring says under a title, by name."""
    block = re.search(rf"^ *{title}:\n((?: {{4,}}.*\n?|\n(?= {{4,}}))+)", f"{doc}\n", re.MULTILINE)
    parts = re.split(r"^ {4}(\w+): ", block[1], flags=re.MULTILINE)[1:] if block else []
    return {name: plain(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def shown(name: str, kind: str, default: object, missing: object) -> str:
    """Name, type and default."""
    kind = f": {kind}".replace(" | ", " or ")
    if default is missing:
        return f"`.{name}{kind}`"
    if isinstance(default, enum.Enum):
        return f"`.{name}{kind} = {default.name}`"
    is_short = type(default) in (str, bytes, int, float, bool, tuple, type(None))
    return f"`.{name}{kind} = {repr(default) if is_short else '…'}`"


def fields(cls: type) -> Iterator[list[str]]:
    """A value's fields, or the arguments of an error."""
    said = told(inspect.getdoc(cls), "Args")
    if attrs.has(cls):
        written = {name: text for base in reversed(cls.__mro__) for name, text in inspect.get_annotations(base).items()}
        found = [(one.name, str(written[one.name]), one.default, attrs.NOTHING) for one in attrs.fields(cls)]
    else:
        found = [
            (name, str(one.annotation), one.default, one.empty)
            for name, one in inspect.signature(cls).parameters.items()
        ]
    for name, *rest in found:
        assert said.get(name), f"{cls.__name__} does not say what {name} is"
        yield [shown(name, *rest), said[name]]


def members(cls: type) -> Iterator[list[str]]:
    """What a test works with: attributes, properties and methods."""
    yield from ([f"`.{name}`", said] for name, said in told(inspect.getdoc(cls), "Attributes").items())
    for name, one in vars(cls).items():
        if name.startswith("_") or not isinstance(one, property | Callable) or hasattr(one, "otpcore_impl"):
            continue
        if isinstance(one, property):
            if name not in told(inspect.getdoc(cls), "Attributes"):
                yield [f"`.{name}`", summary(one)]
        else:
            yield [f"`.{called(one)}`", described(one)]


def called(function: Callable[..., object]) -> str:
    """How it is called."""
    signature = inspect.signature(function)
    arguments = [
        one.replace(annotation=one.empty) for name, one in signature.parameters.items() if name not in ("self", "cls")
    ]
    written = str(signature.replace(parameters=arguments, return_annotation=signature.empty))
    written = re.sub(r"<function (\w+) at 0x\w+>", r"\1", written)
    return f"{'await ' if inspect.iscoroutinefunction(function) else ''}{function.__name__}{written}"


def described(function: Callable[..., object]) -> str:
    said = told(inspect.getdoc(function), "Args")
    return " ".join([summary(function), *(f"`{name}`: {text}" for name, text in said.items())])


def bullets(cls: type) -> Iterator[list[str]]:
    """What an author's suite supplies, sets or overrides."""
    blocks = re.findall(
        r"^(Fixture|Attribute|Method)s .*:\n\n((?:- |  ).*(?:\n.+)*)", inspect.getdoc(cls), re.MULTILINE
    )
    for kind, block in blocks:
        for one in re.split(r"^- ", block, flags=re.MULTILINE)[1:]:
            names, _, meaning = plain(one).partition(": ")
            yield [f"{kind.lower()} {names}", meaning]


def rows(one: object) -> Iterator[list[str]]:
    if not isinstance(one, type):
        yield [f"**`{called(one)}`**", described(one)]
        return
    yield [f"**`{one.__name__}`**", summary(one)]
    if one.__name__.endswith("Contract"):
        yield from bullets(one)
    elif one in (Simulator, Outbox, FakeClock, EventRecorder):
        yield from members(one)
    else:
        yield from fields(one)


@pytest.mark.parametrize("title", TOLD)
def test_the_fields_are_told_in_the_words_of_the_classes(title):
    section = re.split(r"^##", REFERENCE.partition(f"\n### {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = ["| name | meaning |", "|---|---|"]
    lines += [f"| {' | '.join(row)} |" for one in TOLD[title] for row in rows(one)]
    assert section.strip().endswith("\n".join(lines)), "\n".join(lines)


def test_every_class_that_a_plugin_is_given_or_answers_is_told():
    hooks = inspect.getsource(__import__("otpcore.providers.hooks", fromlist=["ProviderHooks"]).ProviderHooks)
    named = set(re.findall(r"(?:request: |-> )(\w+)", hooks)) - {"None", "CheckResult"}
    assert named <= {one.__name__ for one in TOLD["For providers"]}
    assert all(attrs.has(one) for one in TOLD["For providers"] if one not in (ProviderError, ReceiptRefused))


def methods_of_operators() -> Iterator[list[str]]:
    """The operator and its groups, each with its methods; who changes something and why stands above the table."""
    groups = {
        name: one.fget for name, one in vars(AsyncOperator).items() if isinstance(one, property) and name[0] != "_"
    }
    others = []
    for name, getter in groups.items():
        cls = inspect.get_annotations(getter, eval_str=True)["return"]
        if not cls.__module__.startswith("otpcore.operator."):
            others.append([f"`.{name}`", summary(getter)])
            continue
        yield [f"**`operator.{name}`**", summary(getter)]
        yield from methods_of(cls)
    yield ["**`operator`**", "What is of no group."]
    yield from others
    yield from methods_of(AsyncOperator)


def methods_of(cls: type) -> Iterator[list[str]]:
    for name, one in vars(cls).items():
        if not name.startswith("_") and inspect.isfunction(one):
            said = re.sub(r" `by`: Who does it\.| `reason`: Why\.", "", described(one))
            yield [f"`.{called(one).removeprefix('await ')}`", said]


def test_every_method_of_an_operator_is_told_with_its_arguments():
    section = re.split(r"^##", REFERENCE.partition("\n### Methods of operators\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]
    lines = ["| method | meaning |", "|---|---|", *(f"| {' | '.join(row)} |" for row in methods_of_operators())]
    assert section.strip().endswith("\n".join(lines)), "\n".join(lines)

"""What packages need that embed otpcore in a framework: its settings, who asks, what people and programs are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.embedding.answers import ErrorAnswer, answer_to
    from otpcore.embedding.clients import TrustedProxies
    from otpcore.embedding.forms import CODE_ATTRIBUTES, PHONE_ATTRIBUTES, phone_typed
    from otpcore.embedding.sentences import ENTER_CODE, ENTER_PHONE, SENTENCES, Translation, said_of, said_of_code
    from otpcore.embedding.settings import Embedding, Hidden, in_sandbox
    from otpcore.embedding.spelling import Spelling
    from otpcore.phone.regions import check_region
    from otpcore.rate_limits.clients import same_client

__all__ = [
    "CODE_ATTRIBUTES",
    "ENTER_CODE",
    "ENTER_PHONE",
    "PHONE_ATTRIBUTES",
    "SENTENCES",
    "Embedding",
    "ErrorAnswer",
    "Hidden",
    "Spelling",
    "Translation",
    "TrustedProxies",
    "answer_to",
    "check_region",
    "in_sandbox",
    "phone_typed",
    "said_of",
    "said_of_code",
    "same_client",
]

_MODULES = {
    "otpcore.embedding.answers": ("ErrorAnswer", "answer_to"),
    "otpcore.embedding.clients": ("TrustedProxies",),
    "otpcore.embedding.forms": ("CODE_ATTRIBUTES", "PHONE_ATTRIBUTES", "phone_typed"),
    "otpcore.embedding.sentences": (
        "ENTER_CODE",
        "ENTER_PHONE",
        "SENTENCES",
        "Translation",
        "said_of",
        "said_of_code",
    ),
    "otpcore.embedding.settings": ("Embedding", "Hidden", "in_sandbox"),
    "otpcore.embedding.spelling": ("Spelling",),
    "otpcore.phone.regions": ("check_region",),
    "otpcore.rate_limits.clients": ("same_client",),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What the simulated service takes of each field, as its service model says: types, lengths, patterns and values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["OPERATIONS", "wrong_field"]

_Shape = Callable[[Any], bool]


def _text(pattern: str, most: int) -> _Shape:
    shape = re.compile(pattern)
    return lambda value: isinstance(value, str) and len(value) <= most and shape.fullmatch(value) is not None


def _number(least: int, most: int) -> _Shape:
    return lambda value: type(value) is int and least <= value <= most


def _map(keys: _Shape, values: _Shape, most: int) -> _Shape:
    return lambda value: (
        isinstance(value, dict) and len(value) <= most and all(keys(one) and values(value[one]) for one in value)
    )


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


_RESOURCE = _text(r"[A-Za-z0-9_:/-]+", 256)
_PRICE = _text(r"[0-9]{0,2}\.[0-9]{1,5}", 8)
_COMMON: Mapping[str, _Shape] = {
    "DestinationPhoneNumber": _text(r"\+?[1-9][0-9]{1,18}", 20),
    "OriginationIdentity": _text(r"[A-Za-z0-9_:/\+-]+", 256),
    "ConfigurationSetName": _RESOURCE,
    "TimeToLive": _number(5, 259_200),
    "Context": _map(_text(r"\S+", 100), _text(r"(?!\s)[\s\S]+(?<!\s)", 800), 5),
    "DryRun": _flag,
    "ProtectConfigurationId": _RESOURCE,
    "MessageFeedbackEnabled": _flag,
}

OPERATIONS: Mapping[str, tuple[frozenset[str], Mapping[str, _Shape]]] = {
    "SendTextMessage": (
        frozenset({"DestinationPhoneNumber"}),
        {
            **_COMMON,
            "MessageBody": _text(r"(?!\s*$)[\s\S]+", 1600),
            "MessageType": _text("TRANSACTIONAL|PROMOTIONAL", 13),
            "Keyword": _text(r"[ \S]+", 30),
            "MaxPrice": _PRICE,
            "DestinationCountryParameters": _map(_text("IN_TEMPLATE_ID|IN_ENTITY_ID", 14), _text(r"\S+", 64), 10),
        },
    ),
    "SendVoiceMessage": (
        frozenset({"DestinationPhoneNumber", "OriginationIdentity"}),
        {
            **_COMMON,
            "MessageBody": _text(r"(?!\s*$)[\s\S]+", 3000),
            "MessageBodyTextType": _text("TEXT|SSML", 4),
            "VoiceId": _text("[A-Z]+", 20),
            "MaxPricePerMinute": _PRICE,
        },
    ),
    "PutMessageFeedback": (
        frozenset({"MessageId", "MessageFeedbackStatus"}),
        {"MessageId": _text(r"[A-Za-z0-9_:/-]+", 64), "MessageFeedbackStatus": _text("RECEIVED|FAILED", 8)},
    ),
    "DescribeAccountAttributes": (
        frozenset(),
        {"NextToken": _text(r".+", 1024), "MaxResults": _number(1, 100)},
    ),
}
"""By operation: the fields that must be there, and the shape of each that may."""


def wrong_field(operation: str, fields: Mapping[str, Any]) -> str:
    """The first field that is missing, unknown or not of its shape; empty: none."""
    required, shapes = OPERATIONS[operation]
    missing = sorted(required - fields.keys())
    wrong = (name for name, value in fields.items() if name not in shapes or not shapes[name](value))
    return missing[0] if missing else next(wrong, "")

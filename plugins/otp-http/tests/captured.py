"""What the vendors' own SDKs were seen to send, as it lies in ``captures/``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

__all__ = ["Capture", "captures"]

_PLACE = Path(__file__).parent / "captures"


@attrs.frozen(kw_only=True)
class Capture:
    """One request of an SDK.

    Args:
        gateway: Whose table should make the same.
        name: Of the capture.
        channel: Over which it goes.
        settings: Of the instance.
        send: What is sent.
        request: What was sent.
        differs: What otpcore sends in another way, and why.
        answers: Of the vendor, and what the SDK made of them.
    """

    gateway: str
    name: str
    channel: str
    settings: Mapping[str, str]
    send: Mapping[str, Any]
    request: Mapping[str, Any]
    differs: Mapping[str, str]
    answers: tuple[Mapping[str, Any], ...]

    @property
    def title(self) -> str:
        """For the id of a test."""
        return f"{self.gateway}-{self.name}"


def captures() -> Iterator[Capture]:
    """All of them."""
    for file in sorted(_PLACE.glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        for one in document["captures"]:
            yield Capture(
                gateway=document["gateway"],
                name=one["name"],
                channel=one["channel"],
                settings=one["settings"],
                send=one["send"],
                request=one["request"],
                differs=one.get("differs", {}),
                answers=tuple(one.get("answers", ())),
            )

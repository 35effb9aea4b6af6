"""What django-phone-verify sends through here: nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from phone_verify.backends.base import BaseBackend


class SilentBackend(BaseBackend):
    """Keeps each number's last text, from which a person would read the code."""

    sent: ClassVar[dict[str, str]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def send_sms(self, number: str, message: str) -> None:
        self.sent[number] = message

    def send_bulk_sms(self, numbers: list[str], message: str) -> None:
        for number in numbers:
            self.send_sms(number, message)

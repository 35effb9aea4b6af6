"""For the project's tests: codes go to an outbox instead of to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings

from otp_django.conf import SETTING
from otp_django.running import stand_in
from otpcore.testing import Outbox

if TYPE_CHECKING:
    outbox: Outbox

__all__ = ["OTPTestMixin", "outbox", "sending_to_outbox"]

_open: list[Outbox] = []


@contextmanager
def sending_to_outbox(**sections: Any) -> Iterator[Outbox]:
    """Within the block, ``otp`` and ``aotp`` send into this outbox, in all threads; its store is in memory.

    Of ``settings.OTPCORE`` the section ``otp`` holds: lengths, lives and texts. What else the settings say, of
    providers, limits and the store, is the outbox's own.

    Args:
        sections: Other sections of settings, such as ``limits={"phone": ["3/1h"]}``.
    """
    made = Outbox()
    given = getattr(settings, SETTING, None) or {}
    texts = {name: value for name, value in dict(given.get("otp", {})).items() if name != "receipts_url"}
    with stand_in(made.blocking_service({"otp": texts, **sections})):
        _open.append(made)
        try:
            yield made
        finally:
            _open.remove(made)


class OTPTestMixin:
    """For a ``TestCase``: each test has an empty ``self.otp_outbox``.

    Attributes:
        otp_settings: Other sections of settings, as ``sending_to_outbox`` takes them.
    """

    otp_settings: dict[str, Any] = {}
    otp_outbox: Outbox

    def setUp(self) -> None:
        """Put the outbox there."""
        sending = sending_to_outbox(**self.otp_settings)
        self.otp_outbox = self.enterContext(sending)  # type: ignore[attr-defined] # of TestCase
        super().setUp()  # type: ignore[misc] # the same


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """``outbox``: that of the test that runs, as ``django.core.mail.outbox``."""
        if name == "outbox" and _open:
            return _open[-1]
        if name == "outbox":
            raise AttributeError("there is no outbox: inherit OTPTestMixin, or take the fixture otp_outbox")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

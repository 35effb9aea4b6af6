"""For the app's tests: codes go to an outbox instead of to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

from otp_flask.conf import SETTING
from otp_flask.running import stand_in
from otpcore import OTPService
from otpcore.testing import Outbox

__all__ = ["sending_to_outbox"]


@contextmanager
def sending_to_outbox(**sections: Any) -> Iterator[Outbox]:
    """Within the block, every app sends into this outbox, in all threads; its store is in memory.

    Of ``OTPCORE`` the section ``otp`` holds: lengths, lives and texts. What else the settings say, of providers, limits
    and the store, is the outbox's own.

    Args:
        sections: Other sections of settings, such as ``limits={"phone": ["3/1h"]}``.
    """
    outbox = Outbox()

    def make(app: Flask) -> OTPService:
        given = dict(app.config.get(SETTING) or {}).get("otp", {})
        texts = {name: value for name, value in dict(given).items() if name != "receipts_url"}
        return outbox.blocking_service({"otp": texts, **sections})

    with stand_in(make):
        yield outbox

"""What every group of an operator's methods works with: the service over the store, and how a change is kept and told."""

from __future__ import annotations

import json
from types import EllipsisType
from typing import Any

import attrs

from otpcore.errors import InvalidArgument
from otpcore.events import EventType
from otpcore.models import Channel
from otpcore.operator.words import checked_name, checked_reason, typed_prefix
from otpcore.phone.numbers import PhoneNumber, is_whole_number, look_up_phone
from otpcore.service.arguments import named_channel
from otpcore.service.service import Service
from otpcore.service.setup import Setup
from otpcore.settings.tree import is_prefix, is_target
from otpcore.stores.records import AuditRecord, ChallengeRecord

__all__ = ["Desk", "check_prefix", "checked_channel", "checked_target"]


@attrs.frozen(kw_only=True)
class Desk:
    """What an operator's methods work with.

    Args:
        service: Store, keys and observers; of a running service everything else too.
        setup: What the host gave it.
        is_live: It is a running service's, with providers and a runner.
    """

    service: Service
    setup: Setup
    is_live: bool

    def record(
        self, action: str, by: str, reason: str, *, target: str = "", about: str = "", **detail: Any
    ) -> AuditRecord:
        """Who changes what, for the command of the store that does it.

        Raises:
            InvalidArgument: Name or reason cannot be kept.
        """
        return AuditRecord(
            at=self.service.clock(),
            by=checked_name(by),
            action=action,
            target=target,
            reason=checked_reason(reason),
            detail=json.dumps(detail, sort_keys=True),
            about=about,
        )

    def tell(self, record: AuditRecord, **about: Any) -> None:
        """Tell the log and the observers what an operator has changed."""
        words = [f"{record.target} by {record.by}".lstrip(), *filter(None, [record.reason])]
        self.service.emit(EventType.OPERATOR_CHANGED, reason=record.action, detail=": ".join(words), **about)

    async def write_setting(
        self,
        name: str,
        value: str | None,
        record: AuditRecord,
        *,
        expect: str | EllipsisType | None = ...,
        **about: Any,
    ) -> bool:
        """Set or remove a stored setting; this process obeys it at once, the others when they look again.

        Returns:
            False: it was so before, or another value is there than ``expect``; nothing was written.
        """
        is_changed = await self.service.store.write_setting(name, value, expect=expect, audit=record)
        if is_changed:
            self.tell(record, **about)
            if self.is_live:
                await self.service.live.refresh(force=True)
        return is_changed

    @property
    def within(self) -> float:
        """Seconds in which every process obeys a stored setting."""
        return self.service.settings.routing.reload_every

    def number(self, phone: str) -> PhoneNumber:
        """What a person wrote, understood as the service understands it; whether it can be sent to does not matter.

        Raises:
            InvalidPhoneNumber: It is not one number.
        """
        return look_up_phone(phone, default_region=self.service.settings.otp.default_region)

    def shown(self, challenge: ChallengeRecord, *, reveal: bool) -> str:
        """The number of a stored challenge; masked, unless the keys shall open it.

        Raises:
            SettingsError: The key that sealed it is not here.
        """
        return self.service.phone_of(challenge).e164 if reveal else challenge.phone_masked


def checked_target(prefix: str) -> str:
    """A prefix or a region, ready to be stored: the store must not hold a whole number that can be read.

    Raises:
        InvalidArgument: It is neither, or a whole number; that is not quoted.
    """
    target = typed_prefix(prefix) if isinstance(prefix, str) else prefix
    if not is_target(target):
        raise InvalidArgument(
            "this is neither a prefix nor a region. "
            "Fix: write + and up to 15 digits, such as +35987, or two letters, such as BG"
        )
    check_prefix(target)
    return target


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that would put somebody's number into the store.

    Raises:
        InvalidArgument: It is a whole number; it is not quoted.
    """
    if is_prefix(prefix) and is_whole_number(prefix):
        raise InvalidArgument("this is a whole number, not a prefix. Fix: leave out some of its last digits")


def checked_channel(channel: str) -> Channel:
    """A channel by its word.

    Raises:
        InvalidArgument: It is no word that a channel could have.
    """
    return named_channel(channel)

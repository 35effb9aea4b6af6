"""What to do about each error that a send or a verification may end with: one line for each row of ``otpcore.errors.ANSWERS``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from otpcore.errors import DeliveryError, OTPConfigurationError, OTPError, RateLimited, RoutingSyntaxError, known_as
from otpcore.models import UnsendableReason

__all__ = ["FIXES", "error_of_end", "fix_of", "told_of"]

_OTHER_PROVIDER = "add a provider to the route with `otp routes set`"

FIXES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("OTPError", ""): "try again; `otp doctor` checks everything",
        ("InvalidPhoneNumber", ""): "correct the number",
        ("InvalidArgument", ""): "correct the argument that it names",
        ("ProviderError", ""): "try again; `otp doctor` checks the provider's settings",
        ("StoreError", ""): "try again; `otp doctor` checks the store",
        ("NoRouteError", "no_route"): "`otp routes explain PHONE` says why; `otp routes set` changes the rules",
        (
            "NoRouteError",
            "no_rules",
        ): "write the rules with `otp routes set`, or set `otp_sms_provider` above the first [section] of the settings file",
        (
            "NoRouteError",
            "drained",
        ): "`otp instances take-back NAME` ends it; `otp instances status` shows who is drained",
        ("NoRouteError", "cannot_carry"): (
            "name a provider that carries it with `otp routes set`, or send without it; "
            "`otp routes explain PHONE` with the same --message and --locale says who cannot carry what"
        ),
        ("DeliveryError", "permanent"): (
            "ask the person for another number; `otp challenges show PHONE` says what each provider answered"
        ),
        ("DeliveryError", "failed"): (
            f"try again, or let otpcore do so by itself (in [sms]: retry = true, and so for each other channel); `otp status` shows who fails, or {_OTHER_PROVIDER}"
        ),
        ("DeliveryError", "limit_reached"): (
            f"wait until the provider's own limit for this number ends, or {_OTHER_PROVIDER}"
        ),
        ("DeliveryError", "misconfigured"): (
            "mend what the provider says: URL, credentials, credit, permission for this country; `otp doctor` checks the settings"
        ),
        ("DeliveryError", "expired"): "send again; `otp.life` says for how long a code lives",
        ("DeliveryError", "max_attempts"): "wait until the code has expired: `otp challenges show PHONE` says when",
        ("DeliveryError", "breaker_open"): f"`otp status` shows which providers are down; wait, or {_OTHER_PROVIDER}",
        (
            "RateLimited",
            "phone",
        ): "wait, or forget what was sent: `otp limits reset PHONE`; `limits.phone` is the limit",
        ("RateLimited", "client"): "wait; `limits.client` is the limit",
        ("RateLimited", "prefix"): "wait; `otp limits show PHONE` says what is used up, `limits.prefix` is the limit",
        ("RateLimited", "country"): (
            "wait; `otp limits show PHONE` says what is used up, `limits.country` or `limits.countries` is the limit"
        ),
        ("RateLimited", "channel"): "wait, or send over another channel; `limits.channel` is the limit",
        ("RateLimited", "global"): "wait; `otp limits show PHONE` says what is used up, `limits.global` is the limit",
        ("RateLimited", "denied"): (
            "`otp limits show` lists who is denied, by an operator or by `limits.deny` and `limits.allow`; "
            "`otp limits allow PREFIX` lifts it for numbers that begin so, or of a region, but not a limit of 0"
        ),
        ("RateLimited", "unverified"): (
            "wait; `otp limits show PHONE` says what is used up, `limits.unverified` is the limit"
        ),
        ("RateLimited", "paused"): "`otp resume` ends the pause",
        ("RateLimited", "renewal"): "wait until the code has expired, then send: `otp challenges show PHONE` says when",
        ("RateLimited", "max_attempts"): (
            "wait until the code has expired, then send: `otp challenges show PHONE` says when"
        ),
        ("RateLimited", "locked"): "wait, or unlock the phone with `otp limits reset PHONE`",
        ("RateLimited", "provider_busy"): (
            f"wait until the other verification ends: `otp challenges show PHONE` says when; or {_OTHER_PROVIDER}"
        ),
    }
)
"""A receipt has none: the command line takes none."""

# What a message says after "Fix: " goes before these, and before those of `FIXES`.
_RULES_FIX = "correct the rules at the mark; `otp routes check RULES` tries them"
_SETTINGS_FIX = "correct what is named above, then run `otp doctor`"

_COMMANDS = {"sms": "send PHONE", "call": "call PHONE"}


def told_of(error: OTPError | OTPConfigurationError) -> tuple[str, str]:
    """What is wrong, in its own words, and what to do about it."""
    message, own_fix = _parted(str(error))
    if own_fix:
        return message, own_fix
    if isinstance(error, OTPError):
        return message, fix_of(error)
    return message, _RULES_FIX if isinstance(error, RoutingSyntaxError) else _SETTINGS_FIX


def fix_of(error: OTPError) -> str:
    """What to do about it."""
    if isinstance(error, DeliveryError) and error.try_channel:
        command = _COMMANDS.get(error.try_channel, f"send PHONE --channel {error.try_channel}")
        return f"`otp {command}` may reach it"
    if isinstance(error, DeliveryError) and error.reason == UnsendableReason.FAILED:
        named = next((one for one in error.attempts if one.fix), None)
        if named is not None:
            return f"{named.provider}: {named.fix}"
    return FIXES.get(known_as(error), "")


def error_of_end(reason: str) -> OTPError:
    """The error that would have said that sending ended so, had nothing been retried."""
    if reason == UnsendableReason.DENIED:
        return RateLimited(reason)
    spent = reason in (UnsendableReason.MAX_RETRIES, UnsendableReason.INTERRUPTED)
    return DeliveryError(UnsendableReason.FAILED if spent else reason)


_SETTING = re.compile(r"(?P<key>[a-z_]+(?:\.[\w.-]+)?) \((?P<where>[^()\n]+)\): ")


def _parted(text: str) -> tuple[str, str]:
    """What is wrong and its fix: what the error itself says after "Fix: ", or the place of the setting that is wrong."""
    if " settings are wrong:\n" in text:
        return text, "correct each of them where it stands, then run `otp doctor`"
    message, _, fix = text.partition("Fix: ")
    if fix:
        return message.rstrip(" .;:"), fix.strip().removesuffix(".")
    setting = _SETTING.match(text)
    return text, f"correct {setting['key']} in {setting['where']}, then run `otp doctor`" if setting else ""

"""``server.page`` and ``server.apps.<app>.page``: what the verification page of an app shows, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

from otp_server.addresses import parts_of
from otpcore.runners import SettingsError

__all__ = ["DARK_PAPER", "LIGHT_PAPER", "PageSettings", "contrast", "readable_on"]

LIGHT_PAPER, DARK_PAPER = "#ffffff", "#131518"
_LIGHT_INK, _DARK_INK = "#ffffff", "#0e1526"
_LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_OWN_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\.[a-z0-9+.-]+|[a-z][a-z0-9+-]{2,}")
_NO_APP = {"javascript", "data", "vbscript", "file", "blob", "about", "ftp", "mailto", "tel", "sms", "view-source"}
_HOST = re.compile(r"(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[1-9][0-9]{0,4})?")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def _good_address(text: str) -> bool:
    """An address of the web over TLS (on this machine also without), or of an app."""
    parts = parts_of(text)
    if not text.isascii() or not text.isprintable() or " " in text or ";" in text or "#" in text or "@" in parts.netloc:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme == "http":
        return parts.hostname in _LOOPBACK
    return bool(_OWN_SCHEME.fullmatch(parts.scheme)) and parts.scheme not in _NO_APP and ":" in text


def _good_addresses(_: Any, __: Any, value: Sequence[str]) -> None:
    if not all(map(_good_address, value)):
        raise SettingsError(
            "each must be an https address, such as https://shop.example/done, or one of an app, such as "
            "com.example.shop:/done, without a fragment"
        )


def _good_origins(_: Any, __: Any, value: Sequence[str]) -> None:
    for one in value:
        parts = parts_of(one)
        is_known = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        is_bare = one == f"{parts.scheme}://{parts.netloc}".lower() and bool(_HOST.fullmatch(parts.netloc))
        if not is_known or not is_bare or one.endswith({"https": ":443", "http": ":80"}[parts.scheme]):
            raise SettingsError("each must be an origin as browsers write it, such as https://shop.example")


def _good_link(_: Any, __: Any, value: str) -> None:
    if value and not _good_address(value):
        raise SettingsError("must be an https address, such as https://shop.example/help")


def _good_colour(paper: str) -> Any:
    def check(_: Any, __: Any, value: str) -> None:
        if not value:
            return
        if not _COLOUR.fullmatch(value):
            raise SettingsError("must be a colour such as #2450c8")
        ratio = contrast(value, paper)
        if ratio < _LEAST_CONTRAST:
            raise SettingsError(
                f"nobody could read it: its contrast with {paper} is {ratio:.1f}, and must be 4.5 at least. "
                f"Fix: take a {'darker' if paper == LIGHT_PAPER else 'lighter'} one"
            )

    return check


@attrs.frozen(kw_only=True)
class PageSettings:
    """What the verification page of an app shows, and where it leads. Its name is ``otp.app``, or that of ``otp.apps``.

    Args:
        return_urls: Where it may lead when it is over; a verification names one of them, letter for letter.
        origins: Of the pages that may show it in a frame; none: none may.
        change_url: Where another number is given; empty: it cannot be changed.
        help_url: Where who cannot use the phone gets help; empty: nowhere.
        accent: Colour of what can be pressed, on white.
        accent_dark: The same on black.
    """

    return_urls: Sequence[str] = attrs.field(default=(), validator=_good_addresses)
    origins: Sequence[str] = attrs.field(default=(), validator=_good_origins)
    change_url: str = attrs.field(default="", validator=_good_link)
    help_url: str = attrs.field(default="", validator=_good_link)
    accent: str = attrs.field(default="", validator=_good_colour(LIGHT_PAPER))
    accent_dark: str = attrs.field(default="", validator=_good_colour(DARK_PAPER))


def contrast(first: str, second: str) -> float:
    """Of two colours ``#rrggbb``, 1 to 21 (WCAG 2.2, *contrast ratio*)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def readable_on(colour: str) -> str:
    """What is written on this colour: white or nearly black, whichever is read more easily."""
    return max(_LIGHT_INK, _DARK_INK, key=lambda ink: contrast(ink, colour))


def _luminance(colour: str) -> float:
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in values)  # noqa: PLR2004 - sRGB's own curve
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

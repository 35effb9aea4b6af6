"""What a page shows, by the state it is in: values for its template."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import attrs
from markupsafe import Markup

from otp_server.keys import Kind
from otp_server.page_settings import PageSettings
from otp_server.pages.acting import LEAST_LIFE
from otp_server.pages.records import Page
from otp_server.pages.texts import Words
from otpcore import Settings

__all__ = ["Shown", "end_of", "ended", "entry", "return_address"]

_NAMES = {"whatsapp": "WhatsApp", "viber": "Viber", "telegram": "Telegram", "rcs": "RCS", "email": "E-mail"}
_OWN_WORDS = {"sms", "call"}
_NOTICES = {"wrong", "unfit", "early", "late"}
_MINUTE = 60
_WORTH_IT = timedelta(seconds=30)


@attrs.frozen(kw_only=True)
class Shown:
    """What every page of one request needs.

    Args:
        words: In the person's language.
        settings: Of the core.
        look: Of the app's page.
        app: The app's name for people; empty: it has none.
        style: Address of the app's colours; empty: it has none of its own.
        origins: Whose pages it is in a frame of; empty: it is in none.
    """

    words: Words
    settings: Settings
    look: PageSettings
    app: str
    style: str = ""
    origins: Sequence[str] = ()

    @property
    def common(self) -> dict[str, Any]:
        """Values that every template wants."""
        return {
            "words": self.words,
            "say": self.words.say,
            "app": self.app,
            "look": self.look,
            "style": self.style,
            "origins": " ".join(self.origins),
            "verification": "",
        }

    def leads_to(self, page: Page) -> str:
        """Where the person goes in the end; in a frame nowhere: the page around it is told."""
        return "" if self.origins else return_address(page)


def end_of(page: Page, settings: Settings, *, is_used: bool, now: datetime) -> str:
    """Why no code is taken any more, as the key of its text; empty: codes are taken."""
    if page.is_done:
        return "done"
    if is_used:
        return "elsewhere"
    if now >= page.expires_at:
        return "expired"
    return "spent" if page.tries >= settings.otp.attempts else ""


def ended(shown: Shown, key: str, page: Page | None = None, *, link: str = "") -> dict[str, Any]:
    """Values of a page on which nothing can be typed.

    Args:
        shown: What every page needs.
        key: Of its text.
        page: That ended; None: there is none, or it is not this browser's to see.
        link: Where to try again; empty: nowhere.
    """
    is_good = key in ("done", "elsewhere")
    return {
        **shown.common,
        "key": key,
        "leads_to": shown.leads_to(page) if page is not None else "",
        "link": link,
        "is_good": is_good,
        "verification": page.verification if page is not None and is_good else "",
    }


def entry(shown: Shown, page: Page, *, now: datetime, path: str, query: str, form_token: str) -> dict[str, Any]:
    """Values of the page on which the code is typed."""
    say, otp = shown.words.say, shown.settings.otp
    left = (page.expires_at - now).total_seconds()
    minutes = math.floor(left / _MINUTE)
    number = Markup('<bdi dir="ltr">{}</bdi>').format(page.to)
    return {
        **shown.common,
        "path": path,
        "query": query,
        "leads_to": shown.leads_to(page),
        "form_token": form_token,
        "notice": page.said if page.said in _NOTICES else "",
        "was_asked": page.said == "asked",
        "tries_left": otp.attempts - page.tries,
        "length": otp.length,
        "goes": say(f"goes_{_kind(page.channel)}", number=number, channel=_name(page.channel)),
        "pays": _pays(shown, page),
        "works": say("works_for", n=minutes) if minutes else say("works_briefly"),
        "works_until": say("works_until", time="{time}"),
        "lasts": math.ceil(left),
        "ways": _ways(shown, page, now),
        "is_renewable": _last_end(page, shown.settings) - page.expires_at > _WORTH_IT,
        "has_landline_hint": "call" in page.channels and page.channel != "call",
        "is_test": page.kind is Kind.TEST or shown.settings.sms.sandbox,
    }


def _pays(shown: Shown, page: Page) -> Markup:
    """What the code confirms; empty: no payment."""
    if page.bind is None:
        return Markup()
    payee = Markup("<bdi>{}</bdi>").format(page.bind["payee"])
    amount = Markup('<bdi dir="ltr">{} {}</bdi>').format(page.bind["amount"], page.bind["currency"])
    return shown.words.say("pays", payee=payee, amount=amount)


def return_address(page: Page) -> str:
    """Where a page leads in the end, with what the application needs to ask how it ended; empty: nowhere."""
    if not page.return_url:
        return ""
    query = {"verification": page.verification} | ({"state": page.state} if page.state else {})
    return page.return_url + ("&" if "?" in page.return_url else "?") + urlencode(query)


def _last_end(page: Page, settings: Settings) -> datetime:
    """The end that no other message moves on."""
    return page.started_at + timedelta(seconds=settings.otp.longest_life)


def _ways(shown: Shown, page: Page, now: datetime) -> list[dict[str, Any]]:
    """The channels to ask over, the latest first: each with its button and the seconds until it may be pressed."""
    otp = shown.settings.otp
    until = min(now + timedelta(seconds=otp.life), _last_end(page, shown.settings))
    if until - now < min(LEAST_LIFE, timedelta(seconds=otp.life)):
        return []
    ordered = [page.channel, *(one for one in page.channels if one != page.channel)]
    return [_way(shown, page, channel, now) for channel in ordered]


def _way(shown: Shown, page: Page, channel: str, now: datetime) -> dict[str, Any]:
    which = "again" if channel in page.asked_at else "instead"
    wait = max(0, math.ceil((page.resend_at(channel, shown.settings.otp.cooldown) - now).total_seconds()))
    clock = Markup('<time datetime="PT{}S">{}:{:02d}</time>').format(wait, wait // _MINUTE, wait % _MINUTE)
    return {
        "channel": channel,
        "wait": wait,
        "waiting": shown.words.say("wait", time=clock),
        "button": shown.words.say(f"{which}_{_kind(channel)}", channel=_name(channel)),
    }


def _kind(channel: str) -> str:
    return channel if channel in _OWN_WORDS else "other"


def _name(channel: str) -> str:
    return _NAMES.get(channel, channel.replace("_", " ").capitalize())

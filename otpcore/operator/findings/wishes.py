"""What ``otp doctor`` finds out about what the settings wish for: texts, and who cannot carry what; pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from otpcore.messages.carrying import Feature
from otpcore.messages.checks import dear_characters, links_in, measured_texts, name_of
from otpcore.messages.texts import segments, text_locale
from otpcore.models import Channel
from otpcore.operator.findings.checks import Found, Level
from otpcore.providers.requests import ProviderInfo
from otpcore.settings.by_use import instances_named, texts_for
from otpcore.settings.sections import OtpSettings

__all__ = ["carrying", "texts"]

_BY_USE = {"otp.sender": Feature.SENDER, "otp.template_id": Feature.TEMPLATE_ID}
_OF_SMS_ALONE = frozenset({Feature.ANDROID_HASH, Feature.WEB_OTP, Feature.TEMPLATE_ID})


def texts(otp: OtpSettings) -> Iterator[Found]:
    """What in the host's texts, and in those of each of its apps, costs more or reaches fewer people than it need."""
    found = [*_own_templates(otp), *_lengths(otp)]
    for name, app in otp.apps.items():
        its_own = otp.of_app(name)
        new = [one for one in (*_own_templates(its_own), *_lengths(its_own)) if one not in found]
        where = f"otp.apps.{name}.templates" if app.templates else "otp.templates"
        found += [attrs.evolve(one, detail=f"app {name}: {one.detail.replace('otp.templates', where)}") for one in new]
    yield from found
    if not found:
        yield Found(Level.OK, "every text is one SMS" if not otp.templates else "every text is one SMS without a link")


def _own_templates(otp: OtpSettings) -> Iterator[Found]:
    for purpose, by_locale in otp.templates.items():
        for locale, text in by_locale.items():
            key = f"otp.templates.{purpose}.{locale}"
            if links_in(text):
                yield Found(
                    Level.NOTE,
                    f"{key} has a link: people learn to follow links in such messages, and filters stop them",
                    "take it out",
                )
            if otp.app and "{app}" not in text and otp.app not in text:
                yield Found(Level.NOTE, f"{key} does not say whose code it is", "write {app} where the name goes")
            if not otp.app and "{app}" in text:
                yield Found(
                    Level.NOTE, f"{key} has {{app}}, and otp.app is empty", 'in [otp]: app = "Shop", with your own name'
                )


def _lengths(otp: OtpSettings) -> Iterator[Found]:
    """Texts of several SMS: each of the host's, and ours together."""
    ours: list[str] = []
    dear: dict[str, None] = {}
    for one in measured_texts(otp):
        count = segments(one.text).count
        if count == 1:
            continue
        characters = dear_characters(one.text)
        if not one.key:
            ours.append(one.locale)
            dear.update(dict.fromkeys(characters))
            continue
        yield Found(
            Level.NOTE,
            f"{one.key} takes {count} SMS" + _because(characters),
            f"write {_plainly(characters)}" if characters else "shorten it",
        )
    if ours:
        blamed = tuple(dear)
        yield Found(
            Level.NOTE,
            f"our texts in {', '.join(ours)} take more than one SMS with otp.app and otp.web_otp_host as they are"
            + _because(blamed),
            f"write otp.app {_plainly(blamed)}" if blamed else "a shorter otp.app or otp.web_otp_host",
        )


def _because(characters: tuple[str, ...]) -> str:
    return f", because of {', '.join(map(name_of, characters))}" if characters else ""


def _plainly(characters: tuple[str, ...]) -> str:
    return f"without {', '.join(map(name_of, characters))}"


def carrying(
    otp: OtpSettings, routed: Mapping[Channel, Mapping[str, ProviderInfo]], known: Collection[str]
) -> Iterator[Found]:
    """What the settings ask of an instance that cannot carry it, or that there is not; such a send goes out without it.

    Args:
        routed: The instances that the rules name and that can do the channel, by channel.
        known: Every instance there is, also one that could not be loaded.
    """
    unknown = tuple(_unknown(otp, known))
    yield from unknown
    found = bool(unknown)
    for instance in dict.fromkeys(name for infos in routed.values() for name in infos):
        dropped: dict[str, list[str]] = {}
        for channel, infos in routed.items():
            for key in _dropped(otp, instance, infos[instance], channel) if instance in infos else ():
                dropped.setdefault(key, []).append(str(channel))
        for key, channels in dropped.items():
            found = True
            yield Found(
                Level.NOTE,
                f"{instance} cannot carry {key} ({', '.join(channels)}): it sends without it",
                f"set it at the vendor if it has such a setting, or route to an instance that carries {key}",
            )
    if not found:
        yield Found(Level.OK, "every instance of the rules carries what the settings ask for")


def _by_use(otp: OtpSettings, key: str) -> str | Mapping[str, Any] | None:
    return otp.sender if key == "otp.sender" else otp.template_id


def _unknown(otp: OtpSettings, known: Collection[str]) -> Iterator[Found]:
    """The instances that tables of the settings name and that there are not."""
    for key in _BY_USE:
        for name in instances_named(_by_use(otp, key)):
            if name.casefold() not in known:
                near = difflib.get_close_matches(name.casefold(), known, 1)
                yield Found(
                    Level.NOTE,
                    f"{key} names {name}, and there is no such instance: what it says there never counts",
                    f"in [{key}] write {near[0] if near else 'the name of an instance, or default for all,'} instead: "
                    "it goes by instance, then by purpose, then by language",
                )


def _dropped(otp: OtpSettings, instance: str, info: ProviderInfo, channel: Channel) -> Iterator[str]:
    carried = info.carried(channel)
    for key, feature, value in _wishes(otp, instance):
        if (channel is Channel.SMS or feature not in _OF_SMS_ALONE) and not carried.takes(feature, value):
            yield key
    fields = attrs.fields(OtpSettings)
    language = otp.locale
    if not info.words_text(channel):
        language = text_locale(locale=otp.locale, purpose="default", templates=otp.templates, default_locale=otp.locale)
    if otp.locale != fields.locale.default and not carried.speaks(language):
        yield "otp.locale"


def _wishes(otp: OtpSettings, instance: str) -> Iterator[tuple[str, Feature, str]]:
    """Key, feature and value of each setting that is not at its default, and counts for this instance."""
    if otp.templates:
        yield "otp.templates", Feature.TEXT, ""
    if otp.length != attrs.fields(OtpSettings).length.default:
        yield "otp.length", Feature.CODE_LENGTH, str(otp.length)
    for key, feature, value in (
        ("otp.app", Feature.APP, otp.app),
        ("otp.android_hash", Feature.ANDROID_HASH, otp.android_hash),
        ("otp.web_otp_host", Feature.WEB_OTP, otp.web_otp_host),
    ):
        if value:
            yield key, feature, value
    for key, feature in _BY_USE.items():
        for place, value in texts_for(_by_use(otp, key), instance).items():
            yield f"{key}{place}", feature, value

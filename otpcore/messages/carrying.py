"""What of a host's wishes an instance can carry to the person, over one channel; pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

__all__ = ["CARRIES_ALL", "CARRIES_NOTHING", "Carries", "Feature", "lookup_tags"]


class Feature(enum.StrEnum):
    """What a host may ask for beyond a code that arrives."""

    TEXT = "text"
    """A text of the host's own: ``message=``, ``otp.templates``."""
    APP = "app"
    """The name of the app in the text (``otp.app``)."""
    CODE_LENGTH = "code_length"
    """A code of so many digits (``otp.length``)."""
    ANDROID_HASH = "android_hash"
    """The hash of the Android app that may read the SMS (``otp.android_hash``)."""
    WEB_OTP = "web_otp"
    """The last line that ties the code to a site (``otp.web_otp_host``)."""
    SENDER = "sender"
    """A sender name or number (``otp.sender``)."""
    TEMPLATE_ID = "template_id"
    """The id of a registered text (``otp.template_id``)."""


def _folded(tags: Iterable[str]) -> frozenset[str]:
    return frozenset(tag.replace("_", "-").casefold() for tag in tags)


def _good_forms(_: Carries, __: attrs.Attribute[Mapping[Feature, str]], value: Mapping[Feature, str]) -> None:
    for feature, form in value.items():
        try:
            re.compile(form)
        except re.error as error:
            raise ValueError(f"forms: that of {feature} is no regular expression: {error}") from error


@attrs.frozen(kw_only=True)
class Carries:
    """What one instance can carry over one channel.

    Args:
        features: What reaches the person.
        languages: BCP 47 tags of the languages that it can be told to write or speak; ``"pt"`` stands for ``pt-BR`` too.
            None: any.
        forms: For a feature that it takes in one form only, the regular expression that the whole value must match.
        gsm_only: It refuses SMS texts that the GSM alphabet (3GPP TS 23.038) cannot write; ``otp doctor`` names those that
            the settings ask for.
        most_parts: It refuses texts of more SMS than these; None: the number does not matter.
    """

    features: frozenset[Feature] = frozenset(Feature)
    languages: frozenset[str] | None = attrs.field(default=None, converter=attrs.converters.optional(_folded))
    forms: Mapping[Feature, str] = attrs.field(factory=dict, hash=False, validator=_good_forms)
    gsm_only: bool = False
    most_parts: int | None = None

    def takes(self, feature: Feature, value: str = "") -> bool:
        """Whether a feature reaches the person; with ``value``, in this form."""
        if feature not in self.features:
            return False
        form = self.forms.get(feature)
        return form is None or re.fullmatch(form, value) is not None

    def speaks(self, locale: str) -> bool:
        """Whether it can be told to write or speak this language, region or not (RFC 4647, 3.4: lookup)."""
        return self.languages is None or any(tag in self.languages for tag in lookup_tags(locale))


CARRIES_ALL = Carries()
"""As where the core words the text and the provider only carries it."""

CARRIES_NOTHING = Carries(features=frozenset(), languages=frozenset())
"""As where the vendor words the text and nothing is known of it."""


def lookup_tags(locale: str) -> Iterator[str]:
    """``pt-br``, then ``pt``: the tag and what it falls back to, in lower case."""
    subtags = locale.replace("_", "-").casefold().split("-")
    for length in range(len(subtags), 0, -1):
        yield "-".join(subtags[:length])

"""The settings of one AWS instance (``providers.<instance>``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

__all__ = ["CALLER", "INDIA_ID", "SENDER", "AwsSettings"]

SENDER = re.compile(r"[A-Za-z0-9_:/+-]{1,256}")
"""An origination identity, as ``SendTextMessage`` takes it."""

CALLER = re.compile(r"\+[1-9][0-9]{6,14}")
"""A number that calls (E.164)."""

INDIA_ID = re.compile(r"\S{1,64}")
"""An id of India's registry of senders and templates (DLT)."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")
_ACCESS_KEY = re.compile(r"[A-Za-z0-9_]{16,128}")
_VISIBLE = re.compile(r"[!-~]+")
_RESOURCE = re.compile(r"[A-Za-z0-9_:/-]{1,256}")
_PRICE = re.compile(r"[0-9]{0,2}\.[0-9]{1,5}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")
_VOICE = re.compile(r"[A-Z]{2,20}")
_TOPIC = re.compile(r"arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")

_Validator: TypeAlias = "Callable[[AwsSettings, attrs.Attribute[Any], Any], None]"


def _shaped(shape: re.Pattern[str], meaning: str, *, required: bool = False) -> _Validator:
    """Refuses what AWS would refuse, before it is asked."""

    def check(_: AwsSettings, __: attrs.Attribute[Any], value: str) -> None:
        if (value or required) and not shape.fullmatch(value):
            raise ValueError(f"must be {meaning}")

    return check


def _beside(other: str) -> _Validator:
    def check(settings: AwsSettings, _: attrs.Attribute[Any], value: object) -> None:
        if value and not getattr(settings, other):
            raise ValueError(f"needs {other} beside it")

    return check


def _together(other: str) -> _Validator:
    def check(settings: AwsSettings, _: attrs.Attribute[Any], value: str) -> None:
        if not value and getattr(settings, other):
            raise ValueError(f"is required beside {other}")

    return check


def _voices(_: AwsSettings, __: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    if not all(_LANGUAGE.fullmatch(tag) and _VOICE.fullmatch(voice) for tag, voice in value.items()):
        raise ValueError('must name a VoiceId for each language, such as { en = "MATTHEW" }')


@attrs.frozen(kw_only=True)
class AwsSettings:
    """What an AWS instance needs to know. Empty means not given.

    Args:
        region: Where the senders are, such as ``eu-west-1``; an account has them region by region.
        origination_identity: The sender of SMS: a number, a sender ID, a pool, an RCS agent, or the id or ARN of one.
        voice_identity: The caller: a number, a pool, or the id or ARN of one. Without it the instance does not call.
        access_key_id: Names the key. Without it, the credentials come from the process's surroundings.
        secret_access_key: Of that key.
        session_token: With keys that are lent for some hours.
        configuration_set: Its name or ARN: where AWS reports to.
        protect_configuration: Its id or ARN: which countries and numbers AWS lets through.
        max_price: US dollars for each SMS of a message, such as ``0.10``; AWS refuses what costs more.
        max_price_per_minute: The same for a minute of a call.
        message_feedback: Tell AWS of each message whether its code was typed.
        voices: A ``VoiceId`` by language tag, before those of ``otp_aws.voices``.
        india_entity_id: Id of the sending company in India's registry (DLT); goes out with SMS to India.
        india_template_id: Id of the registered text, where a send names none.
        sns_topic_arn: The topic over which AWS reports; its messages alone are believed.
        sns_certificates: The certificates with which SNS signs, each in PEM.
        base_url: Another host than the region's own; scheme and host only.
        allow_plain_http: Allow ``http://`` beyond loopback.
    """

    region: str = attrs.field(validator=_shaped(_REGION, "a region of AWS, such as eu-west-1", required=True))
    origination_identity: str = attrs.field(
        validator=_shaped(SENDER, "a number, a sender ID, a pool, or the id or ARN of one", required=True)
    )
    voice_identity: str = attrs.field(
        default="", validator=_shaped(SENDER, "a number, a pool, or the id or ARN of one")
    )
    access_key_id: str = attrs.field(
        default="",
        validator=[_shaped(_ACCESS_KEY, "the id of an access key, such as AKIA…"), _together("secret_access_key")],
    )
    secret_access_key: str = attrs.field(
        default="",
        repr=False,
        validator=[_shaped(_VISIBLE, "visible ASCII without spaces"), _together("access_key_id")],
    )
    session_token: str = attrs.field(
        default="",
        repr=False,
        validator=[_shaped(_VISIBLE, "visible ASCII without spaces"), _beside("access_key_id")],
    )
    configuration_set: str = attrs.field(default="", validator=_shaped(_RESOURCE, "a name or an ARN"))
    protect_configuration: str = attrs.field(default="", validator=_shaped(_RESOURCE, "an id or an ARN"))
    max_price: str = attrs.field(default="", validator=_shaped(_PRICE, 'US dollars with a point, such as "0.10"'))
    max_price_per_minute: str = attrs.field(
        default="", validator=_shaped(_PRICE, 'US dollars with a point, such as "0.10"')
    )
    message_feedback: bool = False
    voices: Mapping[str, str] = attrs.field(factory=dict, validator=_voices)
    india_entity_id: str = attrs.field(default="", validator=_shaped(INDIA_ID, "at most 64 characters without spaces"))
    india_template_id: str = attrs.field(
        default="", validator=[_shaped(INDIA_ID, "at most 64 characters without spaces"), _beside("india_entity_id")]
    )
    sns_topic_arn: str = attrs.field(
        default="",
        validator=[_shaped(_TOPIC, "the ARN of a topic: arn:aws:sns:REGION:ACCOUNT:NAME"), _beside("sns_certificates")],
    )
    sns_certificates: tuple[str, ...] = attrs.field(default=(), repr=False, validator=_beside("sns_topic_arn"))
    base_url: str = ""
    allow_plain_http: bool = False

    @property
    def service_url(self) -> str:
        """Where the service is: ``base_url``, else the region's own host."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.base_url or f"https://sms-voice.{self.region}.{domain}"

"""Messages of SNS, over which AWS reports: proven to be signed by SNS, of this account's topic, and new.

SNS signs for every customer with the same key. What proves that a message is ours is the name of the topic in what is
signed, so both are looked at. The signature covers the fields of the message, not the bytes of the body, the headers
or the URL.

A message names the address of the certificate with which it is signed. It is not fetched: reading a receipt asks no
server, and an unsigned request could bring the question about. The certificates are settings (``sns_certificates``),
so a new one is an operator's act; the refusal of what it signs names its address, once that is seen to be one of
SNS's. Several are believed at once, so that the next stands beside the one before.

Sources: docs.aws.amazon.com, "Verifying the signatures of Amazon SNS messages", "Parsing Amazon SNS message formats",
"Amazon SNS message delivery retries".
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from otpcore.http import readings
from otpcore.providers import ReceiptFault, ReceiptRefused, ReceiptRequest

__all__ = ["AHEAD", "CONFIRMATIONS", "NOTIFICATION", "OLDEST", "SOON", "Topic", "certificates_in", "text_to_sign"]

NOTIFICATION = "Notification"
CONFIRMATIONS = frozenset({"SubscriptionConfirmation", "UnsubscribeConfirmation"})

OLDEST = timedelta(minutes=65)
"""How long ago a message may have been published: SNS repeats one for an hour at most."""

AHEAD = timedelta(minutes=5)
"""How far ahead of ours the clock of SNS may be."""

SOON = timedelta(days=30)
"""How long before the last certificate ends somebody has to know."""

_OF_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_OF_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_OPTIONAL = "Subject"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - SNS's version 1


def certificates_in(pem: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a text in PEM.

    Raises:
        ValueError: There is none, or one of them has no RSA key.
    """
    try:
        found = tuple(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        found = ()
    if not found or not all(isinstance(one.public_key(), rsa.RSAPublicKey) for one in found):
        raise ValueError("must be certificates with RSA keys in PEM, from -----BEGIN CERTIFICATE-----")
    return found


def text_to_sign(message: Mapping[str, Any]) -> bytes:
    """What SNS signs of a message: names and values of its fields, each on a line of its own."""
    names = _OF_CONFIRMATION if message["Type"] in CONFIRMATIONS else _OF_NOTIFICATION
    pairs = ((name, message.get(name)) for name in names)
    return "".join(f"{name}\n{value}\n" for name, value in pairs if value is not None).encode(errors="replace")


@attrs.frozen(kw_only=True)
class Topic:
    """The topic that is believed.

    Args:
        arn: ``arn:aws:sns:REGION:ACCOUNT:NAME``.
        certificates: With which SNS signs.
    """

    arn: str
    certificates: Sequence[x509.Certificate] = attrs.field(repr=False)

    def proven(self, request: ReceiptRequest, now: datetime) -> dict[str, Any]:
        """The message of a request, once it is proven to be one of this topic's, and new.

        Raises:
            ReceiptRefused: It is not.
        """
        message = _message_in(request)
        if message["TopicArn"] != self.arn:
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "it is of another topic than sns_topic_arn")
        if not self._is_of_sns(message["SigningCertURL"], r"/[A-Za-z0-9._-]+\.pem"):
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "its certificate is not at an address of SNS in this region")
        signers = [one for one in self.certificates if _signed_with(one, message)]
        if not any(_is_valid(one, now) for one in signers):
            known = "with one of them that is not valid now" if signers else "with none of them"
            raise ReceiptRefused(
                ReceiptFault.SIGNATURE,
                f"of sns_certificates it is signed {known}; put the one of this address beside them: "
                + message["SigningCertURL"],
            )
        sent_at = _moment(message["Timestamp"])
        if sent_at is None or not -AHEAD <= now - sent_at <= OLDEST:
            raise ReceiptRefused(ReceiptFault.STALE, "its time is too long ago or ahead; is this host's clock right?")
        return message

    def ends_soon(self, now: datetime) -> datetime | None:
        """When the last of the certificates ends, where that is soon; None: not soon.

        SNS signs with one, the newest it has, so what counts is whether one lasts.
        """
        last = max(one.not_valid_after_utc for one in self.certificates)
        return last if last - now <= SOON else None

    def confirmation_url(self, message: Mapping[str, Any]) -> str:
        """The address that a proven message asks to be opened.

        Raises:
            ReceiptRefused: It is not one of SNS's.
        """
        url = str(message["SubscribeURL"])
        if not self._is_of_sns(url, r"/\?[!-~]+"):
            raise ReceiptRefused(ReceiptFault.MALFORMED, "the address of its confirmation is not one of SNS")
        return url

    def _is_of_sns(self, url: str, rest: str) -> bool:
        """Whether a URL is one of SNS in the region of the topic, over https."""
        _, partition, _, region, *_ = self.arn.split(":")
        domain = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        return re.fullmatch(rf"https://sns\.{re.escape(region)}\.{re.escape(domain)}{rest}", url) is not None


def _message_in(request: ReceiptRequest) -> dict[str, Any]:
    """The message, with every field that is needed as a text.

    Raises:
        ReceiptRefused: It is none.
    """
    message: Any = None
    for text in readings(request.body, request.headers.get("content-type", "")):
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(text)
            break
    if not isinstance(message, dict):
        raise ReceiptRefused(ReceiptFault.MALFORMED, "the body is not a message of SNS")
    kind = message.get("Type")
    if kind != request.headers.get("x-amz-sns-message-type") or kind not in {NOTIFICATION, *CONFIRMATIONS}:
        raise ReceiptRefused(
            ReceiptFault.MALFORMED,
            "it is not a message of SNS with its header; is raw message delivery off for the subscription?",
        )
    signed = _OF_CONFIRMATION if kind in CONFIRMATIONS else _OF_NOTIFICATION
    needed = [name for name in signed if name != _OPTIONAL or message.get(name) is not None]
    if not all(isinstance(message.get(name), str) for name in (*needed, "SigningCertURL")):
        raise ReceiptRefused(ReceiptFault.MALFORMED, "the message lacks a field that SNS signs")
    return message


def _signed_with(certificate: x509.Certificate, message: Mapping[str, Any]) -> bool:
    key, algorithm = certificate.public_key(), _HASHES.get(str(message.get("SignatureVersion")))
    if algorithm is None or not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        signature = base64.b64decode(str(message.get("Signature")), validate=True)
        key.verify(signature, text_to_sign(message), padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None

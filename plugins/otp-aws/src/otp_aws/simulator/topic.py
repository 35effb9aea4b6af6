"""The simulated topic of SNS: it signs as SNS does, with a key and a certificate of its own."""

from __future__ import annotations

import base64
import functools
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from otp_aws.sns import NOTIFICATION, text_to_sign

__all__ = ["SimulatedTopic", "certificate_of", "new_key"]

_HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - SNS's version 1
_BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
_LASTS = timedelta(days=365 * 30)


@functools.cache
def new_key(name: str) -> rsa.RSAPrivateKey:
    """A key; the same for the same name as long as the process lives, because making one takes a while."""
    del name
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@functools.cache
def certificate_of(name: str, since: datetime = _BEGAN, until: datetime = _BEGAN + _LASTS) -> str:
    """The certificate of that key, in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(new_key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .sign(new_key(name), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@attrs.define(eq=False, kw_only=True)
class SimulatedTopic:
    """One topic.

    Args:
        arn: Its name.
        clock: Of the messages.
        signature_version: As the topic is set up: ``"1"`` (SHA-1, the default of SNS) or ``"2"`` (SHA-256).
        key: The name of the key that signs.
    """

    arn: str
    clock: Callable[[], datetime]
    signature_version: str = "1"
    key: str = "sns"

    @property
    def certificate(self) -> str:
        """What a customer has to know, in PEM."""
        return certificate_of(self.key)

    def notification(self, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body of a message that carries an event."""
        return self.signed({"Type": NOTIFICATION, "Message": json.dumps(event)})

    def confirmation(self, kind: str = "SubscriptionConfirmation") -> tuple[dict[str, str], bytes]:
        """Headers and body of the message that asks whether a subscription is wanted, or says that it has ended."""
        token = uuid.uuid4().hex
        url = f"{self._host}/?Action=ConfirmSubscription&TopicArn={self.arn}&Token={token}"
        words = f"You have chosen to subscribe to the topic {self.arn}."
        return self.signed({"Type": kind, "Message": words, "Token": token, "SubscribeURL": url})

    def signed(self, fields: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        """Headers and body of a message with these fields, over what SNS says by itself."""
        message = {
            "MessageId": str(uuid.uuid4()),
            "TopicArn": self.arn,
            "Timestamp": self.clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": self.signature_version,
            "SigningCertURL": f"{self._host}/SimpleNotificationService-{uuid.UUID(int=0).hex}.pem",
            **fields,
        }
        signature = new_key(self.key).sign(text_to_sign(message), padding.PKCS1v15(), _HASHES[self.signature_version])
        body = json.dumps({**message, "Signature": base64.b64encode(signature).decode()}, indent=2)
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-Amz-Sns-Message-Type": message["Type"],
            "X-Amz-Sns-Topic-Arn": self.arn,
        }
        return headers, body.encode()

    @property
    def _host(self) -> str:
        return f"https://sns.{self.arn.split(':')[3]}.amazonaws.com"

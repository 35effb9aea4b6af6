"""What a host says of a send, as parameters of Verify v2: nothing that the instance's settings do not name, but the client's address.

Sources: the references of Verify's "create a verification" and "check a verification", and "Verify transactions for PSD2".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from otp_twilio.settings import CLIENT, TwilioSettings
from otpcore.providers import Channel, DeliveryRequest, ErrorKind, ProviderError

__all__ = ["TEMPLATE", "payment_of", "said_of"]

TEMPLATE = re.compile(r"HJ[0-9a-fA-F]{32}")
"""The SID of a Verify template."""

_WITH_TEMPLATES = frozenset({Channel.SMS, Channel.CALL})  # reference of Verify, "Templates"
_LONGEST_TAG = 128  # characters of a tag's name or value


def said_of(request: DeliveryRequest, settings: TwilioSettings) -> dict[str, str]:
    """Parameters of a start; those for which the host said nothing are left out, and so are tags that Verify does not take."""
    metadata = request.metadata
    address = request.client_address if settings.device_ip else ""
    known = {**metadata, CLIENT: request.client_address or request.client or ""}
    tags = {name: metadata[name] for name in settings.tags if 0 < len(metadata.get(name, "")) <= _LONGEST_TAG}
    counted = {limit: known[name] for limit, name in settings.rate_limits.items() if known.get(name)}
    form = {"DeviceIp": address, "Tags": _json(tags), "RateLimits": _json(counted)}
    if request.channel is Channel.SMS and settings.risk_check is not None:
        form["RiskCheck"] = settings.risk_check.value
    if request.channel in _WITH_TEMPLATES and request.template_id and TEMPLATE.fullmatch(request.template_id):
        form["TemplateSid"] = request.template_id
        filled_in = {name: metadata[name] for name in settings.substitutions if name in metadata}
        form["TemplateCustomSubstitutions"] = _json(filled_in)
    return {name: value for name, value in form.items() if value}


def payment_of(metadata: Mapping[str, str], settings: TwilioSettings) -> dict[str, str]:
    """Payee and amount, which a service for payments (PSD2) wants at each start and each check; none for any other service.

    Raises:
        ProviderError: ``misconfigured``; the host did not say them. Verify would refuse (60206).
    """
    if not settings.psd2:
        return {}
    payment = {"Payee": metadata.get("payee", ""), "Amount": metadata.get("amount", "")}
    if not all(payment.values()):
        raise ProviderError(
            ErrorKind.MISCONFIGURED,
            "the Verify service is for payments (PSD2), and the send names no payee or no amount",
            fix='pass metadata={"payee": ..., "amount": ...} to the send, or send payments alone by this instance',
        )
    return payment


def _json(values: Mapping[str, str]) -> str:
    return json.dumps(values) if values else ""

"""Why nobody serves a send, as the error that says what to set or to leave out."""

from __future__ import annotations

from otpcore.errors import NoRouteError
from otpcore.models import Channel
from otpcore.phone.numbers import PhoneNumber
from otpcore.routing import rule_setting
from otpcore.service.routes import Asked, Rules

__all__ = ["why_nobody"]


def why_nobody(rules: Rules, phone: PhoneNumber, channel: Channel, asked: Asked) -> NoRouteError:
    """The error for a send that no instance of the rules serves, or none that can carry what it asks for."""
    if not rules.covers(channel):
        others = "" if channel in (Channel.SMS, Channel.CALL) else ", and no instance of those for SMS can do it"
        fix = f'set {rule_setting(channel)}, such as "twilio;mada:+35987"'
        return NoRouteError(f"there are no routing rules for {channel}{others}; {fix}", reason="no_rules")
    if drained := rules.drained_of(phone, channel, asked):
        names = ", ".join(drained)
        return NoRouteError(
            f"nothing was sent to {phone.masked} by {channel}: an operator has drained {names}. "
            f"Fix: `otp instances take-back {drained[0]}`, or name another provider in the routing rules",
            reason="drained",
        )
    unfit = rules.unfit(phone, channel, asked)
    if not unfit:
        return NoRouteError(
            f"no provider of the routing rules serves {phone.masked} by {channel}; see otp routes explain"
        )
    why = "; ".join(f"{name} cannot carry {what}" for name, what in unfit.items())
    return NoRouteError(
        f"nothing was sent to {phone.masked} by {channel}: {why}. Fix: send without it, or name a provider in the routing "
        "rules that carries it; `otp routes explain` says who is left out",
        reason="cannot_carry",
    )

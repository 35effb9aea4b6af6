"""Why nobody serves a send, as the error that says what to set or to leave out."""

from __future__ import annotations

from otpcore.errors import NoRouteError
from otpcore.models import Channel
from otpcore.phone.numbers import PhoneNumber
from otpcore.routing import rule_setting
from otpcore.service.routes import Needs, Rules

__all__ = ["command_over", "why_nobody"]


def why_nobody(rules: Rules, phone: PhoneNumber, channel: Channel, needs: Needs) -> NoRouteError:
    """The error for a send that no instance of the rules serves, or none that can carry what it asks for."""
    if not rules.covers(channel):
        others = "" if channel in (Channel.SMS, Channel.CALL) else ", and no instance of those for SMS can do it"
        fix = f'set {rule_setting(channel)}, such as "twilio;mada:+35987"'
        instead = _instead(rules, phone, channel, needs)
        way = f". Fix: {instead}, or {fix}" if instead else f"; {fix}"
        return NoRouteError(f"there are no routing rules for {channel}{others}{way}", reason="no_rules")
    if drained := rules.drained_of(phone, channel, needs):
        names = ", ".join(drained)
        return NoRouteError(
            f"nothing was sent to {phone.masked} by {channel}: an operator has drained {names}. "
            f"Fix: `otp instances take-back {drained[0]}`, or name another provider in the routing rules",
            reason="drained",
        )
    unfit = rules.unfit(phone, channel, needs)
    if not unfit:
        instead = _instead(rules, phone, channel, needs)
        way = f". Fix: {instead}, or see `otp routes explain PHONE`" if instead else "; see otp routes explain"
        return NoRouteError(f"no provider of the routing rules serves {phone.masked} by {channel}{way}")
    why = "; ".join(f"{name} cannot carry {what}" for name, what in unfit.items())
    return NoRouteError(
        f"nothing was sent to {phone.masked} by {channel}: {why}. Fix: send without it, or name a provider in the routing "
        "rules that carries it; `otp routes explain` says who is left out",
        reason="cannot_carry",
    )


def command_over(channel: Channel) -> str:
    """The command that sends over a channel."""
    if channel is Channel.CALL:
        return "otp call PHONE"
    return "otp send PHONE" if channel is Channel.SMS else f"otp send PHONE --channel {channel}"


def _instead(rules: Rules, phone: PhoneNumber, channel: Channel, needs: Needs) -> str:
    """How the number is reached over another channel; empty where it is not, too."""
    served = (one for one in rules.channels if one != channel and rules.route(phone, one, needs).candidates)
    return ", ".join(f'send over {one} (channel="{one}", `{command_over(one)}`)' for one in served)

"""What each ``commandStatus`` of the gateway means for a send, as a table of data.

The numbers are the SMPP 3.4 and 5.0 command statuses in decimal, and two of the vendor's own (1035, 1036); these 57
are all that Mada has named. How they map to ``ErrorKind`` follows from what the service then does:

- ``unavailable``: the gateway says that it could not take the message now. It may be tried here again.
- ``ambiguous``: 255, "unknown error", and every number that is not listed: nobody knows whether a message left.
  One repeat at most, then another instance.
- ``misconfigured``: everything that would be refused again as it is: credentials, credit, sender and address types, and
  also what the gateway finds wrong with the request or the message. Not tried here again, the next instance is, and an
  operator hears of it. That the text is too long (1) or cannot be encoded (260) belongs here: another gateway may split
  or encode it, and somebody has to mend the template or ``unicode``. So do 101 and 102: the gateway's receiver refuses
  for good without blaming the number.
- ``rejected_number``: 11, and 1036, "destination blocked". The only published text of 1036 is that of a gateway which
  delivers to chosen numbers only. It is about the number at this channel, and says neither that the person opted out
  nor that fraud was suspected, so it is not ``blocked``; a call may still reach the number.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from otpcore.providers import ErrorKind

__all__ = ["ACCEPTED", "COMMAND_STATUSES", "CommandStatus"]

ACCEPTED = 0
"""The only ``commandStatus`` that is a success."""


@attrs.frozen
class CommandStatus:
    """One ``commandStatus``.

    Args:
        name: Its name in SMPP.
        kind: What it means for the send; None where the message was accepted.
        meaning: In our words, with the setting that mends it where there is one.
    """

    name: str
    kind: ErrorKind | None
    meaning: str


_AMBIGUOUS = ErrorKind.AMBIGUOUS
_MISCONFIGURED = ErrorKind.MISCONFIGURED
_REJECTED = ErrorKind.REJECTED_NUMBER
_THROTTLED = ErrorKind.THROTTLED
_UNAVAILABLE = ErrorKind.UNAVAILABLE

COMMAND_STATUSES: Mapping[int, CommandStatus] = {
    0: CommandStatus("ESME_ROK", None, "accepted"),
    1: CommandStatus("ESME_RINVMSGLEN", _MISCONFIGURED, "the message is too long; shorten the template"),
    2: CommandStatus("ESME_RINVCMDLEN", _MISCONFIGURED, "bad command length"),
    3: CommandStatus("ESME_RINVCMDID", _MISCONFIGURED, "command unknown or not supported"),
    4: CommandStatus("ESME_RINVBNDSTS", _MISCONFIGURED, "the gateway's SMPP session does not allow sending"),
    5: CommandStatus("ESME_RALYBND", _MISCONFIGURED, "the gateway's SMPP session is bound already"),
    6: CommandStatus("ESME_RINVPRTFLG", _MISCONFIGURED, "bad priority flag"),
    7: CommandStatus("ESME_RINVREGDLVFLG", _MISCONFIGURED, "bad delivery receipt flag; check registered_delivery"),
    8: CommandStatus("ESME_RSYSERR", _UNAVAILABLE, "system error"),
    10: CommandStatus("ESME_RINVSRCADR", _MISCONFIGURED, "the sender was refused; check source_name"),
    11: CommandStatus("ESME_RINVDSTADR", _REJECTED, "the number was refused"),
    12: CommandStatus("ESME_RINVMSGID", _MISCONFIGURED, "bad message id"),
    13: CommandStatus("ESME_RBINDFAIL", _MISCONFIGURED, "bind failed; check username and password"),
    14: CommandStatus("ESME_RINVPASWD", _MISCONFIGURED, "bad password; check password"),
    15: CommandStatus("ESME_RINVSYSID", _MISCONFIGURED, "bad system id; check username"),
    17: CommandStatus("ESME_RCANCELFAIL", _MISCONFIGURED, "cancelling failed"),
    19: CommandStatus("ESME_RREPLACEFAIL", _MISCONFIGURED, "replacing failed"),
    20: CommandStatus("ESME_RMSGQFUL", _UNAVAILABLE, "the message queue is full"),
    21: CommandStatus("ESME_RINVSERTYP", _MISCONFIGURED, "bad service type"),
    51: CommandStatus("ESME_RINVNUMDESTS", _MISCONFIGURED, "bad number of destinations"),
    52: CommandStatus("ESME_RINVDLNAME", _MISCONFIGURED, "bad name of a distribution list"),
    64: CommandStatus("ESME_RINVDESTFLAG", _MISCONFIGURED, "bad destination flag"),
    66: CommandStatus("ESME_RINVSUBREP", _MISCONFIGURED, "bad request to submit with replacement"),
    67: CommandStatus("ESME_RINVESMCLASS", _MISCONFIGURED, "bad ESM class"),
    68: CommandStatus("ESME_RCNTSUBDL", _MISCONFIGURED, "cannot submit to a distribution list"),
    69: CommandStatus("ESME_RSUBMITFAIL", _MISCONFIGURED, "the gateway refused to submit the message"),
    72: CommandStatus("ESME_RINVSRCTON", _MISCONFIGURED, "bad type of the sender; check source_ton"),
    73: CommandStatus("ESME_RINVSRCNPI", _MISCONFIGURED, "bad numbering plan of the sender; check source_npi"),
    80: CommandStatus("ESME_RINVDSTTON", _MISCONFIGURED, "bad type of the recipient; check destination_ton"),
    81: CommandStatus("ESME_RINVDSTNPI", _MISCONFIGURED, "bad numbering plan of the recipient; check destination_npi"),
    83: CommandStatus("ESME_RINVSYSTYP", _MISCONFIGURED, "bad system type"),
    84: CommandStatus("ESME_RINVREPFLAG", _MISCONFIGURED, "bad replace-if-present flag"),
    85: CommandStatus("ESME_RINVNUMMSGS", _MISCONFIGURED, "bad number of messages"),
    88: CommandStatus("ESME_RTHROTTLED", _THROTTLED, "too many messages"),
    97: CommandStatus("ESME_RINVSCHED", _MISCONFIGURED, "bad scheduled delivery time"),
    98: CommandStatus("ESME_RINVEXPIRY", _MISCONFIGURED, "bad validity period; check validity_period"),
    99: CommandStatus("ESME_RINVDFTMSGID", _MISCONFIGURED, "predefined message not found"),
    100: CommandStatus("ESME_RX_T_APPN", _UNAVAILABLE, "temporary error at the gateway's receiver"),
    101: CommandStatus("ESME_RX_P_APPN", _MISCONFIGURED, "permanent error at the gateway's receiver"),
    102: CommandStatus("ESME_RX_R_APPN", _MISCONFIGURED, "the gateway's receiver rejected the message"),
    103: CommandStatus("ESME_RQUERYFAIL", _MISCONFIGURED, "querying a message failed"),
    192: CommandStatus("ESME_RINVOPTPARSTREAM", _MISCONFIGURED, "error in the optional part of the PDU"),
    193: CommandStatus("ESME_ROPTPARNOTALLWD", _MISCONFIGURED, "optional parameter not allowed"),
    194: CommandStatus("ESME_RINVPARLEN", _MISCONFIGURED, "bad length of a parameter"),
    195: CommandStatus("ESME_RMISSINGOPTPARAM", _MISCONFIGURED, "an optional parameter is missing"),
    196: CommandStatus("ESME_RINVOPTPARAMVAL", _MISCONFIGURED, "bad value of an optional parameter"),
    254: CommandStatus("ESME_RDELIVERYFAILURE", _UNAVAILABLE, "the gateway failed to pass the message on"),
    255: CommandStatus("ESME_RUNKNOWNERR", _AMBIGUOUS, "unknown error"),
    256: CommandStatus("ESME_RSERTYPUNAUTH", _MISCONFIGURED, "the account may not use this service type"),
    257: CommandStatus("ESME_RPROHIBITED", _MISCONFIGURED, "the account may not do this"),
    258: CommandStatus("ESME_RSERTYPUNAVAIL", _MISCONFIGURED, "the service type is not available"),
    259: CommandStatus("ESME_RSERTYPDENIED", _MISCONFIGURED, "the service type is denied"),
    260: CommandStatus("ESME_RINVDCS", _MISCONFIGURED, "the text cannot be encoded; check unicode and the template"),
    261: CommandStatus("ESME_RINVSRCADDRSUBUNIT", _MISCONFIGURED, "bad sub-unit of the sender"),
    262: CommandStatus("ESME_RINVDSTADDRSUBUNIT", _MISCONFIGURED, "bad sub-unit of the recipient"),
    1035: CommandStatus("0x40B", _MISCONFIGURED, "not enough credit"),
    1036: CommandStatus("0x40C", _REJECTED, "the gateway does not deliver to this number"),
}
"""By the number in ``commandStatus``. What is not here is ``ambiguous``."""

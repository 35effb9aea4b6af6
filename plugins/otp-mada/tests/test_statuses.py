"""The table of command statuses against figures written down on their own (SMPP 3.4 §5.1.3, SMPP 5.0 §4.7.6)."""

from __future__ import annotations

import pytest
from otp_mada.statuses import COMMAND_STATUSES

from otpcore.providers import ErrorKind

NAMED_BY_THE_VENDOR = (
    *range(9), *range(10, 16), 17, 19, 20, 21, 51, 52, 64, *range(66, 70), 72, 73, 80, 81, 83, 84, 85, 88, 97, 98, 99,
    *range(100, 104), *range(192, 197), *range(254, 263), 1035, 1036,
)  # fmt: skip
NOT_MISCONFIGURED = {
    0: None,
    8: ErrorKind.UNAVAILABLE,
    11: ErrorKind.REJECTED_NUMBER,
    20: ErrorKind.UNAVAILABLE,
    88: ErrorKind.THROTTLED,
    100: ErrorKind.UNAVAILABLE,
    254: ErrorKind.UNAVAILABLE,
    255: ErrorKind.AMBIGUOUS,
    1036: ErrorKind.REJECTED_NUMBER,
}
SMPP_VALUES = {
    "ESME_RINVMSGLEN": 0x01,
    "ESME_RSYSERR": 0x08,
    "ESME_RINVDSTADR": 0x0B,
    "ESME_RMSGQFUL": 0x14,
    "ESME_RSUBMITFAIL": 0x45,
    "ESME_RTHROTTLED": 0x58,
    "ESME_RX_T_APPN": 0x64,
    "ESME_RDELIVERYFAILURE": 0xFE,
    "ESME_RUNKNOWNERR": 0xFF,
    "ESME_RINVDCS": 0x104,
    "0x40B": 0x40B,
    "0x40C": 0x40C,
}


def test_all_57_statuses_of_the_vendor_are_known_and_no_other():
    assert len(NAMED_BY_THE_VENDOR) == 57
    assert sorted(COMMAND_STATUSES) == list(NAMED_BY_THE_VENDOR)


@pytest.mark.parametrize("status", NAMED_BY_THE_VENDOR)
def test_only_what_may_pass_by_itself_is_tried_here_again(status):
    assert COMMAND_STATUSES[status].kind is NOT_MISCONFIGURED.get(status, ErrorKind.MISCONFIGURED)


def test_names_stand_at_their_smpp_numbers():
    numbers = {status.name: number for number, status in COMMAND_STATUSES.items()}
    assert {name: numbers[name] for name in SMPP_VALUES} == SMPP_VALUES
    assert len(numbers) == len(COMMAND_STATUSES)

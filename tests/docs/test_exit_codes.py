"""The reference lists beside each exit code the errors and reasons that end a command with it."""

from __future__ import annotations

import re
from pathlib import Path

import otpcore.errors
from otpcore.cli.exits import MEANINGS, explain
from otpcore.errors import ANSWERS, ErrorKind, NoRouteError, OTPError, ProviderError, known_as
from otpcore.models import UnsendableReason
from otpcore.operator.fixes import error_of_end

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "exit-codes.md"


def _table() -> dict[int, list[str]]:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \|([^|]*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {int(code): re.findall(r"`(\w+)`", reasons) for code, reasons in rows}


def _error(kind: type[OTPError], reason: str) -> OTPError:
    if kind is NoRouteError:
        return NoRouteError("no", reason=reason)
    return ProviderError(ErrorKind.UNAVAILABLE) if kind is ProviderError else kind(reason)


def test_every_reason_stands_beside_the_exit_code_with_which_it_ends_a_command() -> None:
    expected: dict[int, list[str]] = {int(code): [] for code in MEANINGS}
    for kind, reason in ANSWERS:
        if kind != "ReceiptRefused":  # the command line takes none
            error = _error(getattr(otpcore.errors, kind), reason)
            assert known_as(error) == (kind, reason)
            expected[int(explain(error).code)].append(reason or kind)
    assert _table() == {code: list(dict.fromkeys(those)) for code, those in expected.items()}


def test_a_send_whose_retries_ended_so_ends_with_the_same_code() -> None:
    table = _table()
    for reason in UnsendableReason:
        error = error_of_end(reason)
        assert known_as(error)[1] in table[int(explain(error).code)]

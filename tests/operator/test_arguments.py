"""What an operator's methods are given is checked at the edge: whatever it is, the answer is a result or an error of ours."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from otpcore import AsyncOperator, AsyncOTPService, InvalidArgument, OTPConfigurationError, OTPError, SettingsError
from otpcore.testing import Outbox

from .scenes import BY, PHONE, on_file
from .test_twins import GROUPS_OF_METHODS, group, methods

NOW = datetime.now(UTC)

JUNK = (
    None,
    True,
    0,
    -1,
    5,
    2.5,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "nothing of ours",
    "\0",
    "\ud800",
    b"sms",
    [],
    ["x"],
    {"x": 1},
    object(),
    timedelta(seconds=5),
    NOW,
    datetime(2026, 11, 30),  # noqa: DTZ001 - one without a zone is the point
    datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
)

GIVEN = {"phone": PHONE, "rules": "Outbox", "since": NOW, "target": PHONE, "prefix": "+35987", "number": 1, "name": "x"}
GIVEN |= {"challenge_id": "6b0dac48a52282f0f1b47cb0cb5147c2d097d470", **BY}
"""What a method needs beside the argument that is tried."""


def calls(operator: AsyncOperator) -> Iterator[tuple[str, Any, inspect.Signature]]:
    for name, signature in methods(AsyncOperator).items():
        if name != "from_settings":
            yield name, getattr(operator, name), signature
    for of in GROUPS_OF_METHODS:
        for name, signature in methods(group(AsyncOperator, of)).items():
            yield f"{of}.{name}", getattr(getattr(operator, of), name), signature


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_that_is_given_ends_in_an_error_of_somebody_else(otp_outbox: Outbox, tmp_path: Path) -> None:
    wrong = []
    async with otp_outbox.service(on_file(tmp_path)) as otp:
        await otp.send_sms(PHONE)
        for path, method, signature in calls(otp.operator):
            tried = [name for name in signature.parameters if name not in {"self", "online"}]
            needed = {
                name: GIVEN[name]
                for name, parameter in signature.parameters.items()
                if name != "self" and parameter.default is parameter.empty
            }
            for name in tried:
                for junk in JUNK:
                    try:
                        await method(**{**needed, name: junk})
                    except (OTPError, OTPConfigurationError):
                        pass
                    except Exception as error:  # noqa: BLE001 - it is what the test looks for
                        wrong.append(f"{path}({name}={junk!r}): {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return on_file(tmp_path)


@pytest.mark.parametrize("name", ["limit", "below"])
@pytest.mark.parametrize("value", ["5", 0.5, True, -1])
async def test_a_number_that_is_none_is_no_answer_of_the_store(
    otp_outbox: Outbox, settings: dict[str, Any], name: str, value: Any
) -> None:
    async with otp_outbox.service(settings) as otp:
        with pytest.raises(InvalidArgument, match=f"^{name}: must be a whole number"):
            await otp.operator.audit(**{name: value})


async def test_a_time_that_ends_before_it_begins_lists_nothing_and_says_so(
    otp_outbox: Outbox, settings: dict[str, Any]
) -> None:
    before = {"since": NOW, "until": NOW - timedelta(hours=1)}
    async with otp_outbox.service(settings) as otp:
        for ask in (otp.operator.challenges.list, otp.operator.deliveries.list, otp.operator.series):
            with pytest.raises(InvalidArgument, match="until: is before since"):
                await ask(**before)


async def test_an_instance_is_found_however_rules_write_it(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    async with otp_outbox.service(settings) as otp:
        await otp.send_sms(PHONE)
        for name in ("outbox", "Outbox", "OUTBOX"):
            assert len((await otp.operator.deliveries.list(instance=name)).items) == 1
            assert len((await otp.operator.challenges.list(instance=name)).items) == 1


@pytest.mark.parametrize(
    ("listed", "asked"),
    [("deliveries", {"prefix": "35987"}), ("deliveries", {"prefix": "BG"}), ("challenges", {"app": "my shop"})],
)
async def test_what_no_row_could_have_is_refused(
    otp_outbox: Outbox, settings: dict[str, Any], listed: str, asked: dict[str, str]
) -> None:
    (name,) = asked
    async with otp_outbox.service(settings) as otp:
        with pytest.raises(InvalidArgument, match=f"^{name}: "):
            await getattr(otp.operator, listed).list(**asked)


async def test_what_is_neither_an_id_nor_a_number_is_called_so(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    async with otp_outbox.service(settings) as otp:
        with pytest.raises(InvalidArgument, match="neither the id of a challenge nor a phone number"):
            await otp.operator.challenges.show("nope")
        for nobody in ("", "unknown"):
            with pytest.raises(InvalidArgument, match=r"^client: names nobody"):
                await otp.operator.limits.show(client=nobody)


async def test_rules_that_leave_nobody_are_not_stored(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    async with otp_outbox.service({**settings, "providers": {"outbox": {}}}) as otp:
        for method, more in ((otp.operator.routes.validate, {}), (otp.operator.routes.set, BY)):
            with pytest.raises(SettingsError, match="no instance of these rules can send over whatsapp"):
                await method("Outbox", "whatsapp", **more)
        assert await otp.operator.routes.history("whatsapp") == ()


async def test_no_rules_are_shown_that_hold_a_whole_number(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    otp: AsyncOTPService
    async with otp_outbox.service(settings) as otp:
        with pytest.raises(InvalidArgument, match="whole number") as refused:
            await otp.operator.routes.validate(f"Outbox:{PHONE}")
        assert PHONE not in str(refused.value)

"""Checking codes: what counts as right, wrong and gone."""

from __future__ import annotations

import httpx
import pytest
from otp_sinch.simulator import SinchSimulator

from otpcore.providers import Channel, CheckResult, ErrorKind, ProviderError
from otpcore.simulators import Fault, SimulatedAnswer

APPROVED, INCORRECT, GONE = CheckResult.APPROVED, CheckResult.INCORRECT, CheckResult.GONE
INVALID = SimulatedAnswer.json(404, {"errorCode": 40400, "message": "Invalid identity or code."})


async def sent(bench, sinch, **delivery):
    """A delivery, its reference and the code that arrived."""
    request = bench.delivery(**delivery)
    receipt = await (sinch.send_sms if request.channel is Channel.SMS else sinch.call)(request)
    return request, receipt.reference, bench.code if bench.simulator.inbox else ""


@pytest.mark.parametrize(("channel", "method"), [(Channel.SMS, "sms"), (Channel.CALL, "callout")])
async def test_the_code_that_arrived_is_right_once(bench, channel, method):
    async with bench.instance() as sinch:
        delivery, reference, code = await sent(bench, sinch, channel=channel)
        assert await sinch.check_code(bench.check(delivery, reference, code)) is APPROVED
        assert await sinch.check_code(bench.check(delivery, reference, code)) is GONE
    report = bench.simulator.requests[1]
    assert (report.method, report.path) == ("PUT", f"/verification/v1/verifications/id/{reference}")
    assert report.json() == {"method": method, method: {"code": code}}


async def test_wrong_codes_are_incorrect_and_the_right_one_still_works(bench, wrong):
    async with bench.instance() as sinch:
        delivery, reference, code = await sent(bench, sinch)
        for _ in range(3):
            assert await sinch.check_code(bench.check(delivery, reference, wrong(code))) is INCORRECT
        assert await sinch.check_code(bench.check(delivery, reference, code)) is APPROVED


async def test_every_wrong_code_is_incorrect_until_sinch_gives_up_and_then_the_right_one_is_gone(bench, wrong):
    async with bench.instance() as sinch:
        delivery, reference, code = await sent(bench, sinch)
        for _ in range(bench.simulator.wrong_codes):
            assert await sinch.check_code(bench.check(delivery, reference, wrong(code))) is INCORRECT
        assert await sinch.check_code(bench.check(delivery, reference, code)) is GONE


async def test_the_code_works_until_the_challenge_ends_and_is_gone_then(bench):
    async with bench.instance() as sinch:
        delivery, reference, _ = await sent(bench, sinch, life=60.5)
        bench.clock.advance(60.4)
        assert await sinch.check_code(bench.check(delivery, reference, "0")) is INCORRECT
        bench.clock.advance(0.6)
        assert await sinch.check_code(bench.check(delivery, reference, bench.code)) is GONE


async def test_a_newer_start_replaces_the_older_one(bench):
    async with bench.instance() as sinch:
        old_delivery, old_reference, old_code = await sent(bench, sinch)
        delivery, reference, code = await sent(bench, sinch, channel=Channel.CALL)
        assert await sinch.check_code(bench.check(old_delivery, old_reference, old_code)) is GONE
        assert await sinch.check_code(bench.check(delivery, reference, old_code)) is INCORRECT
        assert await sinch.check_code(bench.check(delivery, reference, code)) is APPROVED


async def test_an_sms_that_sinch_could_not_deliver_is_gone(bench):
    async with bench.instance() as sinch:
        delivery, reference, _ = await sent(bench, sinch, number="+46701740622")
        assert await sinch.check_code(bench.check(delivery, reference, "1234")) is GONE


@pytest.mark.parametrize("reference", ["11111111-2222-3333-4444-555555555555", "a b+c?d#e/../number/+46701740605"])
async def test_a_verification_that_sinch_does_not_know_is_gone_and_cannot_leave_its_path(bench, reference):
    async with bench.instance() as sinch:
        await sent(bench, sinch)
        assert await sinch.check_code(bench.check(bench.delivery(), reference, bench.code)) is GONE


async def test_a_start_whose_answer_was_lost_is_checked_by_our_reference(bench, wrong):
    async with bench.instance() as sinch:
        delivery = bench.delivery()
        bench.simulator.fail(Fault.RESET_AFTER_WORK)
        with pytest.raises(ProviderError):
            await sinch.send_sms(delivery)
        assert await sinch.check_code(bench.check(delivery, "", wrong(bench.code))) is INCORRECT
        assert await sinch.check_code(bench.check(delivery, "", bench.code)) is APPROVED
        assert await sinch.check_code(bench.check(delivery, "", bench.code)) is GONE
    assert [request.method for request in bench.simulator.requests] == [
        "POST",
        *("GET", "PUT", "GET"),
        "GET",
        "PUT",
        "GET",
    ]


async def test_a_start_that_never_arrived_does_not_let_an_older_verification_of_the_number_in(bench):
    async with bench.instance() as sinch:
        await sent(bench, sinch, purpose="login")
        lost = bench.delivery(purpose="payment")
        bench.simulator.fail(Fault.RESET_AFTER_READ)
        with pytest.raises(ProviderError):
            await sinch.send_sms(lost)
        assert await sinch.check_code(bench.check(lost, "", bench.code)) is GONE


async def test_a_right_report_whose_answer_was_lost_is_no_verdict_and_gone_afterwards(bench, wrong):
    async with bench.instance() as sinch:
        delivery, reference, code = await sent(bench, sinch)
        bench.simulator.fail(Fault.RESET_AFTER_WORK)
        with pytest.raises(ProviderError) as failure:
            await sinch.check_code(bench.check(delivery, reference, code))
        assert failure.value.kind is ErrorKind.AMBIGUOUS
        assert await sinch.check_code(bench.check(delivery, reference, code)) is GONE
        assert await sinch.check_code(bench.check(delivery, reference, wrong(code))) is GONE


@pytest.mark.parametrize("fault", [Fault.RESET_AFTER_READ, Fault.CLOSE_AFTER_READ, Fault.HTTP_500, Fault.HTTP_503])
async def test_a_report_that_is_not_answered_is_an_error_and_was_sent_once(bench, fault):
    async with bench.instance() as sinch:
        delivery, reference, code = await sent(bench, sinch)
        bench.simulator.fail(fault)
        with pytest.raises(ProviderError) as failure:
            await sinch.check_code(bench.check(delivery, reference, code))
    assert [request.method for request in bench.simulator.requests] == ["POST", "PUT"]
    assert code not in str(failure.value)


async def test_a_look_up_that_is_not_answered_is_an_error(bench):
    async with bench.instance() as sinch:
        delivery, _, code = await sent(bench, sinch)
        bench.simulator.fail(Fault.HTTP_503)
        with pytest.raises(ProviderError):
            await sinch.check_code(bench.check(delivery, "", code))
        assert await sinch.check_code(bench.check(delivery, "", code)) is APPROVED


class Scripted(SinchSimulator):
    """Answers reports and status queries as a test says."""

    report = INVALID
    status = INVALID

    def handle(self, request):
        return {"PUT": self.report, "GET": self.status}.get(request.method) or super().handle(request)


@pytest.fixture
def scripted():
    with Scripted() as simulator:
        yield simulator


@pytest.mark.parametrize(
    "report",
    [
        INVALID,
        SimulatedAnswer.json(400, {"errorCode": 40003, "message": "Invalid identity or code"}),
        SimulatedAnswer.json(200, {"errorCode": "40400", "message": "INVALID IDENTITY OR CODE."}),
        SimulatedAnswer.json(400, {"errorCode": 40001, "message": "The SMS code is not valid. Maximum 10 characters."}),
    ],
)
@pytest.mark.parametrize(
    "status",
    [
        INVALID,
        SimulatedAnswer.json(200, {"id": "x", "status": "PENDING"}),
        SimulatedAnswer.json(404, {"errorCode": 40400, "message": "Resource not found."}),
        SimulatedAnswer.json(200, {}),
        SimulatedAnswer.empty(500),
        SimulatedAnswer(200, b"nonsense"),
    ],
)
async def test_invalid_identity_or_code_counts_as_wrong_unless_sinch_says_that_it_is_over(
    bench, scripted, report, status
):
    bench.simulator, scripted.report, scripted.status = scripted, report, status
    async with bench.instance(clock=scripted.clock) as sinch:
        assert await sinch.check_code(bench.check(bench.delivery(), "x", "1234")) is INCORRECT


async def test_invalid_identity_or_code_counts_as_wrong_when_the_status_cannot_be_asked(bench):
    def answer(request):
        if request.method == "GET":
            raise httpx.ReadError("reset")
        return httpx.Response(INVALID.status, content=INVALID.body)

    async with bench.instance(transport=httpx.MockTransport(answer)) as sinch:
        assert await sinch.check_code(bench.check(bench.delivery(), "x", "1234")) is INCORRECT


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        ("FAIL", "Expired", GONE),
        ("FAIL", "Invalid code", GONE),
        ("SUCCESSFUL", "", GONE),
        ("ABORTED", "", GONE),
        ("DENIED", "Fraud", GONE),
        ("ERROR", "Internal error", GONE),
    ],
)
async def test_invalid_identity_or_code_is_gone_where_sinch_says_that_it_is_over(
    bench, scripted, status, reason, verdict
):
    bench.simulator = scripted
    scripted.status = SimulatedAnswer.json(200, {"id": "x", "status": status, "reason": reason})
    async with bench.instance(clock=scripted.clock) as sinch:
        assert await sinch.check_code(bench.check(bench.delivery(), "x", "1234")) is verdict


@pytest.mark.parametrize(
    "report",
    [
        SimulatedAnswer.json(200, {"id": "x"}),
        SimulatedAnswer.json(200, ["SUCCESSFUL"]),
        SimulatedAnswer(200, b"SUCCESSFUL"),
        SimulatedAnswer.json(403, {"errorCode": 40300, "message": "Forbidden", "status": "SUCCESSFUL"}),
        SimulatedAnswer.json(500, {"status": "SUCCESSFUL"}),
        SimulatedAnswer.json(200, {"errorCode": 50000, "status": "SUCCESSFUL"}),
    ],
)
async def test_only_a_proper_answer_can_approve(bench, scripted, report):
    bench.simulator, scripted.report = scripted, report
    async with bench.instance(clock=scripted.clock) as sinch:
        with pytest.raises(ProviderError):
            await sinch.check_code(bench.check(bench.delivery(), "x", "1234"))


BARE = SimulatedAnswer.empty(404)
UNKNOWN = SimulatedAnswer.json(404, {"errorCode": 40400, "message": "Resource not found."})
PENDING = SimulatedAnswer.json(200, {"id": "x", "status": "PENDING"})


@pytest.mark.parametrize(
    ("report", "status", "verdict"),
    [
        (BARE, PENDING, INCORRECT),
        (UNKNOWN, PENDING, INCORRECT),
        (BARE, UNKNOWN, GONE),
        (UNKNOWN, UNKNOWN, GONE),
        (UNKNOWN, SimulatedAnswer.empty(503), GONE),
        (BARE, SimulatedAnswer.json(200, {"id": "x", "status": "FAIL", "reason": "Expired"}), GONE),
    ],
)
async def test_a_404_is_told_apart_by_what_sinch_says_of_the_verification(bench, scripted, report, status, verdict):
    bench.simulator, scripted.report, scripted.status = scripted, report, status
    async with bench.instance(clock=scripted.clock) as sinch:
        assert await sinch.check_code(bench.check(bench.delivery(), "x", "1234")) is verdict


@pytest.mark.parametrize("reference", ["x", ""])
async def test_a_404_of_somebody_else_takes_no_right_code_for_one_that_is_over(bench, scripted, reference):
    bench.simulator, scripted.report, scripted.status = scripted, BARE, BARE
    async with bench.instance(clock=scripted.clock) as sinch:
        with pytest.raises(ProviderError, match="check base_url") as failure:
            await sinch.check_code(bench.check(bench.delivery(), reference, "1234"))
    assert failure.value.kind is ErrorKind.MISCONFIGURED

"""What each answer of the gateway means for the send."""

from __future__ import annotations

import pytest
from otp_mada.answers import receipt_of

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind, ProviderError

HTML = b"<html><body>Bad Gateway</body></html>"
ENVELOPE = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{}</e:Body></e:Envelope>'


def submitted(status: object) -> bytes:
    inner = f"<smResponse><commandStatus>{status}</commandStatus><messageId>7</messageId></smResponse>"
    return ENVELOPE.format(
        f'<SubmitSMResponse xmlns="http://www.openmindnetworks.com/SoS">{inner}</SubmitSMResponse>'
    ).encode()


def fault(code: str, text: str = "no") -> bytes:
    return ENVELOPE.format(
        f"<e:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></e:Fault>"
    ).encode()


def refusal(answer: HttpAnswer) -> ProviderError:
    with pytest.raises(ProviderError) as refused:
        receipt_of(answer)
    return refused.value


@pytest.mark.parametrize("status", [200, 202])
def test_only_command_status_0_in_a_2xx_answer_is_a_receipt(status):
    assert receipt_of(HttpAnswer(status=status, body=submitted(0))).reference == "7"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (302, b"", ErrorKind.MISCONFIGURED, "HTTP 302"),
        (400, HTML, ErrorKind.MISCONFIGURED, "HTTP 400"),
        (401, b"", ErrorKind.MISCONFIGURED, "HTTP 401"),
        (401, submitted(0), ErrorKind.MISCONFIGURED, "HTTP 401"),
        (403, fault("e:Server"), ErrorKind.MISCONFIGURED, "HTTP 403"),
        (404, HTML, ErrorKind.MISCONFIGURED, "HTTP 404"),
        (408, b"", ErrorKind.AMBIGUOUS, "HTTP 408"),
        (415, b"", ErrorKind.MISCONFIGURED, "HTTP 415"),
        (429, b"", ErrorKind.THROTTLED, "HTTP 429"),
        (500, b"", ErrorKind.AMBIGUOUS, "HTTP 500"),
        (500, submitted(0), ErrorKind.AMBIGUOUS, "HTTP 500"),
        (502, HTML, ErrorKind.AMBIGUOUS, "HTTP 502"),
        (503, HTML, ErrorKind.UNAVAILABLE, "HTTP 503"),
        (504, HTML, ErrorKind.AMBIGUOUS, "HTTP 504"),
        (200, HTML, ErrorKind.AMBIGUOUS, ""),
        (200, b"", ErrorKind.AMBIGUOUS, ""),
        (204, b"", ErrorKind.AMBIGUOUS, ""),
        (200, submitted(""), ErrorKind.AMBIGUOUS, ""),
        (200, submitted(88), ErrorKind.THROTTLED, "88"),
        (200, submitted(9), ErrorKind.AMBIGUOUS, "9"),
        (200, submitted(4294967295), ErrorKind.AMBIGUOUS, ""),  # ten digits might be a passcode
        (500, fault("e:Client"), ErrorKind.MISCONFIGURED, "Client"),
        (200, fault("e:Client.Validation"), ErrorKind.MISCONFIGURED, "Client"),
        (400, fault("Client"), ErrorKind.MISCONFIGURED, "Client"),
        (500, fault("e:MustUnderstand"), ErrorKind.MISCONFIGURED, "MustUnderstand"),
        (500, fault("e:VersionMismatch"), ErrorKind.MISCONFIGURED, "VersionMismatch"),
        (500, fault("e:Server"), ErrorKind.AMBIGUOUS, "Server"),
        (500, fault("482913"), ErrorKind.AMBIGUOUS, ""),
    ],
)
def test_an_answer_says_whether_the_message_may_have_left(status, body, kind, code):
    error = refusal(HttpAnswer(status=status, body=body))
    assert (error.kind, error.provider_code) == (kind, code)


@pytest.mark.parametrize("answer", [(429, b""), (503, b""), (200, submitted(88))])
def test_a_wait_that_the_gateway_asks_for_is_passed_on(answer):
    status, body = answer
    assert refusal(HttpAnswer(status=status, body=body, retry_after=7.0)).retry_after == 7.0


@pytest.mark.parametrize(
    "body", [fault("e:Client", "482913 to 359871234567"), submitted("482913 to 359871234567"), b"482913"]
)
def test_nothing_that_the_gateway_quotes_gets_into_an_error(body):
    error = refusal(HttpAnswer(status=200, body=body))
    chain = [error, error.__cause__, error.__context__]
    assert not any(secret in repr(part) + str(part) for part in chain for secret in ("482913", "359871234567"))

"""A simulated AWS whose clock a test moves, instances that talk to it, and those that lend credentials."""

from __future__ import annotations

import json
import os
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from otp_aws import create_provider
from otp_aws.simulator import AwsSimulator

from otpcore.providers import (
    Channel,
    DeliveryRequest,
    OutcomeRequest,
    PhoneNumber,
    ProviderContext,
    ProviderError,
    ReceiptRequest,
)
from otpcore.simulators import SimulatedAnswer, Simulator

NUMBER = "+359871234567"
CODE = "480291"
URL = "https://example.com/receipts/aws"
_PATIENCE = 15.0


class Bench:
    """A running simulator with everything a test asks of an instance."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        simulator.clock = lambda: self.now
        self.deliveries = 0

    def advance(self, **time):
        self.now += timedelta(**time)

    def provider(self, **settings):
        """An instance that has not been started; a setting that is None is left out."""
        values = {**self.simulator.provider_settings(), **self.simulator.topic_settings(), **settings}
        values = {key: value for key, value in values.items() if value is not None}
        return create_provider(
            ProviderContext(instance="aws", settings=values, clock=self.simulator.clock, timeout=_PATIENCE)
        )

    def lent(self):
        """A started instance without keys of its own."""
        return self.instance(access_key_id=None, secret_access_key=None, session_token=None)

    @asynccontextmanager
    async def instance(self, **settings):
        """A started instance."""
        provider = self.provider(**settings)
        async with AsyncExitStack() as stack:
            await provider.start(stack)
            yield provider

    def delivery(self, number=NUMBER, *, channel=Channel.SMS, life=300.0, **other):
        self.deliveries += 1
        return DeliveryRequest(
            delivery_id=f"delivery-{self.deliveries}",
            challenge_id="challenge",
            recipient=PhoneNumber(number),
            channel=channel,
            code=CODE,
            text=f"Your code is {CODE}.",
            deadline=self.now + timedelta(seconds=life),
            idempotency_key="key",
            **other,
        )

    def outcome(self, reference, *, approved):
        return OutcomeRequest(
            challenge_id="challenge",
            delivery_id="delivery-1",
            recipient=PhoneNumber(NUMBER),
            channel=Channel.SMS,
            reference=reference,
            approved=approved,
        )

    def report(self, event="TEXT_DELIVERED", *, message_id="message-1", context=None, **fields):
        """The request in which SNS hands on an event; ``fields`` are of its message, signed with the rest."""
        told = self.simulator.event(event, message_id, recipient=NUMBER, context=context or {})
        headers, body = self.simulator.topic.signed({"Type": "Notification", "Message": json.dumps(told), **fields})
        return ReceiptRequest(url=URL, headers=headers, body=body)

    @property
    def fields(self):
        """The fields of the last request."""
        return self.simulator.requests[-1].json()


class Lender(Simulator):
    """Who lends: each time another secret, which the vendor knows from then on.

    Attributes:
        lent: How often it has.
        life: How long the next one is good.
        changed: Fields of the next answers, over those that belong there; None leaves one out.
    """

    def __init__(self, aws):
        super().__init__()
        self.aws = aws
        self.lent = 0
        self.life = timedelta(hours=6)
        self.changed = {}

    def lend(self, token="Token"):
        self.lent += 1
        self.aws.secret_access_key, self.aws.session_token = f"secret-{self.lent}", f"token-{self.lent}"
        fields = {
            "AccessKeyId": self.aws.access_key_id,
            "SecretAccessKey": self.aws.secret_access_key,
            token: self.aws.session_token,
            "Expiration": (self.aws.clock() + self.life).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **self.changed,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Container(Lender):
    """The address of a container's credentials."""

    path = "/v2/credentials/0f1e2d3c"

    def __init__(self, aws):
        super().__init__(aws)
        self.token = ""

    def handle(self, request):
        shown = request.headers.get("authorization", "")
        if (request.method, request.path, shown) != ("GET", self.path, self.token):
            return SimulatedAnswer.json(403, {"code": "AccessDenied", "message": "no"})
        return SimulatedAnswer.json(200, {"RoleArn": "arn:aws:iam::123456789012:role/otp", **self.lend()})


class Metadata(Lender):
    """The metadata service of an EC2 instance, in version 2 alone. ``role``: of the instance."""

    roles = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, aws):
        super().__init__(aws)
        self.role = "otp-sender"
        self.token = "AQAEAtokenOfTheMetadataService=="
        self.status = 200

    def handle(self, request):
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            seconds = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            fits = seconds.isdecimal() and 1 <= int(seconds) <= 21_600 and "x-forwarded-for" not in request.headers
            return SimulatedAnswer.text(self.status if fits else 400, self.token)
        if request.method != "GET" or request.headers.get("x-aws-ec2-metadata-token") != self.token:
            return SimulatedAnswer.text(401, "Unauthorized")
        if request.path == self.roles and self.role is not None:
            return SimulatedAnswer.text(200, self.role)
        if self.role and request.path == f"{self.roles}{self.role}":
            return SimulatedAnswer.json(200, {"Code": "Success", "Type": "AWS-HMAC", **self.lend()})
        return SimulatedAnswer.text(404, "Not Found")


class Sts(Lender):
    """STS, which lends for the token in ``file``. ``refuses``: status and name of what it answers instead."""

    role = "arn:aws:iam::123456789012:role/otp-sender"
    session = "otpcore-aws"

    def __init__(self, aws, file):
        super().__init__(aws)
        self.file = file
        self.life = timedelta(hours=1)
        self.refuses = None
        self.write("eyJhbGciOiJSUzI1NiJ9.first.signature")

    def write(self, token):
        """Put a new token into the file, as a cluster does."""
        self.token = token
        self.file.write_text(token)

    def handle(self, request):
        form = {name: values[0] for name, values in request.form().items()}
        asked = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": self.role}
        if request.method != "POST" or not form.items() >= asked.items() or "authorization" in request.headers:
            return self.refusal(400, "ValidationError")
        if self.refuses:
            return self.refusal(*self.refuses)
        if form.get("WebIdentityToken") != self.token:
            return self.refusal(400, "InvalidIdentityToken")
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in self.lend("SessionToken").items())
        return SimulatedAnswer.xml(
            200,
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><Credentials>{fields}</Credentials>"
            "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        )

    def refusal(self, status, code):
        return SimulatedAnswer.xml(
            status,
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
            f"<Code>{code}</Code><Message>about {self.token}</Message></Error></ErrorResponse>",
        )


@pytest.fixture(autouse=True)
def _no_credentials_of_this_machine(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):  # which botocore reads
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # this machine may be one


@pytest.fixture
def container(bench, monkeypatch):
    """A container with a role, in which the process runs."""
    with Container(bench.simulator) as lender:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{lender.base_url}{lender.path}")
        yield lender


@pytest.fixture
def metadata(bench, monkeypatch):
    """An EC2 instance with a role, on which the process runs."""
    with Metadata(bench.simulator) as lender:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", lender.base_url)
        yield lender


@pytest.fixture
def sts(bench, monkeypatch, tmp_path):
    """A pod with a web identity, in which the process runs."""
    with Sts(bench.simulator, tmp_path / "web-identity-token") as lender:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(lender.file))
        monkeypatch.setenv("AWS_ROLE_ARN", lender.role)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", lender.base_url)
        yield lender


@pytest.fixture(params=["container", "metadata", "sts"])
def lender(request):
    """Each of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def bench():
    with AwsSimulator() as simulator:
        yield Bench(simulator)


@pytest.fixture
def failure_of():
    """``await failure_of(provider.send_sms(…))``: the error that it must raise."""

    async def catch(awaitable):
        with pytest.raises(ProviderError) as caught:
            await awaitable
        return caught.value

    return catch

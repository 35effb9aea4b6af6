"""Credentials that a container's role lends: asked for where AWS says, kept, and renewed in time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, timedelta

import anyio
import attrs
import pytest
from otp_aws.roles import ContainerRole, Endpoint

from otpcore.providers import ErrorKind, Network, SettingsError
from otpcore.simulators import Fault, SimulatedAnswer, Simulator

PATH = "/v2/credentials/0f1e2d3c"
LIFE = timedelta(hours=6)


class Lender(Simulator):
    """The address of a container's credentials: each answer has a new secret, which the vendor knows from then on."""

    def __init__(self, aws):
        super().__init__()
        self.aws = aws
        self.token = ""
        self.lent = 0
        self.changed = {}

    def handle(self, request):
        if (request.method, request.path) != ("GET", PATH) or request.headers.get("authorization", "") != self.token:
            return SimulatedAnswer.json(403, {"code": "AccessDenied", "message": "no"})
        self.lent += 1
        self.aws.secret_access_key, self.aws.session_token = f"secret-{self.lent}", f"token-{self.lent}"
        answer = {
            "RoleArn": "arn:aws:iam::123456789012:role/otp",
            "AccessKeyId": self.aws.access_key_id,
            "SecretAccessKey": self.aws.secret_access_key,
            "Token": self.aws.session_token,
            "Expiration": (self.aws.clock() + LIFE).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **self.changed,
        }
        return SimulatedAnswer.json(200, {name: value for name, value in answer.items() if value is not None})


@pytest.fixture
def lender(bench, monkeypatch):
    with Lender(bench.simulator) as lender:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{lender.base_url}{PATH}")
        yield lender


def lent(bench):
    """An instance without keys of its own."""
    return bench.instance(access_key_id=None, secret_access_key=None, session_token=None)


async def test_what_is_lent_signs_until_shortly_before_it_ends(bench, lender):
    async with lent(bench) as provider:
        for wait, times in ((0, 1), (60, 1), (5 * 3600 + 53 * 60, 1), (60, 2), (60, 2)):
            bench.advance(seconds=wait)
            await provider.send_sms(bench.delivery())
            assert lender.lent == times
    assert len(bench.simulator.inbox) == 5
    assert bench.simulator.requests[-1].headers["x-amz-security-token"] == "token-2"


async def test_many_sends_at_once_ask_once(bench, lender):
    async with lent(bench) as provider, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(provider.send_sms, bench.delivery())
    assert (len(bench.simulator.inbox), lender.lent) == (5, 1)


@pytest.mark.parametrize("fault", [Fault.HTTP_500, Fault.RESET_AFTER_READ, Fault.GARBAGE_BODY, Fault.REDIRECT])
async def test_without_credentials_nothing_is_sent_and_nothing_in_doubt(bench, lender, failure_of, fault):
    lender.fail(fault)
    async with lent(bench) as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
        assert failure.kind is ErrorKind.UNAVAILABLE
        assert "container's role" in failure.summary
        assert not bench.simulator.requests
        await provider.send_sms(bench.delivery())


async def test_what_cannot_be_renewed_is_used_as_long_as_it_lasts(bench, lender, failure_of):
    async with lent(bench) as provider:
        await provider.send_sms(bench.delivery())
        lender.down()
        bench.advance(seconds=LIFE.total_seconds() - 1)
        await provider.send_sms(bench.delivery())
        bench.advance(seconds=1)
        assert (await failure_of(provider.send_sms(bench.delivery()))).kind is ErrorKind.UNAVAILABLE
    assert len(bench.simulator.inbox) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"AccessKeyId": None},
        {"SecretAccessKey": ""},
        {"Token": 7},
        {"Expiration": None},
        {"Expiration": "soon"},
    ],
)
async def test_an_answer_that_lacks_something_is_none(bench, lender, failure_of, changed):
    lender.changed = changed
    async with lent(bench) as provider:
        assert (await failure_of(provider.send_sms(bench.delivery()))).kind is ErrorKind.UNAVAILABLE


async def test_a_token_is_shown_from_the_environment_or_from_a_file_that_changes(bench, lender, monkeypatch, tmp_path):
    lender.token = "of-the-environment"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", lender.token)
    async with lent(bench) as provider:
        await provider.send_sms(bench.delivery())
    file = tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    async with lent(bench) as provider:
        for lender.token in ("first", "second"):
            file.write_text(f"{lender.token}\n")
            await provider.send_sms(bench.delivery())
            bench.advance(hours=6)
    assert lender.lent == 3


async def test_a_token_that_cannot_be_read_is_said_and_not_where(bench, lender, failure_of, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "missing"))
    async with lent(bench) as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.UNAVAILABLE
    assert "FileNotFoundError" in failure.summary
    assert not lender.requests


async def test_no_proxy_stands_before_an_address_of_this_machine(bench, lender):
    source = bench.provider(access_key_id=None, secret_access_key=None).client.source
    far = attrs.evolve(source.context, network=Network(proxy="http://proxy.example:3128"))
    async with AsyncExitStack() as stack:
        role = ContainerRole(context=far, endpoint=source.endpoint)
        await role.start(stack)
        assert (await role.credentials()).session_token == "token-1"


@pytest.mark.parametrize(
    ("relative", "full", "endpoint"),
    [
        ("/creds/1?x=y", "", Endpoint(base_url="http://169.254.170.2", path="/creds/1?x=y")),
        ("/creds/1", "https://other.example", Endpoint(base_url="http://169.254.170.2", path="/creds/1")),
        ("", "http://169.254.170.23/v1", Endpoint(base_url="http://169.254.170.23", path="/v1")),
        ("", "http://[fd00:ec2::23]/v1", Endpoint(base_url="http://[fd00:ec2::23]", path="/v1")),
        ("", "https://lender.example:8443", Endpoint(base_url="https://lender.example:8443", path="/")),
    ],
)
def test_the_address_is_the_one_of_the_environment(bench, monkeypatch, relative, full, endpoint):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", relative)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", full)
    assert bench.provider(access_key_id=None, secret_access_key=None).client.source.endpoint == endpoint


@pytest.mark.parametrize(
    "full",
    ["http://lender.example/v1", "http://169.254.169.254/v1", "ftp://169.254.170.2/", "http://u:p@127.0.0.1/", "x"],
)
def test_an_address_that_anybody_could_have_is_refused(bench, monkeypatch, full):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", full)
    with pytest.raises(SettingsError, match=r"providers\.aws\.access_key_id: AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        bench.provider(access_key_id=None, secret_access_key=None)


def test_nothing_lent_is_shown(bench, monkeypatch):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0ken")
    provider = bench.provider(access_key_id=None, secret_access_key=None)
    assert "t0ken" not in repr(provider)

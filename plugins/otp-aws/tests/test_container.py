"""Credentials of a container's role: where they are asked for, and what is shown there."""

from __future__ import annotations

from contextlib import AsyncExitStack

import attrs
import pytest
from otp_aws.container import ContainerRole, Endpoint

from otpcore.providers import ErrorKind, Network, SettingsError


async def test_a_token_is_shown_from_the_environment_or_from_a_file_that_changes(
    bench, container, monkeypatch, tmp_path
):
    container.token = "of-the-environment"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", container.token)
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
    file = tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(file))
    async with bench.lent() as provider:
        for container.token in ("first", "second"):
            file.write_text(f"{container.token}\n")
            await provider.send_sms(bench.delivery())
            bench.advance(hours=6)
    assert container.lent == 3


async def test_a_token_that_cannot_be_read_is_said_and_not_where(bench, container, failure_of, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "missing"))
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.UNAVAILABLE
    assert "FileNotFoundError" in failure.summary
    assert not container.requests


async def test_no_proxy_stands_before_an_address_of_this_machine(bench, container):
    source = bench.provider(access_key_id=None, secret_access_key=None).client.source
    far = attrs.evolve(source.context, network=Network(proxy="http://proxy.example:3128"))
    async with AsyncExitStack() as stack:
        role = ContainerRole(context=far, endpoint=source.lender.endpoint)
        await role.start(stack)
        assert (await role.ask()).session_token == "token-1"


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
    assert bench.provider(access_key_id=None, secret_access_key=None).client.source.lender.endpoint == endpoint


@pytest.mark.parametrize(
    "full",
    [
        "http://lender.example/v1",
        "http://169.254.169.254/v1",
        "ftp://169.254.170.2/",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:0/",
        "x",
    ],
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

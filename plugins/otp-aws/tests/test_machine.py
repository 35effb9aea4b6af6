"""The role of an EC2 instance: what its metadata service is asked, and what is wrong where it lends nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from otp_aws.machine import EXTENDED

from otpcore.providers import ErrorKind, SettingsError

NO_KEYS = {"access_key_id": None, "secret_access_key": None}


async def test_version_2_is_spoken_and_nothing_else(bench, metadata):
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
    assert [(one.method, one.path) for one in metadata.requests] == [
        ("PUT", "/latest/api/token"),
        ("GET", metadata.roles),
        ("GET", f"{metadata.roles}otp-sender"),
    ]


@pytest.mark.parametrize(("status", "kind"), [(403, ErrorKind.MISCONFIGURED), (404, ErrorKind.UNAVAILABLE)])
async def test_without_a_token_version_1_is_not_tried(bench, metadata, failure_of, status, kind):
    metadata.status = status
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is kind
    assert f"gave no token (HTTP {status})" in failure.summary
    assert "hop limit of 2" in failure.fix
    assert len(metadata.requests) == 1


@pytest.mark.parametrize("role", [None, ""])
async def test_a_machine_without_a_role_is_said_to_have_none(bench, metadata, failure_of, role):
    metadata.role = role
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.MISCONFIGURED
    assert "the EC2 instance has no role" in failure.summary
    assert failure.fix.startswith("attach an IAM role")


@pytest.mark.parametrize("role", ["../../user-data", "a?b", "<html>"])
async def test_a_role_that_is_none_is_not_asked_for(bench, metadata, failure_of, role):
    metadata.role = role
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.UNAVAILABLE
    assert len(metadata.requests) == 2


async def test_a_role_that_ec2_may_not_take_is_said(bench, metadata, failure_of):
    metadata.changed = {"Code": "AssumeRoleUnauthorizedAccess"}
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.MISCONFIGURED
    assert "ec2.amazonaws.com" in failure.fix


async def test_what_the_service_cannot_renew_is_used_on_and_asked_for_again(bench, metadata, caplog):
    """Static stability: AWS takes credentials for longer than they say while the service cannot renew them."""
    metadata.life = timedelta(seconds=-1)
    async with bench.lent() as provider:
        await provider.send_sms(bench.delivery())
        assert "cannot renew" in caplog.text
        bench.advance(seconds=EXTENDED.total_seconds() / 2)
        metadata.life = timedelta(hours=6)
        await provider.send_sms(bench.delivery())
    assert metadata.lent == 2


def test_it_is_the_last_that_is_asked_and_can_be_forbidden(bench, metadata, monkeypatch):
    assert bench.provider(**NO_KEYS).client.source.lender.base_url == metadata.base_url
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "True")
    with pytest.raises(SettingsError, match="access_key_id: is required"):
        bench.provider(**NO_KEYS)


@pytest.mark.parametrize(
    ("mode", "endpoint", "base_url"),
    [
        ("", "", "http://169.254.169.254"),
        ("IPv4", "", "http://169.254.169.254"),
        ("IPv6", "", "http://[fd00:ec2::254]"),
        ("", "http://169.254.169.254/", "http://169.254.169.254"),
        ("IPv6", "https://metadata.example.com/", "https://metadata.example.com"),
    ],
)
def test_the_address_is_that_of_the_environment(bench, metadata, monkeypatch, mode, endpoint, base_url):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", mode)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
    assert bench.provider(**NO_KEYS).client.source.lender.base_url == base_url


@pytest.mark.parametrize(
    ("name", "value"),
    [("ENDPOINT", "http://metadata.example.com"), ("ENDPOINT", "x"), ("ENDPOINT_MODE", "IPv5")],
)
def test_an_address_that_anybody_could_have_is_refused(bench, metadata, monkeypatch, name, value):
    monkeypatch.setenv(f"AWS_EC2_METADATA_SERVICE_{name}", value)
    with pytest.raises(SettingsError, match=rf"access_key_id: AWS_EC2_METADATA_SERVICE_{name}"):
        bench.provider(**NO_KEYS)

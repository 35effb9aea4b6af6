"""Web identities (IRSA): what STS is asked, and what its refusals mean."""

from __future__ import annotations

import botocore.loaders
import pytest
from otp_aws.web_identity import REFUSALS

from otpcore.providers import ErrorKind, SettingsError

NO_KEYS = {"access_key_id": None, "secret_access_key": None}


async def test_the_token_is_read_again_each_time(bench, sts):
    async with bench.lent() as provider:
        for token in ("first.token", "second.token"):
            sts.write(f"{token}\n")
            sts.token = token
            await provider.send_sms(bench.delivery())
            assert sts.requests[-1].form()["WebIdentityToken"] == [token]
            bench.advance(minutes=56)
    assert sts.lent == 2


async def test_a_token_that_cannot_be_read_is_said_and_not_where(bench, sts, failure_of):
    sts.file.unlink()
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
        assert failure.kind is ErrorKind.UNAVAILABLE
        assert "the file of AWS_WEB_IDENTITY_TOKEN_FILE could not be read (FileNotFoundError)" in failure.summary
        assert str(sts.file) not in str(failure) + failure.fix
        sts.file.write_text(" \n")
        assert "is empty" in (await failure_of(provider.send_sms(bench.delivery()))).summary
    assert not sts.requests


@pytest.mark.parametrize("code", sorted(REFUSALS))
async def test_each_refusal_means_what_the_table_says_and_quotes_no_token(bench, sts, failure_of, code):
    sts.refuses = (400, code)
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    kind, summary, fix = REFUSALS[code]
    assert (failure.kind, failure.provider_code, failure.fix) == (kind, code, fix)
    assert failure.summary == f"no credentials of the web identity of AWS_ROLE_ARN: {summary}"
    assert sts.token not in str(failure)


@pytest.mark.parametrize(
    ("status", "kind"), [(418, ErrorKind.MISCONFIGURED), (500, ErrorKind.UNAVAILABLE), (503, ErrorKind.UNAVAILABLE)]
)
async def test_another_refusal_goes_by_its_status(bench, sts, failure_of, status, kind):
    sts.refuses = (status, "Teapot")
    async with bench.lent() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert (failure.kind, failure.provider_code) == (kind, "Teapot")
    assert "AWS_ENDPOINT_URL_STS" in failure.fix


def test_every_refusal_of_sts_has_its_row():
    """The errors that AWS's own description lists for the operation, by the names that stand in answers."""
    model = botocore.loaders.Loader().load_service_model("sts", "service-2")
    errors = model["operations"]["AssumeRoleWithWebIdentity"]["errors"]
    shapes = [model["shapes"][error["shape"]] for error in errors]
    assert {shape["error"]["code"] for shape in shapes} <= REFUSALS.keys()


@pytest.mark.parametrize("role", ["", "otp-sender", "arn:aws:iam::123456789012:user/otp"])
def test_without_a_role_the_start_is_refused_with_the_fix(bench, sts, monkeypatch, role):
    monkeypatch.setenv("AWS_ROLE_ARN", role)
    with pytest.raises(SettingsError, match=r"providers\.aws\.access_key_id: .*AWS_ROLE_ARN.*arn:aws:iam::"):
        bench.provider(**NO_KEYS)


@pytest.mark.parametrize("session", ["x", "two words", "käse"])
def test_a_name_of_a_session_that_sts_would_refuse_is_refused(bench, sts, monkeypatch, session):
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", session)
    with pytest.raises(SettingsError, match="AWS_ROLE_SESSION_NAME"):
        bench.provider(**NO_KEYS)


def test_sts_is_asked_over_https_in_the_region_of_the_instance(bench, sts, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://sts.example.com")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL_STS: plain http"):
        bench.provider(**NO_KEYS)
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS")
    for region, host in (("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn")):
        asked = bench.provider(**NO_KEYS, region=region).client.source.lender.asked
        assert (asked.base_url, asked.session) == (f"https://sts.{region}.{host}", "otpcore-aws")

"""Where credentials come from, beside botocore, which AWS's own command line and SDK for Python use.

Both stand before the same container, metadata service and STS, in the same environment.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import anyio
import botocore.session
import pytest

SOURCES = ("environment", "sts", "container", "metadata")
METHODS = {
    "env": "the environment",
    "assume-role-with-web-identity": "the web identity of AWS_ROLE_ARN",
    "container-role": "the container's role",
    "iam-role": "the EC2 instance's role",
}
SAID = ("authorization", "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds")


def by_botocore():
    """The credentials that botocore finds, with their method."""
    session = botocore.session.get_session()
    session.set_config_variable("region", "eu-west-1")
    found = session.get_credentials()
    return found.method, found.get_frozen_credentials()


async def ours(bench):
    """The same of an instance."""
    async with bench.lent() as provider:
        source = provider.client.source
        return source.name, await source.credentials()


def asked(lender):
    """What was asked, as far as it matters: how, where, with which words and which secret."""
    seen = [
        (one.method, one.path, one.form(), {name: one.headers.get(name) for name in SAID}) for one in lender.requests
    ]
    lender.requests.clear()
    return seen


@pytest.fixture(autouse=True)
def _now(bench):
    bench.now = datetime.now(UTC)  # botocore's own clock


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_same_is_asked(bench, lender, monkeypatch):
    monkeypatch.setenv("AWS_ROLE_SESSION_NAME", "otpcore-aws")
    if hasattr(lender, "path"):
        lender.token = "of-the-pod"
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", lender.token)
    method, theirs = await anyio.to_thread.run_sync(by_botocore)
    theirs_asked = asked(lender)
    name, lent = await ours(bench)
    assert asked(lender) == theirs_asked
    assert theirs_asked, "both asked"
    assert METHODS[method] == name
    assert (theirs.secret_key, theirs.token) == ("secret-1", "token-1")
    assert (lent.secret_access_key, lent.session_token) == ("secret-2", "token-2")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "present", [pair for size in (1, 2, 3, 4) for pair in itertools.combinations(SOURCES, size)], ids="+".join
)
async def test_the_same_place_goes_first(bench, request, monkeypatch, present):
    for name in present:
        if name == "environment":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", bench.simulator.access_key_id)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
        else:
            request.getfixturevalue(name)
    method, _ = await anyio.to_thread.run_sync(by_botocore)
    name, _ = await ours(bench)
    assert METHODS[method] == name

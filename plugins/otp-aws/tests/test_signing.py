"""Signatures, beside those of botocore, which AWS's own command line and SDK for Python use."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta, timezone
from unittest.mock import patch

import attrs
import botocore.auth
import botocore.credentials
from botocore.awsrequest import AWSRequest
from hypothesis import given, settings
from hypothesis import strategies as st
from otp_aws.signing import Credentials, signed_headers

_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F))
_NAME = string.ascii_lowercase + string.digits

visible = st.text(_VISIBLE, min_size=1, max_size=60)
names = st.lists(st.text(_NAME, min_size=1, max_size=10), min_size=1, max_size=3).map("-".join)
hosts = st.builds(
    "{}.example.com{}".format, st.text(_NAME, min_size=1, max_size=20), st.sampled_from(["", ":8443", ":1"])
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_FIRST, _LAST = datetime(2000, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001 - the zones are drawn
moments = st.datetimes(_FIRST, _LAST, timezones=zones)
# Names in any case; not those that botocore leaves unsigned, or that the signer adds.
headers = st.dictionaries(
    st.text(string.ascii_letters, min_size=1, max_size=12).map("x-h-{}".format), visible, max_size=4
)


def by_botocore(headers, body, *, host, region, service, credentials, now):
    request = AWSRequest("POST", f"https://{host}/", headers=headers, data=body)
    token = credentials.session_token or None
    keys = botocore.credentials.Credentials(credentials.access_key_id, credentials.secret_access_key, token)
    with patch("botocore.auth.get_current_datetime", return_value=now.astimezone(UTC)):
        botocore.auth.SigV4Auth(keys, service, region).add_auth(request)
    return dict(request.headers.items())


@settings(deadline=None)
@given(
    headers=headers,
    body=st.binary(max_size=200),
    host=hosts,
    region=names,
    service=names,
    key=st.text(string.ascii_uppercase, min_size=16, max_size=20),
    secret=visible,
    token=st.just("") | visible,
    now=moments,
)
def test_every_request_is_signed_as_botocore_signs_it(headers, body, host, region, service, key, secret, token, now):
    once = {name.lower(): (name, value) for name, value in headers.items()}  # a name in two cases is one header
    asked = {
        "host": host,
        "region": region,
        "service": service,
        "credentials": Credentials(access_key_id=key, secret_access_key=secret, session_token=token),
        "now": now,
    }
    own, theirs = signed_headers(dict(once.values()), body, **asked), by_botocore(dict(once.values()), body, **asked)
    assert {name.lower(): value for name, value in own.items()} == {
        name.lower(): value for name, value in theirs.items()
    }


def test_a_signature_depends_on_everything_that_is_signed():
    asked = {
        "headers": {"X-Amz-Target": "Service.Operation"},
        "body": b"{}",
        "host": "sms-voice.eu-west-1.amazonaws.com",
        "region": "eu-west-1",
        "service": "sms-voice",
        "credentials": Credentials(access_key_id="AKIA", secret_access_key="secret"),
        "now": datetime(2026, 11, 22, 12, tzinfo=UTC),
    }
    others = {
        "headers": {"X-Amz-Target": "Service.Another"},
        "body": b"{} ",
        "host": "sms-voice.eu-west-2.amazonaws.com",
        "region": "eu-west-2",
        "service": "sns",
        "credentials": attrs.evolve(asked["credentials"], secret_access_key="another"),
        "now": datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC),
    }
    made = [signed_headers(**{**asked, name: other})["Authorization"] for name, other in others.items()]
    made.append(signed_headers(**asked)["Authorization"])
    assert len({one.rpartition("=")[2] for one in made}) == len(made)


def test_a_secret_is_not_shown():
    shown = repr(Credentials(access_key_id="AKIA", secret_access_key="s3cret", session_token="t0ken"))
    assert "AKIA" in shown
    assert "s3cret" not in shown
    assert "t0ken" not in shown

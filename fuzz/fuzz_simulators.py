"""Fuzz targets for the simulators: whatever a client sends, a vendor on loopback answers and does not fall over."""

from __future__ import annotations

import base64
import functools

from fuzz_common import text_of
from otp_mada.simulator import MadaSimulator
from otp_sinch.signing import signed_headers
from otp_sinch.simulator import SinchSimulator
from otp_twilio.simulator import TwilioSimulator

from otpcore.simulators.exchange import SimulatedAnswer, SimulatedRequest
from otpcore.simulators.simulator import Simulator

_METHODS = ("POST", "GET", "PUT", "DELETE")


def twilio_simulator(data: bytes) -> None:
    """Verify, Messages and Calls."""
    simulator = TwilioSimulator()
    service = f"/v2/Services/{simulator.service_sid}"
    account = f"/2010-04-01/Accounts/{simulator.account_sid}"
    paths = (
        f"{service}/Verifications",
        f"{service}/VerificationCheck",
        f"{service}/Verifications/%2B359871234567",
        f"{account}/Messages.json",
        f"{account}/Calls.json",
    )
    basic = base64.b64encode(f"{simulator.account_sid}:{simulator.auth_token}".encode()).decode()
    method, path, rest = _head(data, paths)
    query, _, body = rest.partition(b"\n")
    _asked(simulator, method, path, {"authorization": f"Basic {basic}"}, body, text_of(query))


def sinch_simulator(data: bytes) -> None:
    """Starts, reports and look-ups, signed so that they get past the door."""
    simulator = SinchSimulator()
    base = "/verification/v1/verifications"
    paths = (base, f"{base}/number/+46700000000", f"{base}/id/x", f"{base}/reference/x", f"{base}/sms/number/%2B46")
    method, path, body = _head(data, paths)
    start = b'{"identity":{"type":"number","endpoint":"+46700000000"},"method":"sms","reference":"x"}'
    for verb, where, what in (("POST", base, start), (method, path, body)):
        headers = signed_headers(
            simulator.application_key,
            base64.b64decode(simulator.application_secret),
            method=verb,
            path=where,
            content_type="application/json",
            body=what,
            now=simulator.clock(),
        )
        headers = {name.lower(): value for name, value in headers.items()} | {"content-type": "application/json"}
        _asked(simulator, verb, where, headers, what)
    first, _, second = text_of(body).partition("\n")
    headers = {"authorization": f"Application {simulator.application_key}:{first}", "x-timestamp": second}
    _asked(simulator, method, path, headers, body)
    _asked(simulator, method, path, {"authorization": first}, body)


def mada_simulator(data: bytes) -> None:
    """SubmitSM."""
    simulator = MadaSimulator()
    basic = base64.b64encode(f"{simulator.username}:{simulator.password}".encode()).decode()
    path = _mada_path()
    headers = {"authorization": f"Basic {basic}", "content-type": "text/xml"}
    _asked(simulator, "POST", path, headers, data)
    _asked(simulator, "POST", path, {**headers, "authorization": text_of(data)}, b"")


@functools.cache
def _mada_path() -> str:
    """The gateway's one page."""
    with MadaSimulator() as simulator:
        url = str(simulator.provider_settings()["url"])
        return url.removeprefix(simulator.base_url)


def _head(data: bytes, paths: tuple[str, ...]) -> tuple[str, str, bytes]:
    """First byte: method and path."""
    choice = data[0] if data else 0
    return _METHODS[choice % len(_METHODS)], paths[choice // len(_METHODS) % len(paths)], data[1:]


def _asked(simulator: Simulator, method: str, path: str, headers: dict[str, str], body: bytes, query: str = "") -> None:
    answer = simulator.handle(SimulatedRequest(method, path, query, headers, body))
    assert isinstance(answer, SimulatedAnswer)
    assert 200 <= answer.status < 600


TARGETS = {
    "twilio_simulator": twilio_simulator,
    "sinch_simulator": sinch_simulator,
    "mada_simulator": mada_simulator,
}

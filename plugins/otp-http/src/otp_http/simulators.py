"""The simulator of each gateway in the box, under its name, for ``otpcore.simulators``."""

from __future__ import annotations

from functools import partial

from otp_http.catalogue import built_in
from otp_http.simulator import GatewaySimulator

__all__: list[str] = []


def __getattr__(name: str) -> partial[GatewaySimulator]:
    """What makes the simulator of this gateway, which reports without being told to."""
    if name not in built_in():
        raise AttributeError(name)
    return partial(GatewaySimulator, name, reporting=True)

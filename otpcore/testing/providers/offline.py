"""Whether what runs meanwhile goes to the network: no connection is made, and none that is open is used."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from otpcore.simulators.simulator import Simulator

__all__ = ["offline"]

_TOLD = (
    "parse_receipt {did}: it must do no I/O, as a vendor waits for its answer and anyone may call it. Fetch what it "
    "needs, such as a certificate, in `start`"
)


@contextmanager
def offline(simulator: Simulator) -> Iterator[None]:
    """Fail where something connects, looks a name up, or asks the vendor over an open connection.

    Args:
        simulator: The vendor; what it calls back itself is not meant.
    """
    simulator.wait_for_callbacks()
    before, tried = len(simulator.requests), set[str]()
    with pytest.MonkeyPatch.context() as patch:
        for place, name in ((socket.socket, "connect"), (socket.socket, "connect_ex"), (socket, "getaddrinfo")):
            patch.setattr(place, name, _refusing(getattr(place, name), name, tried))
        yield
    assert not tried, _TOLD.format(did="opens a connection")
    assert len(simulator.requests) == before, _TOLD.format(did="asks the vendor")


def _refusing(original: Any, name: str, tried: set[str]) -> Any:
    def refuse(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread().name.startswith("simulator-"):
            return original(*arguments, **named)
        tried.add(name)
        raise OSError("the contract suite lets parse_receipt make no connection")

    return refuse

"""What stands in for an interpreter: it hands its command line and streams to the mother, and ends as her child does."""

from __future__ import annotations

import json
import os
import socket
import struct

_LENGTH = struct.Struct("!I")


def ask(place: str, arguments: list[str]) -> int:
    """The exit code of a child of the mother at ``place``, as a shell would tell it."""
    directory = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all else here
    order = {"arguments": arguments, "directory": directory, "environment": dict(os.environ)}
    text = json.dumps(order).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        socket.send_fds(connection, [_LENGTH.pack(len(text))], [0, 1, 2])
        connection.sendall(text)
        os.close(0)  # it is the child's alone, and so is the end of what it writes
        ended = connection.recv(_LENGTH.size)
    code = _LENGTH.unpack(ended)[0] if ended else 1
    return code if code < 2**31 else 128 - (code - 2**32)

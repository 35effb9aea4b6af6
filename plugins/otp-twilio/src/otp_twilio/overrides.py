"""Connection overrides: how Twilio calls a URL, written behind its ``#``. Twilio reads them; nobody sends or signs them.

Source: twilio.com/docs, "Webhook connection overrides".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["overrides_problem", "repeated"]

_RANGES: Mapping[str, tuple[int, int]] = {
    "ct": (100, 10_000),  # milliseconds until it is connected
    "rt": (100, 15_000),  # … until the answer begins, and between its parts
    "tt": (100, 15_000),  # … for everything, repeats too
    "rc": (0, 5),  # repeats
}
_SHAPES: Mapping[str, tuple[str, str]] = {
    "rp": (r"(ct|rt|4xx|5xx|all)(,(ct|rt|4xx|5xx|all))*", "some of ct, rt, 4xx, 5xx and all, with commas between"),
    "e": (r"[a-z]+(-[a-z]+)*(,[a-z]+(-[a-z]+)*)*", "edges of Twilio, with commas between"),
    "sni": (r"[yn]", "y or n"),
}
_REPEATS, _POLICY = "1", "ct"  # Twilio's defaults


def overrides_problem(fragment: str) -> str:
    """What is wrong with the overrides of a URL; empty: nothing. Twilio would ignore what it does not know."""
    for pair in fragment.split("&"):
        name, _, value = pair.partition("=")
        if name in _RANGES:
            least, most = _RANGES[name]
            if not re.fullmatch(r"[0-9]{1,5}", value) or not least <= int(value) <= most:
                return f"{name} must be {least} to {most}"
        elif name in _SHAPES:
            shape, meaning = _SHAPES[name]
            if not re.fullmatch(shape, value):
                return f"{name} must be {meaning}"
        else:
            return f"there is no such override; there are {', '.join((*_RANGES, *_SHAPES))}"
    return ""


def repeated(fragment: str) -> Callable[[int, int], bool]:
    """Whether Twilio repeats a callback, by how often it has tried and by the status of the answer (0: there was none)."""
    given = dict(pair.partition("=")[::2] for pair in fragment.split("&"))
    repeats = int(given.get("rc", _REPEATS))
    policy = set(given.get("rp", _POLICY).split(","))

    def again(tries: int, status: int) -> bool:
        failures = {"ct", "rt"} if not status else {f"{status // 100}xx"} & {"4xx", "5xx"}
        return tries <= repeats and bool(failures & policy or (failures and "all" in policy))

    return again

"""How long ``import otpcore`` takes over bare Python (goal: at most 50 ms). Run it as ``python benchmarks/imports.py``."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
CASES = {
    "bare python": "pass",
    "import otpcore": "import otpcore",
    "from otpcore import AsyncOTPService": "from otpcore import AsyncOTPService",
}


def once(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own interpreter and our own code
    return (time.perf_counter() - start) * 1000


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, code in CASES.items():
            times[name].append(once(code))
    bare = statistics.median(times["bare python"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:40} {median:7.1f} ms   {median - bare:+7.1f} ms over bare python")


if __name__ == "__main__":
    main()

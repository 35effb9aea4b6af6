"""How long Python takes to import otpcore and to run the command line, over bare Python; what a worker takes while idle."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, figure

__all__ = ["BARE", "MEASURES", "NOTE", "SETTING", "TITLE", "WORKER", "cases", "tables"]

TITLE = "Start"
NOTE = "Whole processes, from start to end; memory is the largest resident size."
SETTING = ""
BARE, WORKER = "bare Python", "otp worker, idle"
_FORBIDDEN = (
    "sqlmodel",
    "sqlalchemy",
    "httpx",
    "dynaconf",
    "asyncio",
    "importlib.metadata",
    "phonenumbers",
    "cryptography",
)
_CODE = {
    BARE: "pass",
    "bare Python with argparse": "import argparse; argparse.ArgumentParser().parse_args([])",
    "import otpcore": "import otpcore",
    "from otpcore import AsyncOTPService": "from otpcore import AsyncOTPService",
    "import sqlmodel, an httpx client": "import sqlmodel, httpx; httpx.Client()",
}
_COMMANDS = {"otp --version": ["--version"], "otp --help": ["--help"], "otp status": ["status"]}
_WORKER_SECONDS = 2.0
# Linux: of this program alone; what getrusage says includes the process that it was forked from.
_SIZE = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"


def cases(world: World) -> Iterator[Case]:
    for name in (*_CODE, *_COMMANDS):
        parameters = {"name": name, "times": world.sizes.starts, "directory": world.directory}
        yield Case(scenario="startup", setting=SETTING, name=name, measure="startup.process", parameters=parameters)
    yield Case(
        scenario="startup", setting=SETTING, name=WORKER, measure="startup.worker",
        parameters={"directory": world.directory}, once=True,
    )  # fmt: skip


def process(name: str, times: int, directory: str) -> Mapping[str, Any]:
    """The mean over some starts, and the memory of one."""
    with TemporaryDirectory(dir=directory) as place:
        if name in _CODE:
            said = f"import sys\n{_CODE[name]}\nprint(*[one for one in {_FORBIDDEN} if one in sys.modules])\n{_SIZE}"
            command = [sys.executable, "-c", said]
        else:
            _settings(Path(place))
            command = [sys.executable, "-m", "otpcore", *_COMMANDS[name]]
        if name == "otp status":
            _run(command, place)  # makes the database
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(times):
            said = _run(command, place)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times
    measured: dict[str, Any] = {"ms": wall / times * 1e3, "cpu": cpu * 1e6, "errors": 0}
    if name in _CODE:
        loaded, size = said.split("\n")[:2]
        measured |= {"mb": int(size) / 1024, "forbidden": loaded}
    return measured


def worker(directory: str) -> Mapping[str, Any]:
    """The resident size of a worker that has nothing to do, and what CPU it takes."""
    with TemporaryDirectory(dir=directory) as place:
        _settings(Path(place))
        _run([sys.executable, "-m", "otpcore", "status"], place)  # makes the database; only once needs what makes it
        command = [sys.executable, "-m", "otpcore", "worker"]
        running = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
        try:
            time.sleep(_WORKER_SECONDS)
            if running.poll() is not None:
                raise RuntimeError(f"the worker ended with {running.returncode}")
            size = int(Path(f"/proc/{running.pid}/statm").read_text(encoding="ascii").split()[1])
            return {"mb": size * os.sysconf("SC_PAGE_SIZE") / 2**20, "errors": 0}
        finally:
            running.terminate()
            running.wait(timeout=20)


MEASURES = {"startup.process": process, "startup.worker": worker}


def tables(results: Results) -> Iterator[Table]:
    rows = []
    bare = results.row("startup", SETTING, BARE) or {}
    for name in results.names("startup", SETTING):
        row = results.row("startup", SETTING, name)
        if row is not None:
            over = row["ms"] - bare["ms"] if "ms" in row and "ms" in bare else None
            ratio = results.ratio("startup", SETTING, name, BARE, "ms")
            rows.append([name, *(figure(one) for one in (row.get("ms"), over, ratio, row.get("mb")))])
    yield Table(title="start: whole processes", head=["", "ms", "over bare ms", "x bare", "MB"], rows=rows)


def _settings(place: Path) -> None:
    from otpcore.clock import utc_now  # noqa: PLC0415 - as above
    from otpcore.settings.tree import generate_keys  # noqa: PLC0415 - only commands need settings

    keys = generate_keys(utc_now())
    code = "\n".join(f'"{name}" = "{key}"' for name, key in keys.code.items())
    text = (
        'otp_sms_provider = "mada"\n[sms]\nretry = true\n[retry]\nrunner = "worker"\n'
        '[providers.mada]\nurl = "https://127.0.0.1:1/acme"\nusername = "acme"\npassword = "acme"\nsource_name = "Acme"\n'
        f'[keys]\nindex = "{keys.index}"\ncurrent = "{keys.current}"\n[keys.code]\n{code}\n'
    )
    (place / "otpcore.toml").write_text(text, encoding="utf-8")


def _run(command: list[str], place: str) -> str:
    done = subprocess.run(command, cwd=place, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])}: {done.stderr.strip()[-200:]}")
    return done.stdout

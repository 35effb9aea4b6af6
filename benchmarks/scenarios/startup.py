"""How long Python takes to import otpcore and to run the command line, over bare Python; what a worker takes while idle."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring import settled_memory
from benchmarks.plan import Case, Missing, Results, World
from benchmarks.tables import Table, figure, missing_rows

__all__ = [
    "ARGPARSE",
    "BARE",
    "HOST",
    "LIBRARIES",
    "MEASURES",
    "NOTE",
    "PEERS",
    "SETTING",
    "TITLE",
    "WORKER",
    "cases",
    "tables",
]

TITLE = "Start, and memory of a worker"
NOTE = (
    "Whole processes, from start to end. A host has opened a service over an SQLite file that is there, and has not sent yet. Memory "
    "is the resident size: the largest of a host, and of a worker once it rests with nothing to do."
)
SETTING = ""
BARE, WORKER, HOST = "bare Python", "otp worker, idle", "a host with its service open"
ARGPARSE, LIBRARIES = "bare Python with argparse", "import sqlalchemy, aiohttp, phonenumbers, cryptography's AES"
_CODE = {
    BARE: "pass",
    ARGPARSE: "import argparse; argparse.ArgumentParser().parse_args([])",
    "import otpcore": "import otpcore",
    LIBRARIES: "import sqlalchemy, aiohttp, phonenumbers\nfrom cryptography.hazmat.primitives.ciphers.aead import AESGCM",
    HOST: "from otpcore import OTPService\nwith OTPService.from_settings('otpcore.toml'): pass",
}
PEERS = ("celery, Redis", "procrastinate, PostgreSQL")  # their workers
_COMMANDS = {"otp --version": ["--version"], "otp --help": ["--help"], "otp status": ["status"]}
_SLOTS = 128  # of a peer's worker
# Linux: of this program alone; what getrusage says includes the process that it was forked from.
_SIZE = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"


def cases(world: World) -> Iterator[Case | Missing]:
    for name in (*_CODE, *_COMMANDS):
        parameters = {"name": name, "times": world.sizes.starts, "directory": world.directory}
        yield Case(scenario="startup", setting=SETTING, name=name, measure="startup.process", parameters=parameters)
    yield Case(
        scenario="startup", setting=SETTING, name=WORKER, measure="startup.worker",
        parameters={"directory": world.directory}, once=True,
    )  # fmt: skip
    yield from world.workers("startup", SETTING, "idle", slots=_SLOTS)


def process(name: str, times: int, directory: str) -> Mapping[str, Any]:
    """The mean over some starts, and the memory of one."""
    with TemporaryDirectory(dir=directory) as place:
        _settings(Path(place))
        if name in _CODE:
            said = f"{_CODE[name]}\n{_SIZE}"
            command = [sys.executable, "-c", said]
        else:
            command = [sys.executable, "-m", "otpcore", *_COMMANDS[name]]
        if name in ("otp status", HOST):
            _run(command, place)  # makes the database
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(times):
            said = _run(command, place)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times
    measured: dict[str, Any] = {"ms": wall / times * 1e3, "cpu": cpu * 1e6, "errors": 0}
    if name in _CODE:
        measured["mb"] = int(said) / 1024
    return measured


def worker(directory: str) -> Mapping[str, Any]:
    """The resident size of a worker that has nothing to do."""
    with TemporaryDirectory(dir=directory) as place:
        _settings(Path(place))
        _run([sys.executable, "-m", "otpcore", "status"], place)  # makes the database; only once needs what makes it
        command = [sys.executable, "-m", "otpcore", "worker"]
        running = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
        try:
            size = settled_memory(running.pid)
            if running.poll() is not None:
                raise RuntimeError(f"the worker ended with {running.returncode}")
            return {"mb": size, "errors": 0}
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
            label = f"{name}: its worker, idle" if name in PEERS else name
            rows.append([label, *(figure(one) for one in (row.get("ms"), over, ratio, row.get("mb")))])
    rows += missing_rows(results, "startup", SETTING, columns=5)
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

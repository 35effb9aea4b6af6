"""``nox -s fuzz``: atheris over each target for a while; an input that breaks one is kept in the corpus.

::

    python fuzz/run.py                            # every target, 180 seconds each
    python fuzz/run.py rules mada --seconds 600   # these two
"""

from __future__ import annotations

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
_LARGEST_INPUT = 4096
_SECONDS_AN_INPUT = 10
_MEGABYTES = 2048


def main() -> int:
    """Run each target in a process of its own; 1 where one broke."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help="names; all of them when none is given")
    parser.add_argument("--seconds", type=int, default=180, help="for each target (180)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        import atheris  # noqa: F401, PLC0415 - whether there is a wheel for this Python shows here
    except ImportError:
        python = f"Python {sys.version_info.major}.{sys.version_info.minor} on {sys.platform}"
        print(
            f"atheris has no wheel for {python}: nothing was fuzzed. The same targets run under Hypothesis in the tests."
        )
        return 0
    if options.child:
        fuzz(options.targets[0], options.seconds)
    names = options.targets or target_names()
    broken = [name for name in names if not report(name, options.seconds)]
    print(f"{len(names)} targets, {len(broken)} broken" + (f": {', '.join(broken)}" if broken else ""))
    return bool(broken)


def target_names() -> list[str]:
    """All of them; each has a corpus."""
    return sorted(folder.name for folder in (HERE / "corpus").iterdir())


def report(name: str, seconds: int) -> bool:
    """Fuzz one target and print its figures; False where it broke."""
    child = [sys.executable, __file__, name, "--seconds", str(seconds), "--child"]
    done = subprocess.run(child, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - ourselves
    tried = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
    best = re.findall(r"cov: (\d+)", done.stderr)
    figures = f"{int(tried[1]) if tried else 0:>10,} inputs, coverage {best[-1] if best else '?'}"
    print(f"{name:<20}{figures}  {'ok' if done.returncode == 0 else 'BROKEN'}", flush=True)
    if done.returncode:
        print(done.stdout[-3000:] + done.stderr[-1000:], flush=True)
    return done.returncode == 0


def fuzz(name: str, seconds: int) -> None:
    """In the child: never returns."""
    import atheris  # noqa: PLC0415 - only here

    with atheris.instrument_imports(include=["otpcore", "otp_mada", "otp_sinch", "otp_twilio", "dynaconf", "tomllib"]):
        from fuzz_targets import TARGETS  # noqa: PLC0415 - instrumented as it is imported

    corpus = HERE / "corpus" / name
    found = tempfile.mkdtemp(prefix=f"fuzz-{name}-")  # what widens the coverage; only crashes are worth keeping
    arguments = [
        sys.argv[0],
        found,
        str(corpus),
        f"-max_total_time={seconds}",
        f"-max_len={_LARGEST_INPUT}",
        f"-timeout={_SECONDS_AN_INPUT}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-artifact_prefix={corpus}/found-",
        f"-dict={HERE / 'words.dict'}",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

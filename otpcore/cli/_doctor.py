"""``otp doctor``: everything that can be checked without sending anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path

import attrs

from otpcore._instances import Instances
from otpcore._parts import Parts, make_keys, make_store
from otpcore._rules import RULE_SETTINGS
from otpcore._service import Setup
from otpcore.cli import _findings
from otpcore.cli._database import database_url
from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._findings import Finding, Level
from otpcore.cli._host import load_host, open_parts, run
from otpcore.cli._key_states import KeyStanding, key_states
from otpcore.cli._options import Options, table, text, when
from otpcore.cli._routes import RoutingView, open_view
from otpcore.errors import OTPConfigurationError, OTPError
from otpcore.figures import KeyUse
from otpcore.hookspecs import utc_now
from otpcore.models import Channel
from otpcore.plugins import PROVIDERS, Observers, installed
from otpcore.records import WorkerRecord
from otpcore.routing import format_rules
from otpcore.stores.memory import MemoryStore

__all__ = ["CHECKS", "ROUTING_CHECKS", "doctor"]

_OVERDUE = timedelta(seconds=60)  # far longer than any runner's poll and any lease that it may wait for


_STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "red"}


@attrs.frozen(kw_only=True)
class Routing:
    """What the checks of rules, providers and retries look at.

    Args:
        next_due: When the earliest retry is due.
        keys_in_use: What the kept challenges were written under.
        workers: All signs of life.
    """

    view: RoutingView
    next_due: datetime | None
    keys_in_use: tuple[KeyUse, ...]
    workers: tuple[WorkerRecord, ...]
    now: datetime


def doctor(options: Options) -> ExitCode:
    """Run every check and list what was found."""
    found = _examined(options)
    is_well = all(one.level is not Level.PROBLEM for _, one in found)
    options.say(
        {"ok": is_well, "checks": [{"about": about, **attrs.asdict(one)} for about, one in found]},
        table(
            ("", "about", "found", "fix"),
            [(text(str(one.level), _STYLES[one.level]), about, one.detail, one.fix) for about, one in found],
        ),
        "nothing stands in the way of sending" if is_well else "mend what is marked as a problem",
    )
    return ExitCode.OK if is_well else ExitCode.REFUSED


def _examined(options: Options) -> list[tuple[str, Finding]]:
    try:
        host = load_host(options)
    except (OTPConfigurationError, CommandError) as error:
        return [("settings", Finding(Level.PROBLEM, str(error), getattr(error, "fix", "")))]
    found = [(about, finding) for about, check in CHECKS.items() for finding in _guarded(lambda: check(host))]  # noqa: B023 - used up at once
    if any(finding.level is Level.PROBLEM for _, finding in found):
        return [
            *found,
            ("the rest", Finding(Level.NOTE, "rules, providers and retries are checked once this is mended")),
        ]
    return [*found, *run(_routing, host)]


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A refusal is a finding too."""
    try:
        return list(check())
    except (OTPError, OTPConfigurationError) as error:
        return [Finding(Level.PROBLEM, str(error))]


async def _routing(host: Setup) -> list[tuple[str, Finding]]:
    try:
        async with AsyncExitStack() as stack:
            parts = _blank(host) if _is_blank(host) else await stack.enter_async_context(open_parts(host))
            view = await stack.enter_async_context(open_view(host, parts))
            now = parts.clock()
            scene = Routing(
                view=view,
                next_due=await parts.store.next_due(),
                keys_in_use=await parts.store.keys_in_use(),
                workers=(await parts.store.status(now, now)).workers,
                now=now,
            )
            return [(about, finding) for about, check in ROUTING_CHECKS.items() for finding in check(scene)]
    except (OTPError, OTPConfigurationError) as error:
        return [("store", Finding(Level.PROBLEM, str(error)))]


def _settings(host: Setup) -> Iterator[Finding]:
    settings = host.settings
    if not settings.files and settings.keys.missing:
        yield Finding(Level.NOTE, "no settings file was read", "run `otp init`, or name one with --settings or --app")
    else:
        read = ", ".join(settings.files) or "what the host and the environment say"
        yield Finding(Level.OK, f"{read} (environment: {settings.environment})")
    for file in map(Path, settings.files):
        readable = stat.S_IRGRP | stat.S_IROTH
        if os.name == "posix" and "secrets" in file.name and file.stat().st_mode & readable:
            yield Finding(Level.NOTE, f"other users can read {file}", f"chmod 600 {file}")


def _keys(host: Setup) -> Iterator[Finding]:
    if host.settings.needs_throw_away_keys:
        yield Finding(Level.NOTE, "there are none: every process of the sandbox makes its own", "otp init")
        return
    make_keys(host.settings)
    keys = host.settings.keys
    yield Finding(Level.OK, f"codes are protected by {keys.current}; readable: {', '.join(keys.code)}")


def _store(host: Setup) -> Iterator[Finding]:
    store = make_store(host.settings, host.store)
    if not store.durable:
        yield Finding(Level.NOTE, "the store forgets everything when its process ends", 'set storage.store = "sql"')
    elif (url := database_url(host)) is None:
        yield Finding(Level.OK, f"the host's or a plugin's own: {type(store).__name__}")
    elif (file := _database_file(host)) is not None and not file.exists():
        yield Finding(Level.NOTE, f"there is no {file} yet; the first start makes it")
    else:
        yield from _tables(url, file)


def _tables(url: str, file: Path | None) -> Iterator[Finding]:
    from otpcore.stores import sql  # noqa: PLC0415 - heavy: a host's own store may do without
    from otpcore.stores._schema import HEAD  # noqa: PLC0415 - heavy: as above

    place, revision = file or "the server's database", sql.current(url)
    if revision == HEAD:
        yield Finding(Level.OK, f"{place}, tables at {revision}")
    elif file is not None:
        yield Finding(
            Level.NOTE, f"{place}, tables at {revision}; the next start brings them to {HEAD}", "otp db upgrade"
        )
    else:
        yield Finding(
            Level.PROBLEM, f"{place} has tables at {revision or 'no revision'} instead of {HEAD}", "otp db upgrade"
        )


def _sandbox(host: Setup) -> Iterator[Finding]:
    sms, today = host.settings.sms, datetime.now(UTC).date()
    if sms.sandbox:
        yield Finding(Level.NOTE, "sms.sandbox is on: no provider is called, nothing is sent", "sms.sandbox = false")
    for name in sms.test_numbers_on:
        last_day = sms.test_numbers[name].until
        if sms.test_numbers[name].is_over(today):
            found = f"test number {name}: its last day was {last_day}, it is an ordinary number now"
            yield Finding(Level.NOTE, found, "take it out of sms.test_numbers_on")
        else:
            yield Finding(Level.NOTE, f"test number {name}: its fixed code works until the end of {last_day} (UTC)")
    if not sms.sandbox and not sms.test_numbers_on:
        yield Finding(Level.OK, "off, and no test number is switched on")


def _clock(host: Setup) -> Iterator[Finding]:
    files = [Path(__file__), *map(Path, host.settings.files)]
    if (database := _database_file(host)) is not None:
        files += [database, database.with_name(f"{database.name}-wal")]
    written = {str(file): datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files if file.exists()}
    yield from _findings.clock(utc_now(), written)


def _credentials(host: Setup) -> Iterator[Finding]:
    yield from _findings.credentials(host.settings)


def _limits(host: Setup) -> Iterator[Finding]:
    yield from _findings.limits(host.settings.limits)


def _number_data(_: Setup) -> Iterator[Finding]:
    found = distribution("phonenumbers")
    file = Path(str(found.locate_file("phonenumbers/__init__.py")))
    installed = datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else utc_now()
    yield from _findings.number_data(found.version, installed, utc_now())


CHECKS: dict[str, Callable[[Setup], Iterator[Finding]]] = {
    "settings": _settings,
    "keys": _keys,
    "store": _store,
    "sandbox": _sandbox,
    "clock": _clock,
    "credentials": _credentials,
    "limits": _limits,
    "number data": _number_data,
}
"""What needs no store and no provider; the rest waits for them."""


def _kept_keys(routing: Routing) -> Iterator[Finding]:
    if routing.view.host.settings.needs_throw_away_keys:
        return  # what the sandbox wrote under keys that are gone is nobody's loss
    for state in key_states(routing.view.host.settings, routing.keys_in_use):
        key_id, count, until = state.key_id, state.challenges, when(state.until)
        if state.standing is KeyStanding.MISSING:
            yield Finding(
                Level.PROBLEM,
                f"{count} challenges were written under {key_id}, which is not listed here: "
                "their codes do not verify and are not retried here",
                f"list it under [keys.code] again, until {until}",
            )
        elif state.standing is KeyStanding.NEEDED:
            yield Finding(Level.OK, f"{key_id} is read for {count} challenges, until {until}")
        elif state.standing is KeyStanding.WAITING:
            yield Finding(
                Level.NOTE,
                f"{key_id} is readable and not yet used",
                f"otp keys rotate --use {key_id}, once every process lists it",
            )
        elif state.standing is KeyStanding.UNUSED:
            yield Finding(Level.NOTE, f"nothing needs {key_id} any more", f"otp keys rotate --retire {key_id}")


def _rules(routing: Routing) -> Iterator[Finding]:
    view = routing.view
    for name, error in view.refused.items():
        yield Finding(
            Level.PROBLEM, f"the stored {name} is refused: {error}", "otp routes set, or otp routes set --clear"
        )
    for channel in Channel:
        in_force = view.rules.in_force(channel)
        able = view.loaded.capable(channel)
        if in_force is None:
            level = Level.PROBLEM if channel is Channel.SMS else Level.NOTE
            yield Finding(level, f"{channel}: no rules, nobody is served", f"set {RULE_SETTINGS[channel]}")
        elif not able.intersection(in_force.table.instances):
            level = Level.PROBLEM if channel is Channel.SMS else Level.NOTE
            yield Finding(level, f"{channel}: no instance of the rules can do it", "otp providers")
        else:
            yield Finding(Level.OK, f"{channel}: {format_rules(in_force.table)} (from: {in_force.source})")


def _providers(routing: Routing) -> Iterator[Finding]:
    view = routing.view
    in_force = [rules for channel in Channel if (rules := view.rules.in_force(channel)) is not None]
    routed = {name for rules in in_force for name in rules.table.instances}
    for name, one in view.loaded.providers.items():
        of_host = one.info.display_name if view.host.settings.sms.sandbox else "the host's own"
        version = f"{one.distribution} {one.version}".strip() or of_host
        yield Finding(Level.OK, f"{name}: {version}; {', '.join(sorted(one.channels))}")
    for name, error in view.loaded.broken.items():
        yield Finding(Level.PROBLEM if name in routed else Level.NOTE, f"{name}: {error}")
    for plugin in installed(PROVIDERS):
        if plugin.problem:
            yield Finding(Level.NOTE, plugin.problem, "uninstall all but one of them")


_RUN_BY = {
    "background": "in the host's own process, while its service is open",
    "inline": "by whoever sends, who waits for them",
    "worker": "by `otp worker`, which must run",
}


def _retries(routing: Routing) -> Iterator[Finding]:
    settings = routing.view.host.settings
    runner = settings.retry.runner
    where = _RUN_BY.get(runner, f"by the plugin {runner}")
    for channel, chosen in ((Channel.SMS, settings.sms), (Channel.CALL, settings.call)):
        if chosen.retry:
            yield Finding(Level.OK, f"{channel}: up to {chosen.max_retries} retries, run {where}")
        else:
            yield Finding(Level.NOTE, f"{channel}: not retried when no provider takes it", f"{channel}.retry = true")
    overdue = routing.now - routing.next_due if routing.next_due is not None else timedelta()
    if overdue > _OVERDUE:
        anybody = any(worker.seen_at >= routing.now - _findings.ALIVE_WITHIN for worker in routing.workers)
        yield Finding(
            Level.PROBLEM,
            f"a retry is overdue by {overdue.total_seconds():.0f} s: "
            + ("who runs them has not its key or its instances" if anybody else "nobody runs them"),
            "give the workers the settings of the host" if anybody else "start the host, or `otp worker`",
        )


def _workers(routing: Routing) -> Iterator[Finding]:
    host = routing.view.host
    settings = host.settings
    if not make_store(settings, host.store).durable:
        return  # only its own process sees who works there
    yield from _findings.workers(
        routing.workers,
        routing.now,
        retried=settings.sms.retry or settings.call.retry,
        waiting=routing.next_due is not None,
        runner=settings.retry.runner,
    )


def _clocks(routing: Routing) -> Iterator[Finding]:
    if routing.workers:
        yield from _findings.clock(routing.now, {}, routing.workers)


ROUTING_CHECKS: dict[str, Callable[[Routing], Iterator[Finding]]] = {
    "kept keys": _kept_keys,
    "rules": _rules,
    "providers": _providers,
    "retries": _retries,
    "workers": _workers,
    "clock": _clocks,
}
"""What looks at rules, providers and the store's content."""


def _is_blank(host: Setup) -> bool:
    """There is nothing to read: a store without content yet, or one that only its own process sees."""
    file = _database_file(host)
    return not make_store(host.settings, host.store).durable or (file is not None and not file.exists())


def _blank(host: Setup) -> Parts:
    """In place of a store that is not there yet: looking must not make it, with this user as its owner."""
    return Parts(
        settings=host.settings,
        store=MemoryStore(),
        keys=make_keys(host.settings),
        instances=Instances.none(),
        observers=Observers(),
        clock=utc_now,
    )


def _database_file(host: Setup) -> Path | None:
    """The file of the SQL store; None: another store."""
    from otpcore.stores.sql import database_path  # noqa: PLC0415 - heavy: a host's own store may do without

    url = database_url(host)
    return database_path(url) if url is not None else None

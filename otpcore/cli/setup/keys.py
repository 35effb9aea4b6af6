"""``otp keys``: fresh keys, and the rotation of the code key in steps that are safe for several machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, run
from otpcore.cli.options import Options
from otpcore.cli.setup.secrets_file import (
    CannotEdit,
    add_code_key,
    add_key_set,
    change_file,
    remove_code_key,
    set_current_key,
)
from otpcore.clock import when
from otpcore.operator.findings.key_states import keys_in_use, needed_until, waiting_keys
from otpcore.service.assembly import without_providers
from otpcore.service.setup import Setup
from otpcore.settings.files import read_settings
from otpcore.settings.tree import KeySettings, generate_keys, starter_file
from otpcore.stores.counts import KeyUse

__all__ = ["make_current", "new_keys", "retire", "rotate"]

_SECRETS = ".otpcore.secrets.toml"


@attrs.frozen(kw_only=True)
class _Change:
    """One change of the keys.

    Args:
        step: What it is called in the document.
        key_id: Of the key.
        setting: What decides where it is written.
        edit: Does it in a TOML file.
        lines: Say what to write by hand.
        secret: The new key, where there is one.
    """

    step: str
    key_id: str
    setting: str
    edit: Callable[[str], str]
    lines: Sequence[str]
    secret: str = attrs.field(default="", repr=False)


def new_keys(options: Options, into: Path | None) -> ExitCode:
    """Print a fresh code key, or where there are no keys yet a whole set; or write that set into a file."""
    known = load_host(options).settings.keys
    if into is not None:
        return _write_set(options, known, into)
    if known.missing:
        fresh = generate_keys(datetime.now(UTC))
        options.say(
            {"keys": {"index": fresh.index, "current": fresh.current, "code": dict(fresh.code)}},
            f"# Add to {_SECRETS}, for every process the same:",
            starter_file(fresh)[1].partition("\n\n")[2].partition("\n\n# [providers")[0],
        )
        return ExitCode.OK
    key_id, secret = _fresh(known)
    options.say(
        {"keys": {"code": {key_id: secret}}},
        f"# 1. Add to {_SECRETS} of every process, and restart them; the index key stays as it is:",
        *_entry(key_id, secret),
        f'# 2. Only then set current = "{key_id}" in [keys] everywhere (`otp keys rotate --use {key_id}`).',
        "# 3. Keep the older code keys until `otp doctor` says that nothing needs them.",
    )
    return ExitCode.OK


def _write_set(options: Options, known: KeySettings, into: Path) -> ExitCode:
    if not known.missing:
        raise CommandError(
            "there are keys already", "`otp keys rotate` adds one to the file that holds them", ExitCode.REFUSED
        )
    fresh, file = generate_keys(datetime.now(UTC)), into.absolute()
    try:
        add_key_set(file, starter_file(fresh)[1])
    except CannotEdit as error:
        raise CommandError(f"{file} was not changed: {error}", error.fix, ExitCode.REFUSED) from error
    except OSError as error:
        raise CommandError(
            f"{file}: {error.strerror}", "name a file that you may write to", ExitCode.CONFIGURATION
        ) from error
    options.say(
        {"file": str(file), "current_key": fresh.current},
        f"wrote {file} (keep it out of version control); every process that shares the store needs the same keys",
    )
    return ExitCode.OK


def rotate(options: Options) -> ExitCode:
    """The first step: one more code key, readable and not yet used."""
    host = load_host(options)
    keys = _usable(host)
    if waiting := waiting_keys(host.settings):
        raise CommandError(
            f"a rotation is under way: {', '.join(waiting)} is listed after the current key {keys.current}",
            f"go on with `otp keys rotate --use {waiting[-1]}`, or give it up with `--retire {waiting[-1]}`",
            ExitCode.REFUSED,
        )
    key_id, secret = _fresh(keys)
    change = _Change(
        step="added",
        key_id=key_id,
        setting=f"keys.code.{keys.current}",
        edit=lambda text: add_code_key(text, key_id, secret),
        lines=("add it as readable, at the end:", *_entry(key_id, secret)),
        secret=secret,
    )
    return _carry_out(
        options,
        change,
        f"{key_id} is readable and not yet used; codes are still protected by {keys.current}",
        f"next: bring this line of [keys.code] to every process that shares the store, and restart them; "
        f"only then run `otp keys rotate --use {key_id}` there",
    )


def make_current(options: Options, key_id: str) -> ExitCode:
    """The second step: what is new is written under the key."""
    host = load_host(options)
    keys = _usable(host)
    _require_listed(keys, key_id)
    if key_id == keys.current:
        raise CommandError(
            f"{key_id} is the current key already", "restart the processes that do not use it yet", ExitCode.REFUSED
        )
    change = _Change(
        step="current",
        key_id=key_id,
        setting="keys.current",
        edit=lambda text: set_current_key(text, key_id),
        lines=("set:", "[keys]", f'current = "{key_id}"'),
    )
    return _carry_out(
        options,
        change,
        f"new codes are protected by {key_id} once the processes are restarted; {keys.current} stays readable",
        f"next: do the same for every process; `otp doctor` says when nothing needs {keys.current} any more, "
        f"then run `otp keys rotate --retire {keys.current}`",
    )


def retire(options: Options, key_id: str) -> ExitCode:
    """The last step: nothing that is kept needs the key."""
    host = load_host(options)
    keys = _usable(host)
    _require_listed(keys, key_id)
    if key_id == keys.current:
        raise CommandError(
            f"{key_id} is the current key",
            "make another one current first: `otp keys rotate --use ID`",
            ExitCode.REFUSED,
        )
    use = next((use for use in run(_in_use, host) if use.key_id == key_id), None)
    if use is not None:
        until = needed_until(host.settings, use)
        raise CommandError(
            f"{key_id} is still needed: {use.challenges} kept challenges were written under it, "
            f"the last begun at {when(use.begun_at)}",
            f"wait until {when(until)}, when the last of them is purged, or longer if a process still writes under it",
            ExitCode.REFUSED,
        )
    change = _Change(
        step="retired",
        key_id=key_id,
        setting=f"keys.code.{key_id}",
        edit=lambda text: remove_code_key(text, key_id),
        lines=(f"remove {key_id} from [keys.code]",),
    )
    return _carry_out(
        options, change, f"{key_id} is no longer listed", "next: do the same for every process that shares the store"
    )


def _carry_out(options: Options, change: _Change, done: str, following: str) -> ExitCode:
    """Change the file that holds the setting, or say what to write where it is none that can be changed."""
    origin = "" if options.app is not None else read_settings(options.settings).where(change.setting)
    document = {"step": change.step, "key_id": change.key_id}
    problem = ""
    if origin.endswith(".toml"):
        try:
            change_file(Path(origin), change.edit)
        except CannotEdit as error:
            problem = f"{origin} was not changed: {error}"
        except OSError as error:
            problem = f"{origin} was not changed: {error.strerror}"
        else:
            options.say({**document, "file": origin}, f"changed {origin}", done, following)
            return ExitCode.OK
    place = problem or (f"these keys come from {origin}" if origin else "these keys come from the host")
    shown = {"keys": {"code": {change.key_id: change.secret}}} if change.secret else {}
    options.say(
        {**document, "file": None, "reason": place, **shown},
        f"# {place}; by hand, {change.lines[0]}",
        *change.lines[1:],
        f"# {following}",
    )
    return ExitCode.OK


def _usable(host: Setup) -> KeySettings:
    host.settings.keys.check(beside=host.settings.directory)
    return host.settings.keys


def _require_listed(keys: KeySettings, key_id: str) -> None:
    if key_id not in keys.code:
        raise CommandError(
            f"keys.code.{key_id} is not listed here; keys.code holds {', '.join(keys.code)}",
            "add it as readable first, with the same secret everywhere: copy its line from where it was made",
            ExitCode.REFUSED,
        )


async def _in_use(host: Setup) -> tuple[KeyUse, ...]:
    async with without_providers(host) as service:
        return await keys_in_use(service)


def _fresh(known: KeySettings) -> tuple[str, str]:
    """A new code key under a name that is free."""
    while True:
        made = generate_keys(datetime.now(UTC))
        if made.current not in known.code:
            return made.current, made.code[made.current]


def _entry(key_id: str, secret: str) -> tuple[str, str]:
    return "[keys.code]", f'{key_id} = "{secret}"'

"""Registers one plugin object on its own and checks that what it declares and what it implements agree.

pluggy alone is silent about most of what can be wrong: a misspelt hook, one without the marker, one that takes other
arguments. Each would show as a message that never leaves, so each is refused at load, with the fix.
"""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Collection, Iterator
from typing import Any

import attrs
import pluggy

from otpcore.errors import OTPConfigurationError, OTPError, PluginLoadError
from otpcore.models import Channel, CodeOwner
from otpcore.providers.hooks import ObserverHooks, ProviderHooks
from otpcore.providers.requests import ANY_OTHER_HOOK, OWN_HOOKS, ProviderInfo, send_hook

__all__ = ["Hooks", "describe", "explained", "fix_of", "load_error", "raised_at", "register"]

# Whose messages may be shown: ours hold nothing readable, and an import error names a module.
_SPEAKABLE = (OTPError, OTPConfigurationError, ImportError)


@attrs.frozen(kw_only=True)
class Hooks:
    """The hooks of one object.

    Args:
        relay: pluggy's, for the calls; it reaches this object only.
        implemented: The names of its hooks.
        asynchronous: Those of them that are ``async def``.
        subject: Whose they are, for messages: ``provider 'mada_eu'``.
        origin: Where the object comes from: ``otp-mada 0.1.0``.
    """

    relay: Any = attrs.field(repr=False)
    implemented: frozenset[str]
    asynchronous: frozenset[str]
    subject: str
    origin: str

    def load_error(self, what: str, fix: str) -> PluginLoadError:
        """The refusal of this object."""
        return load_error(self.subject, self.origin, what, fix)


def load_error(subject: str, origin: str, what: str, fix: str) -> PluginLoadError:
    """A refusal that names who, from where, what is wrong, and the fix."""
    return PluginLoadError(f"{subject} ({origin}): {what}. Fix: {fix}.")


def raised_at(error: BaseException) -> str:
    """``KeyError at provider.py:88 in send_sms``: what was raised and where, without its text, which may be readable."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{where}"


def explained(error: BaseException) -> str:
    """The same, with the text where it is safe to show."""
    return raised_at(error) + (f" ({error})" if isinstance(error, _SPEAKABLE) else "")


def fix_of(error: BaseException) -> str:
    """What its author can do about an exception that left a plugin."""
    return "install what is missing" if isinstance(error, ImportError) else "mend the plugin, or its settings"


def register(obj: object, specs: type, role: str, subject: str, origin: str) -> Hooks:
    """Give the object a manager of its own and check its hooks one by one.

    Args:
        obj: Carries methods marked with ``@hookimpl``.
        specs: What may be implemented, ``ProviderHooks`` or ``ObserverHooks``.
        role: ``"a provider"`` or ``"an observer"``, for messages.
        subject: As in ``Hooks``.
        origin: As in ``Hooks``.

    Raises:
        PluginLoadError: A hook is unknown, unmarked, or takes other arguments than specified.
    """
    if inspect.isclass(obj):
        raise load_error(subject, origin, "it is a class, not an object", "hand in an instance of it")
    manager = pluggy.PluginManager("otpcore")
    manager.add_hookspecs(specs)
    specified = {name: caller for name, caller in vars(manager.hook).items() if not name.startswith("_")}
    known = {name: caller.spec.argnames for name, caller in specified.items()}
    failure = None
    try:
        manager.register(obj, subject)
    except pluggy.PluginValidationError as error:
        # Its first line names the hook; its text holds signatures, no values.
        failure = load_error(subject, origin, " ".join(str(error).split()), _signatures(known))
    except Exception as error:  # noqa: BLE001 - looking at a plugin's attributes may run its code
        failure = load_error(subject, origin, f"looking at it raised {explained(error)}", "mend the plugin")
    if failure is not None:
        raise failure  # outside the handler: the original holds the object, and so its settings
    impls = {caller.name: impl for caller in manager.get_hookcallers(obj) or () for impl in caller.get_hookimpls()}
    for what, fix in _wrong_hooks(obj, known, impls, role):
        raise load_error(subject, origin, what, fix)
    return Hooks(
        relay=manager.hook,
        implemented=frozenset(impls).intersection(known),
        asynchronous=frozenset(name for name, impl in impls.items() if inspect.iscoroutinefunction(impl.function)),
        subject=subject,
        origin=origin,
    )


def describe(hooks: Hooks) -> tuple[ProviderInfo, frozenset[Channel]]:
    """What the provider says of itself, and the channels that it delivers: those that it declares, else SMS and calls by its hooks.

    Raises:
        PluginLoadError: It says nothing, or not what it implements.
    """
    if not hooks.implemented:
        raise hooks.load_error("it implements no hook at all", "mark its methods with @otpcore.hookimpl")
    if "describe" not in hooks.implemented:
        raise hooks.load_error("it has no describe", "add describe(self) -> ProviderInfo, marked with @hookimpl")
    if "describe" in hooks.asynchronous:
        raise hooks.load_error("describe is async", "make it a plain def without I/O; I/O belongs in start")
    failure = None
    info: Any = None
    try:
        info = hooks.relay.describe()
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        failure = hooks.load_error(f"describe raised {explained(error)}", "mend the plugin, or its settings")
    if failure is not None:
        raise failure  # outside the handler, as in register
    if not isinstance(info, ProviderInfo):
        raise hooks.load_error(f"describe answered {type(info).__name__}", "return an otpcore.models.ProviderInfo")
    for what, fix in _disagreements(info, hooks.implemented):
        raise hooks.load_error(what, fix)
    declared = info.channels
    if declared is None:
        declared = frozenset(channel for channel, hook in OWN_HOOKS.items() if hook in hooks.implemented)
    channels = frozenset(map(Channel, declared))
    return attrs.evolve(info, code_owner=CodeOwner(info.code_owner), channels=channels), channels


def _wrong_hooks(
    obj: object, known: dict[str, tuple[str, ...]], impls: dict[str, Any], role: str
) -> Iterator[tuple[str, str]]:
    """What pluggy accepts and nobody would ever call rightly."""
    elsewhere = {name for specs in (ProviderHooks, ObserverHooks) for name in vars(specs) if not name.startswith("_")}
    for name, impl in impls.items():
        if name in known:
            if impl.wrapper or impl.hookwrapper:
                yield f"{name} is a wrapper", "make it a plain hook; nothing else is there to be wrapped"
            if impl.argnames != known[name]:
                yield f"{name} takes ({', '.join(('self', *impl.argnames))})", _signatures({name: known[name]})
        elif name in elsewhere:
            yield (
                f"{name} is not a hook of {role}",
                "put it into an object of its own and hand that in where it belongs",
            )
        elif not impl.optionalhook:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the hooks of {role} are {', '.join(sorted(known))}"
            yield f"there is no hook {name!r}; {hint}", "rename it, or take the mark @hookimpl off"
    for name in known:
        if name not in impls and inspect.isroutine(inspect.getattr_static(obj, name, None)):
            yield f"{name} is not marked with @hookimpl and would never be called", "mark it, or rename it"


def _disagreements(info: ProviderInfo, implemented: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Where the declaration and the hooks contradict each other."""
    if not implemented.intersection((*OWN_HOOKS.values(), ANY_OTHER_HOOK)):
        yield "it implements neither send_sms nor call nor send_message", "implement at least one of them"
    yield from _wrong_channels(info.channels, implemented)
    if not info.signs_receipts and "parse_receipt" not in implemented:
        yield "describe says signs_receipts=False without the hook parse_receipt", "implement it, or leave that out"
    match info.code_owner:
        case CodeOwner.CORE:
            if "check_code" in implemented:
                yield "check_code is never asked, since describe says CodeOwner.CORE", "remove it, or say PROVIDER"
        case CodeOwner.PROVIDER:
            yield from _wrong_ownership(info, implemented)
        case _:
            yield "describe answered a code_owner that does not exist", "name a member of otpcore.models.CodeOwner"


def _wrong_ownership(info: ProviderInfo, implemented: frozenset[str]) -> Iterator[tuple[str, str]]:
    """A vendor that makes the codes is asked about them, by account, and needs not be told how that ended."""
    if "check_code" not in implemented:
        yield "describe says CodeOwner.PROVIDER without the hook check_code", "implement it, or say CORE"
    if "report_outcome" in implemented:
        yield "report_outcome is never called, since describe says CodeOwner.PROVIDER", "remove it, or say CORE"
    if not info.code_scope:
        yield "describe says CodeOwner.PROVIDER without code_scope", "name the vendor's account in it"
    if not info.code_lengths:
        yield "describe says CodeOwner.PROVIDER with empty code_lengths", "name the lengths that its codes have"


def _wrong_channels(declared: Collection[Channel] | None, implemented: frozenset[str]) -> Iterator[tuple[str, str]]:
    """An instance may deliver fewer channels than its class has hooks (a sender that cannot call), but never more."""
    if declared is None:
        if implemented.isdisjoint(OWN_HOOKS.values()):
            yield (
                "describe declares no channel for send_message",
                'name those that it sends over in ProviderInfo.channels, such as frozenset({Channel("whatsapp")})',
            )
        return
    if not declared:
        yield "describe declares no channel", "let channels be None, or name one there"
    for word in sorted(declared, key=str):
        try:
            channel = Channel(word)
        except ValueError as error:
            yield f"describe declares the channel {word!r}", f"{error}, such as whatsapp"
            continue
        if (hook := send_hook(channel)) not in implemented:
            yield f"describe declares {channel} without the hook {hook}", f"implement {hook}, or leave {channel} out"


def _signatures(known: dict[str, tuple[str, ...]]) -> str:
    said = [f"{name}({', '.join(('self', *arguments))})" for name, arguments in known.items()]
    return f"write {', '.join(said)}"

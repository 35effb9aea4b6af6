"""What Now says first: in which state things are, what is done about it meanwhile, and what helps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from otp_server.console.desk import Desk
from otp_server.console.figures import Figures
from otp_server.console.words import clock, lasting, plural
from otpcore import Obstacle, ObstacleKind, Stops

__all__ = ["Lead", "lead_of"]

_OUT = (ObstacleKind.MISCONFIGURED, ObstacleKind.BREAKER_OPEN)


@attrs.frozen(kw_only=True)
class Lead:
    """The first sentence and what follows it.

    Args:
        text: The sentence.
        bad: What is wrong, after it; empty: nothing.
        mark: A state before the sentence, such as ``Paused``; empty: none.
        is_down: The sentence itself is what is wrong.
        more: What is done meanwhile.
        actions: What helps: pairs of text and path, the first is the button.
    """

    text: str
    bad: str = ""
    mark: str = ""
    is_down: bool = False
    more: str = ""
    actions: Sequence[tuple[str, str]] = ()

    @property
    def title(self) -> str:
        """For the browser's tab."""
        return self.bad or self.text


async def lead_of(desk: Desk, figures: Figures) -> Lead:
    """The first sentence for these figures."""
    for one in figures.status.obstacles:
        if one.stops is Stops.EVERYBODY:
            return await _down(desk, figures, one)
    return _partly_out(figures) or _stuck(figures) or _slow(figures) or await _well(desk, figures)


async def _down(desk: Desk, figures: Figures, obstacle: Obstacle) -> Lead:
    waits = _waits(figures)
    match obstacle.kind:
        case ObstacleKind.PAUSED:
            return Lead(
                text=f"Sending has been paused{_since(figures, obstacle)}{_until(figures, obstacle)}.",
                mark="Paused",
                more=f"{await _who(desk, 'sending.pause')}{waits} Codes that expire meanwhile are not sent.",
                actions=[("Go to the switches", "/switches")],
            )
        case ObstacleKind.DENIED if obstacle.since is None:  # by the settings: no operator did it
            return Lead(
                text="Every number is denied.",
                is_down=True,
                more=f"In the settings, {obstacle.detail}. What helps: {obstacle.fix}. {waits}".rstrip(),
                actions=[("Go to the switches", "/switches")],
            )
        case ObstacleKind.DENIED:
            return Lead(
                text=f"Every number has been denied{_since(figures, obstacle)}.",
                is_down=True,
                more=f"{await _who(desk, 'sending.deny')}{waits}",
                actions=[("Go to the switches", "/switches")],
            )
        case ObstacleKind.LIMIT_REACHED:
            return Lead(
                text=f"Every send is refused{_until(figures, obstacle)}.",
                is_down=True,
                more=f"In the settings, {obstacle.detail}. What helps: {obstacle.fix}. {waits}".rstrip(),
                actions=[("See who is refused", "/refused")],
            )
        case ObstacleKind.NO_RULES:
            return Lead(
                text="Nothing can be sent: no rules name a provider.",
                is_down=True,
                more="A rule says who sends to whom.",
                actions=[("Write a rule", "/rules")],
            )
        case _:
            return _all_out(figures)


def _all_out(figures: Figures) -> Lead:
    out = [one for one in figures.status.obstacles if one.instance and one.stops is Stops.EVERYBODY]
    names = sorted({one.instance for one in out})
    since = max((one.since for one in out if one.since is not None), default=None)
    answers = ", ".join(dict.fromkeys(f"{one.instance} {_words(one)}" for one in out if _words(one)))
    fixes = "; ".join(dict.fromkeys(one.fix for one in out if one.kind is ObstacleKind.MISCONFIGURED))
    helps = f"What helps: {fixes}. " if fixes else ""
    all_of = "The only instance is" if len(names) == 1 else f"All {len(names)} instances are"
    return Lead(
        text=f"Nothing has been sent since {_at(figures, since)}." if since else "Nothing is sent.",
        is_down=True,
        more=f"{all_of} left out. {f'The last answers: {answers}. ' if answers else ''}{helps}{_waits(figures)}",
        actions=[("See the providers", "/providers"), ("See what waits", "/queue")],
    )


def _partly_out(figures: Figures) -> Lead | None:
    found = [one for one in figures.status.obstacles if one.kind in _OUT and one.stops is not Stops.NOBODY]
    if not found:
        return None
    names = sorted({one.instance for one in found})
    first, rest = found[0], names[1:]
    if rest:
        bad = f"{len(names)} instances are left out: {', '.join(names)}."
        more = " ".join(f"{_named(one)} {_fault(one)}{_since(figures, one)}." for one in found)
    else:
        bad = f"{_named(first)} {_fault(first)}{_since(figures, first)}{_said(first)}."
        more = f"{_last_words(first)}{_meanwhile(figures, first.instance)}"
    refused = sum(row.failed for row in figures.rows if row.instance in names)
    actions = [(f"See {first.instance}" if not rest else "See the providers", "/providers")]
    if refused:
        actions.append((f"See {plural(refused, 'message')} that failed", f"/deliveries?instance={first.instance}"))
    return Lead(text="Sending works.", bad=bad, more=f"{more} {_waits(figures)}".strip(), actions=actions)


def _meanwhile(figures: Figures, instance: str) -> str:
    """Who takes over its numbers, as far as the figures show it."""
    prefixes = {row.prefix for row in figures.rows if row.instance == instance}
    others = sorted(
        {
            row.instance
            for row in figures.rows
            if row.instance != instance and row.prefix in prefixes and row.accepted and not row.is_bad
        }
    )
    tried = "The first message that it takes ends this; it is tried once a second."
    numbers = _listed(sorted(prefixes - {""}))
    if not others:
        return tried
    return f"{tried} {f'Its numbers, {numbers},' if numbers else 'Its numbers'} go to {_listed(others)}."


def _stuck(figures: Figures) -> Lead | None:
    for one in figures.status.obstacles:
        if one.kind in (ObstacleKind.NO_WORKER, ObstacleKind.RETRIES_STAND_STILL):
            return Lead(
                text="Sending works.",
                bad=f"Retries stand still{_since(figures, one)}: {plural(one.count, 'send waits', 'sends wait')}.",
                more=f"{one.detail[0].upper()}{one.detail[1:]}. What helps: {one.fix}.",
                actions=[("See what waits", "/queue")],
            )
    return None


def _slow(figures: Figures) -> Lead | None:
    late = [row for row in figures.rows if row.state in ("Slow", "Fails often")]
    if not late:
        return None
    first = max(late, key=lambda row: row.accepted + row.failed)
    actions = [("See its deliveries", f"/deliveries?instance={first.instance}")]
    if first.state == "Fails often":
        tries = first.failed + first.accepted
        bad = f"{_capital(first.instance)} fails often: {first.failed:,} of {plural(tries, 'message')}."
        more = f"Mostly it {first.fault}. " if first.fault else ""
        return Lead(text="Sending works.", bad=bad, more=f"{more}{_waits(figures)}".strip(), actions=actions)
    slow = sum(row.accepted for row in late if row.state == "Slow")
    share = max(1, round(slow / max(figures.total.accepted, 1) * 100))
    return Lead(
        text=f"Sending works, slowly for {share}\u00a0% of people.",
        more=f"Half of the codes of {first.instance} take {lasting(first.p50)} or more to come back.",
        actions=actions,
    )


async def _well(desk: Desk, figures: Figures) -> Lead:
    total, title = figures.total, figures.window.title.lower()
    sandbox = " This is the sandbox: no one is sent anything." if desk.server.is_sandbox else ""
    if not total.accepted and not total.failed:
        is_first = not (await desk.operator.deliveries.list(limit=1)).items
        ready = plural(len(figures.rows), "instance is ready", "instances are ready")
        text = "Nothing has been sent yet." if is_first else f"Nothing was sent in the {title}."
        return Lead(text=text, more=f"{_capital(ready)}, and the rules are in force.{sandbox}")
    drained = sorted({row.instance for row in figures.rows if row.state == "Drained"})
    aside = f" {_capital(_listed(drained))} {'is' if len(drained) == 1 else 'are'} drained." if drained else ""
    came = f"{total.share} of the codes of the {title} came back" if total.share else "No code could come back yet"
    within = f", half of them within {lasting(total.p50)}" if total.p50 is not None else ""
    return Lead(text="Sending works.", more=f"{came}{within}.{aside} {_waits(figures)}{sandbox}".strip())


async def _who(desk: Desk, action: str) -> str:
    """Who did it, and why."""
    found = await desk.operator.audit(1, action=action)
    if not found:
        return ""
    reason = f"“{found[0].reason}”. " if found[0].reason else "no reason was given. "
    return f"{found[0].by}: {reason}"


def _waits(figures: Figures) -> str:
    routes = figures.status.routes
    count = sum(one.queued for one in routes)
    return f"{plural(count, 'send waits', 'sends wait')}." if count else ""


def _fault(obstacle: Obstacle) -> str:
    is_ours = obstacle.kind is ObstacleKind.MISCONFIGURED
    return "has refused our account or settings" if is_ours else "has been left out for failing"


def _said(obstacle: Obstacle) -> str:
    return f": {obstacle.provider_code}" if obstacle.provider_code else ""


def _last_words(obstacle: Obstacle) -> str:
    return f"Its last words: {obstacle.words}. " if obstacle.words else ""


def _words(obstacle: Obstacle) -> str:
    code = f" ({obstacle.provider_code})" if obstacle.provider_code else ""
    return f"{obstacle.words}{code}" if obstacle.words else obstacle.provider_code


def _since(figures: Figures, obstacle: Obstacle) -> str:
    return f" since {_at(figures, obstacle.since)}" if obstacle.since is not None else ""


def _until(figures: Figures, obstacle: Obstacle) -> str:
    return f", until {_at(figures, obstacle.until)}" if obstacle.until is not None else ""


def _at(figures: Figures, moment: datetime | None) -> str:
    return clock(figures.status.now, moment, seconds=False) if moment is not None else ""


def _named(obstacle: Obstacle) -> str:
    return _capital(obstacle.instance)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)

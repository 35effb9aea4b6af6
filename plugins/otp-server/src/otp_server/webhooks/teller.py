"""Works through the outbox: each change is told to its app, and again later until it was heard or given up."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
import attrs
from anyio.abc import TaskGroup

from otp_server.keys import Kind
from otp_server.settings import ServerSettings, WebhookSettings
from otp_server.vault import Vault
from otp_server.webhooks.attempts import Attempts
from otp_server.webhooks.calling import Called, Caller
from otp_server.webhooks.events import WebhookEvent, event_of
from otp_server.webhooks.shares import Shares
from otp_server.webhooks.signing import headers_of
from otpcore import OTPError
from otpcore.providers import Network
from otpcore.stores import AuditRecord, ChangeRecord, Store

__all__ = ["DELAYS", "Teller"]

_logger = logging.getLogger("otpcore.server")

DELAYS = (5.0, 60.0, 300.0, 1_800.0, 7_200.0, 18_000.0)
"""Seconds after each attempt that was not heard; after the last one it is given up."""
_JITTER = 0.2
_AT_ONCE = 50
_LEASE = timedelta(seconds=60)  # beyond what a call may take
_POLL = 1.0  # seconds
_GONE = 410


@attrs.frozen(kw_only=True)
class _Outbox:
    """One world's, with the token of a claim of changes in it."""

    kind: Kind
    store: Store
    token: str


class Teller:
    """Tells apps what changed.

    Args:
        settings: Say whom.
        vault: Makes the ids of events.
        attempts: Where each attempt is noted.
        network: The way out.
    """

    def __init__(self, settings: ServerSettings, vault: Vault, attempts: Attempts, network: Network) -> None:
        self._settings = settings
        self._vault = vault
        self.attempts = attempts
        self._caller = Caller(settings.webhook_networks, network)
        self._shares = Shares(len(settings.apps))

    async def run(self, kind: Kind, store: Store) -> None:
        """Work until it is cancelled: each app has calls of its own, and the store away is waited for."""
        async with anyio.create_task_group() as tasks:
            while True:
                token = secrets.token_hex(16)
                try:
                    changes = await store.claim_changes(token, limit=_AT_ONCE, lease=_LEASE, now=None)
                    await self._begin(tasks, _Outbox(kind=kind, store=store, token=token), changes)
                except OTPError as error:
                    _logger.warning("webhooks wait: %s", type(error).__name__)
                    changes = ()
                if not changes:
                    await anyio.sleep(_POLL)

    async def tell_again(self, event: WebhookEvent, *, audit: AuditRecord | None = None) -> Called | None:
        """Tell an event once more, now, for an operator where there is a record; None: its app has no address any more."""
        target = self._target(event.app)
        if target is None:
            return None
        await self.attempts.switch_on(event.app, target.url)
        called = await self._call(target, event)
        await self.attempts.add(event, called, 0, is_last=True, audit=audit)
        return called

    async def _begin(self, tasks: TaskGroup, outbox: _Outbox, changes: Sequence[ChangeRecord]) -> None:
        """Have each change told that its app has a place for; put the others off until their turn, without counting it."""
        needless: list[int] = []
        crowded: dict[str, list[int]] = {}
        for change in changes:
            views = await outbox.store.view(challenge_id=change.challenge_id)
            app = views[0].challenge.app if views else ""
            if not views or self._target(app) is None:  # who it was about is erased, or its app wants to hear nothing
                needless.append(change.number)
            elif self._shares.take(app):
                tasks.start_soon(self._one, outbox, change, app)
            else:
                crowded.setdefault(app, []).append(change.number)
        if needless:
            await outbox.store.finish_changes(needless, outbox.token)
        for app, numbers in crowded.items():
            due_at = self._shares.next_turn(app, len(numbers))
            await outbox.store.put_off_changes(numbers, outbox.token, due_at, untried=True)

    async def _one(self, outbox: _Outbox, change: ChangeRecord, app: str) -> None:
        """Tell a change and note it; whatever fails here, its lease ends and it is told again."""
        try:
            async with self._shares.call(app):
                due_at = await self._tell(outbox, change)
            if due_at is None:
                await outbox.store.finish_changes([change.number], outbox.token)
            else:
                await outbox.store.put_off_changes([change.number], outbox.token, due_at)
        except Exception as error:  # noqa: BLE001 - one change must not end all others
            _logger.warning("webhook of change %s waits: %s", change.number, type(error).__name__)
        finally:
            self._shares.give_back(app)

    async def _tell(self, outbox: _Outbox, change: ChangeRecord) -> datetime | None:
        """Tell one change; when it is due again, None: it is done with."""
        views = await outbox.store.view(challenge_id=change.challenge_id)
        target = self._target(views[0].challenge.app) if views else None
        if target is None:
            return None
        event = event_of(self._vault, outbox.kind, change, views[0].challenge, views[0].deliveries)
        if await self.attempts.off_since(event.app, target.url) is not None:
            return None
        called = await self._call(target, event)
        if not await outbox.store.view(challenge_id=change.challenge_id):  # erased meanwhile: nothing is noted
            return None
        is_last = called.is_heard or called.status == _GONE or change.tries > len(DELAYS)
        await self.attempts.add(event, called, change.tries, is_last=is_last)
        if called.status == _GONE:
            await self.attempts.switch_off(event.app, target.url)
        return None if is_last else _later(change.tries)

    async def _call(self, target: WebhookSettings, event: WebhookEvent) -> Called:
        signed = headers_of(event.id, datetime.now(UTC), event.body, target.secrets)
        return await self._caller.call(target.url, {"Content-Type": "application/json", **signed}, event.body)

    def _target(self, app: str) -> WebhookSettings | None:
        found = self._settings.app(app)
        return found.webhook if found is not None and found.webhook.url else None


def _later(tries: int) -> datetime:
    delay = DELAYS[min(max(tries, 1), len(DELAYS)) - 1]
    varied = delay * (1 + _JITTER * (secrets.randbelow(2_001) / 1_000 - 1))
    return datetime.now(UTC) + timedelta(seconds=varied)

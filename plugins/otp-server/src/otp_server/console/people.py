"""Accounts of the console: made by an administrator, shown once, kept sealed."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from otp_server.audits import audit_record
from otp_server.console.secret_words import matching_step, new_password, new_seed, password_fits, password_hash
from otp_server.console_settings import Role
from otp_server.vault import Kept, Records
from otpcore import InvalidArgument, StoreError

__all__ = ["Account", "NewAccount", "People"]

_NAMESPACE = "people"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_TRIES = 20
_REMEMBERED_FOR = timedelta(minutes=1)  # that an account was removed; what is written goes with the audit record


@attrs.frozen(kw_only=True)
class Account:
    """One account.

    Args:
        name: Lower-case, as the audit trail tells it.
        role: What the person may do.
        may_reveal: They may see whole numbers, each for a reason.
        by_proxy: They have no password: a trusted proxy says who they are.
        epoch: Sessions of another one are over.
        created_at: Aware UTC.
        created_by: Who made it.
        signed_in_at: When they did last; None: never, or by a proxy.
    """

    name: str
    role: Role
    may_reveal: bool = False
    by_proxy: bool = False
    epoch: str = attrs.field(repr=False)
    created_at: datetime
    created_by: str
    signed_in_at: datetime | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; nothing in it lets anybody in."""
        times = {"created_at": self.created_at.isoformat(), "signed_in_at": _written(self.signed_in_at)}
        plain = attrs.asdict(self, filter=lambda field, _: field.name != "epoch")
        return {**plain, "role": str(self.role), **times}


@attrs.frozen(kw_only=True)
class NewAccount:
    """An account that was made or reset, with what is shown once and kept nowhere in clear.

    Args:
        account: What is kept of it.
        password: The whole of it; empty with a proxy.
        seed: Of the six digits (RFC 6238), in base 32; empty with a proxy.
    """

    account: Account
    password: str = attrs.field(default="", repr=False)
    seed: str = attrs.field(default="", repr=False)


@attrs.frozen
class People:
    """The accounts of a console, in the server's store.

    Args:
        records: Where they are kept.
    """

    records: Records

    async def add(
        self, name: str, role: Role, *, may_reveal: bool = False, by_proxy: bool = False, by: str, reason: str = ""
    ) -> NewAccount:
        """Make an account.

        Args:
            name: Of the person.
            role: What they may do.
            may_reveal: They may see whole numbers.
            by_proxy: They have no password: a trusted proxy says who they are.
            by: Who makes it; the audit trail keeps it.
            reason: Why, likewise.

        Raises:
            InvalidArgument: There is one of that name, or a name or reason that cannot be kept.
        """
        name = _checked(name)
        kept = await self.records.get(_NAMESPACE, name)
        if kept is not None and not _is_removed(kept):
            raise InvalidArgument("there is an account of this name. Fix: `otp console user reset` gives it a password")
        account = Account(
            name=name,
            role=role,
            may_reveal=may_reveal,
            by_proxy=by_proxy,
            epoch=secrets.token_hex(8),
            created_at=datetime.now(UTC),
            created_by=by,
        )
        made, value = await _with_secrets(account)
        audit = audit_record(
            "console.user.add", name, by, reason, {"role": str(role), "may_reveal": may_reveal, "by_proxy": by_proxy}
        )
        expect = kept.version if kept is not None else 0
        if await self.records.put(_NAMESPACE, name, value, expect=expect, audit=audit) is None:
            raise InvalidArgument("an account of this name was made just now")
        return made

    async def reset(
        self, name: str, *, role: Role | None = None, may_reveal: bool | None = None, by: str, reason: str = ""
    ) -> NewAccount | None:
        """Give an account another password and seed, and end its sessions; None: there is none of that name.

        Args:
            name: Of the person.
            role: Another one; None: as it is.
            may_reveal: Likewise.
            by: Who does it; the audit trail keeps it.
            reason: Why, likewise.
        """
        for _ in range(_TRIES):
            kept = await self._kept(name)
            if kept is None:
                return None
            old = _read(kept)
            account = attrs.evolve(
                old,
                role=old.role if role is None else role,
                may_reveal=old.may_reveal if may_reveal is None else may_reveal,
                epoch=secrets.token_hex(8),
            )
            made, value = await _with_secrets(account)
            said = {"role": str(account.role), "may_reveal": account.may_reveal}
            audit = audit_record("console.user.reset", old.name, by, reason, said)
            if await self.records.put(_NAMESPACE, old.name, value, expect=kept.version, audit=audit) is not None:
                return made
        raise StoreError("others kept changing this account; try again")

    async def remove(self, name: str, *, by: str, reason: str = "") -> bool:
        """Take an account away, and its sessions with it, from now on; False: there is none of that name.

        Args:
            name: Of the person.
            by: Who does it; the audit trail keeps it.
            reason: Why, likewise.
        """
        for _ in range(_TRIES):
            kept = await self._kept(name)
            if kept is None:
                return False
            audit = audit_record("console.user.remove", kept.key, by, reason, {})
            gone: dict[str, Any] = {"removed": True}
            if await self.records.put(
                _NAMESPACE,
                kept.key,
                gone,
                expires_at=datetime.now(UTC) + _REMEMBERED_FOR,
                expect=kept.version,
                audit=audit,
            ):
                return True
        raise StoreError("others kept changing this account; try again")

    async def list(self) -> tuple[Account, ...]:
        """All of them, by name."""
        return tuple(_read(one) for one in await self.records.every(_NAMESPACE) if not _is_removed(one))

    async def find(self, name: str) -> Account | None:
        """The account of a name; None: there is none."""
        kept = await self._kept(name)
        return None if kept is None else _read(kept)

    async def prove(self, name: str, password: str, digits: str) -> Account | None:
        """The account, if both are right and these digits were not used yet; None, after as long, if not."""
        kept = await self._kept(name)
        value: dict[str, Any] = kept.value if kept is not None else {"password": "", "seed": "", "step": 0}
        fits = await password_fits(value["password"], password)
        step = matching_step(value["seed"], digits, after=value["step"])
        if kept is None or not fits or step is None:
            return None
        now = datetime.now(UTC)
        used = {**kept.value, "step": step, "signed_in_at": now.isoformat()}
        if await self.records.put(_NAMESPACE, kept.key, used, expect=kept.version) is None:
            return None  # the same digits came twice at once, or the account was changed
        return _read(attrs.evolve(kept, value=used))

    async def _kept(self, name: str) -> Kept | None:
        name = name.strip().lower()
        kept = await self.records.get(_NAMESPACE, name if _NAME.fullmatch(name) else "-")
        return None if kept is None or _is_removed(kept) else kept


async def _with_secrets(account: Account) -> tuple[NewAccount, dict[str, Any]]:
    """With secrets of its own, and what is kept of it."""
    password, seed = ("", "") if account.by_proxy else (new_password(), new_seed())
    value = {
        **account.to_dict(),
        "epoch": account.epoch,
        "password": await password_hash(password) if password else "",
        "seed": seed,
        "step": 0,
    }
    return NewAccount(account=account, password=password, seed=seed), value


def _checked(name: str) -> str:
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidArgument("a name is 1 to 64 letters, digits and . _ @ + -, such as ann or ann@example.com")
    return name


def _is_removed(kept: Kept) -> bool:
    return "removed" in kept.value


def _read(kept: Kept) -> Account:
    value = kept.value
    signed_in = value["signed_in_at"]
    return Account(
        name=kept.key,
        role=Role(value["role"]),
        may_reveal=value["may_reveal"],
        by_proxy=value["by_proxy"],
        epoch=value["epoch"],
        created_at=datetime.fromisoformat(value["created_at"]),
        created_by=value["created_by"],
        signed_in_at=None if signed_in is None else datetime.fromisoformat(signed_in),
    )


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

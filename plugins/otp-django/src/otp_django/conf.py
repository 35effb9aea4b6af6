"""``settings.OTPCORE``: read into otpcore's settings, and kept out of what Django shows of settings."""

from __future__ import annotations

import attrs
from django.conf import settings
from django.core import mail

from otp_django.databases import storage_url
from otpcore import Settings, SettingsError
from otpcore.embedding import Embedding, Spelling, TrustedProxies, in_sandbox

__all__ = ["EMBEDDING", "SETTING", "Own", "database_alias", "hide", "load", "load_to_send", "own", "spelling"]

SETTING = "OTPCORE"

EMBEDDING = Embedding(variable=SETTING, written=SETTING, command="manage.py otp", own=("database", "verified_url"))
"""How a project has the settings."""


@attrs.frozen(kw_only=True)
class Own:
    """What ``OTPCORE`` says to this app, besides otpcore's own settings.

    Args:
        proxies: Whose word about the client counts.
        verified_url: Where the ready view leads once a phone is verified: an address, or the name of a view.
    """

    proxies: TrustedProxies
    verified_url: str


def hide() -> None:
    """Put what no debug page shows in the place of the dictionary."""
    if _given() is not None:
        setattr(settings, SETTING, EMBEDDING.hidden(_given()))


def own() -> Own:
    """What is said to this app.

    Raises:
        SettingsError: A value cannot be meant.
    """
    verified_url = EMBEDDING.checked(_given()).get("verified_url", "/")
    if not isinstance(verified_url, str):
        raise EMBEDDING.error("verified_url: must be text: an address, or the name of a view")
    return Own(proxies=EMBEDDING.proxies(_given()), verified_url=verified_url)


def spelling() -> Spelling:
    """How what helps is told in this project."""
    return EMBEDDING.spelling(_given())


def database_alias() -> str | None:
    """The alias in ``DATABASES``: ``default``, unless another is named, or ``storage`` says where the data is.

    Raises:
        SettingsError: Both are said, or the alias is no text; or what is read for it is wrong.
    """
    return _alias(EMBEDDING.settings(_given()))


def load() -> Settings:
    """The settings, checked as a whole.

    Its errors come without the frames in which the values lie open, as the debug page shows what is in frames.

    Raises:
        SettingsError: All that is wrong, each with its key and the fix.
        RoutingSyntaxError: A rule cannot be read.
    """
    own()
    read = EMBEDDING.settings(_given())
    try:
        alias = _alias(read)
        return read if alias is None else attrs.evolve(read, storage=attrs.evolve(read.storage, url=storage_url(alias)))
    except SettingsError as error:
        wrong = error.with_traceback(None)
    del read
    raise wrong from None


def load_to_send() -> Settings:
    """As ``load``; while Django's test environment is set up, the sandbox stands in for every provider.

    A test that forgets the outbox would send messages to people otherwise, and pay for them.

    Raises:
        SettingsError: As ``load``; or a test runs with settings of production, which have no sandbox.
        RoutingSyntaxError: A rule cannot be read.
    """
    read = load()
    if not hasattr(mail, "outbox"):  # which is there in tests alone
        return read
    told = EMBEDDING.error(
        'environment: is "production" in a test without an outbox, which sends nothing to people. '
        "Fix: OTPTestMixin of otp_django.testing, or another environment in the settings of tests"
    )
    return in_sandbox(read, refused=told)


def _alias(read: Settings) -> str | None:
    given = EMBEDDING.checked(_given())
    is_elsewhere = bool(read.storage.url or read.storage.store)
    if "database" not in given:
        return None if is_elsewhere else "default"
    alias = given["database"]
    if not isinstance(alias, str) or not alias:
        raise EMBEDDING.error("database: must be an alias of DATABASES, such as 'default'")
    if is_elsewhere:
        raise EMBEDDING.error("database and storage say different places. Fix: leave one of them out")
    return alias


def _given() -> object:
    return getattr(settings, SETTING, None)

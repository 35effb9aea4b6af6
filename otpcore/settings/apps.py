"""``otp.apps``: what the codes of one of several apps have of their own, and its checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from otpcore.errors import SettingsError
from otpcore.settings.fields import setting

if TYPE_CHECKING:
    from otpcore.settings.sections import OtpSettings

__all__ = ["APP", "AppSettings", "good_apps", "with_app"]

APP = re.compile(r"[A-Za-z0-9._-]{1,40}")
"""The word of one of several apps."""

_OF_APPS = ("templates", "web_otp_host", "android_hash")


@attrs.frozen(kw_only=True)
class AppSettings:
    """``otp.apps.<app>``: what one of several apps says otherwise; what it does not say is as below ``otp``."""

    app: str | None = setting(None, "The app's name, for {app} in texts.")
    templates: Mapping[str, Mapping[str, str]] = setting(
        dict, "Own texts, instead of those of otp.templates.", names="<purpose>.<locale>"
    )
    web_otp_host: str | None = setting(None, "Host name for the last line @host #code.")
    android_hash: str | None = setting(None, "Hash of the Android app that may read the SMS.")


def good_apps(instance: OtpSettings, _: attrs.Attribute[Any], value: Mapping[str, AppSettings]) -> None:
    """Refuse names that no send could name, and texts and lines that could not go out."""
    for name, one in value.items():
        if not APP.fullmatch(name):
            raise SettingsError(f"otp.apps.{name}: a name is 1 to 40 ASCII letters, digits, dots, _ and -")
        try:
            with_app(instance, one)
        except SettingsError as error:
            key, _colon, problem = str(error).removeprefix("otp.").partition(": ")
            if key.partition(".")[0] in _OF_APPS:  # else it is about a key that is wrong without the app too
                raise SettingsError(f"otp.apps.{name}.{key}: {problem}") from None


def with_app(instance: OtpSettings, one: AppSettings) -> OtpSettings:
    """The settings of the codes of one app, checked.

    Raises:
        SettingsError: A text or a line of it could not go out.
    """
    said: dict[str, Any] = {"app": one.app, "web_otp_host": one.web_otp_host, "android_hash": one.android_hash}
    own = {name: value for name, value in said.items() if value is not None}
    return attrs.evolve(instance, apps={}, templates=one.templates or instance.templates, **own)

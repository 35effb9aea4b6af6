"""The app: what happens when Django starts. Nothing is opened here: this runs in every command of ``manage.py`` too."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

__all__ = ["OTPConfig"]


class OTPConfig(AppConfig):
    """``INSTALLED_APPS += ["otp_django"]``."""

    name = "otp_django"
    label = "otp"
    verbose_name = _("One-time passcodes")
    default_auto_field = "django.db.models.BigAutoField"  # of models that have no table

    def ready(self) -> None:
        """Hide the settings, register the checks, and let ``migrate`` make the tables."""
        from otp_django import conf  # noqa: PLC0415 - Django's settings are ready by now
        from otp_django.checking import TAG, find, read  # noqa: PLC0415 - the same
        from otp_django.tables import upgrade_tables  # noqa: PLC0415 - the same

        conf.hide()
        checks.register(read, TAG)
        checks.register(find, TAG, deploy=True)
        post_migrate.connect(upgrade_tables, sender=self, dispatch_uid="otp_django.tables")
        setting_changed.connect(_changed, dispatch_uid="otp_django.settings")


def _changed(*, setting: str, **_: Any) -> None:
    """A test overrides settings."""
    if setting in ("OTPCORE", "DATABASES"):
        from otp_django import conf, running  # noqa: PLC0415 - as above

        conf.hide()
        running.forget()

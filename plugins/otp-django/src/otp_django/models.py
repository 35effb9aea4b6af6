"""Names for the admin's index and for permissions. None of them is a table of Django's: otpcore keeps its own."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

__all__ = ["Challenge", "Change", "Delivery", "Sending", "WaitingSend"]


class Challenge(models.Model):
    """Started verifications."""

    class Meta:
        """Who may see them, and end one."""

        managed = False
        default_permissions = ("view",)
        permissions = (("cancel_challenge", "Can end a verification"),)
        verbose_name = _("verification")
        verbose_name_plural = _("verifications")


class Delivery(models.Model):
    """What was handed to providers."""

    class Meta:
        """Who may see them."""

        managed = False
        default_permissions = ("view",)
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")


class WaitingSend(models.Model):
    """Sends that wait for their next try."""

    class Meta:
        """Who may see them, make them due and end them."""

        managed = False
        default_permissions = ("view",)
        permissions = (
            ("requeue_waitingsend", "Can make a waiting send due now"),
            ("drop_waitingsend", "Can end a waiting send"),
        )
        verbose_name = _("waiting send")
        verbose_name_plural = _("waiting sends")


class Sending(models.Model):
    """What stops sending, and the instances."""

    class Meta:
        """Who may see it, pause all sending and take an instance out of use."""

        managed = False
        default_permissions = ("view",)
        permissions = (
            ("pause_sending", "Can pause all sending and go on"),
            ("drain_sending", "Can take an instance out of use and back"),
        )
        verbose_name = _("sending")
        verbose_name_plural = _("sending")


class Change(models.Model):
    """What operators changed."""

    class Meta:
        """Who may see it."""

        managed = False
        default_permissions = ("view",)
        verbose_name = _("change by an operator")
        verbose_name_plural = _("changes by operators")

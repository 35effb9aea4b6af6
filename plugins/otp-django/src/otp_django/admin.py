"""The admin's pages: verifications, deliveries, what waits, sending, the trail of changes; all through the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from otp_django.models import Challenge, Change, Delivery, Sending, WaitingSend
from otp_django.operating import tables
from otp_django.operating.pages import PAGE_LENGTH, Page
from otpcore import ChallengeState, ErrorKind, Operator

__all__ = ["ChallengePage", "ChangePage", "DeliveryPage", "SendingPage", "WaitingPage"]

_PROVIDER = ("instance", gettext_lazy("provider"), ())
_STATES = tuple(sorted(str(one.value) for one in ChallengeState))
_OUTCOMES = ("accepted", "open", *sorted(str(one.value) for one in ErrorKind))


def _after(request: HttpRequest) -> str | None:
    return request.GET.get("after") or None


def _cancel(operator: Operator, request: HttpRequest, by: str, reason: str) -> str:
    done = operator.challenges.cancel(request.POST.get("id", ""), by=by, reason=reason)
    return _("The verification was ended.") if done else _("It was over already.")


@admin.register(Challenge)
class ChallengePage(Page):
    """Started verifications: the list, those of one person, and one with everything that happened to it."""

    columns = tables.CHALLENGES
    filters = (("state", gettext_lazy("state"), _STATES), _PROVIDER)
    changes = {"cancel": ("cancel_challenge", _cancel)}
    list_template = "admin/otp/challenges.html"

    def get_urls(self) -> list[URLPattern]:
        """With the person's look-up before one verification, as an id is any word."""
        view = self.admin_site.admin_view
        return [
            *super().get_urls(),
            path("person/", view(sensitive_post_parameters("phone")(self.person)), name="otp_challenge_person"),
            path("show/<str:challenge_id>/", view(self.show), name="otp_challenge_show"),
        ]

    def read(self, operator: Operator, request: HttpRequest, chosen: Mapping[str, str]) -> dict[str, Any]:
        """A page of the list."""
        found = operator.challenges.list(
            state=chosen["state"] or None, instance=chosen["instance"], after=_after(request), limit=PAGE_LENGTH
        )
        return {"items": found.items, "cursor": found.cursor}

    def person(self, request: HttpRequest) -> HttpResponse:
        """Those of one phone, by POST: a number in an address would stand in the server's log."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return self.changelist_view(request)
        return self.shown(
            request,
            self.list_template,
            lambda operator: {"items": operator.challenges.show(request.POST.get("phone", ""))},
            is_person=True,
        )

    def show(self, request: HttpRequest, challenge_id: str) -> HttpResponse:
        """One verification."""
        if not self.has_view_permission(request):
            raise PermissionDenied

        def read(operator: Operator) -> dict[str, Any]:
            found = operator.challenges.show(challenge_id)
            if not found:
                return {}
            rows = tables.rows_of(tables.MOMENTS, found[0].timeline, self.admin_site.name)
            facts = [(column.title, tables.shown(column.value(found[0]))) for column in self.columns]
            heads = [column.title for column in tables.MOMENTS]
            return {"one": found[0], "facts": facts, "timeline": rows, "heads": heads}

        return self.shown(request, "admin/otp/challenge.html", read, title=_("Verification"))


@admin.register(Delivery)
class DeliveryPage(Page):
    """What was handed to providers."""

    columns = tables.DELIVERIES
    filters = (("outcome", gettext_lazy("outcome"), _OUTCOMES), _PROVIDER)

    def read(self, operator: Operator, request: HttpRequest, chosen: Mapping[str, str]) -> dict[str, Any]:
        """A page of the list."""
        found = operator.deliveries.list(
            outcome=chosen["outcome"] or None, instance=chosen["instance"], after=_after(request), limit=PAGE_LENGTH
        )
        return {"items": found.items, "cursor": found.cursor}


def _meant(request: HttpRequest) -> dict[str, Any]:
    """One send that is named, or as many of an instance as the page has counted."""
    if one := request.POST.get("id"):
        return {"challenge_id": one}
    count = request.POST.get("count", "")
    return {"instance": request.POST.get("instance", ""), "count": int(count) if count.isdecimal() else None}


def _requeue(operator: Operator, request: HttpRequest, by: str, reason: str) -> str:
    done = operator.retries.requeue(**_meant(request), by=by, reason=reason)
    return _("Made due now: %(changed)d of %(found)d.") % {"changed": done.changed, "found": done.found}


def _drop(operator: Operator, request: HttpRequest, by: str, reason: str) -> str:
    done = operator.retries.drop(**_meant(request), by=by, reason=reason)
    return _("Ended: %(changed)d of %(found)d.") % {"changed": done.changed, "found": done.found}


@admin.register(WaitingSend)
class WaitingPage(Page):
    """The queue: what waits can be made due now, or ended."""

    columns = tables.WAITING
    filters = (_PROVIDER,)
    changes = {"requeue": ("requeue_waitingsend", _requeue), "drop": ("drop_waitingsend", _drop)}
    list_template = "admin/otp/waiting.html"

    def read(self, operator: Operator, request: HttpRequest, chosen: Mapping[str, str]) -> dict[str, Any]:
        """A page of the list, and how many there are in all."""
        found = operator.retries.list(PAGE_LENGTH, instance=chosen["instance"], after=_after(request))
        count = operator.retries.count(instance=chosen["instance"]).count
        return {"items": found.items, "cursor": found.cursor, "count": count}


def _pause(operator: Operator, request: HttpRequest, by: str, reason: str) -> str:
    hours = request.POST.get("hours", "")
    operator.sending.pause(
        for_=int(hours) * 3600.0 if hours.isdecimal() and hours != "0" else None, by=by, reason=reason
    )
    return _("Sending is paused.")


def _resume(operator: Operator, _request: HttpRequest, by: str, reason: str) -> str:
    operator.sending.resume(by=by, reason=reason)
    return _("Sending goes on.")


def _drain(operator: Operator, request: HttpRequest, by: str, reason: str) -> str:
    state = operator.instances.drain(request.POST.get("id", ""), by=by, reason=reason)
    return _("%(instance)s gets no new sends.") % {"instance": state.instance}


def _take_back(operator: Operator, request: HttpRequest, by: str, reason: str) -> str:
    state = operator.instances.take_back(request.POST.get("id", ""), by=by, reason=reason)
    return _("%(instance)s has sends again.") % {"instance": state.instance}


@admin.register(Sending)
class SendingPage(Page):
    """What stops sending, the pause, and the instances."""

    columns = tables.INSTANCES
    changes = {
        "pause": ("pause_sending", _pause),
        "resume": ("pause_sending", _resume),
        "drain": ("drain_sending", _drain),
        "take_back": ("drain_sending", _take_back),
    }
    list_template = "admin/otp/sending.html"

    def read(self, operator: Operator, request: HttpRequest, chosen: Mapping[str, str]) -> dict[str, Any]:
        """The last hour."""
        status = operator.status()
        switches = operator.sending.show()
        items = operator.instances.status()
        return {"items": items, "status": status, "paused": switches.paused}


@admin.register(Change)
class ChangePage(Page):
    """What operators changed, here or at the command line."""

    columns = tables.CHANGES

    def read(self, operator: Operator, request: HttpRequest, chosen: Mapping[str, str]) -> dict[str, Any]:
        """A page of the trail."""
        below = request.GET.get("after", "")
        found = operator.audit(PAGE_LENGTH + 1, below=int(below) if below.isdecimal() else None)
        items = found[:PAGE_LENGTH]
        return {"items": items, "cursor": items[-1].number if len(found) > PAGE_LENGTH else None}

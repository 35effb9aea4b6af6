"""The base of the admin's pages: lists that only read, and changes that need a permission and name who makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from otp_django.operating.tables import Column, rows_of
from otp_django.running import otp
from otpcore import Operator, OTPConfigurationError, OTPError

__all__ = ["Filter", "Page"]

PAGE_LENGTH = 50
"""Rows of a list."""

Filter = tuple[str, str | Promise, Sequence[str]]
"""A name in the address, its label, and what may be chosen; empty: any text."""

Context = dict[str, Any]


class Page(admin.ModelAdmin):  # type: ignore[type-arg] # of models without rows
    """One entry of the admin's index. Of ``ModelAdmin`` it uses the index and the permissions, and no query.

    Attributes:
        columns: Of the list.
        filters: What the address may name.
        changes: What may be done here, by its word in the address: the permission, and what does it.
    """

    columns: Sequence[Column] = ()
    filters: Sequence[Filter] = ()
    changes: Mapping[str, tuple[str, Callable[[Operator, HttpRequest, str, str], str]]] = {}
    list_template = "admin/otp/list.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is added by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is written over."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is removed; ``manage.py otp purge`` does that."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The list, and where changes are posted."""
        name = self.opts.model_name
        return [
            path("", self.admin_site.admin_view(self.changelist_view), name=f"otp_{name}_changelist"),
            path("do/<str:word>/", self.admin_site.admin_view(self.change_something), name=f"otp_{name}_do"),
        ]

    def may(self, request: HttpRequest, permission: str) -> bool:
        """Whether the person may see this page and has the permission, such as ``cancel_challenge``."""
        user = cast("PermissionsMixin", request.user)  # of those that an admin site lets in
        return self.has_view_permission(request) and user.has_perm(f"otp.{permission}")

    def read(self, operator: Operator, request: HttpRequest, chosen: Mapping[str, str]) -> Context:
        """What the list shows: ``items``, and ``cursor`` where more follow."""
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: Context | None = None) -> HttpResponse:
        """The list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = {name: request.GET.get(name, "").strip() for name, _label, _words in self.filters}
        return self.shown(request, self.list_template, lambda operator: self.read(operator, request, chosen), chosen)

    def shown(
        self,
        request: HttpRequest,
        template: str,
        read: Callable[[Operator], Context],
        chosen: Mapping[str, str] | None = None,
        **more: Any,
    ) -> HttpResponse:
        """A page of what was read; where that cannot be, of why."""
        context: Context = {"items": (), "cursor": None}
        problem, status = "", 200
        try:
            context |= read(otp.operator)
        except (OTPError, OTPConfigurationError) as error:
            problem, status = str(error), error.http_status if isinstance(error, OTPError) else 503
        context |= {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(self.opts.verbose_name_plural).capitalize(),
            "problem": problem,
            "columns": [column.title for column in self.columns],
            "rows": rows_of(self.columns, context["items"], self.admin_site.name),
            "filters": [(name, label, words, (chosen or {}).get(name, "")) for name, label, words in self.filters],
            "chosen": {name: value for name, value in (chosen or {}).items() if value},
            "may": {word: self.may(request, permission) for word, (permission, _change) in self.changes.items()},
            "media": self.media,
            **more,
        }
        return TemplateResponse(request, template, context, status=status)

    def change_something(self, request: HttpRequest, word: str) -> HttpResponse:
        """Make one change, with the name of who makes it, and why; then back to where it was asked for."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        permission, change = self.changes.get(word, ("", None))
        if change is None or not self.may(request, permission):
            raise PermissionDenied
        by, reason = request.user.get_username(), request.POST.get("reason", "")
        if not reason.strip():
            messages.error(request, _("Say why; it is kept with the change."))
        else:
            try:
                messages.success(request, change(otp.operator, request, by, reason))
            except (OTPError, OTPConfigurationError) as error:
                messages.error(request, str(error))
        return HttpResponseRedirect(self.address())

    def address(self, name: str = "changelist", *args: str) -> str:
        """Of one of these pages."""
        return reverse(f"admin:otp_{self.opts.model_name}_{name}", args=args, current_app=self.admin_site.name)

"""A verification in two steps: a phone is asked for, then the code. The session keeps what belongs together."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from otp_django.answers import said_of, said_of_code
from otp_django.asking import client_of, language
from otp_django.conf import own
from otp_django.forms import CodeForm, PhoneForm
from otp_django.running import otp
from otp_django.signals import phone_verified
from otpcore import Challenge, NoRouteError, OTPError

__all__ = ["OTPSendMixin", "OTPVerifyMixin", "SendCodeView", "VerifyCodeView", "verified_phone"]

_SESSION = "otp_django"

if TYPE_CHECKING:
    _View = FormView[Any]
else:
    _View = object  # the project's class brings the view


def verified_phone(request: HttpRequest, purpose: str = "default", *, within: float | None = None) -> str | None:
    """The number, in E.164, that this session has verified for the purpose; None: none.

    Args:
        request: Of the session.
        purpose: What the code was for.
        within: Seconds since it was verified; None: as long as the session lasts.
    """
    kept = _kept(request, purpose)
    phone, at = kept.get("verified"), kept.get("at")
    if not isinstance(phone, str) or not isinstance(at, int | float):
        return None
    return phone if within is None or time.time() - at <= within else None


class _Step(_View):
    """What both steps know.

    Attributes:
        purpose: What the code is for; codes of different purposes do not verify one another.
        channel: ``sms``, ``call``, or another word that a provider declares.
        app: Which of your apps asks; see ``otp.apps``.
    """

    purpose = "default"
    channel = "sms"
    app = ""

    def send_code(self, phone: str) -> Challenge:
        """Send a code in the active language, and keep in the session whose it is.

        Providers that cannot be told this language send in their own.

        Raises:
            OTPError: It cannot be sent.
        """
        send = partial(
            otp.send,
            phone,
            channel=self.channel,
            purpose=self.purpose,
            app=self.app,
            client=client_of(self.request),
        )
        try:
            challenge = send(locale=language())
        except NoRouteError as error:
            if error.reason != "cannot_carry":
                raise
            challenge = send()
        self.keep({"challenge": challenge.id, "phone": challenge.phone.e164})
        return challenge

    def kept(self) -> dict[str, Any]:
        """What the session has of this purpose."""
        return _kept(self.request, self.purpose)

    def keep(self, values: dict[str, Any]) -> None:
        """Put this in its place."""
        self.request.session[_SESSION] = {**self.request.session.get(_SESSION, {}), self.purpose: values}


class OTPSendMixin(_Step):
    """For a ``FormView`` whose form has a ``phone``: a form that is valid sends a code to it."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Send, and go on to where the code is typed."""
        try:
            self.send_code(form.cleaned_data["phone"])
        except OTPError as error:
            form.add_error("phone", said_of(error))
            return self.form_invalid(form)
        return HttpResponseRedirect(self.get_success_url())


class OTPVerifyMixin(_Step):
    """For a ``FormView`` whose form has a ``code``: a form that is valid verifies it.

    A POST with ``again`` sends another message. Without a code that this session has asked for, it leads to
    ``send_url``.

    Attributes:
        send_url: The address or the name of the view that asks for the phone.
    """

    send_url = "otp:send"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Look whether a code was asked for."""
        if "challenge" not in self.kept():
            return redirect(self.send_url)
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Verify, or send again."""
        if "again" not in request.POST:
            return super().post(request, *args, **kwargs)
        form = self.get_form_class()()
        notice = ""
        try:
            self.send_code(self.kept()["phone"])
        except OTPError as error:
            notice = said_of(error)
        return self.render_to_response(self.get_context_data(form=form, notice=notice))

    def form_valid(self, form: Any) -> HttpResponse:
        """Verify; a right code counts once."""
        kept = self.kept()
        try:
            verification = otp.verify(
                kept["phone"],
                form.cleaned_data["code"],
                challenge_id=kept["challenge"],
                purpose=self.purpose,
                app=self.app,
                client=client_of(self.request),
            )
        except OTPError as error:
            form.add_error("code", said_of(error))
            return self.form_invalid(form)
        if not verification:
            form.add_error("code", said_of_code(verification))
            return self.form_invalid(form)
        self.request.session.cycle_key()  # who knew the session before the person proved anything, has it no more
        self.keep({"verified": kept["phone"], "at": time.time()})
        phone_verified.send(type(self), request=self.request, phone=kept["phone"], purpose=self.purpose)
        return self.phone_verified(kept["phone"])

    def phone_verified(self, phone: str) -> HttpResponse:
        """What is done with a verified phone: override it to store the number, or to sign the person in.

        Args:
            phone: In E.164; ``verified_phone(request)`` says it from now on.
        """
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the masked number, for the page."""
        phone = self.kept().get("phone", "")
        shown = f"…{phone[-2:]}" if phone else ""
        return super().get_context_data(**{"phone": shown, **kwargs})


@method_decorator(sensitive_post_parameters("phone", "code"), name="dispatch")
@method_decorator(never_cache, name="dispatch")
class SendCodeView(OTPSendMixin, FormView):  # type: ignore[type-arg] # a form of any kind
    """Asks for a phone."""

    form_class = PhoneForm
    template_name = "otp/send.html"

    def get_success_url(self) -> str:
        """Where the code is typed."""
        return reverse("otp:verify")


@method_decorator(sensitive_post_parameters("phone", "code"), name="dispatch")
@method_decorator(never_cache, name="dispatch")
class VerifyCodeView(OTPVerifyMixin, FormView):  # type: ignore[type-arg] # the same
    """Asks for the code."""

    form_class = CodeForm
    template_name = "otp/verify.html"

    def get_success_url(self) -> str:
        """``OTPCORE["verified_url"]``."""
        return resolve_url(own().verified_url)


def _kept(request: HttpRequest, purpose: str) -> dict[str, Any]:
    if not hasattr(request, "session"):
        raise ImproperlyConfigured("otp_django.views need django.contrib.sessions and its middleware")
    kept = request.session.get(_SESSION, {}).get(purpose, {})
    return kept if isinstance(kept, dict) else {}

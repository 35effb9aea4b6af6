"""Phone verification over HTTP with Django, in one file: ``gunicorn app:application``."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from otpcore import InvalidPhoneNumber, NoRouteError, OTPError, OTPService, RateLimited

STATUSES = {InvalidPhoneNumber: 422, NoRouteError: 422, "permanent": 422, RateLimited: 429}  # all else: 503

settings.configure(SECRET_KEY=os.environ["SECRET_KEY"], ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
otp = OTPService.from_settings()  # opens on first use, in each worker process


def answer(request, action):
    try:
        return JsonResponse(action(request.POST.get, request.META["REMOTE_ADDR"]))
    except OTPError as error:
        status = STATUSES.get(type(error)) or STATUSES.get(getattr(error, "reason", ""), 503)
        headers = {"Retry-After": f"{error.retry_after + 1:.0f}"} if getattr(error, "retry_after", None) else {}
        return JsonResponse({"error": type(error).__name__}, status=status, headers=headers)


def send(form, client):
    return {"challenge_id": otp.send_sms(form("phone", ""), client=client).id}


def verify(form, client):
    phone, code, challenge_id = (form(name, "-") for name in ("phone", "code", "challenge_id"))
    return {"code_valid": otp.verify(phone, code, challenge_id=challenge_id, client=client).code_valid}


urlpatterns = [path("codes", answer, {"action": send}), path("codes/verify", answer, {"action": verify})]
application = get_wsgi_application()

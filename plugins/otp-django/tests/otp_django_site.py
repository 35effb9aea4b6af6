"""The addresses of the project that the tests run in this process, and its views."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from otp_django import about, aotp, client_of, otp


def broken(_request):
    raise ZeroDivisionError("a bug of the project")


def holds_sections(_request):
    keys, providers = settings.OTPCORE["keys"], settings.OTPCORE["providers"]
    raise ZeroDivisionError(len(keys), len(providers))


def send(request):
    return HttpResponse(otp.send_sms(request.GET["phone"], **about(request)).id)


async def send_async(request):
    challenge = await aotp.send_sms(request.GET["phone"])
    return JsonResponse({"id": challenge.id})


def who(request):
    return HttpResponse(str(client_of(request)))


urlpatterns = [
    path("admin/", admin.site.urls),
    path("phone/", include("otp_django.urls")),
    path("broken/", broken),
    path("holds-sections/", holds_sections),
    path("send/", send),
    path("send-async/", send_async),
    path("who/", who),
]

"""Phone verification for scripts: a code is asked for, then typed; the session keeps what belongs together.

For people there are ready pages: ``path("phone/", include("otp_django.urls"))``.
"""

from __future__ import annotations

from http import HTTPStatus

from django.http import JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_GET, require_POST
from otp_django import about, aotp, client_of, otp

from portal.answers import texts


@require_GET
def start(request):
    """For scripts: the token goes into the header X-CSRFToken of each POST. A form of yours has ``{% csrf_token %}``."""
    return JsonResponse({"csrf_token": get_token(request)})


@require_POST
def send(request):
    (phone,) = texts(request, "phone")
    challenge = otp.send_sms(phone, **about(request))
    request.session["challenge_id"], request.session["phone"] = challenge.id, challenge.phone.e164
    return JsonResponse({}, status=HTTPStatus.ACCEPTED)


@require_POST
async def verify(request):
    """On the server's own event loop under ASGI; under WSGI in a thread."""
    (code,) = texts(request, "code")
    challenge_id = await request.session.aget("challenge_id", "none")
    verification = await aotp.verify(code=code, challenge_id=challenge_id, client=client_of(request))
    if verification:
        await request.session.aset("verified_phone", await request.session.aget("phone"))
    return JsonResponse({"code_valid": verification.code_valid})


def forbidden(_request, **_):
    """``CSRF_FAILURE_VIEW``."""
    return JsonResponse({"error": "PermissionDenied", "reason": "csrf"}, status=HTTPStatus.FORBIDDEN)

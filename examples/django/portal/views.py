"""Phone verification: a code is asked for, then typed; the session keeps what belongs together."""

from __future__ import annotations

from http import HTTPStatus

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from otpcore import ReceiptRequest
from portal.answers import texts
from portal.client import who_asks
from portal.otp import otp


@require_GET
def start(request):
    """For scripts: the token goes into the header X-CSRFToken of each POST. A form of yours has ``{% csrf_token %}``."""
    return JsonResponse({"csrf_token": get_token(request)})


@require_POST
def send(request):
    (phone,) = texts(request, "phone")
    challenge = otp.send_sms(phone, client=who_asks(request))
    request.session["challenge_id"], request.session["phone"] = challenge.id, challenge.phone.e164
    return JsonResponse({}, status=HTTPStatus.ACCEPTED)


@require_POST
async def verify(request):
    """In an event loop ``OTPService`` would block it, so it gets a thread; it needs none of Django's own."""
    (code,) = texts(request, "code")
    challenge_id = await request.session.aget("challenge_id", "none")
    blocking = sync_to_async(otp.verify, thread_sensitive=False)
    verification = await blocking(code=code, challenge_id=challenge_id, client=who_asks(request))
    if verification:
        await request.session.aset("verified_phone", await request.session.aget("phone"))
    return JsonResponse({"code_valid": verification.code_valid})


@csrf_exempt  # a vendor has no session; it signs the public URL and the raw body, or calls an address that is proof itself
@require_http_methods(["GET", "POST"])
def receipt(request, instance, **_):
    url = settings.PUBLIC_URL + request.get_full_path()
    told = ReceiptRequest(method=request.method, url=url, headers=request.headers, body=request.body)
    result = otp.handle_receipt(instance, told)
    return HttpResponse(result.text, status=result.status, headers=result.headers)


def forbidden(_request, **_):
    """``CSRF_FAILURE_VIEW``."""
    return JsonResponse({"error": "PermissionDenied", "reason": "csrf"}, status=HTTPStatus.FORBIDDEN)

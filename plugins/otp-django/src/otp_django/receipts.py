"""Where vendors report what became of a message."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from otp_django.running import otp
from otpcore import OTPError, ReceiptRequest, UnknownProviderError

__all__ = ["receipt"]


# A vendor has no session: it signs the public URL and the raw body, or calls an address that is proof itself.
@csrf_exempt
@require_http_methods(["GET", "POST"])
def receipt(request: HttpRequest, instance: str, **_: str) -> HttpResponse:
    """Hand a vendor's callback to otpcore, and its answer to the vendor."""
    told = ReceiptRequest(
        method=request.method or "GET",
        url=_public_url(request),
        headers=dict(request.headers),
        body=request.body,
    )
    try:
        result = otp.handle_receipt(instance, told)
    except UnknownProviderError:
        return HttpResponse(status=404)
    except OTPError as error:
        return HttpResponse(status=error.http_status)
    return HttpResponse(result.text, status=result.status, headers=dict(result.headers))


def _public_url(request: HttpRequest) -> str:
    """As the vendor called it: at the host of ``otp.receipts_url``, else at that of the request."""
    public = otp.settings.otp.receipts_url
    if not public:
        return request.build_absolute_uri()
    parts = urlsplit(public)
    return f"{parts.scheme}://{parts.netloc}{request.get_full_path()}"

"""``path("phone/", include("otp_django.urls"))``: the two pages of a verification, and where vendors report."""

from __future__ import annotations

from django.urls import path

from otp_django.receipts import receipt
from otp_django.views import SendCodeView, VerifyCodeView

__all__ = ["app_name", "urlpatterns"]

app_name = "otp"
urlpatterns = [
    path("", SendCodeView.as_view(), name="send"),
    path("code/", VerifyCodeView.as_view(), name="verify"),
    path("receipts/<str:instance>", receipt, name="receipt"),
    path("receipts/<str:instance>/<str:delivery>/<str:proof>", receipt, name="receipt_of_delivery"),
]

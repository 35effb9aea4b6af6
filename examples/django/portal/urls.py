"""What is where."""

from __future__ import annotations

from django.urls import path
from otp_django.receipts import receipt

from portal import views

urlpatterns = [
    path("", views.start),
    path("codes", views.send),
    path("codes/verify", views.verify),
    path("receipts/<str:instance>", receipt),
    path("receipts/<str:instance>/<str:delivery>/<str:proof>", receipt),
]

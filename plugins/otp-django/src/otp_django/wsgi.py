"""For ``wsgi.py``, in the place of ``django.core.wsgi``: otpcore is open before the first request."""

from __future__ import annotations

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application as _of_django

from otp_django.running import service

__all__ = ["get_wsgi_application"]


def get_wsgi_application() -> WSGIHandler:
    """Django's application; otpcore is opened here.

    Retries that another process left go on from here, and wrong settings stop the start.
    ``runserver`` calls it in the process that serves, and not in the one that watches for changes. A server that forks
    afterwards (``gunicorn --preload``) has it open in the parent, and each child opens it anew at its first use. It
    closes at exit.

    Raises:
        OTPConfigurationError: Something must be corrected before anything can be sent.
        StoreError: The store cannot be used.
    """
    application = _of_django()
    service().open()
    return application

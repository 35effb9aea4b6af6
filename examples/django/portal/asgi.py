"""For uvicorn: ``uvicorn portal.asgi:application``. The server's lifespan opens otpcore and closes it."""

from __future__ import annotations

import os

from otp_django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
application = get_asgi_application()

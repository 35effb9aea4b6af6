"""For gunicorn and uWSGI: ``gunicorn`` in the directory of manage.py. otpcore is open before the first request."""

from __future__ import annotations

import os

from otp_django.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
application = get_wsgi_application()

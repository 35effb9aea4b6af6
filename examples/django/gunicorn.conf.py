"""``gunicorn`` reads this in its working directory."""

from __future__ import annotations

wsgi_app = "portal.wsgi:application"
bind = "127.0.0.1:8000"
workers = 2
threads = 8  # a vendor may ask back before it has answered (Sinch does), and a send waits for the vendor

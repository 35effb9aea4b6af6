"""``gunicorn --config shop.conf.py`` in this directory."""

from __future__ import annotations

wsgi_app = "shop:create_app()"
bind = "127.0.0.1:8000"
workers = 2
threads = 8  # a vendor may ask back before it has answered (Sinch does), and a send waits for the vendor


def post_worker_init(_worker):
    """In each worker: retries go on from here, before the first request, and wrong settings stop the start."""
    from shop import otp  # noqa: PLC0415 - after the fork

    otp.open()

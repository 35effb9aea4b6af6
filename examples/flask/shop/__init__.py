"""A shop whose account page is for people with a confirmed phone: ``gunicorn --config shop.conf.py``.

``FLASK_SECRET_KEY`` signs the sessions; otpcore's settings are in the file that ``OTPCORE_SETTINGS_FILE`` names. Behind
a proxy name it in ``trusted_proxies``, or wrap the app in ``ProxyFix``.
"""

from __future__ import annotations

import os
from http import HTTPStatus

from flask import Flask, render_template
from flask_wtf import CSRFProtect
from otp_flask import OTP

csrf = CSRFProtect()
otp = OTP()


def create_app(**config):
    from shop.views import account, phone  # noqa: PLC0415 - they use what stands above

    app = Flask(__name__)
    app.config.update(
        SESSION_COOKIE_SAMESITE="Lax",
        OTPCORE={"settings_file": os.environ.get("OTPCORE_SETTINGS_FILE", "otpcore.toml")},
    )
    app.config.from_prefixed_env()  # FLASK_SECRET_KEY, FLASK_SESSION_COOKIE_SECURE
    app.config.update(config)
    csrf.init_app(app)
    otp.init_app(app)
    app.register_blueprint(phone, url_prefix="/phone")
    app.register_blueprint(account)
    app.register_blueprint(otp.receipts_blueprint(), url_prefix="/receipts")
    app.register_error_handler(HTTPStatus.TOO_MANY_REQUESTS, too_many)
    return app


def too_many(error):
    return render_template("too_many.html", said=error.description), error.code

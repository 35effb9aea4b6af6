"""Phone verification over HTTP with Flask: ``gunicorn`` in this directory, which reads its file.

``PUBLIC_URL`` is what people and vendors call, such as ``https://example.com``. ``FORWARDED_ALLOW_IPS`` lists the
proxies whose word about the client's address counts; gunicorn reads it too. Pages with forms are in ``shop``.
"""

from __future__ import annotations

import logging
import os
from http import HTTPStatus

from flask import Flask, request
from otp_flask import OTP
from werkzeug.exceptions import HTTPException, UnprocessableEntity

logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
PUBLIC_URL = os.environ["PUBLIC_URL"].rstrip("/")
PROXIES = [one.strip() for one in os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(",")]
app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["SECRET_KEY"],
    SESSION_COOKIE_SAMESITE="Lax",  # and JSON alone is read: a form of another site cannot send it
    SESSION_COOKIE_SECURE=PUBLIC_URL.startswith("https:"),
    MAX_CONTENT_LENGTH=64 * 1024,
    OTPCORE={"settings_file": os.environ["OTPCORE_SETTINGS_FILE"], "trusted_proxies": [*PROXIES, "unix"]},
)
otp = OTP(app)  # opened in each worker process, by gunicorn.conf.py
app.register_blueprint(otp.receipts_blueprint(), url_prefix="/receipts")


def text(name):
    """A field of the request; JSON has numbers, lists and null as well."""
    try:
        value = request.json[name]
    except (KeyError, TypeError, RecursionError):
        raise UnprocessableEntity(name) from None
    if not isinstance(value, str):
        raise UnprocessableEntity(name)
    return value


@app.post("/codes")
def send():
    otp.ask(text("phone"))
    return {}, HTTPStatus.ACCEPTED


@app.post("/codes/verify")
def verify():
    verification = otp.confirm(text("code"))
    return {"code_valid": bool(verification)}


@app.errorhandler(HTTPException)
def not_understood(error):
    """Of a wrong field its name, else what HTTP calls it."""
    field = error.description if type(error) is UnprocessableEntity else None
    return {"error": type(error).__name__, "reason": error.name, "field": field}, error.code

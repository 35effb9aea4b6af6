"""Phone verification over HTTP with Flask; the session keeps the challenge: ``gunicorn`` in this directory, which reads its file.

``PUBLIC_URL`` is what people and vendors call, such as ``https://example.com``. ``FORWARDED_ALLOW_IPS`` lists the proxies whose
word about the client's address counts; gunicorn reads it too.
"""

from __future__ import annotations

import logging
import os
import re
from http import HTTPStatus
from ipaddress import ip_address, ip_network

from flask import Flask, request, session
from werkzeug.exceptions import HTTPException, UnprocessableEntity

from otpcore import OTPError, OTPService, ReceiptRequest, UnknownProviderError, known_as

logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
PUBLIC_URL = os.environ["PUBLIC_URL"].rstrip("/")
PROXIES = [ip_network(one.strip()) for one in os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(",")]
app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.environ["SECRET_KEY"],
    SESSION_COOKIE_SAMESITE="Lax",
    SESSION_COOKIE_SECURE=PUBLIC_URL.startswith("https:"),
    MAX_CONTENT_LENGTH=64 * 1024,
)
otp = OTPService.from_settings()  # opened in each worker process, by gunicorn.conf.py


def is_ours(hop):
    """A proxy of ours, with or without its port, or whoever connected to our Unix socket."""
    found = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", hop)
    try:
        address = ip_address((found[1] or found[2]) if found else hop)
    except ValueError:
        return not hop
    return any((getattr(address, "ipv4_mapped", None) or address) in network for network in PROXIES)


def who_asks():
    """The nearest address that is not ours. A header is read where one of ours sent it, and there from its end."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    hops = [request.remote_addr or "", *reversed(re.findall(r"[^\s,]+", forwarded))]
    return next((hop for hop in hops if not is_ours(hop)), hops[-1])


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
    challenge = otp.send_sms(text("phone"), client=who_asks())
    session["challenge_id"], session["phone"] = challenge.id, challenge.phone.e164
    return {}, HTTPStatus.ACCEPTED


@app.post("/codes/verify")
def verify():
    challenge_id = session.get("challenge_id", "none")
    verification = otp.verify(code=text("code"), challenge_id=challenge_id, client=who_asks())
    if verification:
        session["verified_phone"] = session["phone"]
    return {"code_valid": verification.code_valid}


@app.route("/receipts/<instance>", methods=["GET", "POST"])
@app.route("/receipts/<instance>/<delivery>/<proof>", methods=["GET", "POST"])
def receipt(instance, **_):
    """What a vendor reports: it has signed the public URL and the raw body, or the address is proof itself."""
    url = PUBLIC_URL + (request.full_path if request.query_string else request.path)
    told = ReceiptRequest(method=request.method, url=url, headers=request.headers, body=request.get_data())
    result = otp.handle_receipt(instance, told)
    return result.text, result.status, result.headers


@app.errorhandler(OTPError)
def refused(error):
    name, reason = known_as(error)  # a page chooses its text by them; str(error) is for the log
    headers = {"Retry-After": f"{error.retry_after + 1:.0f}"} if error.retry_after else {}
    content = {"error": name, "reason": reason, "try_channel": getattr(error, "try_channel", None)}
    return content, error.http_status, headers


@app.errorhandler(UnknownProviderError)
def unknown(_):
    return {"error": "UnknownProviderError", "reason": ""}, HTTPStatus.NOT_FOUND


@app.errorhandler(HTTPException)
def not_understood(error):
    """Of a wrong field its name, else what HTTP calls it."""
    field = error.description if type(error) is UnprocessableEntity else None
    return {"error": type(error).__name__, "reason": error.name, "field": field}, error.code

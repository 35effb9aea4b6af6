"""Phone verification over HTTP with Flask; the session keeps the challenge: ``gunicorn app:app``."""

from __future__ import annotations

import os

from flask import Flask, request, session

from otpcore import InvalidPhoneNumber, NoRouteError, OTPError, OTPService, RateLimited

STATUSES = {InvalidPhoneNumber: 422, NoRouteError: 422, "permanent": 422, RateLimited: 429}  # all else: 503

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
otp = OTPService.from_settings()  # opens on first use, in each worker process


@app.post("/codes")
def send():
    challenge = otp.send_sms(request.json["phone"], client=request.remote_addr)
    session["challenge_id"], session["phone"] = challenge.id, challenge.phone.e164
    return {}, 202


@app.post("/codes/verify")
def verify():
    challenge_id = session.get("challenge_id", "none")
    verification = otp.verify(code=request.json["code"], challenge_id=challenge_id, client=request.remote_addr)
    if verification:
        session["verified_phone"] = session["phone"]
    return {"code_valid": verification.code_valid}


@app.errorhandler(OTPError)
def refused(error):
    status = STATUSES.get(type(error)) or STATUSES.get(getattr(error, "reason", ""), 503)
    headers = {"Retry-After": f"{error.retry_after + 1:.0f}"} if getattr(error, "retry_after", None) else {}
    return {"error": type(error).__name__}, status, headers

"""An admin page: pause, a person's timeline, and retries. A proxy before it knows who you are, and says so in X-Forwarded-User."""

from __future__ import annotations

from flask import Flask, abort, redirect, render_template_string, request

from otpcore import Operator, OTPError

app = Flask(__name__)
PAGE = """
<title>Codes</title>
<p>{{ "Sending is paused" if switches.paused else "Sending goes on" }}. {{ waiting }} sends wait.</p>
<form method="post">
  <input name="reason" placeholder="Why">
  <button name="do" value="{{ 'resume' if switches.paused else 'pause' }}">Pause or go on</button>
  <button name="do" value="requeue">Try all that waits now</button>
</form>
<form><input name="phone" placeholder="+359…"> <button>What became of it?</button></form>
<p>{{ error }}</p>
{% for one in challenges %}<h2>{{ one.phone }}: {{ one.state }}</h2><ul>
{% for it in one.timeline %}<li>{{ it.at }} {{ it.what }} {{ it.provider }} {{ it.result }}</li>{% endfor %}
</ul>{% endfor %}
"""


@app.get("/")
def page():
    with Operator.from_settings() as operator:  # store and keys, no provider: it opens whatever is broken
        shown = {"switches": operator.sending.show(), "waiting": operator.retries.count().count}
        try:
            phone = request.args.get("phone")
            return render_template_string(PAGE, challenges=operator.challenges.show(phone) if phone else (), **shown)
        except OTPError as error:
            return render_template_string(PAGE, error=error, **shown), error.http_status


@app.post("/")
def change():
    by, why = request.headers.get("X-Forwarded-User"), request.form.get("reason", "")
    if not by or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)
    with Operator.from_settings() as operator:
        match request.form["do"]:
            case "pause":
                operator.sending.pause(for_=3600, by=by, reason=why)
            case "resume":
                operator.sending.resume(by=by, reason=why)
            case "requeue":
                operator.retries.requeue(count=operator.retries.count().count, by=by, reason=why)
    return redirect("/")

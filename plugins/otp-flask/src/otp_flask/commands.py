"""``flask otp ...``: every command of ``otp``, with the app's settings and the same exit codes."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from otp_flask.conf import spelling
from otp_flask.running import active_app
from otpcore.cli import run_command

__all__ = ["otp_command"]

_APP = "otp_flask.running:service"
# What follows is otp's own, --help too.
_UNTOUCHED = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command("otp", context_settings=_UNTOUCHED, add_help_option=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
@with_appcontext
def otp_command(context: click.Context, words: tuple[str, ...]) -> None:
    """Every command of otp, such as `otp status`, with the settings of this app."""
    context.exit(run_command(["--app", _APP, *words], spelling=spelling(active_app())))

"""Arguments that several commands take, each with its help."""

from __future__ import annotations

from typing import Annotated

import typer

from otpcore.cli.typed import typed_id, typed_phone, typed_prefix

__all__ = [
    "FROM_INPUT",
    "ChannelName",
    "ClearSwitch",
    "Client",
    "Id",
    "IdOrPhone",
    "Lasts",
    "Locale",
    "Message",
    "OfApp",
    "OwnCode",
    "Phone",
    "Prefix",
    "Purpose",
    "Reason",
    "Relayed",
    "Rules",
    "Yes",
]

FROM_INPUT = "- asks for it, or reads a line of standard input."

Phone = Annotated[
    str,
    typer.Argument(
        metavar="PHONE", help=f"With a leading +, unless otp.default_region is set; {FROM_INPUT}", callback=typed_phone
    ),
]
IdOrPhone = Annotated[
    str,
    typer.Argument(metavar="ID|PHONE", help=f"A challenge's id, or a phone number; {FROM_INPUT}", callback=typed_phone),
]
Id = Annotated[str, typer.Argument(metavar="ID", help=f"The challenge's id; {FROM_INPUT}", callback=typed_id)]
Rules = Annotated[str, typer.Argument(metavar="RULES", help='Such as "Twilio;Mada:+35987".')]
ChannelName = Annotated[str, typer.Option("--channel", metavar="WORD", help="Such as sms, call or whatsapp.")]
Purpose = Annotated[str, typer.Option(metavar="TEXT", help="What the code is for.")]
Client = Annotated[str | None, typer.Option(metavar="TEXT", help="Who asks, such as the client's IP address.")]
Locale = Annotated[str | None, typer.Option(metavar="TAG", help="Language of the text, such as pt-BR.")]
Prefix = Annotated[
    str,
    typer.Argument(
        metavar="PREFIX", help=f"Such as +35987, or a region such as BG; {FROM_INPUT}", callback=typed_prefix
    ),
]
Lasts = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="Such as 30m or 2h; not given: until it is switched again.")
]
ClearSwitch = Annotated[bool, typer.Option("--clear", help="Remove the switch; the settings count again.")]
OwnCode = Annotated[
    str | None,
    typer.Option(
        "--code",
        metavar="CODE",
        help=f"A code of your own, 4 to 10 digits; {FROM_INPUT} Written here it stands in the process list.",
    ),
]
Message = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="A text of your own; it must contain {code}, but with --relayed and no --code."),
]
Relayed = Annotated[
    bool, typer.Option("--relayed", help="Only carry --code or --message of yours: nothing of it is verified.")
]
OfApp = Annotated[str, typer.Option(metavar="WORD", help="Which of the host's apps it is for.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the audit trail, with your name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

"""A browser without JavaScript, small enough for tests of the verification page."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx

_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
_HEADING = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
_ALERT = re.compile(r'<div class="alert notice" role="alert" tabindex[^>]*>\s*<h2>(.*?)</h2>', re.DOTALL)
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


class Look:
    """What a page shows."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self.status, self.text = answer, answer.status_code, answer.text
        self.title = html.unescape("".join(_TITLE.findall(self.text)))
        self.heading = html.unescape("".join(_HEADING.findall(self.text)))
        self.alert = html.unescape("".join(_ALERT.findall(self.text)))
        self.form_token = next(iter(_TOKEN.findall(self.text)), "")

    def says(self, text: str) -> bool:
        return text in html.unescape(self.text)


class Person:
    """Somebody with a browser at one page."""

    def __init__(self, page_url: str, **headers: str) -> None:
        self.url = page_url
        self.client = httpx.Client(headers=headers, timeout=60, verify=False)  # there is no TLS
        self.token = ""

    def look(self) -> Look:
        seen = Look(self.client.get(self.url))
        self.token = seen.form_token or self.token
        return seen

    def post(self, path: str = "", **form: str) -> httpx.Response:
        return self.client.post(self.url + path, data={"form_token": self.token, **form})

    def types(self, code: str) -> Look:
        """Send a code, and follow to what is shown then."""
        answer = self.post(code=code)
        assert answer.status_code == 303, answer.text
        return self.look()

    def asks(self, channel: str = "sms") -> Look:
        answer = self.post("/send", channel=channel)
        assert answer.status_code == 303, answer.text
        return self.look()


def page_of(client: httpx.Client, phone: str, **more: Any) -> str:
    """The address of the page of a verification that is started for this."""
    answer = client.post("/v1/verifications", json={"to": phone, "page": {}, **more})
    assert answer.status_code == 202, answer.text
    url: str = answer.json()["page_url"]
    return url


def decoy_of(client: httpx.Client, phone: str, **more: Any) -> str:
    answer = client.post("/v1/decoys", json={"to": phone, "page": {}, **more})
    assert answer.status_code == 202, answer.text
    url: str = answer.json()["page_url"]
    return url

"""The console of a real server, and people of every role at it, without scripts."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import httpx
from otp_server.console.people import People
from otp_server.console_settings import Role

HEADER = "X-Console-User"
PEOPLE: Mapping[str, tuple[Role, bool]] = {
    "vera": (Role.VIEWER, False),
    "otto": (Role.OPERATOR, False),
    "olga": (Role.OPERATOR, True),
    "ada": (Role.ADMIN, True),
}
"""By name: the role, and the right to reveal numbers."""

_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


class Browser:
    """Somebody at the console, without scripts."""

    def __init__(self, base_url: str, name: str) -> None:
        self.client = httpx.Client(base_url=base_url, headers={HEADER: name} if name else {}, timeout=60, verify=False)
        self.token = ""

    def get(self, path: str, **query: str) -> httpx.Response:
        answer = self.client.get(path, params=query or None)
        self.token = next(iter(_TOKEN.findall(answer.text)), self.token)
        return answer

    def post(self, path: str, **form: Any) -> httpx.Response:
        """A form with the token of the page that was looked at last; a list has a field for each."""
        return self.client.post(path, data={"form_token": self.token, **form})

    def does(self, path: str, **form: Any) -> httpx.Response:
        """Post, and follow to what is shown then."""
        answer = self.post(path, **form)
        assert answer.status_code == 303, answer.text
        target = answer.headers["location"].removeprefix(self.client.base_url.path.rstrip("/"))
        return self.get(target)


@attrs.define(eq=False)
class Console:
    """A server's console, and who may look at it."""

    server: Any
    browsers: list[Browser] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        return f"{self.server.url}/console"

    def browser(self, name: str = "ada") -> Browser:
        """Somebody of ``PEOPLE``; empty: a stranger."""
        self.browsers.append(Browser(self.url, name))
        return self.browsers[-1]

    @property
    def headers(self) -> Mapping[str, str]:
        """That let a real browser in as the administrator."""
        return {HEADER: "ada"}


@contextlib.contextmanager
def serving(
    run_server: Any, url: str, providers: Mapping[str, object] | None = None, **sections: Any
) -> Iterator[Console]:
    """A server over a database and sections of settings, with its console at ``/console``."""
    server = {**sections.pop("server", {})}
    own = {"path": "/console", "trusted_header": HEADER, "trusted_from": ["127.0.0.1"], **server.get("console", {})}
    with run_server(url, providers, server={**server, "console": own}, **sections) as started:
        people = People(started.server.records)
        known = {one.name for one in started.do(people.list())}
        for name, (role, may_reveal) in PEOPLE.items():
            if name in known:
                continue
            started.do(people.add(name, role, may_reveal=may_reveal, by_proxy=True, by="the test"))
        console = Console(started)
        yield console
        for browser in console.browsers:
            browser.client.close()


def text_of(answer: httpx.Response) -> str:
    """What a page says, without its marks."""
    plain = re.sub(r"<(script|style|svg)\b.*?</\1>", "", answer.text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", plain)).split())

"""A correct provider whose hooks are plain functions over a blocking client, as most SDKs of vendors are."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from otpcore.errors import ErrorKind, ProviderError
from otpcore.http.client import HttpAnswer
from otpcore.providers.hooks import hookimpl

from .acme import Text

LONGEST = 100_000


class Threads(Text):
    """Its client has a timeout for each read of whole seconds, and none for an answer as a whole."""

    seconds = 1

    @hookimpl
    def start(self, exit_stack):
        pass

    @hookimpl
    def send_sms(self, request):
        return self.receipt(self.request("POST", self.path, self.body(request)), request)

    @hookimpl
    def check_account(self):
        try:
            answer = self.request(*self.question)
        except ProviderError as error:
            raise ProviderError(ErrorKind.UNAVAILABLE, error.summary) from None
        if answer.status in (401, 404, 405):
            raise ProviderError(ErrorKind.MISCONFIGURED, "the token is wrong, or the URL")
        return self.state(answer)

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection(urlsplit(self.settings.base_url).netloc, timeout=self.seconds)
        headers = {"Authorization": f"Bearer {self.settings.token}", "Content-Type": "application/json"}
        try:
            try:
                connection.connect()
            except OSError:
                raise ProviderError(ErrorKind.UNAVAILABLE, "no connection") from None
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            wait = answer.headers.get("Retry-After")
            return HttpAnswer(
                status=answer.status, body=answer.read(LONGEST), retry_after=float(wait) if wait else None
            )
        except (OSError, http.client.HTTPException):
            raise ProviderError(ErrorKind.AMBIGUOUS, "no answer") from None
        finally:
            connection.close()

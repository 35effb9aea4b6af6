"""A table that cannot work is refused when it is loaded: with the key, what is wrong, and what is right."""

from __future__ import annotations

import pytest
from otp_http import create_provider

from otpcore.providers import ProviderContext, SettingsError


def changed(table, path, value):
    """The table with another value at this path; ``...`` takes it away."""
    name, _, rest = path.partition("/")
    if rest:
        return {**table, name: changed(table.get(name, {}), rest, value)}
    return {key: part for key, part in {**table, name: value}.items() if part is not ...}


WRONG = {
    "send": [(..., "send: is required"), ({}, "send: names no channel")],
    "nam": [("Acme", "nam: unknown key; did you mean")],
    "send/sms/jsn": [({}, "send.sms.jsn: unknown key; did you mean providers.acme.gateway.send.sms.json?")],
    "send/sms/path": [(..., "path: is required"), ("messages", "send.sms.path: begins with /")],
    "send/sms/method": [("GET", "send.sms.method: a GET has no body"), ("PATCH", "must be one of POST, GET, PUT")],
    "send/sms/json": [("{text}", "send.sms.json: must be a table or a list")],
    "outcomes": [
        (
            {"approvd": {"path": "/a", "accepted": {"path": "ok"}}},
            "outcomes.approvd: is no end of a code; did you mean",
        ),
        (
            {"unused": {"path": "/{refrence}", "accepted": {"path": "ok"}}},
            "outcomes.unused.path: {refrence} is neither",
        ),
        ({"unused": {"path": "/a", "accepted": {"status": [200]}}}, "outcomes.unused.accepted.path: is required"),
    ],
    "send/sms/form": [({"to": "{e164}"}, "send.sms.json: a request has one body")],
    "send/sms/json/text": [
        ("{txt}", "send.sms.json.text: {txt} is neither a value nor a setting; did you mean 'text'?"),
        ("{text", "send.sms.json.text: a brace stands alone"),
        ("x{text:int}", "stands alone"),
        ("hello", 'send.sms: has content = "text" and no {text}'),
    ],
    "send/sms/json/to": [("+359", "send.sms: names no recipient")],
    "send/sms/json/from": [("{sender}", "declare it as [settings.sender]")],
    "send/sms/json/list": [([{"x": "{e16}"}], "send.sms.json.list.0.x: {e16}")],
    "send/sms/content": [("code", "and no {code}"), ("voice", "must be one of text, code")],
    "send/sms/life": [({"min": 30}, "send.sms.life: is not used; write one of")],
    "send/sms": [
        (
            {"path": "/", "json": {"to": "{e164}", "text": "{text}{life}"}, "life": {"min": 86400, "max": 300}},
            "send.sms.life: min is more than max; both are seconds",
        )
    ],
    "send/sms/languages": [({"en": "en"}, "send.sms.languages: is not used")],
    "send/sms/sender": [("x", "send.sms.sender: is not used"), ("(", "is no regular expression")],
    "send/sms/code_lengths": [([4], "is a list of two")],
    "send/Whats App": [({"path": "/", "json": {"a": "{e164}{text}"}}, "a channel is a lower-case letter")],
    "auth/basic": [(["{token}"], "auth.basic: is a list of two")],
    "auth/bearer": [("{tken}", "auth.bearer: {tken} is neither a value nor a setting; did you mean 'token'?")],
    "auth/headers": [({"X": "{nothing}"}, "auth.headers.X: {nothing}")],
    "base_url": [("https://{country}.example", "base_url: {country} is neither")],
    "settings/gateway": [({"meaning": "x"}, "settings.gateway: this name means something else")],
    "settings/e164": [({"meaning": "x"}, "settings.e164: this name means something else")],
    "settings/Bad-Name": [({"meaning": "x"}, "settings.Bad-Name: a setting's name is")],
    "settings/user": [
        ({"meaning": "x", "form": "("}, "settings.user.form: is no regular expression"),
        ({"meaning": "x", "form": "[a-z]"}, "settings.user.example: is needed beside form"),
        ({"meaning": "x", "form": "[a-z]", "example": "9"}, "settings.user.example: is not of this setting's form"),
        ({}, "settings.user.meaning: is required"),
    ],
    "answer/reference": [("", "answer.accepted: an HTTP status alone is no acceptance")],
    "answer/accepted": [({"is": ["ok"]}, "answer.accepted.is: needs path beside it")],
    "answer/codes": [
        ({"1": "throtled"}, "answer.codes.1: 'throtled' is no kind; did you mean 'throttled'?"),
        ({"1": "nonsense: x"}, "'nonsense' is no kind; there are ambiguous, blocked"),
    ],
    "answer/http": [({"99": "blocked"}, "answer.http.99: is no HTTP status")],
    "answer/otherwise": [("never", "answer.otherwise: 'never' is no kind")],
    "answer/body": [("text", 'answer.pattern: is required beside body = "text"')],
    "answer/pattern": [("x", 'answer.pattern: goes with body = "text"')],
    "answer/detail": [("error.field", "answer.detail: is not used")],
    "answer/retry_after": [({"path": "x", "pattern": "[0-9]+"}, "answer.retry_after.pattern: has no group")],
    "sources": [({"anser": {"certainty": "captured", "source": "x"}}, "sources.anser: the table has no such part")],
}
RECEIPTS = {"proof": {"kind": "header", "header": "x-key", "value": "{token}"}, "status": "status"}
RECEIPTS |= {"reference": "id", "statuses": {"ok": "delivered"}}
WRONG_RECEIPTS = {
    "reference": [(..., "receipts.reference: is needed, or delivery_id")],
    "statuses": [
        ({"ok": "deliverd"}, "receipts.statuses.ok: 'deliverd' is no end of a message; did you mean 'delivered'?"),
        ({"ok": "delivered: blocked"}, "receipts.statuses.ok: only undelivered has a kind"),
        ({"ok": "undelivered: blockd"}, "receipts.statuses.ok: 'blockd' is no kind; did you mean 'blocked'?"),
    ],
    "items": [("data.payload", "receipts.items: has no *, so it leads to no list")],
    "methods": [(["POST", "FETCH"], "receipts.methods: 'FETCH' is none that"), ([], "receipts.methods: is empty")],
    "codes": [({"1": "blocked"}, "receipts.code: is needed beside codes")],
    "proof": [
        ({"kind": "address"}, "send.sms: never says {receipt_url}"),
        ({"kind": "hmac", "header": "x"}, 'receipts.proof.key: is needed with kind = "hmac"'),
        ({"kind": "hmac", "header": "x", "key": "{tokn}"}, "receipts.proof.key: {tokn} is neither"),
        ({"kind": "hmac", "header": "x", "key": "{token}", "signed": "{boddy}"}, "{boddy} cannot be signed; did you"),
        ({"kind": "hmac", "header": "x", "key": "k", "signed": "{timestamp}{body}"}, "receipts.proof.timestamp: is"),
        ({"kind": "hmac", "header": "x", "key": "k", "timestamp": "t"}, "receipts.proof.signed: must hold {timestamp}"),
        ({"kind": "magic"}, "receipts.proof.kind: must be one of address, hmac"),
        ({"kind": "hmac", "key": "k"}, 'receipts.proof.header: or field is needed with kind = "hmac"'),
        ({"kind": "hmac", "key": "k", "header": "x", "field": "y"}, "receipts.proof.header: or field is needed"),
        ({"kind": "hmac", "key": "k", "header": "x", "nonce": "n"}, "receipts.proof.signed: must hold {nonce}"),
        ({"kind": "hmac", "key": "k", "header": "x", "signed": "{nonce}{body}"}, "receipts.proof.nonce: is needed"),
        ({"kind": "hmac", "key": "k", "field": "sig"}, "receipts.proof.signed: must hold {fields}"),
        ({"kind": "jwt", "header": "x", "key": "k"}, 'receipts.proof.claims: is needed with kind = "jwt"'),
        ({"kind": "jwt", "header": "x", "key": "k", "claims": {"iss": "A"}}, "proof.claims: has neither {body_sha256}"),
        (
            {"kind": "jwt", "header": "x", "key": "k", "claims": {"h": "{body_sha256}", "iss": "{tokn}"}},
            "receipts.proof.claims.iss: {tokn} is neither a value nor a setting; did you mean 'token'?",
        ),
    ],
    "signature": [
        ({"kind": "header", "header": "x", "value": "{token}"}, "receipts.signature.kind: must be one of hmac, jwt"),
        ({"kind": "hmac", "header": "x", "key": "{token}"}, "receipts.signature.key: holds no setting that may be"),
        ({"kind": "hmac", "header": "x", "key": "{tokn}"}, "receipts.signature.key: {tokn} is neither"),
    ],
    "challenge": [({"token": "t", "secret": "{no}", "answer": "c"}, "receipts.challenge.secret: {no}")],
}
TEXT = {"body": "text", "pattern": "OK:(?P<id>[0-9]+)|ERR:(?P<code>[0-9]+)", "reference": "id", "code": "code"}
TEXT |= {"examples": {"accepted": {"text": "OK:{id}", "id": 12}, "refused": {"text": "ERR:{code}"}}}
WRONG_TEXTS = {
    "pattern": [
        (..., "answer.pattern: is required beside body"),
        ("OK:([0-9]+)|ERR:(?P<code>.+)", "answer.pattern: has no group (?P<id>...), which reference names"),
        ("OK:(?P<id>[0-9]+)", "answer.pattern: has no group (?P<code>...), which code names"),
        ("OK:(?P<id>", "answer.pattern: is no regular expression"),
    ],
    "accepted": [({"path": "state"}, "answer.pattern: has no group (?P<state>...), which accepted.path names")],
    "detail": [("why", "answer.pattern: has no group (?P<why>...), which detail names")],
    "retry_after": [({"path": "wait"}, "answer.pattern: has no group (?P<wait>...), which retry_after.path names")],
    "price": [({"amount": "cost", "currency": "=unit"}, "has no group (?P<unit>...), which price.currency names")],
    "examples/accepted": [
        ("OK:12", "answer.examples.accepted: must be a table"),
        ({"id": "12"}, "answer.examples.accepted: needs text"),
        ({"text": "OK:{id}"}, "answer.examples.accepted: the pattern does not find 'OK:{id}'; give an example"),
        ({"text": "DONE:{id}", "id": 1}, "the pattern does not find 'DONE:1'"),
    ],
    "examples/refused": [
        (..., "answer.examples.refused: needs text"),
        ({"text": "NO:{code}"}, "answer.examples.refused: the pattern does not find 'NO:13'"),
    ],
}
CASES = [(path, value, problem) for path, cases in WRONG.items() for value, problem in cases]
CASES += [(f"receipts/{path}", value, problem) for path, cases in WRONG_RECEIPTS.items() for value, problem in cases]
CASES_OF_TEXTS = [(f"answer/{path}", value, problem) for path, ones in WRONG_TEXTS.items() for value, problem in ones]


def load(table):
    settings = {"gateway": table, "token": "t0ken-that-must-not-show"}
    return create_provider(ProviderContext(instance="acme", settings=settings))


@pytest.mark.parametrize(("path", "value", "problem"), CASES, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_said_with_its_key(own_table, path, value, problem):
    table = changed({**own_table, "receipts": RECEIPTS}, path, value)
    with pytest.raises(SettingsError) as refused:
        load(table)
    assert problem in str(refused.value)
    assert "providers.acme.gateway." in str(refused.value)
    assert "t0ken" not in str(refused.value)


@pytest.mark.parametrize(("path", "value", "problem"), CASES_OF_TEXTS, ids=lambda value: str(value)[:40])
def test_what_is_wrong_with_an_answer_in_text_is_said(own_table, path, value, problem):
    right = {**own_table, "answer": TEXT}
    assert load(right)
    with pytest.raises(SettingsError) as refused:
        load(changed(right, path, value))
    assert problem in str(refused.value)


def test_the_table_without_a_mistake_loads(own_table):
    provider = load({**own_table, "receipts": RECEIPTS})
    assert provider.describe().display_name == "Acme"


def test_all_mistakes_are_said_at_once(own_table):
    table = changed(changed(own_table, "send/sms/json/text", "{txt}"), "auth/bearer", "{tken}")
    with pytest.raises(SettingsError) as refused:
        load(table)
    assert str(refused.value).startswith("3 settings of the gateway's table are wrong:\n  ")


def test_a_text_that_cannot_be_read_is_the_only_mistake_that_is_said(own_table):
    texts = {"to": "{e164}", "text": "{text}", "from": "{sender}", "ttl": "{life_minutes:number}"}
    own_table["settings"]["sender"] = {"meaning": "who it is from"}
    own_table["send"]["sms"] |= {"json": texts, "life": {"min": 60}, "sender": "[A-Z]+"}
    with pytest.raises(SettingsError) as refused:
        load(own_table)
    assert str(refused.value).startswith("providers.acme.gateway.send.sms.json.ttl: ")
    assert "\n" not in str(refused.value)

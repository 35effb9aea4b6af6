"""How an instance comes to its table, and what it says of itself; through the loader, as a service does it."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import entry_points

import pytest
from otp_http import catalogue, create_provider
from otp_http.catalogue import built_in
from otp_http.simulator import GatewaySimulator

from otpcore import AsyncOTPService, OTPConfigurationError, OTPService
from otpcore.errors import UnknownProviderError
from otpcore.providers import HTTP_GATEWAYS, Channel, Feature, ProviderContext, SettingsError
from otpcore.providers.provider import load_provider
from otpcore.testing import Outbox

TOML = """
name = "Acme"
base_url = "https://api.acme.example"
[settings.token]
secret = true
meaning = "of the account"
[auth]
bearer = "{token}"
[send.sms]
path = "/messages"
json = { to = "{e164}", text = "{text}" }
[answer]
accepted = { status = [201] }
reference = "id"
"""


def made(directory=None, **settings):
    context = ProviderContext(instance="acme", settings={"token": "t0ken", **settings}, directory=directory)
    return create_provider(context)


def test_a_table_may_lie_beside_the_settings(tmp_path):
    (tmp_path / "acme.toml").write_text(TOML)
    assert made(str(tmp_path), gateway_file="acme.toml").describe().display_name == "Acme"
    assert made(None, gateway_file=str(tmp_path / "acme.toml")).describe().display_name == "Acme"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "acme.toml cannot be read (No such file or directory); a relative path begins beside the settings"),
        (b"name = ", "acme.toml: is not TOML"),
        (b"\xff", "is not UTF-8"),
        (TOML.replace("{text}", "{txt}").encode(), "acme.toml: send.sms.json.text: {txt} is neither"),
        (TOML.replace("meaning", "meaningg").encode(), "acme.toml: settings.token.meaningg: unknown key"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name(tmp_path, content, problem):
    if content is not None:
        (tmp_path / "acme.toml").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        made(str(tmp_path), gateway_file="acme.toml")
    assert "providers.acme.gateway_file: " in str(refused.value)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "providers.acme.gateway: is required: the name of a gateway (africastalking, "),
        ({"gateway": "infobip", "gateway_file": "x"}, "providers.acme.gateway: is there, and gateway_file too"),
        ({"gateway": "infobob"}, "providers.acme.gateway: there is no gateway 'infobob'; did you mean 'infobip'?"),
        ({"gateway": 5}, "providers.acme.gateway: must be the name of a gateway, or its table"),
        ({"gateway_file": ""}, "providers.acme.gateway_file: must be the path of a file"),
        ({"gateway": "vonage_sms"}, "providers.acme.api_key: is required: of the dashboard, API settings"),
        ({"gateway": "infobip", "api_key": "k"}, "providers.acme.base_url: is required: the URL that the gateway has"),
        ({"gateway": "telegram", "sender": "a b"}, "providers.acme.sender: is not of the form"),
        ({"gateway": "telegram", "base_url": "http://x.example"}, "base_url: plain http would show codes"),
    ],
)
def test_settings_that_are_wrong_are_refused(settings, problem):
    with pytest.raises(SettingsError) as refused:
        made(**settings)
    assert problem in str(refused.value)


def test_each_gateway_in_the_box_is_registered_so_that_the_core_knows_its_name():
    found = {point.name: point.value for point in entry_points(group=HTTP_GATEWAYS) if point.dist.name == "otp-http"}
    assert found == dict.fromkeys(built_in(), "otp_http.gateways")
    for name, plugin in (("infobip", None), ("acme", "infobip")):
        with pytest.raises(UnknownProviderError) as refused:
            load_provider(name, plugin, ProviderContext(instance=name, settings={}))
        assert f'Fix: in [providers.{name}]: gateway = "infobip"' in str(refused.value)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package of this name with these gateways in the module ``acme_gateways``, which has the table of acme."""

    def install(name: str, gateways: bytes) -> None:
        place = tmp_path / name
        information = place / f"{name}-1.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (information / "entry_points.txt").write_bytes(b"[otpcore.http_gateways]\n" + gateways)
        monkeypatch.syspath_prepend(str(place))

    package = tmp_path / "acme_gateways"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "acme.toml").write_text(TOML)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    sys.modules.pop("acme_gateways", None)


def test_a_package_brings_a_table_by_an_entry_point(install):
    install("acme-gateways", b"acme = acme_gateways\n")
    assert made(gateway="acme").describe().display_name == "Acme"
    assert "acme" in dict(catalogue.every_table())
    install("acme-more", b"gone = acme_gateways\n")
    with pytest.raises(SettingsError, match=r"gone.toml cannot be read .FileNotFoundError.. Fix: reinstall"):
        made(gateway="gone")


def test_a_gateway_that_two_packages_bring_is_refused_and_hurts_no_other(install):
    install("acme-gateways", b"acme = acme_gateways\ninfobip = acme_gateways\n")
    with pytest.raises(
        SettingsError, match=r"'infobip' is claimed by acme-gateways 1 .* and by otp-http .*Fix: uninstall"
    ):
        made(gateway="infobip")
    assert made(gateway="acme").describe().display_name == "Acme"


def test_our_own_gateways_are_there_without_metadata_as_in_a_frozen_app(monkeypatch):
    monkeypatch.setattr(catalogue, "installed", lambda group: ())
    assert catalogue.find("infobip").name == "Infobip"


def test_a_distribution_whose_entry_points_cannot_be_read_hurts_no_gateway(install):
    install("broken", b"\xff\xfe\n")
    install("acme-gateways", b"acme = acme_gateways\n")
    assert made(gateway="acme").describe().display_name == "Acme"


def test_what_is_carried_is_what_the_request_has_a_place_for(own_table):
    plain = made(gateway=own_table).describe().carried(Channel.SMS)
    assert plain.takes(Feature.TEXT)
    assert not plain.takes(Feature.SENDER)
    assert not plain.takes(Feature.TEMPLATE_ID)
    telegram = made(gateway="telegram").describe().carried(Channel("telegram"))
    assert not telegram.takes(Feature.TEXT)
    assert [telegram.takes(Feature.CODE_LENGTH, str(length)) for length in (3, 4, 8, 9)] == [False, True, True, False]
    assert telegram.takes(Feature.SENDER, "acme_codes")
    assert not telegram.takes(Feature.SENDER, "+359871234567")
    assert not telegram.speaks("bg")


async def test_a_name_and_credentials_are_enough_to_send(anyio_backend_name):
    with GatewaySimulator("telegram") as telegram:
        settings = {
            "otp_telegram_provider": "Telegram",
            "providers": {"telegram": telegram.provider_settings()},
            "storage": {"store": "memory"},
            "keys": Outbox().settings["keys"],
        }
        assert "plugin" not in settings["providers"]["telegram"]
        async with AsyncOTPService(settings=settings) as otp:
            await otp.send("+359871234567", channel="telegram")
            (message,) = telegram.inbox
            assert (message.recipient, message.channel) == ("+359871234567", "telegram")
            verified = await otp.verify("+359871234567", message.code)
    assert verified


def test_the_repr_shows_no_secret():
    provider = made(gateway="telegram", sender="acme")
    assert "t0ken" not in repr(provider)
    assert "t0ken" not in repr(provider.settings)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("t0ken\n", "begins or ends with a space or a line break"),
        ("\u00a0t0ken", "begins or ends with a space or a line break"),
        ("t0\nken", "holds a line break or a character that nobody sees"),
        ("t0\u202aken", "holds a line break or a character that nobody sees"),
        ("t\u043eken", "goes out in a header, which carries ASCII alone"),
    ],
)
def test_a_token_that_no_request_could_carry_is_refused_at_the_start_and_not_shown(tmp_path, token, problem):
    (tmp_path / "acme.toml").write_text(TOML)
    with pytest.raises(SettingsError, match=rf"providers\.acme\.token: {problem}") as refused:
        made(str(tmp_path), gateway_file="acme.toml", token=token)
    assert "ken" not in str(refused.value).replace("token", "")


def test_what_is_no_secret_and_is_not_written_in_a_header_may_have_letters_of_any_script(tmp_path):
    account = '[settings.account]\nmeaning = "its name"\n[auth]'
    query = 'query = { account = "{account}" }\npath ='
    (tmp_path / "acme.toml").write_text(TOML.replace("[auth]", account).replace("path =", query))
    assert made(str(tmp_path), gateway_file="acme.toml", account="Пламен").settings.values["account"] == "Пламен"
    with pytest.raises(SettingsError, match=r"providers\.acme\.account: begins or ends with a space"):
        made(str(tmp_path), gateway_file="acme.toml", account="Plamen ")


def fix_of(providers):
    """The fix that the start of a service tells, as it can be pasted below ``[providers.<name>]``."""
    (name,) = providers
    outbox = {**Outbox().settings, "otp_sms_provider": name, "providers": providers}
    with pytest.raises(OTPConfigurationError) as refused, OTPService(outbox):
        pass
    told = str(refused.value)
    pasted = re.search(rf'in \[providers\.{name}\]: (.* = ".*")$', told)
    return told, tomllib.loads(pasted[1]) if pasted else {}


@pytest.mark.parametrize(("name", "gateway"), [("gw", "webhook"), ("sms_api", "smsapi"), ("mobica_bg", "mobica")])
def test_an_instance_without_a_gateway_is_told_what_can_be_pasted_until_its_account_is_asked_for(name, gateway):
    said = {}
    told, pasted = fix_of({name: said})
    assert pasted == {"plugin": "http"}, told
    said |= pasted
    told, pasted = fix_of({name: said})
    assert pasted == {"gateway": gateway}, told
    told, pasted = fix_of({name: {**said, **pasted}})
    assert "is required: " in told
    assert "gateway" not in pasted

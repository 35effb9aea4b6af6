"""The README's project with its tables, and otpcore's, on a MariaDB server."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from otp_django_project import PATIENCE, Project, begin, verify
from sqlalchemy import create_engine, inspect, make_url

PHONE = "+359871234599"
SETTINGS = """
import pymysql

pymysql.install_as_MySQLdb()
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.mysql",
        "NAME": {url.database!r},
        "USER": {url.username!r},
        "PASSWORD": {url.password!r},
        "HOST": {url.host!r},
        "PORT": {url.port!r},
    }}
}}
"""
SUPPORT = "from django.contrib.auth.models import User; User.objects.create_superuser('ann', password='of the tests')"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    servers = pytest.importorskip("tests.servers", reason="MariaDB is asked for by the repository's tests")
    with servers.mariadb_database() as text:
        url = make_url(text)
        more = SETTINGS.format(url=url.set(port=url.port or 3306, password=url.password or ""))
        yield begin(tmp_path_factory.mktemp("project"), text, more)


def tables(project: Project) -> set[str]:
    engine = create_engine(make_url(project.url).set(drivername="mysql+pymysql"))
    try:
        return {*inspect(engine).get_table_names()}
    finally:
        engine.dispose()


def test_the_doctor_names_the_command_that_makes_the_tables_and_it_does(project):
    (found,) = (
        line for line in project.run("python manage.py otp doctor || true").splitlines() if "db upgrade" in line
    )
    assert "the server's database has tables at no revision" in project.run("python manage.py otp doctor || true")
    assert found.strip() == "fix: manage.py otp db upgrade"
    project.run(found.partition("fix: ")[2].replace("manage.py", "python manage.py"))
    made = tables(project)
    assert made
    assert "django_session" not in made, "the command makes otpcore's alone"
    assert "The tables of otpcore are up to date." in project.run("python manage.py migrate")
    assert tables(project) > made


def test_a_phone_is_verified_under_gunicorn_and_support_sees_it(project):
    project.run("python manage.py migrate --verbosity 0")
    project.run(f'python manage.py shell -c "{SUPPORT}"')
    command = ["-m", "gunicorn", "--workers", "2", "--threads", "4", "--bind", "127.0.0.1:PORT", "shop.wsgi"]
    with project.served(*command, ends_with=signal.SIGTERM) as url:
        project.wait_for_workers(lambda found: len(found) == 2)
        verify(project, url, PHONE)
        see_it_in_the_admin(url)
    assert project.workers() == set(), (project.place / "log").read_text()
    said = (project.place / "log").read_text()
    assert "Traceback" not in said
    assert PHONE[1:] not in said
    assert not [*Path(project.place).glob("*.sqlite3")], "all of it is on the server"


def see_it_in_the_admin(url: str) -> None:
    with httpx.Client(base_url=url, follow_redirects=True, trust_env=False, timeout=PATIENCE) as client:

        def post(page: httpx.Response, address: str, **values: str) -> httpx.Response:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
            assert token, page.text
            return client.post(address, data={"csrfmiddlewaretoken": token[1], **values})

        login = client.get("/admin/login/")
        assert post(login, "/admin/login/", username="ann", password="of the tests").url.path != "/admin/login/"
        for name, word in (("challenge", "approved"), ("delivery", "accepted"), ("waitingsend", "Nothing waits")):
            page = client.get(f"/admin/otp/{name}/")
            assert page.status_code == 200, name
            assert word in page.text, name
            assert PHONE not in page.text
        person = post(client.get("/admin/otp/challenge/"), "/admin/otp/challenge/person/", phone=PHONE)
        assert "approved" in person.text
        paused = post(client.get("/admin/otp/sending/"), "/admin/otp/sending/do/pause/", reason="a test")
        assert "Sending is paused." in paused.text
        assert "No code could be sent." in post(client.get("/phone/"), "/phone/", phone="+359871234500").text
        resumed = post(client.get("/admin/otp/sending/"), "/admin/otp/sending/do/resume/", reason="it is over")
        assert "Sending goes on." in resumed.text
        changes = client.get("/admin/otp/change/").text
        assert "it is over" in changes
        assert "ann" in changes
